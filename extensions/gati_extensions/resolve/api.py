"""What extensions that require `resolve` get. `kernel.apis["resolve"]` is a `Resolving`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gati_extensions.resolve.advisories import affects
from gati_extensions.resolve.model import Resolution, ResolveRequest
from gati_registry.extension import Identity, Transaction

__all__ = ["Known", "Resolution", "ResolveRequest", "Resolving", "affects"]


@dataclass(frozen=True, slots=True)
class Known:
    """A published advisory about an artifact; `record` is OSV, `severity` low, medium, high, critical or unknown."""

    repository: str
    id: str
    severity: str
    record: Mapping[str, Any]
    changed_at: int


class Resolving(Protocol):
    """Choosing releases that fit together."""

    async def resolve(self, identity: Identity, origin: str, asked: ResolveRequest) -> Resolution:
        """What the endpoint `resolve` answers to this caller, who reached the registry at `origin`.

        Raises:
            RegistryError: INVALID, it is too much.
        """

    async def advisories(self, tx: Transaction, repositories: Sequence[str]) -> Sequence[Known]:
        """Published advisories about any of these artifacts; nobody asks here whether a caller may see them."""
