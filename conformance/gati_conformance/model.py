"""What a case is, and what comes of running one. No I/O here."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gati_conformance.client import Exchange
    from gati_conformance.context import Context


class Failed(Exception):
    """The registry broke the rule; the message says what was expected and what came."""


class Skipped(Exception):
    """The rule could not be judged here; the message says why. An empty reason is refused."""

    def __init__(self, reason: str) -> None:
        if not reason.strip():
            raise ValueError("a skip needs a reason")
        super().__init__(reason)


class Unsupported(Skipped):
    """The registry said, in a way the specification allows, that it does not offer this."""


class Status(enum.IntEnum):
    """Outcome, ordered by severity: of several outcomes, an entry shows the highest.

    Source: distribution-spec, conformance/results.go (same words in results.yaml).
    """

    UNKNOWN = 0
    DISABLED = 1
    SKIP = 2
    PASS = 3
    FAIL = 4
    ERROR = 5

    @property
    def word(self) -> str:
        """How reports write it."""
        return "FAIL" if self is Status.FAIL else self.name.capitalize()

    @classmethod
    def parse(cls, word: str) -> Status:
        """The status of a report's word, in any case. Raises KeyError for any other word."""
        return cls[word.upper()]


class Level(enum.Enum):
    """How binding a rule is."""

    MUST = "must"  # the specification says MUST, or an RFC that it builds on does
    SHOULD = "should"  # the specification says SHOULD
    EXPECTED = "expected"  # not written there, but real clients or operators rely on it

    def includes(self, other: Level) -> bool:
        """Whether a run at this level runs cases of the other level."""
        order = list(Level)
        return order.index(other) <= order.index(self)


@dataclass(frozen=True, slots=True)
class Case:
    """One rule, and the function that checks it.

    `requires` names switches (see `config.SWITCHES`) that must be on. `after` names cases that must have passed in
    the same run, `needs` those that must have run, whatever came of them. `entries` are the entries of the official
    suite that this case decides; `credits` are entries that its passing speaks for but its failing says nothing
    about.
    """

    id: str
    title: str
    run: Callable[[Context], None]
    level: Level = Level.MUST
    source: str = ""
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    credits: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The part of the id before the first slash; for official cases, the name of the official group."""
        return self.id.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one case. `reason` is empty only for a pass."""

    case: Case
    status: Status
    reason: str = ""
    seconds: float = 0.0
    exchanges: tuple[Exchange, ...] = ()

    def __post_init__(self) -> None:
        if self.status is not Status.PASS and not self.reason.strip():
            raise ValueError(f"{self.case.id}: a result that is no pass needs a reason")


class Group:
    """Collects the cases of one module, in the order they are written."""

    def __init__(self, name: str, *, source: str, requires: Iterable[str] = (), level: Level = Level.MUST) -> None:
        self.name = name
        self.source = source
        self.requires = tuple(requires)
        self.level = level
        self.cases: list[Case] = []

    def case(
        self,
        name: str,
        title: str,
        *,
        level: Level | None = None,
        source: str | None = None,
        requires: Iterable[str] = (),
        after: Iterable[str] = (),
    ) -> Callable[[Callable[[Context], None]], Callable[[Context], None]]:
        """Register the decorated function as a case of this group."""

        def register(run: Callable[[Context], None]) -> Callable[[Context], None]:
            self.cases.append(
                Case(
                    id=f"{self.name}/{name}",
                    title=title,
                    run=run,
                    level=level or self.level,
                    source=source or self.source,
                    requires=(*self.requires, *requires),
                    after=tuple(f"{self.name}/{other}" for other in after),
                )
            )
            return run

        return register
