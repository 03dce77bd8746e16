"""What the benchmark writes in bulk is what pushes would have made: the same rows, the same answers, sound content."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.filling import CORE, KINDS, Filler, PostgresTarget, SqliteTarget, content, even, repository

from gati_registry.bootstrap import Registry, build
from gati_registry.settings import Settings
from tests.core.conftest import anyio_backend
from tests.core.support import Client, scratch
from tests.support.postgresql import PostgresServer

__all__ = ["anyio_backend"]

pytestmark = pytest.mark.anyio

SIZES = [(0, 7), (1, 7), (2, 12)]
TIMES = 1_000_000_000_000
"""Greater numbers in these tables are times."""


class Engine:
    """Makes settings of databases, and the way to write into them."""

    def __init__(self, folder: Path, server: PostgresServer | None, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._server = server
        self._stack = stack

    def settings(self, name: str, extensions: tuple[str, ...] = ()) -> Settings:
        """Of a registry with an empty database."""
        url = None
        if self._server is not None:
            url = self._server.url(self._stack.enter_context(self._server.database()))
        return Settings(data=self._folder / name, open=True, metadata_url=url, extensions=extensions)

    def target(self, settings: Settings) -> SqliteTarget | PostgresTarget:
        """To be closed."""
        return PostgresTarget(settings.metadata_url or "") if self._server else SqliteTarget(settings.metadata_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each in turn."""
    found = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    with scratch() as folder, contextlib.ExitStack() as stack:
        yield Engine(folder, found, stack)


async def _rows(registry: Registry, table: str) -> list[tuple[Any, ...]]:
    rows = await registry.metadata.scan(lambda tx: tx.all(f"SELECT * FROM {table}"))
    plain = [tuple(0 if isinstance(value, int) and value > TIMES else value for value in row) for row in rows]
    return sorted(plain, key=repr)


async def _push(client: Client) -> None:
    for number, manifests in SIZES:
        name = repository(number)
        for item in content(number, manifests):
            for blob in item.blobs:
                assert (await client.push_blob(name, blob.data)).status == 201
            pushed = await client.push_manifest(
                name, item.tag or item.manifest.digest, item.manifest.data, item.manifest.media_type
            )
            assert pushed.status == 201, pushed.body


async def _answers(client: Client) -> list[tuple[int, bytes]]:
    """What a client can see of it all."""
    targets = ["/v2/_catalog"]
    for number, manifests in SIZES:
        name = repository(number)
        targets.append(f"/v2/{name}/tags/list")
        for item in content(number, manifests):
            digest = item.manifest.digest
            targets += [f"/v2/{name}/manifests/{item.tag or digest}", f"/v2/{name}/referrers/{digest}"]
            targets += [f"/v2/{name}/blobs/{blob.digest}" for blob in item.blobs]
    return [(answer.status, answer.body) for answer in [await client.get(target) for target in targets]]


async def test_bulk_is_what_pushes_make(engine: Engine) -> None:
    settings = engine.settings("pushed")
    async with build(settings) as pushed:
        await _push(Client(pushed.app))
        rows = {table: await _rows(pushed, table) for table in (*CORE, "upload", "outbox", "trash")}
        answers = await _answers(Client(pushed.app))
    assert {status for status, _ in answers} == {200}

    settings = engine.settings("filled")
    async with build(settings):
        pass  # makes the schema
    target = engine.target(settings)
    Filler(target).fill(SIZES[:1])
    Filler(target).fill(SIZES[1:])  # in as many goes as one likes
    target.close()
    async with build(settings) as filled:
        assert {table: await _rows(filled, table) for table in rows} == rows
        assert await _answers(Client(filled.app)) == answers
        findings = await filled.verifier.run()
        assert (findings.damaged, findings.manifests) == ([], sum(manifests for _, manifests in SIZES))
        # The numbers go on: what is pushed next finds its place.
        client = Client(filled.app)
        for item in content(9, 5):
            for blob in item.blobs:
                assert (await client.push_blob(repository(9), blob.data)).status == 201
            pushed_next = await client.push_manifest(
                repository(9), item.tag or item.manifest.digest, item.manifest.data, item.manifest.media_type
            )
            assert pushed_next.status == 201


async def test_bulk_is_what_pushes_make_of_kinds(engine: Engine) -> None:
    extensions = ("identity", "namespaces", "kinds")
    settings = engine.settings("pushed", extensions)
    async with build(settings) as pushed:
        await _push(Client(pushed.app))
        rows = {table: await _rows(pushed, table) for table in KINDS}
    settings = engine.settings("filled", extensions)
    async with build(settings):
        pass
    target = engine.target(settings)
    Filler(target, kinds=True).fill(SIZES)
    target.close()
    async with build(settings) as filled:
        assert {table: await _rows(filled, table) for table in rows} == rows


async def test_content_differs_from_repository_to_repository() -> None:
    digests = [item.manifest.digest for number, manifests in even(range(20), 10) for item in content(number, manifests)]
    assert len(set(digests)) == len(digests)
