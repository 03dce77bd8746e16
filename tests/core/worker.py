"""A process beside the tests' own: `python -m tests.core.worker COMMAND LOCATION …`.

- `bump URL N`: read and write a counter N times, many at once
- `migrate URL`: open the database; prints the migrations that this process ran
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gati_registry.metadata.postgresql import Limits, PostgresMetadata, Server
from gati_registry.metadata.sqlite import SqliteMetadata
from tests.core.contract_metadata import bump


async def open_metadata(url: str) -> SqliteMetadata | PostgresMetadata:
    """The database that a URL names."""
    scheme, _, path = url.partition("://")
    return (
        SqliteMetadata(Path(path)) if scheme == "sqlite" else await PostgresMetadata.open(Server.parse(url, Limits()))
    )


async def main(command: str, location: str, *arguments: str) -> None:
    """Run one command."""
    metadata = await open_metadata(location)
    if command == "migrate":
        print("\n".join(metadata.migrations_run))
    else:
        assert command == "bump"
        for _ in range(int(arguments[0]) // 10):
            await asyncio.gather(*(metadata.write(bump) for _ in range(10)))
    await metadata.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
