"""The same client for programs that do not speak asyncio.

    with SyncClient("registry.example") as client:
        manifest = client.artifacts.manifest("orgs/acme/app", "1.2.3")
        tags = list(client.artifacts.tags("orgs/acme/app"))

Every name of `Client` is here: coroutines block and return, asynchronous iterators are iterators. All clients of a
process share one event loop in a thread of its own. What type checkers know of the namespaces is in `blocking.pyi`,
which is generated from the asynchronous ones.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from functools import lru_cache, wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gati_client.auth import Credentials
from gati_client.client import Client
from gati_client.errors import Usage
from gati_client.transport import Patience

if TYPE_CHECKING:
    from gati_client import blocking

T = TypeVar("T")


class SyncClient:
    """`Client`, blocking. May be used by several threads, but not beyond a fork: what forks (workers of
    multiprocessing, say) makes one in each process."""

    def __init__(
        self,
        registry: str,
        *,
        credentials: Credentials | None = None,
        insecure: bool = False,
        patience: Patience | None = None,
        trusted_realms: Sequence[str] = (),
    ) -> None:
        """As `Client`.

        Raises:
            Usage: `registry` is no address.
        """

        async def make() -> Client:
            return Client(
                registry,
                credentials=credentials,
                insecure=insecure,
                patience=patience,
                trusted_realms=trusted_realms,
            )

        self._made = _wait(make())
        self._process = os.getpid()

    @property
    def _client(self) -> Client:
        if os.getpid() != self._process:  # two processes would write into each other's connections
            raise Usage("a client stays with the process that made it", remedy="make one after the fork")
        return self._made

    @property
    def host(self) -> str:
        """`host:port` of the registry."""
        return self._client.host

    def features(self) -> frozenset[str]:
        """The extensions of ours that the registry has."""
        return _wait(self._client.features())

    def close(self) -> None:
        """Close all connections."""
        if os.getpid() == self._process:
            _wait(self._made.close())

    @property
    def account(self) -> blocking.Account:
        """Who the caller is."""
        return cast("blocking.Account", _Blocking(self._client.account))

    @property
    def advisories(self) -> blocking.Advisories:
        """Advisories about artifacts."""
        return cast("blocking.Advisories", _Blocking(self._client.advisories))

    @property
    def artifacts(self) -> blocking.Artifacts:
        """Push, pull, list, copy: plain OCI, with any registry."""
        return cast("blocking.Artifacts", _Blocking(self._client.artifacts))

    @property
    def audit(self) -> blocking.Audit:
        """The audit log."""
        return cast("blocking.Audit", _Blocking(self._client.audit))

    @property
    def capabilities(self) -> blocking.Capabilities:
        """Capability tokens."""
        return cast("blocking.Capabilities", _Blocking(self._client.capabilities))

    @property
    def keys(self) -> blocking.Keys:
        """API keys."""
        return cast("blocking.Keys", _Blocking(self._client.keys))

    @property
    def namespaces(self) -> blocking.Namespaces:
        """Namespaces, members, quotas, policies."""
        return cast("blocking.Namespaces", _Blocking(self._client.namespaces))

    @property
    def orgs(self) -> blocking.Orgs:
        """Organizations, teams, robots."""
        return cast("blocking.Orgs", _Blocking(self._client.orgs))

    @property
    def resolve(self) -> blocking.Resolve:
        """Which releases fit together."""
        return cast("blocking.Resolve", _Blocking(self._client.resolve))

    @property
    def search(self) -> blocking.Search:
        """Search among all artifacts."""
        return cast("blocking.Search", _Blocking(self._client.search))

    @property
    def versions(self) -> blocking.Versions:
        """Versions, channels, states, stars."""
        return cast("blocking.Versions", _Blocking(self._client.versions))

    def __enter__(self) -> SyncClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Blocking:
    """A namespace whose methods block."""

    def __init__(self, space: object) -> None:
        self._space = space

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._space, name)
        return _blocking(found) if callable(found) and not name.startswith("_") else found

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._space) if not name.startswith("_")]


def _blocking(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        args = tuple(_plain(each) for each in args)
        result = method(*args, **{key: _plain(value) for key, value in kwargs.items()})
        if inspect.iscoroutine(result):
            return _wait(result)
        return _iterate(result) if isinstance(result, AsyncIterator) else result

    return call


def _plain(value: Any) -> Any:
    """Where another client is asked for, as in `copy`, its asynchronous self."""
    return value._client if isinstance(value, SyncClient) else value


def _iterate(items: AsyncIterator[T]) -> Iterator[T]:
    end = object()

    async def step() -> Any:
        return await anext(items, end)

    while (item := _wait(step())) is not end:
        yield item


def _wait(work: Coroutine[Any, Any, T]) -> T:
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result()
    except BaseException:  # Ctrl-C ends what it interrupts
        future.cancel()
        raise


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="gati-client", daemon=True).start()
    return loop


os.register_at_fork(after_in_child=_loop.cache_clear)  # threads stay behind
