"""Forward migrations with checksums.

A migration is a file `NNNN.<engine>.sql`; it runs once, in order, in a transaction, and its SHA-256 is kept, so
that a file changed after the fact stops the start instead of leaving two databases that only look alike.
"""

from __future__ import annotations

import hashlib
import importlib.resources
from dataclasses import dataclass


class MigrationError(Exception):
    """The database's history and this program's do not fit; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step; `owner` is `core` or an extension's name."""

    owner: str
    number: int
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.owner} {self.number:04d}"


def load(engine: str, *, package: str = "gati_registry.metadata.migrations", owner: str = "core") -> list[Migration]:
    """The migrations of a package for an engine (`sqlite` or `postgresql`), in order."""
    found = []
    for file in importlib.resources.files(package).iterdir():
        number, _, rest = file.name.partition(".")
        if rest == f"{engine}.sql":
            found.append(Migration(owner, int(number), file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.number)


def outstanding(known: list[Migration], applied: dict[tuple[str, int], str]) -> list[Migration]:
    """Those of `known` still to run on a database whose history is `applied`: (owner, number) to checksum.

    Raises:
        MigrationError: the history holds a step that this program lacks, or one with another text.
    """
    by_key = {(migration.owner, migration.number): migration for migration in known}
    owners = {migration.owner for migration in known}
    for (owner, number), checksum in applied.items():
        if owner not in owners:
            continue  # of an extension that is not enabled now
        migration = by_key.get((owner, number))
        if migration is None:
            raise MigrationError(
                f"the database has migration {owner} {number:04d}, which this version lacks; run the newer version"
            )
        if migration.checksum != checksum:
            raise MigrationError(f"migration {migration} differs from the one this database ran; restore its file")
    return [migration for migration in known if (migration.owner, migration.number) not in applied]
