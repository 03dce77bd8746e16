"""Search among a million artifacts: rare, medium and very common words with filters and facets, in both databases and
in OpenSearch, quiet and beside pushes. These print times and assert none; that everything is found and nothing is
refused is asserted.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from bench.backends import database_url, opensearch, postgresql, search_url
from bench.filling import PostgresTarget, SqliteTarget, Target
from bench.searching import WORD, fill, fill_outside

from tests.clients.programs import require
from tests.proofs.sizes import size
from tests.support.postgresql import binaries
from tests.support.server import RegistryProcess, free_port, running

PASSWORD = "correct horse battery"
SETTINGS = "shared_buffers = 512MB\nmax_wal_size = 4GB\nlog_min_messages = fatal\n"
CONNECTIONS, QUERIES, PUSHERS, PUSHES = 64, 20, 8, 50
"""Connections that search, searches of all a second, clients that push, pushes of all a second."""

FILTERED = " kind:module license:mit,apache-2.0"
EMPTY_LAYER = b"layer"
CONFIG = "application/vnd.gati.module.config.v1+json"
LAYER = "application/vnd.gati.module.layer.v1.tar+gzip"

pytestmark = [pytest.mark.proof, pytest.mark.timeout(7200)]


class Caller:
    """One connection that is kept."""

    def __init__(self, server: RegistryProcess, *, admin: bool = False) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        token = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}"} if admin else {}

    def close(self) -> None:
        """Let go."""
        self._connection.close()

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers, body."""
        self._connection.request(method, path, body or None, {**self._headers, **headers})
        answer = self._connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    def search(self, q: str, **more: Any) -> dict[str, Any]:
        """A page."""
        status, _, body = self.call("GET", "/v2/_ext/search?" + urlencode({"q": q, **more}))
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def push(self, repository: str, number: int, word: str) -> None:
        """A new version of a module whose description has a word."""
        config = json.dumps({"name": repository.rpartition("/")[2], "version": f"1.0.{number}", "license": "MIT",
                             "description": f"Pushed with {word}.", "gati": {"type": "module"}}).encode()  # fmt: skip
        for blob in (config, EMPTY_LAYER):
            target = f"/v2/{repository}/blobs/uploads/?digest={quote(_digest(blob))}"
            status, _, body = self.call("POST", target, blob, **{"Content-Type": "application/octet-stream"})
            assert status == 201, body
        media_type = "application/vnd.oci.image.manifest.v1+json"
        manifest = {
            "schemaVersion": 2, "mediaType": media_type, "artifactType": "application/vnd.gati.module.v1",
            "config": {"mediaType": CONFIG, "digest": _digest(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": _digest(EMPTY_LAYER), "size": len(EMPTY_LAYER)}],
        }  # fmt: skip
        target = f"/v2/{repository}/manifests/1.0.{number}"
        status, _, body = self.call("PUT", target, json.dumps(manifest).encode(), **{"Content-Type": media_type})
        assert status == 201, body


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _tell(name: str, times: list[float]) -> None:
    found = sorted(times)
    if found:
        p50, p95 = (found[min(int(len(found) * share), len(found) - 1)] * 1000 for share in (0.5, 0.95))
        print(f"{name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms ({len(found)} times)")


def _quiet(caller: Caller, times: int) -> None:
    for label, word in WORD.items():
        for what, q in (("", word), (", filter and facets", word + FILTERED)):
            taken, page = [], {}
            for turn in range(times + 1):
                began = time.perf_counter()
                page = caller.search(q)
                if turn:  # the first one warms caches
                    taken.append(time.perf_counter() - began)
            assert page["total"] or label == "rare"
            _tell(f"quiet, {label}{what}, total {page['total']}{'' if page['total_exact'] else '+'}", taken)
    taken = []
    for prefix in ("b", "bo", WORD["medium"][:3], WORD["medium"][:5]):
        for _ in range(times // 4 + 1):
            began = time.perf_counter()
            status, _, body = caller.call("GET", f"/v2/_ext/search/suggest?q={prefix}")
            assert status == 200, body
            taken.append(time.perf_counter() - began)
    _tell("quiet, suggestions", taken)


def _busy(server: RegistryProcess, seconds: float, stack: contextlib.ExitStack) -> None:
    """Searches and pushes at a rate, and how long it takes until a push is found."""
    deadline = time.perf_counter() + seconds
    taken: dict[str, list[float]] = {label: [] for label in WORD}
    pushes: list[float] = []
    seen: list[float] = []
    problems: list[BaseException] = []
    numbers = itertools.count(1)

    def calling(*, admin: bool = False) -> Caller:
        caller = Caller(server, admin=admin)
        stack.callback(caller.close)
        return caller

    threads: list[threading.Thread] = []

    def guarded(work: Any, *given: Any) -> None:
        def run() -> None:
            try:
                work(*given)
            except BaseException as error:
                problems.append(error)

        thread = threading.Thread(target=run)
        threads.append(thread)
        thread.start()

    def searching(place: int) -> None:
        caller = calling()
        labels = itertools.islice(itertools.cycle(WORD), place % 3, None)
        following = time.perf_counter() + place / QUERIES
        while following < deadline:
            time.sleep(max(0.0, following - time.perf_counter()))
            label = next(labels)
            began = time.perf_counter()
            caller.search(WORD[label] + FILTERED)
            taken[label].append(time.perf_counter() - began)
            following += CONNECTIONS / QUERIES

    def pushing(place: int) -> None:
        caller = calling(admin=True)
        following = time.perf_counter() + place / PUSHES
        while following < deadline:
            time.sleep(max(0.0, following - time.perf_counter()))
            number = next(numbers)
            began = time.perf_counter()
            caller.push(f"library/pushed-{place}", number, f"unique{number}word")
            pushes.append(time.perf_counter() - began)
            if number % 25 == 0:
                guarded(watching, place, number)
            following += PUSHERS / PUSHES

    def watching(place: int, number: int) -> None:
        """How long until that version, or a later one of the same artifact, is found. One search each time: what looks
        is not to be the load."""
        caller, began = calling(), time.perf_counter()
        while True:
            page = caller.search(f'name:"library/pushed-{place}"', sort="updated", facets="false")
            if any(int(item["version"].rpartition(".")[2]) >= number for item in page["items"]):
                break
            assert time.perf_counter() - began < 60, f"push {number} was never found"
            time.sleep(0.05)
        seen.append(time.perf_counter() - began)

    for place in range(CONNECTIONS):
        guarded(searching, place)
    for place in range(PUSHERS):
        guarded(pushing, place)
    while threads:  # some begin others
        threads.pop(0).join()
    assert not problems, problems[0]
    for label, times in taken.items():
        _tell(f"busy, {label}, filter and facets", times)
    _tell(f"busy, a push of {len(pushes) / seconds:.0f} a second", pushes)
    _tell("busy, until a push is found", seen)
    last = next(numbers) - 1
    caller, began = calling(), time.perf_counter()
    while not caller.search(f"unique{last}word")["items"]:
        assert time.perf_counter() - began < 60, "the last push was never found"
        time.sleep(0.05)


@contextlib.contextmanager
def _filled(engine: str, documents: int, folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    password = folder / "password"
    password.write_text(PASSWORD)
    environment = {"GATI_ADMIN_PASSWORD_FILE": str(password)}
    with contextlib.ExitStack() as stack:
        if engine == "postgresql":
            port = free_port()
            stack.enter_context(postgresql(folder / "postgresql", port, SETTINGS))
            environment["GATI_METADATA_URL"] = database_url(port)
        if engine == "opensearch":
            port = free_port()
            stack.enter_context(opensearch(folder / "opensearch", port))
            environment |= {"GATI_SEARCH_URL": search_url(port), "GATI_SEARCH__OPENSEARCH_TIMEOUT": "60"}
        data = folder / "data"
        with running(data, args=(), env=environment):
            pass  # what is done once at the first start is done while there is nothing
        began = time.perf_counter()
        target: Target
        if engine == "postgresql":
            target = PostgresTarget(environment["GATI_METADATA_URL"])
        else:
            target = SqliteTarget(data / "metadata.sqlite")
        if engine == "opensearch":
            fill_outside(target, environment["GATI_SEARCH_URL"], documents)
        else:
            fill(target, documents, postgresql=engine == "postgresql")
        target.close()
        print(f"\n{engine}: {documents:,} documents in {time.perf_counter() - began:.0f} s")
        yield data, environment


@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "opensearch"])
def test_searching(engine: str) -> None:
    if engine == "postgresql":
        binaries()
    if engine == "opensearch":
        require("opensearch", "java")
    documents, times = size("SEARCH_DOCUMENTS", 1_000_000), size("SEARCH_TIMES", 40)
    with tempfile.TemporaryDirectory(prefix="gati-search-") as name:
        folder = Path(name)
        os.chmod(folder, 0o711)  # PostgreSQL's account may pass
        with (
            _filled(engine, documents, folder) as (data, environment),
            running(data, args=(), env=environment) as server,
        ):
            with contextlib.closing(Caller(server)) as caller:
                _quiet(caller, times)
            with contextlib.ExitStack() as stack:
                _busy(server, size("SEARCH_SECONDS", 20), stack)
