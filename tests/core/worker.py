"""A process beside the tests' own: `python -m tests.core.worker COMMAND LOCATION …`.

- `bump URL N`: read and write a counter N times, many at once
- `migrate URL`: open the database; prints the migrations that this process ran
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gati_registry.metadata.sqlite import SqliteMetadata
from gati_registry.ports import Metadata
from tests.core.contract_metadata import bump


def open_metadata(url: str) -> Metadata:
    """The database that a URL names."""
    scheme, _, path = url.partition("://")
    assert scheme == "sqlite", url
    return SqliteMetadata(Path(path))


async def main(command: str, location: str, *arguments: str) -> None:
    """Run one command."""
    if command == "migrate":
        migrated = SqliteMetadata(Path(location.partition("://")[2]))
        print("\n".join(migrated.migrations_run))
        await migrated.close()
        return
    assert command == "bump"
    metadata = open_metadata(location)
    for _ in range(int(arguments[0]) // 10):
        await asyncio.gather(*(metadata.write(bump) for _ in range(10)))
    await metadata.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
