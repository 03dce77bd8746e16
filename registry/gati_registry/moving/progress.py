"""Progress of a long piece of work: a bar where people watch, a line now and then where they do not."""

from __future__ import annotations

import sys
import time
from typing import TextIO

BAR_EVERY = 0.2
LINE_EVERY = 10.0
_WIDTH = 30


class Progress:
    """Counts bytes of one stage of work at a time; writes to standard error, so that the result stays alone."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._quiet = quiet
        self._stage, self._total, self._done, self._skipped = "", 0, 0, 0
        self._began = self._told = time.monotonic()

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of so many bytes (or rows)."""
        self.end()
        self._stage, self._total, self._done, self._skipped = name, total, 0, 0
        self._began = self._told = time.monotonic()

    def add(self, amount: int, *, skipped: bool = False) -> None:
        """So much more is done; `skipped` if it was there already, which says nothing about the rate."""
        self._done += amount
        self._skipped += amount if skipped else 0
        now = time.monotonic()
        if now - self._told >= (BAR_EVERY if self._terminal else LINE_EVERY):
            self._told = now
            self._tell(now)

    def end(self) -> None:
        """The stage is over."""
        if self._stage and (self._done or self._total):
            self._tell(time.monotonic())
            if self._terminal and not self._quiet:
                self._stream.write("\n")
        self._stage = ""

    def _tell(self, now: float) -> None:
        if self._quiet:
            return
        rate = (self._done - self._skipped) / max(now - self._began, 0.001)
        left = max(self._total - self._done, 0)
        share = min(self._done / max(self._total, 1), 1.0)
        remaining = f", {_time(left / rate)} left" if rate and left else ""
        figures = f"{_size(self._done)} of {_size(self._total)}, {_size(rate)}/s{remaining}"
        if not self._total:  # nobody knows
            figures = f"{_size(self._done)}, {_size(rate)}/s"
            line = f"\r\x1b[K{self._stage} {figures}" if self._terminal else f"{self._stage}: {figures}\n"
            self._stream.write(line)
        elif self._terminal:
            bar = "#" * round(share * _WIDTH)
            self._stream.write(f"\r\x1b[K{self._stage} [{bar:{_WIDTH}}] {share:4.0%} {figures}")
        else:
            self._stream.write(f"{self._stage}: {share:.0%}, {figures}\n")
        self._stream.flush()


def _size(amount: float) -> str:
    for unit in ("", "k", "M", "G"):
        if amount < 1000:
            return f"{amount:.0f}{unit}" if not unit else f"{amount:.1f}{unit}"
        amount /= 1000
    return f"{amount:.1f}T"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
