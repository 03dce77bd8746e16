"""What the same work costs where few and where very many manifests are stored."""

from __future__ import annotations

import contextlib
import functools
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.artifacts import empty_index
from bench.filling import CYCLE, Filler, PostgresTarget, SqliteTarget, content, even, repository, tag
from bench.load import Client, Rate, percentile, request, wrk
from bench.model import Metric, Row, Scale, Target, Values
from bench.processes import measured, surroundings
from bench.push import Journal, push_all, push_artifact, push_for, push_manifest
from bench.stacks import Gati, Searched, Server, Shared, Stack, Unsupported

_CONNECTIONS = 8
_TARGETS = 50_000
"""Different targets of a run that goes over everything: more than any cache keeps."""

_TURNS = 3
"""Times that an operation is measured on either."""

_COUNT = 200
"""Pushes and deletions that are measured."""


UNDERSTOOD = {"kinds.built.2": "all"}
"""What the job of kinds notes when it has gone through all manifests, whose rows are filled in too."""

_SETTLING = 900.0
"""Seconds that the search index of what was filled may take."""


@dataclass(frozen=True, slots=True)
class Stock:
    """A server's data: so many repositories, each with `held` manifests."""

    home: Path
    repositories: int
    held: int


# --- filling ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def database(stack: Stack, home: Path) -> Iterator[tuple[Mapping[str, str], Path]]:
    """The database that a stack keeps in a folder, running if it has to: the environment and the data folder of a
    registry on it."""
    data = home / "data"
    data.mkdir(parents=True, exist_ok=True)
    if isinstance(stack, Gati):
        yield {}, data
    elif isinstance(stack, Shared):
        with stack.database(data) as url:
            yield {"GATI_METADATA_URL": url}, data
    elif isinstance(stack, Searched):
        with stack.index(data) as url:
            yield {"GATI_SEARCH_URL": url}, data / "registry"
    else:
        raise Unsupported("cannot be filled")


def command(words: list[str], data: Path, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "gati_registry", *words, "--data", str(data)]
    subprocess.run(command, env={**surroundings(), **environment}, check=True, stdout=subprocess.DEVNULL)


def _fill(stack: Stack, stock: Stock) -> None:
    if (stock.home / "filled").exists():
        return
    with database(stack, stock.home) as (environment, data):
        command(["migrate"], data, environment)
        url = environment.get("GATI_METADATA_URL")
        target = PostgresTarget(url) if url else SqliteTarget(next(data.glob("*.sqlite")))
        Filler(target, kinds=True).fill(even(range(stock.repositories), stock.held))
        target.write({"fact": list(UNDERSTOOD.items())}, {"fact": ("name", "value")})
        target.close()
    _settle(stack, stock)
    (stock.home / "filled").touch()


def _settle(stack: Stack, stock: Stock) -> None:
    """Let jobs go through all that is stored: otherwise they would do so while we measure."""
    server = Server(stack, stock.home)
    server.start()
    try:
        waited = time.monotonic() + _SETTLING
        while httpx.get(f"{server.url}/v2/_ext/search?limit=1", trust_env=False).status_code != 200:
            if time.monotonic() > waited:
                raise RuntimeError("the search index of what was filled is still being built")
            time.sleep(1)
    finally:
        server.stop()


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


@dataclass(frozen=True, slots=True)
class Operation:
    """What is compared. `flat`: what it costs is not to grow."""

    key: str
    title: str
    work: Work
    flat: bool = True

    def metrics(self) -> Iterator[Metric]:
        """Its figures."""
        targets = (Target(1.2, None, every=True),) if self.flat else ()
        yield Metric(f"{self.key}-cpu", f"{self.title}: CPU, many by few", "x", "less", targets)
        yield Metric(f"{self.key}-p50", f"{self.title}: p50, many by few", "x", "less", targets)
        for size in ("few", "many"):
            yield Metric(f"{self.key}-cpu-{size}", f"{self.title}: CPU with {size}", "µs", "less")
        for size in ("few", "many"):
            yield Metric(f"{self.key}-p50-{size}", f"{self.title}: p50 with {size}", "ms", "less")


def _compare(server: Server, scale: Scale, round_: int, *, stocks: Stocks, operations: Sequence[Operation]) -> Values:
    """Each operation on both in turn, several times: what else the machine does meets both alike."""
    values: Values = {}
    with contextlib.ExitStack() as exits:
        both = []
        for stock in stocks.of(server, scale):
            standing = Server(server.stack, stock.home)
            standing.start()
            exits.callback(standing.stop)
            both.append((standing, stock))
        for operation in operations:
            turns = [
                [operation.work(standing, stock, scale, _TURNS * round_ + turn) for standing, stock in both]
                for turn in range(_TURNS)
            ]
            for number, word in enumerate(("cpu", "p50")):
                few, many = (statistics.median(turn[size][number] for turn in turns) for size in (0, 1))
                values[f"{operation.key}-{word}"] = many / few if few else 1.0
                values |= {f"{operation.key}-{word}-few": few, f"{operation.key}-{word}-many": many}
    return values


Paths = Callable[[Stock, int], Iterator[str]]


