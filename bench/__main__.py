"""`python -m bench`: measure this registry, beside its peers or by itself, and write the reports in docs/."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.load import LoadError
from bench.model import MIB, Row, Scale
from bench.processes import measured
from bench.report import Results, document, markdown, number
from bench.rows import all_rows, replica_rows, search_rows
from bench.rows.growth import growth_rows
from bench.stacks import Distribution, Gati, Missing, Nginx, Peer, Searched, Server, Shared, Stack, Unsupported, Zot

_DOCS = Path(__file__).parent.parent / "docs"
_PATIENCE_SECONDS = 40  # a stack that takes longer over a row is not measured in its later rounds
_FILLED = 5 * 1024  # bytes for each manifest of a filled database, with all its rows and indexes
_UNITS = {"K": 1024, "M": MIB, "G": 1024 * MIB}


@dataclasses.dataclass(frozen=True, slots=True)
class Suite:
    """What is measured together: rows on stacks, and the report that a whole run writes."""

    rows: Sequence[Row]
    ours: list[Stack]
    peers: list[Stack]
    report: str


def _suites(scale: Scale, stock: Path | None) -> dict[str, Suite]:
    workers = sorted({1, os.cpu_count() or 1})
    ours: list[Stack] = [Gati(server, count) for server in ("hypercorn", "uvicorn") for count in workers]
    peers: list[Stack] = [Distribution(2), Distribution(3), Zot(), Nginx()]
    embedded, apart = Gati("hypercorn", 1), Shared(1, s3=False)
    return {
        "peers": Suite(all_rows(scale), ours, peers, "benchmarks.md"),
        "replicas": Suite(replica_rows(scale), [embedded, Shared(1), Shared(3)], [], "benchmarks-replicas.md"),
        "growth": Suite(growth_rows(stock), [embedded, apart], [], "benchmarks-growth.md"),
        "search": Suite(search_rows(stock), [embedded, apart, Searched()], [], "benchmarks-search.md"),
    }


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+)([KMG])(?:iB)?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 64MiB or 1G")
    return int(found[1]) * _UNITS[found[2]]


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _peer(text: str) -> Peer:
    name, equals, command = text.partition("=")
    if not (name and equals and "{port}" in command):
        raise argparse.ArgumentTypeError("NAME=COMMAND, with {port} and {data} in the command")
    return Peer(name, command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--suite", default="peers", choices=_suites(Scale(), None), help="what is measured (default peers)"
    )
    parser.add_argument("--stock", type=Path, metavar="DIR", help="where filled databases are, and stay")
    parser.add_argument("--rows", type=_names, metavar="A,B", help="only these rows")
    parser.add_argument("--ours", type=_names, metavar="A,B", help="only these variants of ours (hypercorn-1, …)")
    parser.add_argument("--peers", type=_names, metavar="A,B", help="only these peers; '' for none")
    parser.add_argument("--peer", type=_peer, action="append", default=[], metavar="NAME=COMMAND", help="one more peer")
    parser.add_argument("--require-peers", action="store_true", help="a peer that is not here is an error")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: does it all work?")
    parser.add_argument("--size", type=_size, dest="blob", metavar="SIZE", help="of the big blob, such as 1GiB")
    for field in dataclasses.fields(Scale):
        if field.name != "blob":
            kind = float if field.type == "float" else int
            parser.add_argument(f"--{field.name}", type=kind, metavar="N", help=f"default {field.default}")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the report (default docs/benchmarks.md)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every sample")
    parser.add_argument("--data", type=Path, metavar="DIR", help="store below this folder, and leave it there")
    return parser


def _choose(stacks: list[Stack], names: Sequence[str] | None) -> list[Stack]:
    """Those named, in the order of the names; all where no names are given."""
    known = {stack.name: stack for stack in stacks}
    if names is None:
        return stacks
    unknown = [name for name in names if name not in known]
    if unknown:
        _say(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
        raise SystemExit(2)
    return [known[name] for name in names]


def _choose_rows(rows: Sequence[Row], names: Sequence[str] | None) -> list[Row]:
    known = [row.name for row in rows]
    unknown = [name for name in names or () if name not in known]
    if unknown:
        _say(f"unknown rows: {', '.join(unknown)}; there are {', '.join(known)}")
        raise SystemExit(2)
    return [row for row in rows if names is None or row.name in names]


def _command(arguments: Sequence[str]) -> str:
    """The command line as others can give it: the folders of this machine cut off."""
    plain = [re.sub(r"(^|[= ])/\S*/", r"\1", argument) for argument in arguments]
    return shlex.join(["python", "-m", "bench", *plain])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Bench:
    """One run: every stack's server stands through all rows; the rows take turns on them."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.servers: list[Server] = []

    def start(self) -> None:
        """Start what is here; note versions, configurations and what is missing."""
        for stack in self.results.stacks:
            server = Server(stack, self.results.folder / stack.name)
            try:
                self.results.versions[stack.name] = stack.version()
                server.start()
            except Missing as missing:
                self.results.versions.pop(stack.name, None)
                self.results.missing[stack.name] = str(missing)
                _say(f"{stack.name}: not measured, {missing}")
                continue
            self.servers.append(server)
            self.results.launches[stack.name] = server.describe()

    def stop(self) -> None:
        """Stop all that runs."""
        for server in self.servers:
            server.stop()

    def run(self) -> None:
        """All rows, one after the other."""
        for row in self.results.rows:
            servers = [server for server in self.servers if row.files or server.stack.kind != "files"]
            servers = [server for server in servers if self._prepared(row, server)]
            for round_ in range(self.results.scale.rounds):
                first = round_ % len(servers) if servers else 0
                for server in servers[first:] + servers[:first]:
                    begun = time.monotonic()
                    self._measure(row, server, round_)
                    if time.monotonic() - begun > _PATIENCE_SECONDS:
                        servers = [each for each in servers if each is not server]

    def _prepared(self, row: Row, server: Server) -> bool:
        with self._noting(row, server):
            row.prepare(server, self.results.scale)
        return not self.results.of(row, server.stack.name).reason

    def _measure(self, row: Row, server: Server, round_: int) -> None:
        taken = self.results.of(row, server.stack.name)
        if taken.reason:
            return
        os.sync()  # what others left to be written is not this one's to pay
        with self._noting(row, server), measured(server.pid) as usage:
            taken.values.append(row.measure(server, self.results.scale, round_))
        if not taken.reason:
            if not row.apart:
                self.results.noise.append(usage.others)
            figures = ", ".join(f"{key} {number(value)}" for key, value in taken.values[-1].items())
            _say(f"{row.name} round {round_ + 1} {server.stack.name}: {figures}")

    @contextlib.contextmanager
    def _noting(self, row: Row, server: Server) -> Iterator[None]:
        """A row that does not work on a stack ends for that stack alone."""
        taken = self.results.of(row, server.stack.name)
        try:
            yield
        except Unsupported as unsupported:
            taken.reason = str(unsupported)
        except (LoadError, OSError, RuntimeError, subprocess.SubprocessError) as failure:
            taken.reason = "failed"
            taken.failure = f"{type(failure).__name__}: {failure}"
            if server.ended():
                taken.failure += f"; the server had ended: {server.complaint()}"
            _say(f"{row.name} {server.stack.name}: {taken.failure}")


