"""The time of day."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The time of day."""

    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""