def _get(server: Server, stock: Stock, scale: Scale, turn: int, *, paths: Paths, everywhere: bool) -> Cost:
    """GET paths of a hundred repositories again and again, or of repositories all over."""
    chosen = random.Random(stock.repositories)
    repositories: Iterable[int] = range(_least(stock, scale))
    if everywhere:
        repositories = (chosen.randrange(stock.repositories) for _ in range(_TARGETS // stock.held))
    targets = [f"/v2/{path}" for number in repositories for path in paths(stock, number)]
    chosen.shuffle(targets)
    file = server.home / "targets"
    file.write_text("".join(f"{target}\n" for target in targets[:_TARGETS]))
    if not everywhere and turn % _TURNS == 0:
        wrk(server.url, connections=_CONNECTIONS, seconds=1, targets=file)
    with measured(server.pid) as usage:
        rate: Rate = wrk(server.url, connections=_CONNECTIONS, seconds=scale.seconds, targets=file)
    return usage.server / rate.requests * 1e6, rate.p50


def _least(stock: Stock, scale: Scale) -> int:
    """Repositories that there are in both."""
    return min(stock.repositories, max(1, scale.few // scale.held))


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
    # Pages all along the list, and as long in both.
    yield f"_catalog?n=20&last={repository(number * max(1, stock.repositories - 30) // 100)}"


def _cost(server: Server, work: Callable[[], Journal]) -> Cost:
    with measured(server.pid) as usage:
        journal = work()
    return usage.server / len(journal.latencies) * 1e6, percentile(journal.latencies, 50) * 1000


def _push(server: Server, stock: Stock, _scale: Scale, turn: int) -> Cost:
    chosen = random.Random(turn)
    pushes = (
        push_artifact(repository(chosen.randrange(stock.repositories)), f"r{turn}-{number}") for number in range(_COUNT)
    )
    return _cost(server, lambda: push_all(server.address, pushes, clients=_CONNECTIONS))


def _delete(server: Server, stock: Stock, scale: Scale, turn: int, *, everywhere: bool) -> Cost:
    chosen = random.Random(turn)
    repositories = stock.repositories if everywhere else _least(stock, scale)
    made = [
        (repository(chosen.randrange(repositories)), empty_index(f"{turn} {number} {time.time_ns()}"))
        for number in range(_COUNT)
    ]
    push_all(server.address, [push_manifest(name, manifest, f"gone-{turn}") for name, manifest in made])

    def delete(target: str) -> Client:
        answer = yield request("DELETE", target)
        answer.expect(202)

    deletions = [delete(f"/v2/{name}/manifests/{manifest.digest}") for name, manifest in made]
    return _cost(server, lambda: push_all(server.address, deletions, clients=_CONNECTIONS))


# --- start-up and garbage collection ------------------------------------------------------------------------------


def _start(server: Server, scale: Scale, _round: int, *, stocks: Stocks) -> Values:
    seconds = []
    for stock in stocks.of(server, scale):
        with database(server.stack, stock.home) as (environment, _):
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
        with database(server.stack, stock.home) as (environment, data):
            standing = Server(Gati("hypercorn", 1, environment=environment), stock.home)
            standing.start()
            try:
                begun = time.perf_counter()
                collector = subprocess.Popen(
                    [sys.executable, "-m", "gati_registry", "gc", "--data", str(data)],
                    env={**surroundings(), **environment},
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

    def get(paths: Paths, *, everywhere: bool = False) -> Work:
        return functools.partial(_get, paths=paths, everywhere=everywhere)

    operations = (
        Operation("tag", "pull by tag", get(_by_tag)),
        Operation("digest", "pull by digest", get(_by_digest)),
        Operation("spread", "pull all over", get(_by_tag, everywhere=True), flat=False),
        Operation("tags", "list of tags", get(_tags)),
        Operation("referrers", "referrers", get(_referrers)),
        Operation("catalog-first", "first page of the catalog", get(_catalog_first)),
        Operation("catalog-middle", "page in the middle of the catalog", get(_catalog_middle)),
        Operation("push", "push of an artifact", _push),
        Operation("delete", "deletion of a manifest", functools.partial(_delete, everywhere=False)),
        Operation("delete-spread", "deletion all over", functools.partial(_delete, everywhere=True), flat=False),
    )
    return [
        Row(
            "growth",
            f"The same work where few and where many manifests are stored, in turn, {_TURNS} times each over "
            f"{_CONNECTIONS} connections; a ratio is that of the medians. Pulls, lists and deletions go to the same "
            f"hundred repositories in both, the first page of the catalog has 100 names, others 20; pulls all over ask "
            f"for up to {_TARGETS:,} different manifests, more than any cache holds; {_COUNT} artifacts (config, layer "
            f"of 4 KiB, manifest) are pushed into repositories all over, and {_COUNT} manifests deleted that were just "
            "pushed; all over, that is of as many repositories, each of which the search then indexes anew.",
            tuple(metric for operation in operations for metric in operation.metrics()),
            functools.partial(_compare, stocks=stocks, operations=operations),
            stocks.prepare,
            apart=True,
        ),
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