def _bytes_needed(scale: Scale, rows: Sequence[Row], stacks: Sequence[Stack]) -> int:
    """About how much the rows store: a blob to download, then two uploads and layers each round; and what is filled."""
    names = {row.name.partition("-")[0] for row in rows}
    each = ("download" in names or "beside" in names) + scale.rounds * (2 * ("upload" in names) + ("memory" in names))
    filled = ("growth" in names) * scale.many * _FILLED
    return len(stacks) * (each * scale.blob + filled + 1024 * MIB)


@contextlib.contextmanager
def _folder(below: Path | None) -> Iterator[Path]:
    """A new folder for all data: below the one given, where it stays; else a temporary one."""
    if below is not None:
        below.mkdir(parents=True, exist_ok=True)
        yield _passable(Path(tempfile.mkdtemp(prefix="gati-bench-", dir=below)))
        return
    with tempfile.TemporaryDirectory(prefix="gati-bench-") as temporary:
        yield _passable(Path(temporary))


def _passable(folder: Path) -> Path:
    """Where we are root PostgreSQL runs as another user, who must get to what is below."""
    folder.chmod(0o711)
    return folder.resolve()


def _scale(options: argparse.Namespace) -> Scale:
    scale = Scale.quick() if options.quick else Scale()
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(Scale)}
    return dataclasses.replace(scale, **{name: value for name, value in given.items() if value is not None})


def _write(results: Results, report_file: Path, options: argparse.Namespace) -> None:
    report = markdown(results)
    print(report)
    # A part of the rows, or a quick run, does not replace the report of a whole one unless told to.
    output = options.output or (None if options.quick or options.rows else report_file)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(report)
    if options.json is not None:
        options.json.write_text(json.dumps(document(results), indent=1) + "\n")


def main(arguments: Sequence[str]) -> int:
    """Run it.

    Returns:
        0; 1 where a row failed on a server of ours (with --require-peers: on any); 2 where it cannot begin.
    """
    options = _parser().parse_args(arguments)
    scale = _scale(options)
    suite = _suites(scale, options.stock)[options.suite]
    rows = _choose_rows(suite.rows, options.rows)
    stacks = [*_choose(suite.ours, options.ours), *_choose(suite.peers, options.peers), *options.peer]
    if shutil.which("wrk") is None:
        _say("the load generator wrk is missing: apt-get install wrk")
        return 2
    with _folder(options.data) as folder:
        needed, free = _bytes_needed(scale, rows, stacks), shutil.disk_usage(folder).free
        if needed > free:
            _say(f"the run stores about {needed >> 30} GiB, {free >> 30} are free: choose --size or --data")
            return 2
        date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        results = Results(scale, rows, stacks, _command(arguments), date, folder)
        bench = Bench(results)
        try:
            bench.start()
            if options.require_peers and results.missing:
                return 2
            bench.run()
        finally:
            bench.stop()
        _write(results, _DOCS / suite.report, options)
    counted = {stack.name for stack in stacks if options.require_peers or stack.kind == "ours"}
    return int(any(stack in counted for _, stack in results.failures()))


def _end(signum: int, _frame: object) -> None:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)  # as an exception, so that the servers are stopped
    sys.exit(main(sys.argv[1:]))
