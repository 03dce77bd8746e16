"""What the tests of search share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from gati_extensions.search.opensearch import OpenSearchIndex
from gati_extensions.search.ports import Document
from gati_registry.jobs import Job
from tests.extensions.access.support import User, World
from tests.extensions.kinds.support import BASE, push

EXTENSIONS = "identity,namespaces,access,kinds,search"


def job(site: World, name: str) -> Job:
    """A job of the registry: no worker runs them in these tests."""
    jobs: list[Job] = site.registry.extensions.all("jobs")
    return next(found for found in jobs if found.name == name)


async def indexed(site: World) -> None:
    """Do what the jobs have to do."""
    await site.registry.observers.flush()
    for name in ("kinds.rebuild", "search.build", "search.downloads", "search.index"):
        found = job(site, name)
        if found.due is None or await found.due():
            await found.run()
    index = next(part.api.index for one, part in site.registry.extensions.parts if one.name == "search")
    if isinstance(index, OpenSearchIndex):
        await refreshed(index)


async def refreshed(index: OpenSearchIndex) -> None:
    """Let what was put be found now, instead of within the second."""
    await index.client.indices.refresh(index="_all")


class Refreshing(OpenSearchIndex):
    """What was put is found at once, as in an index in the database."""

    async def put(
        self, documents: Sequence[Document], gone: Sequence[str], *, building: bool = False, revision: int = 0
    ) -> None:
        """Put and refresh."""
        await super().put(documents, gone, building=building, revision=revision)
        await refreshed(self)


async def publish(user: User, name: str, version: str = "1.0.0", kind: str = "module", **more: Any) -> None:
    """Push an artifact with these fields in its config."""
    config = {**BASE, "name": name.rpartition("/")[2], "version": version, **more}
    if kind == "module":
        config.setdefault("gati", {"type": "module"})
    layer = (f"{name} {version}".encode(), f"application/vnd.gati.{kind}.layer.v1.tar+gzip", "")
    answer = await push(user, name, version, kind, config, [layer])
    assert answer.status == 201, answer


async def search(user: User, q: str = "", **more: Any) -> dict[str, Any]:
    """A page."""
    found: dict[str, Any] = await user.done("GET", "search?" + urlencode({"q": q, **more}, doseq=True))
    return found


async def names(user: User, q: str = "", **more: Any) -> list[str]:
    """The repositories of a page."""
    return [item["repository"] for item in (await search(user, q, **more))["items"]]


async def until(condition: Any, seconds: float = 30.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
