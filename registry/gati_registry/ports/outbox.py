"""Events that reactions are still to be told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gati_registry.domain.events import Event


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one reaction. `attempts` were made before this one."""

    id: int
    reaction: str
    event: Event
    attempts: int


class Outbox(Protocol):
    """Events that reactions are still to be told of."""

    async def add(self, reaction: str, event: Event, now: int) -> None:
        """Keep an event for a reaction."""

    async def due(self, now: int) -> bool:
        """Whether there may be something to claim."""

    async def claim(self, holder: str, now: int, until: int, limit: int) -> Sequence[Delivery]:
        """Lease what is due; of one reaction and repository only the oldest."""

    async def done(self, delivery: Delivery, holder: str) -> None:
        """It was delivered."""

    async def retry(self, delivery: Delivery, holder: str, due: int, error: str) -> None:
        """It failed and is due again at `due`."""

    async def bury(self, delivery: Delivery, holder: str, now: int, error: str) -> None:
        """It failed too long: a dead letter."""

    async def counts(self) -> tuple[int, int]:
        """Waiting deliveries and dead letters."""

    async def forget(self, before: int) -> int:
        """Remove dead letters buried before `before`; how many."""
