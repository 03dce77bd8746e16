"""The client of one registry."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from gati_client.auth import Credentials
from gati_client.spaces.artifacts import Artifacts
from gati_client.transport import Patience, Transport


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
        self.artifacts = Artifacts(self.transport)

    @property
    def host(self) -> str:
        """`host:port` of the registry."""
        return self.transport.host

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.transport.close()
