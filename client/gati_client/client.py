"""The client of one registry."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

from gati_client.answers import Answer
from gati_client.auth import Credentials
from gati_client.errors import Denied
from gati_client.tokens import WrongLogin
from gati_client.transport import Patience, Transport

if TYPE_CHECKING:
    from gati_client.spaces.account import Account
    from gati_client.spaces.advisories import Advisories
    from gati_client.spaces.artifacts import Artifacts
    from gati_client.spaces.audit import Audit
    from gati_client.spaces.capabilities import Capabilities
    from gati_client.spaces.keys import Keys
    from gati_client.spaces.namespaces import Namespaces
    from gati_client.spaces.orgs import Orgs
    from gati_client.spaces.resolve import Resolve
    from gati_client.spaces.search import Search
    from gati_client.spaces.versions import Versions


class Client:
    """One registry, asked asynchronously: `async with Client("registry.example") as client:`.

    Plain OCI works with any registry. What needs an extension of ours is refused with a word about which where the
    registry does not have it; `features()` tells beforehand.
    """

    def __init__(
        self,
        registry: str,
        *,
        credentials: Credentials | None = None,
        insecure: bool = False,
        patience: Patience | None = None,
        trusted_realms: Sequence[str] = (),
    ) -> None:
        """
        Args:
            registry: `host`, `host:port` or a URL. Plain http is spoken to this machine alone.
            credentials: where those of hosts are kept; None: anonymous.
            insecure: plain http is spoken to any host.
            patience: how long to wait and how often to try.
            trusted_realms: other hosts (`host:port`) that may see the registry's credentials, as its token service.

        Raises:
            Usage: `registry` is no address.
        """
        self.transport = Transport(
            registry, credentials=credentials, insecure=insecure, patience=patience, trusted_realms=trusted_realms
        )
        self._features: frozenset[str] | None = None

    @property
    def host(self) -> str:
        """`host:port` of the registry."""
        return self.transport.host

    async def features(self) -> frozenset[str]:
        """The extensions of ours that the registry has (`kinds`, `resolve`, `search`, …); none for others."""
        if self._features is None:
            try:
                answer = await self.transport.ask(
                    "GET", "/v2/_oci/ext/discover", action="tell its extensions", expected=(200, 400, 404, 405)
                )
            except WrongLogin:
                raise  # no word about what the registry has
            except Denied:
                return frozenset()  # others do not have it, and say that one must log in
            self._features = _extensions(answer) if answer.status == 200 else frozenset()
        return self._features

    # Transfers and the models of extensions take a moment to import: each call needs some of them.

    @cached_property
    def artifacts(self) -> Artifacts:
        """Manifests, blobs and tags, at any registry."""
        from gati_client.spaces.artifacts import Artifacts

        return Artifacts(self.transport)

    @cached_property
    def search(self) -> Search:
        """Search among all artifacts."""
        from gati_client.spaces.search import Search

        return Search(self.transport, self.features)

    @cached_property
    def versions(self) -> Versions:
        """Versions, channels, states, stars."""
        from gati_client.spaces.versions import Versions

        return Versions(self.transport, self.features)

    @cached_property
    def resolve(self) -> Resolve:
        """Which releases fit together."""
        from gati_client.spaces.resolve import Resolve

        return Resolve(self.transport, self.features)

    @cached_property
    def namespaces(self) -> Namespaces:
        """Namespaces, members, quotas, policies."""
        from gati_client.spaces.namespaces import Namespaces

        return Namespaces(self.transport, self.features)

    @cached_property
    def keys(self) -> Keys:
        """API keys."""
        from gati_client.spaces.keys import Keys

        return Keys(self.transport, self.features)

    @cached_property
    def orgs(self) -> Orgs:
        """Organizations, teams, robots."""
        from gati_client.spaces.orgs import Orgs

        return Orgs(self.transport, self.features)

    @cached_property
    def account(self) -> Account:
        """Who the caller is."""
        from gati_client.spaces.account import Account

        return Account(self.transport, self.features)

    @cached_property
    def advisories(self) -> Advisories:
        """Advisories about artifacts."""
        from gati_client.spaces.advisories import Advisories

        return Advisories(self.transport, self.features)

    @cached_property
    def audit(self) -> Audit:
        """The audit log."""
        from gati_client.spaces.audit import Audit

        return Audit(self.transport, self.features)

    @cached_property
    def capabilities(self) -> Capabilities:
        """Capability tokens."""
        from gati_client.spaces.capabilities import Capabilities

        return Capabilities(self.transport, self.features)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.transport.close()


def _extensions(answer: Answer) -> frozenset[str]:
    document = answer.json()
    found = document.get("extensions") if isinstance(document, dict) else None
    names = [each.get("name") for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return frozenset(name.removeprefix("_ext/") for name in names if isinstance(name, str) and name.startswith("_ext/"))
