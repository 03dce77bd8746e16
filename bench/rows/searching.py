"""Search among very many documents, alone and beside queries and pushes of others."""

from __future__ import annotations

import contextlib
import functools
import http.client
import itertools
import json
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

from bench.artifacts import Blob, image_manifest, manifest_of_size
from bench.filling import PostgresTarget, SqliteTarget
from bench.load import Address, LoadError, percentile
from bench.model import Metric, Row, Scale, Target, Values
from bench.processes import measured
from bench.push import push_all, push_blob, push_manifest
from bench.rows.growth import UNDERSTOOD, command, database
from bench.searching import WORDS, fill, fill_outside
from bench.stacks import BASIC, Searched, Server, Shared
from gati_registry.extension import ENABLED_FACT

_PLACES = {"rare": 59_900, "medium": 250, "common": 0}
"""Where words begin in the vocabulary that about every thirty-thousandth, hundredth, fifth document holds."""

_WORDS = 5
"""Words of each frequency that are looked for in turn, so that no answer is a kept one."""

_QUERIES = 20
_PUSHES = 50
"""A second, of all connections together."""

_PUSHED = 200
"""Artifacts that they are versions of: `library` has a quota, and filled databases are measured again and again."""

_SECONDS = 5
"""By the scale's `seconds`: for how long."""

_AUTHORIZATION = f"Authorization: Basic {BASIC}\r\n"
_KNOWN = {"Authorization": f"Basic {BASIC}"}
_CONFIG = "application/vnd.gati.library.config.v1+json"
_TYPE = "application/vnd.gati.library.v1"
_POINT = "library/searching/point"
_PATIENCE = 30
"""Seconds after which a pushed artifact counts as not found."""


# --- filling ------------------------------------------------------------------------------------------------------


def _home(server: Server, scale: Scale, kept: Path | None) -> Path:
    kind = {Shared: "postgresql", Searched: "opensearch"}.get(type(server.stack), "sqlite")
    return (kept or server.home.parent) / f"search-{kind}-{scale.many}"


def _prepare(server: Server, scale: Scale, *, kept: Path | None) -> None:
    home = _home(server, scale, kept)
    if (home / "filled").exists():
        return
    with database(server.stack, home) as (environment, data):
        command(["migrate"], data, environment)
        url = environment.get("GATI_METADATA_URL")
        target = PostgresTarget(url) if url else SqliteTarget(next(data.glob("*.sqlite")))
        if (outside := environment.get("GATI_SEARCH_URL")) is not None:
            fill_outside(target, outside, scale.many)
        else:
            fill(target, scale.many, postgresql=url is not None)
        target.run("UPDATE namespaces_revision SET number = 0 WHERE name = 'uncounted'")  # nor counted at the start
        # As if search had been there all the time: otherwise a start would index anew what `kinds` does not have.
        target.write({"fact": [*UNDERSTOOD.items(), (ENABLED_FACT, "search")]}, {"fact": ("name", "value")})
        target.close()
    (home / "filled").touch()


# --- measuring ----------------------------------------------------------------------------------------------------


def _targets(*, alone: bool = False) -> Iterator[tuple[str, str]]:
    """(frequency, target) for ever: a word, two filters, facets, a page of twenty; or only a word and its page."""
    for turn in itertools.count():
        for frequency, place in _PLACES.items():
            word = WORDS[place + turn % _WORDS]
            query = {"q": f"{word} license:mit", "kind": ("module", "model")[turn % 2], "limit": 20}
            if alone:
                query = {"q": f"{word} ", "facets": "false", "limit": 20}
            yield frequency, f"/v2/_ext/search?{urlencode(query)}"


