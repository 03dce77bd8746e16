"""A registry process with packages, and projects that use them; a relay that counts what is asked of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gati_client.cache import Cache
from gati_client.client import Client
from gati_client.project.project import Project
from gati_client.publish import publish
from tests.client.packs import lay


def module(name: str, version: str, wants: Mapping[str, str] | None = None, *, gati: str = "") -> dict[str, str]:
    """The files of a module."""
    document = {"name": name, "version": version, "license": "MIT",
                "gati": {"type": "module", "dependencies": dict(wants or {}), "version": gati}}  # fmt: skip
    return {"gati-module.json": json.dumps(document), "index.js": f"export default '{name}@{version}';\n"}


class Workshop:
    """Publishes to a registry and opens projects, all below a folder of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.cache = Cache(folder / "cache")
        self._count = 0

    def connect(self, registry: str) -> Client:
        """A client for a package's registry."""
        return Client(registry or self.url)

    async def publish(self, repository: str, version: str, wants: Mapping[str, str] | None = None, *,
                      files: Mapping[str, str | bytes] | None = None, gati: str = "") -> str:  # fmt: skip
        """Publish a module; its digest."""
        self._count += 1
        source = lay(
            self.folder / f"source{self._count}",
            {**module(repository.rpartition("/")[2], version, wants, gati=gati), **(files or {})},
        )
        async with self.connect("") as client:
            return (await publish(client, source, repository=repository, cache=self.cache)).digest

    def project(self, name: str, document: Mapping[str, Any] | None = None, *, cache: Cache | None = None) -> Project:
        """A project of its own, with this gati.json."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        if document is not None:
            (folder / "gati.json").write_text(json.dumps(document))
        return Project(folder, self.connect, cache=cache or self.cache)


def installed(folder: Path) -> dict[str, str]:
    """Packages that are visible in a project, with the first line of what they say of themselves."""
    found = {}
    for path in sorted((folder / "gati_modules").rglob("*")):
        if path.is_symlink() and ".store" not in path.relative_to(folder).parts:
            found[str(path.relative_to(folder / "gati_modules"))] = (path / "index.js").read_text().strip()
    return found


class Relay:
    """Passes connections on to a server on this machine, and counts the requests it sees by method and path."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.seen: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._socket, backlog=256))
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            await asyncio.gather(self._count(reader, onward), self._pass(there, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            onward.close()

    async def _count(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            for method, path in re.findall(rb"(?m)^(GET|HEAD|POST|PUT|PATCH|DELETE) (/\S*) HTTP/1", data):
                self.seen[f"{method.decode()} {path.decode()}"] += 1
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


PROGRAM = """
import asyncio, pathlib, sys
from gati_client.cache import Cache
from gati_client.client import Client
from gati_client.project.project import Project
from gati_client.publish import publish
what, url, cache, *folders = sys.argv[1:]
async def main():
    for folder in folders:
        if what == "install":
            project = Project(pathlib.Path(folder), lambda registry: Client(url), cache=Cache(pathlib.Path(cache)))
            await project.install(frozen=True)
        else:
            async with Client(url) as client:
                await publish(client, pathlib.Path(folder), repository="library/big", cache=Cache(pathlib.Path(cache)))
asyncio.run(main())
"""


def start(what: str, url: str, cache: Path, folders: Sequence[Path]) -> subprocess.Popen[str]:
    """A process that installs in, or publishes, folders."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GATI_")}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, what, url, str(cache), *map(str, folders)],
                            stderr=subprocess.PIPE, text=True, env=environment)  # fmt: skip
