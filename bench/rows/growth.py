"""What the same work costs where few and where very many manifests are stored."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.artifacts import empty_index
from bench.filling import CYCLE, Filler, PostgresTarget, SqliteTarget, content, even, repository, tag
from bench.load import Client, Rate, percentile, request, wrk
from bench.model import Metric, Row, Scale, Target, Values
from bench.processes import measured
from bench.push import Journal, push_all, push_artifact, push_for, push_manifest
from bench.stacks import Gati, Server, Shared, Stack, Unsupported

_CONNECTIONS = 8
_TARGETS = 50_000
"""Different targets of a run that goes over everything: more than any cache keeps."""

_COUNT = 400
"""Pushes and deletions that are measured."""


@dataclass(frozen=True, slots=True)
class Stock:
    """A server's data: so many repositories, each with `held` manifests."""

    home: Path
    repositories: int
    held: int


# --- filling ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _database(stack: Stack, home: Path) -> Iterator[tuple[Mapping[str, str], Path]]:
    """The database that a stack keeps in a folder, running if it has to: the environment and the data folder of a
    registry on it."""
    data = home / "data"
    data.mkdir(parents=True, exist_ok=True)
    if isinstance(stack, Gati):
        yield {}, data
    elif isinstance(stack, Shared):
        with stack.database(data) as url:
            yield {"GATI_METADATA_URL": url}, data
    else:
        raise Unsupported("cannot be filled")


def _command(words: list[str], data: Path, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "gati_registry", *words, "--data", str(data)]
    subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)


def _fill(stack: Stack, stock: Stock) -> None:
    if (stock.home / "filled").exists():
        return
    with _database(stack, stock.home) as (environment, data):
        _command(["migrate"], data, environment)
        url = environment.get("GATI_METADATA_URL")
        target = PostgresTarget(url) if url else SqliteTarget(next(data.glob("*.sqlite")))
        Filler(target).fill(even(range(stock.repositories), stock.held))
        target.close()
    (stock.home / "filled").touch()