class _Connection:
    """A client that keeps its connection. Times in milliseconds."""

    def __init__(self, address: Address) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=120)
        self._lock = threading.Lock()

    def ask(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        with self._lock:
            self._connection.request(method, target, body, dict(headers or {}))
            answer = self._connection.getresponse()
            received = answer.read()
        if answer.status not in (200, 201):
            raise LoadError(
                f"{method} {target} was answered {answer.status}: {received[:200].decode(errors='replace')}"
            )
        return received

    def timed(self, target: str) -> float:
        start = time.perf_counter()
        self.ask("GET", target)
        return (time.perf_counter() - start) * 1000

    def push(self, name: str, words: str, version: str = "1.0.0") -> None:
        config = json.dumps({"name": name.rpartition("/")[2], "version": version, "description": words}).encode()
        blob = Blob.of(config, _CONFIG)
        manifest = image_manifest(blob, [], artifact_type=_TYPE)
        self.ask("POST", f"/v2/{name}/blobs/uploads/?digest={blob.digest}", blob.data, _KNOWN)
        headers = {**_KNOWN, "Content-Type": manifest.media_type}
        self.ask("PUT", f"/v2/{name}/manifests/{version}", manifest.data, headers)

    def close(self) -> None:
        self._connection.close()


def _paced(per_second: int, seconds: float, work: Callable[[int], None], *, threads: int) -> None:
    """Begin work at so many times a second, whether or not what was begun before has ended."""
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        begun = []
        for number in range(int(per_second * seconds)):
            time.sleep(max(0.0, start + number / per_second - time.perf_counter()))
            begun.append(pool.submit(work, number))
        for each in begun:
            each.result()


def _beside(server: Server, scale: Scale, seconds: float) -> Mapping[str, Sequence[float]]:
    """Times of queries by frequency, over all connections together, while artifacts are pushed. Each counts from when
    it was due."""
    found: dict[str, list[float]] = defaultdict(list)
    run = int(time.time())
    with contextlib.ExitStack() as exits:
        connections = [exits.enter_context(contextlib.closing(_Connection(server.address)))
                       for _ in range(scale.connections)]  # fmt: skip
        pushing = [exits.enter_context(contextlib.closing(_Connection(server.address))) for _ in range(8)]
        asked = list(itertools.islice(_targets(), int(_QUERIES * seconds)))
        start = time.perf_counter()

        def query(number: int) -> None:
            frequency, target = asked[number]
            connections[number % len(connections)].ask("GET", target)
            found[frequency].append((time.perf_counter() - start - number / _QUERIES) * 1000)

        def push(number: int) -> None:
            words = " ".join(WORDS[(number * step) % len(WORDS)] for step in (1, 7, 31, 101))
            name = f"library/searching/p{number % _PUSHED}"
            pushing[number % len(pushing)].push(name, words, f"1.{run}.{number}")

        with ThreadPoolExecutor(1) as aside:
            pushes = aside.submit(_paced, _PUSHES, seconds, push, threads=len(pushing))
            _paced(_QUERIES, seconds, query, threads=16)
            pushes.result()
    return found


def _quiet(
    connection: _Connection, targets: Iterator[tuple[str, str]], seconds: float
) -> Mapping[str, Sequence[float]]:
    """Times of queries by frequency, one after the other."""
    found: dict[str, list[float]] = defaultdict(list)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(found) < len(_PLACES):
        for frequency, target in itertools.islice(targets, len(_PLACES)):
            found[frequency].append(connection.timed(target))
    return found


def _visible(connection: _Connection) -> float:
    """Milliseconds from the answer to a push until a search finds it."""
    word = f"new{uuid.uuid4().hex[:12]}"
    connection.push(f"library/searching/{word}", f"Holds {word}.")
    start = time.perf_counter()
    while time.perf_counter() - start < _PATIENCE:
        page = json.loads(connection.ask("GET", f"/v2/_ext/search?q={word}&facets=false", headers=_KNOWN))
        if page["items"]:
            return (time.perf_counter() - start) * 1000
        time.sleep(0.02)
    raise LoadError(f"what was pushed was not found within {_PATIENCE} seconds")


def _measure(server: Server, scale: Scale, _round: int, *, kept: Path | None) -> Values:
    secured = Server(server.stack, _home(server, scale, kept), secured=True)
    secured.start()
    seconds = scale.seconds * _SECONDS
    point = manifest_of_size(1024)
    values: Values = {}
    try:
        push_all(secured.address, [push_blob(_POINT, blob, _AUTHORIZATION) for blob in (Blob.of(b"{}"),)])
        push_all(secured.address, [push_manifest(_POINT, point, "v1", _AUTHORIZATION)])
        with contextlib.closing(_Connection(secured.address)) as connection:
            manifest = functools.partial(connection.ask, "GET", f"/v2/{_POINT}/manifests/v1", None, _KNOWN)
            gets = []
            for _ in range(200):
                start = time.perf_counter()
                manifest()
                gets.append((time.perf_counter() - start) * 1000)
            values["get"] = percentile(gets, 50)
            # Each after as long of the same: what they read is in memory then, and what they run is compiled, for
            # which Java takes thousands of calls.
            _quiet(connection, _targets(alone=True), seconds / 2)
            alone = _quiet(connection, _targets(alone=True), seconds / 2)
            _quiet(connection, _targets(), seconds)
            with measured(secured.pid) as usage:
                quiet = _quiet(connection, _targets(), seconds)
            values["cpu"] = usage.server / sum(map(len, quiet.values())) * 1000
            values["visible"] = max(_visible(connection) for _ in range(5))
        beside = _beside(secured, scale, seconds)
    finally:
        secured.stop()
    for frequency in _PLACES:
        values[f"{frequency}-alone-p50"] = percentile(alone[frequency], 50)
        values[f"{frequency}-alone-p95"] = percentile(alone[frequency], 95)
        values[f"{frequency}-p50"] = percentile(quiet[frequency], 50)
        values[f"{frequency}-p95"] = percentile(quiet[frequency], 95)
        values[f"{frequency}-ratio"] = values[f"{frequency}-p50"] / values["get"]
        values[f"{frequency}-beside-p50"] = percentile(beside[frequency], 50)
        values[f"{frequency}-beside-p95"] = percentile(beside[frequency], 95)
    return values


_TARGET = (Target(50, None, every=True),)


def _metrics() -> Iterator[Metric]:
    yield Metric("get", "GET of a manifest: p50", "ms", "less")
    for frequency in _PLACES:
        yield Metric(f"{frequency}-alone-p50", f"{frequency} word alone: p50", "ms", "less")
        yield Metric(f"{frequency}-alone-p95", f"{frequency} word alone: p95", "ms", "less", _TARGET)
        yield Metric(f"{frequency}-p50", f"{frequency} word, filters, facets: p50", "ms", "less")
        yield Metric(f"{frequency}-p95", f"{frequency} word, filters, facets: p95", "ms", "less", _TARGET)
        yield Metric(f"{frequency}-ratio", f"{frequency} word, filters, facets: p50 by a GET", "x", "less")
        yield Metric(f"{frequency}-beside-p50", f"{frequency} word, the same beside others: p50", "ms", "less")
        yield Metric(f"{frequency}-beside-p95", f"{frequency} word, the same beside others: p95", "ms", "less", _TARGET)
    yield Metric("cpu", "CPU of a quiet query", "ms/request", "less")
    yield Metric("visible", "the slowest of five pushes to be found", "ms", "less", (Target(1000, None, every=True),))


def search_row(kept: Path | None) -> Row:
    """The row; filled databases are in `kept` where that is given, and stay there."""
    return Row(
        "search",
        "Anonymous searches among a million documents, most of them public, for a word that is rare (in about every "
        "thirty-thousandth document), of medium frequency (every hundredth) or very common (every fifth), with a "
        "filter by kind and by licence, facets, and a page of twenty; `alone`: without filters and facets. Quiet: one "
        "connection, one after the other. "
        f"Beside others: {_QUERIES} queries a second over 64 connections, counted from when each was due, while "
        f"{_PUSHES} artifacts a "
        "second are pushed and indexed. `By a GET` is the quiet median by that of a GET of one manifest.",
        tuple(_metrics()),
        functools.partial(_measure, kept=kept),
        functools.partial(_prepare, kept=kept),
    )
