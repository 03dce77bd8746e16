"""The system's clock as a port."""

from __future__ import annotations

import time


class SystemClock:
    """`ports.Clock`."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000