@dataclass(frozen=True, slots=True)
class Stocks:
    """Where they are kept: in a folder that outlives the run, or beside the server's."""

    kept: Path | None

    def of(self, server: Server, scale: Scale) -> tuple[Stock, Stock]:
        """Few and many. Stacks of ours with a database of the same kind share them."""
        kind = "postgresql" if isinstance(server.stack, Shared) else "sqlite"
        few, many = (
            Stock((self.kept or server.home.parent) / f"{kind}-{size}", max(1, size // scale.held), scale.held)
            for size in (scale.few, scale.many)
        )
        return few, many

    def prepare(self, server: Server, scale: Scale) -> None:
        """Fill them, unless that was done before."""
        for stock in self.of(server, scale):
            _fill(server.stack, stock)


# --- measuring ----------------------------------------------------------------------------------------------------

Cost = tuple[float, float]
"""CPU of the whole stack in microseconds, and the median time in milliseconds, of one operation."""

Work = Callable[[Server, Stock, Scale, int], Cost]


def _compare(server: Server, scale: Scale, round_: int, *, stocks: Stocks, work: Work) -> Values:
    figures = []
    for stock in stocks.of(server, scale):
        standing = Server(server.stack, stock.home)
        standing.start()
        try:
            figures.append(work(standing, stock, scale, round_))
        finally:
            standing.stop()
    (cpu_few, p50_few), (cpu_many, p50_many) = figures
    return {
        "cpu-few": cpu_few,
        "cpu-many": cpu_many,
        "cpu-ratio": cpu_many / cpu_few if cpu_few else 1.0,
        "p50-few": p50_few,
        "p50-many": p50_many,
        "p50-ratio": p50_many / p50_few,
    }


def _metrics(*, flat: bool) -> tuple[Metric, ...]:
    targets = (Target(1.2, None, every=True),) if flat else ()
    return (
        Metric("cpu-ratio", "CPU, many by few", "x", "less", targets),
        Metric("p50-ratio", "p50, many by few", "x", "less", targets),
        Metric("cpu-few", "CPU with few", "µs", "less"),
        Metric("cpu-many", "CPU with many", "µs", "less"),
        Metric("p50-few", "p50 with few", "ms", "less"),
        Metric("p50-many", "p50 with many", "ms", "less"),
    )


Paths = Callable[[Stock, int], Iterator[str]]


def _get(server: Server, stock: Stock, scale: Scale, _round: int, *, paths: Paths, everywhere: bool) -> Cost:
    """GET paths of a hundred repositories again and again, or of repositories all over."""
    chosen = random.Random(stock.repositories)
    least = min(stock.repositories, max(1, scale.few // scale.held))
    repositories: Iterable[int] = range(least)
    if everywhere:
        repositories = (chosen.randrange(stock.repositories) for _ in range(_TARGETS // stock.held))
    targets = [f"/v2/{path}" for number in repositories for path in paths(stock, number)]
    chosen.shuffle(targets)
    file = server.home / "targets"
    file.write_text("".join(f"{target}\n" for target in targets[:_TARGETS]))
    if not everywhere:
        wrk(server.url, connections=_CONNECTIONS, seconds=1, targets=file)
    with measured(server.pid) as usage:
        rate: Rate = wrk(server.url, connections=_CONNECTIONS, seconds=scale.seconds, targets=file)
    return usage.server / rate.requests * 1e6, rate.p50


def _by_tag(stock: Stock, number: int) -> Iterator[str]:
    for position in range(stock.held):
        if position % CYCLE != CYCLE - 1:
            yield f"{repository(number)}/manifests/{tag(position)}"


def _by_digest(stock: Stock, number: int) -> Iterator[str]:
    for item in content(number, stock.held):
        yield f"{repository(number)}/manifests/{item.manifest.digest}"


def _tags(_stock: Stock, number: int) -> Iterator[str]:
    yield f"{repository(number)}/tags/list"


def _referrers(stock: Stock, number: int) -> Iterator[str]:
    for position, item in enumerate(content(number, stock.held)):
        if position % CYCLE == CYCLE - 2:
            yield f"{repository(number)}/referrers/{item.manifest.digest}"


def _catalog_first(_stock: Stock, _number: int) -> Iterator[str]:
    yield "_catalog?n=100"


def _catalog_middle(stock: Stock, number: int) -> Iterator[str]:
    # Another page for each, so that it is not the cache that answers.
    yield f"_catalog?n=50&last={repository((stock.repositories // 2 + number) % stock.repositories)}"


def _cost(server: Server, work: Callable[[], Journal]) -> Cost:
    with measured(server.pid) as usage:
        journal = work()
    return usage.server / len(journal.latencies) * 1e6, percentile(journal.latencies, 50) * 1000


def _push(server: Server, stock: Stock, _scale: Scale, round_: int) -> Cost:
    chosen = random.Random(round_)
    pushes = (
        push_artifact(repository(chosen.randrange(stock.repositories)), f"r{round_}-{number}")
        for number in range(_COUNT)
    )
    return _cost(server, lambda: push_all(server.address, pushes, clients=_CONNECTIONS))


def _delete(server: Server, stock: Stock, _scale: Scale, round_: int) -> Cost:
    chosen = random.Random(round_)
    made = [
        (repository(chosen.randrange(stock.repositories)), empty_index(f"{round_} {number} {time.time_ns()}"))
        for number in range(_COUNT)
    ]
    push_all(server.address, [push_manifest(name, manifest, f"gone-{round_}") for name, manifest in made])

    def delete(target: str) -> Client:
        answer = yield request("DELETE", target)
        answer.expect(202)

    deletions = [delete(f"/v2/{name}/manifests/{manifest.digest}") for name, manifest in made]
    return _cost(server, lambda: push_all(server.address, deletions, clients=_CONNECTIONS))


# --- start-up and garbage collection ------------------------------------------------------------------------------


def _start(server: Server, scale: Scale, _round: int, *, stocks: Stocks) -> Values:
    seconds = []
    for stock in stocks.of(server, scale):
        with _database(server.stack, stock.home) as (environment, _):
            alone = Server(Gati("hypercorn", 1, environment=environment), stock.home)
            seconds.append(min(_started(alone) for _ in range(3)))
    return {"many": seconds[1], "few": seconds[0]}


def _started(server: Server) -> float:
    seconds = server.start()
    server.stop()
    return seconds


def _collect(server: Server, scale: Scale, round_: int, *, stocks: Stocks) -> Values:
    """Run `gc` on the data of a server that clients push to all the while."""
    values: Values = {}
    for size, stock in zip(("few", "many"), stocks.of(server, scale), strict=True):
        with _database(server.stack, stock.home) as (environment, data):
            standing = Server(Gati("hypercorn", 1, environment=environment), stock.home)
            standing.start()
            try:
                begun = time.perf_counter()
                collector = subprocess.Popen(
                    [sys.executable, "-m", "gati_registry", "gc", "--data", str(data)],
                    env={**os.environ, **environment},
                    stdout=subprocess.DEVNULL,
                )
                journal = push_for(
                    standing.address,
                    _CONNECTIONS,
                    scale.pushing,
                    lambda client, count: push_artifact(f"bench/gc-{client}", f"r{round_}-{count}"),
                )
                if collector.wait():
                    raise RuntimeError("gc failed")
                values[size] = time.perf_counter() - begun
                values[f"p99-{size}"] = percentile(journal.latencies, 99) * 1000
            finally:
                standing.stop()
    values["ratio"] = values["p99-many"] / values["p99-few"]
    return values


def growth_rows(kept: Path | None = None) -> list[Row]:
    """The rows. `kept`: where filled databases are found, and stay; absent: they are made for the run."""
    stocks = Stocks(kept)
    same = "the same hundred repositories in both"
    spread = f"{_TARGETS:,} requests all over what is stored, more than is cached"

    def row(name: str, how: str, work: Work, *, flat: bool = True) -> Row:
        measure = functools.partial(_compare, stocks=stocks, work=work)
        return Row(f"growth-{name}", how, _metrics(flat=flat), measure, stocks.prepare, apart=True)

    def get(paths: Paths, *, everywhere: bool = False) -> Work:
        return functools.partial(_get, paths=paths, everywhere=everywhere)

    return [
        row("pull-tag", f"GET of manifests by tag, {same}.", get(_by_tag)),
        row("pull-digest", f"GET of manifests by digest, {same}.", get(_by_digest)),
        row("pull-spread", f"GET of manifests by tag, {spread}.", get(_by_tag, everywhere=True), flat=False),
        row("tags", f"GET of the tags of a repository, {same}.", get(_tags)),
        row("referrers", f"GET of the referrers of an index, {same}.", get(_referrers)),
        row("catalog-first", "GET of the first page of 100 of the catalog.", get(_catalog_first)),
        row("catalog-middle", "GET of pages of 50 from the middle of the catalog on.", get(_catalog_middle)),
        row("push", f"{_COUNT} new artifacts (config, layer of 4 KiB, manifest) into repositories all over.", _push),
        row("delete", f"DELETE of {_COUNT} manifests by digest that were just pushed.", _delete),
        Row(
            "growth-start",
            "From starting the registry's process to its first answer, on a database that is up.",
            (
                Metric("many", "start-up with many", "s", "less", (Target(2.0, None, every=True),)),
                Metric("few", "start-up with few", "s", "less"),
            ),
            functools.partial(_start, stocks=stocks),
            stocks.prepare,
            apart=True,
        ),
        Row(
            "growth-gc",
            f"`gati-registry gc` while {_CONNECTIONS} clients push artifacts: how long it takes, and how it slows "
            "pushes down.",
            (
                Metric("ratio", "p99 of pushes beside it, many by few", "x", "less"),
                Metric("p99-few", "p99 with few", "ms", "less"),
                Metric("p99-many", "p99 with many", "ms", "less"),
                Metric("few", "gc of few", "s", "less"),
                Metric("many", "gc of many", "s", "less"),
            ),
            functools.partial(_collect, stocks=stocks),
            stocks.prepare,
            apart=True,
        ),
    ]
