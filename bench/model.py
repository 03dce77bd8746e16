"""What a row of the benchmark is: what it measures, how large, and what it is to reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.stacks import Server

Better = Literal["more", "less"]
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything: the sizes that the command line sets. Sizes in bytes, times in seconds."""

    rounds: int = 3
    seconds: float = 2
    connections: int = 64
    blob: int = 1024 * MIB
    streams: int = 8
    pushing: float = 5
    clients: int = 64
    tags: int = 10_000
    referrers: int = 1_000
    repositories: int = 1_000
    stored: int = 100_000
    seeding: float = 20
    few: int = 1_000
    many: int = 1_000_000
    held: int = 10
    resolved: int = 500

    @classmethod
    def quick(cls) -> Scale:
        """A minute or two: shows that all works, and figures too rough to quote."""
        return cls(
            rounds=1,
            seconds=1,
            blob=64 * MIB,
            pushing=2,
            tags=500,
            referrers=100,
            repositories=100,
            stored=1_000,
            seeding=20,
            few=100,
            many=2_000,
            resolved=50,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """What a metric of ours is to reach with a worker a core.

    `bound` is a ratio, ours by `versus`: at least that much where more is better, at most where less is.
    `versus` is a stack's name, or `best` for the best of the other registries; None: `bound` is the figure.
    With `every` it is for all stacks of ours.
    """

    bound: float
    versus: str | None = "best"
    servers: tuple[str, ...] = ("hypercorn", "uvicorn")
    every: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a row."""

    key: str
    title: str
    unit: str
    better: Better
    targets: tuple[Target, ...] = ()


Values = dict[str, float]


def _nothing(server: Server, scale: Scale) -> None:
    """The row needs no data beforehand."""


@dataclass(frozen=True, slots=True)
class Row:
    """One family of figures, measured together.

    `how` says in the report what is done. `measure(server, scale, round)` gives a figure for each metric's
    key; `prepare` runs once a server. Both may raise `Unsupported`. `files`: a server of plain files takes
    part as well. `apart`: what it measures are other processes than the server.
    """

    name: str
    how: str
    metrics: tuple[Metric, ...]
    measure: Callable[[Server, Scale, int], Values]
    prepare: Callable[[Server, Scale], None] = _nothing
    files: bool = False
    apart: bool = False
