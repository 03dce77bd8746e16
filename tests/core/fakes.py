"""Adapters that are watched: each step to the outside can be held back, or be a process's last.

They wrap real ones and pass the same contract suites (test_fakes.py), so what is shown with them holds for those.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol, TypeVar

from gati_registry.ports import BlobReader, Metadata, StagedWriter, Work
from gati_registry.values.digest import Digest
from tests.core.contract_blobs import Store

T = TypeVar("T")


class Watch(Protocol):
    """Is told of every step that changes something outside, before and after it."""

    async def before(self, step: str) -> None:
        """The step is about to begin."""

    async def after(self, step: str) -> None:
        """The step has had its effect; its caller does not know yet."""


class Crash(BaseException):
    """The process is no more. Not an Exception: nothing that cleans up after errors gets to see it as one."""


class LastSteps:
    """A process that ends before or after a step: after `moments` of them; from then on it can do nothing more."""

    def __init__(self, moments: int) -> None:
        self._left = moments
        self.dead = False
        self.seen: list[str] = []

    async def before(self, step: str) -> None:
        self._moment(f"before {step}")

    async def after(self, step: str) -> None:
        self._moment(f"after {step}")

    def _moment(self, name: str) -> None:
        if self._left == 0:
            self.dead = True
        if self.dead:
            raise Crash
        self._left -= 1
        self.seen.append(name)


class Gate:
    """Holds a worker before each of its steps until it is let on."""

    def __init__(self, *, closed: bool = True) -> None:
        self._closed = closed
        self._waiting: asyncio.Future[None] | None = None
        self._changed = asyncio.Event()
        self.at: str | None = None

    async def before(self, step: str) -> None:
        if not self._closed:
            return
        assert self._waiting is None, "one worker for each gate"
        self._waiting, self.at = asyncio.get_running_loop().create_future(), step
        self._changed.set()
        try:
            await self._waiting
        finally:
            self._waiting, self.at = None, None

    async def after(self, step: str) -> None:
        pass

    async def reached(self, work: asyncio.Future[Any]) -> bool:
        """Wait until the worker stands at the gate, or `work` is done; whether it stands there."""
        while self._waiting is None and not work.done():
            self._changed.clear()
            changed: asyncio.Future[Any] = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait({changed, work}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
        return not work.done()

    def let_on(self) -> None:
        """One step more."""
        assert self._waiting is not None
        self._waiting.set_result(None)
        self._waiting = None

    def close(self) -> None:
        """Hold the next step, and those after it."""
        self._closed = True

    def open(self) -> None:
        """All steps from now on."""
        self._closed = False
        if self._waiting is not None:
            self.let_on()

    async def reach(self, step: str, work: asyncio.Future[T]) -> None:
        """Let the worker on until it stands before `step`."""
        while await self.reached(work):
            if self.at == step:
                return
            self.let_on()
        raise AssertionError(f"the work ended before {step}: {work}")


class WatchedMetadata:
    """`ports.Metadata` under watch. Reads change nothing and are not steps."""

    def __init__(self, inner: Metadata, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    async def write(self, work: Work[T]) -> T:
        await self._watch.before("write")
        result = await self._inner.write(work)
        await self._watch.after("write")
        return result

    async def read(self, work: Work[T]) -> T:
        return await self._inner.read(work)

    async def scan(self, work: Work[T], *, may_lag: bool = False) -> T:
        return await self._inner.scan(work, may_lag=may_lag)

    def revision(self) -> bytes | None:
        return self._inner.revision()

    def tell(self) -> None:
        self._inner.tell()

    def heard(self) -> int:
        return self._inner.heard()

    async def check(self) -> None:
        await self._inner.check()

    async def close(self) -> None:
        await self._inner.close()


class _WatchedWriter:
    """`ports.StagedWriter` under watch. `close` is no step: the system closes the files of a process that ends."""

    def __init__(self, inner: StagedWriter, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    async def write(self, chunk: bytes) -> None:
        await self._inner.write(chunk)

    async def sync(self) -> None:
        await self._watch.before("sync")
        await self._inner.sync()
        await self._watch.after("sync")

    def digest(self, algorithm: str) -> str | None:
        return self._inner.digest(algorithm)

    def acknowledged(self) -> None:
        self._inner.acknowledged()

    def give_up(self) -> None:
        self._inner.give_up()

    async def close(self) -> None:
        await self._inner.close()


class WatchedBlobs:
    """A blob store with all its sides, under watch."""

    def __init__(self, inner: Store, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    async def stage(
        self, name: str, offset: int, *, algorithm: str | None, expected: int | None, owner: str = ""
    ) -> StagedWriter:
        await self._watch.before("stage")
        writer = await self._inner.stage(name, offset, algorithm=algorithm, expected=expected, owner=owner)
        try:
            await self._watch.after("stage")
        except BaseException:
            await writer.close()
            raise
        return _WatchedWriter(writer, self._watch)

    async def digest_staged(self, name: str, size: int, algorithm: str) -> str:
        return await self._inner.digest_staged(name, size, algorithm)

    async def copy_staged(self, source: str, target: str, size: int) -> None:
        await self._watch.before("copy")
        await self._inner.copy_staged(source, target, size)
        await self._watch.after("copy")

    async def publish(self, name: str, digest: Digest, size: int) -> str:
        await self._watch.before("publish")
        stored_name = await self._inner.publish(name, digest, size)
        await self._watch.after("publish")
        return stored_name

    async def discard(self, name: str) -> None:
        await self._watch.before("discard")
        await self._inner.discard(name)
        await self._watch.after("discard")

    async def open(self, stored_name: str) -> BlobReader:
        return await self._inner.open(stored_name)

    async def remove(self, stored_name: str) -> None:
        await self._watch.before("remove")
        await self._inner.remove(stored_name)
        await self._watch.after("remove")

    async def check(self) -> None:
        await self._inner.check()

    def strays(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        return self._inner.strays(older_than=older_than)

    def staged(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        return self._inner.staged(older_than=older_than)

    async def quarantine(self, stored_name: str) -> None:
        await self._watch.before("quarantine")
        await self._inner.quarantine(stored_name)
        await self._watch.after("quarantine")
