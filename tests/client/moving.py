"""What the proof of a broken link runs as a process: `python -m tests.client.moving HOST push|pull FILE`.

It prints its most resident memory in bytes. VmHWM counts from the start of this very program; ru_maxrss would have
that of whoever started it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gati_client import Client, FileSource, Layer

REPOSITORY = "library/big"


async def push(host: str, path: Path) -> None:
    """Publish a file."""
    async with Client(host) as client:
        layer = Layer(FileSource(path), "application/octet-stream", "file")
        await client.artifacts.push(
            REPOSITORY, artifact_type="a/b", config=b"{}", config_type="a/c", layers=[layer], tags=["v1"]
        )


async def pull(host: str, path: Path) -> None:
    """Get it."""
    async with Client(host) as client:
        layer = (await client.artifacts.manifest(REPOSITORY, "v1")).layers[0]
        await client.artifacts.download(REPOSITORY, layer, path)


def most_memory() -> int:
    """The most resident memory so far, in bytes."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    host, what, file = sys.argv[1:]
    asyncio.run((push if what == "push" else pull)(host, Path(file)))
    print(most_memory())
