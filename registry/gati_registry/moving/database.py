"""All tables of a database into an empty one, on either engine: verified, in one transaction of the target.

The rows are summed up as they are read, and once more as the target gives them back; only where both agree is
anything kept. Crash points: at any moment before the end the target has nothing, and the next run begins anew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from gati_registry.errors import Unavailable
from gati_registry.metadata.migrate import Migration, MigrationError
from gati_registry.metadata.sql import Row
from gati_registry.metadata.tables import Reader, Sum, Table, Writer, same_steps
from gati_registry.moving.progress import Progress


@dataclass(frozen=True, slots=True)
class Moved:
    """Tables, and rows of all of them."""

    tables: int
    rows: int


async def copy_tables(source: Reader, target: Writer, known: Sequence[Migration], progress: Progress) -> Moved:
    """Fill the target with what the source has.

    Args:
        known: the migrations of the target's engine.

    Raises:
        MigrationError: the schemas do not come out the same.
        Unavailable: what arrived is not what was sent; nothing of it is kept.
    """
    tables = await source.tables()
    made = {table.name: table for table in await target.lay_out(same_steps(await source.history(), known))}
    _same_schema(tables, made)
    total = 0
    progress.stage("rows", 0)
    for table in tables:
        sent, arrived = Sum(), Sum()
        await target.write(table, _summed(source.rows(table), sent, progress))
        async for batch in target.rows(table):
            arrived.add(batch)
        if sent != arrived:
            raise Unavailable(f"table {table.name}: {sent.rows} rows were sent, other {arrived.rows} arrived")
        total += sent.rows
    progress.end()
    await target.finish()
    return Moved(len(tables), total)


def _same_schema(tables: Sequence[Table], made: dict[str, Table]) -> None:
    for table in tables:
        if table.name not in made:
            raise MigrationError(f"the table {table.name} is of no migration; move it yourself, then drop it")
        if set(table.columns) != set(made[table.name].columns):
            raise MigrationError(f"the table {table.name} has other columns than its migrations make")


async def _summed(
    batches: AsyncIterator[Sequence[Row]], total: Sum, progress: Progress
) -> AsyncIterator[Sequence[Row]]:
    async for batch in batches:
        total.add(batch)
        progress.add(len(batch))
        yield batch
