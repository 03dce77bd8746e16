"""What `bench.clients` runs as our client: `python bench/moving.py push|pull|import|export HOST REPOSITORY FOLDER`.

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


async def import_layout(host: str, repository: str, folder: Path) -> None:
    """Push what an OCI layout has."""
    async with Client(host) as client:
        await client.artifacts.import_layout(folder, repository)


async def export_layout(host: str, repository: str, folder: Path) -> None:
    """Pull an image into an OCI layout."""
    async with Client(host) as client:
        await client.artifacts.export_layout(repository, ["v1"], folder)


_WAYS = {"push": push, "pull": pull, "import": import_layout, "export": export_layout}

if __name__ == "__main__":
    what, host, repository, place = sys.argv[1:]
    asyncio.run(_WAYS[what](host, repository, Path(place)))
