"""What `bench.clients` runs as our client: `python bench/moving.py push|pull HOST REPOSITORY FOLDER`.

A program as somebody would write it with the SDK, and nothing of the bench beside.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from gati_client import Client, FileSource, Layer

LAYER = "application/vnd.oci.image.layer.v1.tar"


async def push(host: str, repository: str, folder: Path) -> None:
    """Push the files of a folder as layers."""
    layers = [Layer(FileSource(folder / name), LAYER, name) for name in sorted(os.listdir(folder))]
    async with Client(host) as client:
        await client.artifacts.push(
            repository, artifact_type="a/b", config=b"{}", config_type="a/c", layers=layers, tags=["v1"]
        )


async def pull(host: str, repository: str, folder: Path) -> None:
    """Pull all layers into a folder."""
    async with Client(host) as client:
        layers = (await client.artifacts.manifest(repository, "v1")).layers
        wanted = [(layer, folder / str(number)) for number, layer in enumerate(layers)]
        # The others do not sync what they pull.
        await client.artifacts.download_all(repository, wanted, durable=False)


if __name__ == "__main__":
    what, host, repository, place = sys.argv[1:]
    asyncio.run((push if what == "push" else pull)(host, repository, Path(place)))
