"""Whole tables, whatever they mean: how they are read from one database and written to another.

Core and extensions alike: the tables are found in the database, and the schema they go into is made by the migrations
that the source has run, on either engine. What belongs to a moment is left out (`LEFT_OUT`); so are tables with
`_index_` in their names: they are made of others, may differ between engines, and are made anew where they are missing.
"""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gati_registry.metadata.migrate import Migration, MigrationError
from gati_registry.metadata.sql import Row

BATCH = 2000
"""Rows that are held at once."""

History = Mapping[tuple[str, int], str]
"""Migrations that ran: (owner, number) to checksum."""

LEFT_OUT = {
    "schema_migration": "FALSE",  # each engine has its own texts
    "lease": "FALSE",  # their holders are not there
    "upload": "touched_at IS NULL",  # what an open session staged stays behind; its client begins again
}
"""Tables of which only the rows under a condition are taken along."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its columns in a fixed order; `counter` is the last number that its identity gave, if it has one."""

    name: str
    columns: tuple[str, ...]
    counter: int | None = None

    @property
    def condition(self) -> str:
        """Which rows are taken along."""
        return LEFT_OUT.get(self.name, "TRUE")

    @property
    def listed(self) -> str:
        """The columns as SQL."""
        return ", ".join(map(quoted, self.columns))


@dataclass(slots=True)
class Sum:
    """Rows in numbers, and a checksum over them that does not depend on their order."""

    rows: int = 0
    checksum: int = field(default=0)

    def add(self, batch: Iterable[Row]) -> None:
        """Count rows in."""
        for row in batch:
            self.rows += 1
            # Version 0 of marshal: equal values, equal bytes, on any machine.
            digest = hashlib.blake2b(marshal.dumps(tuple(row), 0), digest_size=16).digest()
            self.checksum = (self.checksum + int.from_bytes(digest)) % (1 << 128)


class Reader(Protocol):
    """One snapshot of a database; must be closed."""

    async def history(self) -> History:
        """The migrations that it ran."""

    async def tables(self) -> Sequence[Table]:
        """All tables with rows of their own, by name."""

    def rows(self, table: Table) -> AsyncIterator[Sequence[Row]]:
        """A table's rows, a batch at a time."""

    async def close(self) -> None:
        """Let go of it."""


class Writer(Protocol):
    """A database that comes to be: all of it at `finish`, nothing of it before. Must be closed."""

    async def lay_out(self, migrations: Sequence[Migration]) -> Sequence[Table]:
        """Make the schema, without rows; its tables."""

    async def write(self, table: Table, rows: AsyncIterator[Sequence[Row]]) -> None:
        """Fill a table and set its counter."""

    def rows(self, table: Table) -> AsyncIterator[Sequence[Row]]:
        """What was written."""

    async def finish(self) -> None:
        """Check what refers to what, and keep all of it."""

    async def close(self) -> None:
        """Let go of it; what was not finished is gone."""


def quoted(name: str) -> str:
    """An identifier as SQL."""
    return '"' + name.replace('"', '""') + '"'


def same_steps(history: History, known: Sequence[Migration]) -> list[Migration]:
    """The migrations of another engine that make the schema which a database of this history has.

    Raises:
        MigrationError: the history has steps of an extension that is not installed, or of another version.
    """
    wanted = set(history)
    found = [migration for migration in known if (migration.owner, migration.number) in wanted]
    missing = wanted - {(migration.owner, migration.number) for migration in found}
    if missing:
        owner, number = min(missing)
        raise MigrationError(
            f"migration {owner} {number:04d} is not here; install the version or extension that has it"
        )
    return found
