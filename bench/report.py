"""The report: what was measured, as Markdown for people and JSON for programs."""

from __future__ import annotations

import dataclasses
import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.model import Metric, Row, Scale, Target, Values
from bench.stacks import Stack


@dataclass(slots=True)
class Taken:
    """What one row gave for one stack: a set of figures each round, or why there are none.

    `reason` is what the table shows instead; `failure` is set where something broke.
    """

    values: list[Values] = field(default_factory=list)
    reason: str = ""
    failure: str = ""


@dataclass(slots=True)
class Results:
    """Everything that a run found out."""

    scale: Scale
    rows: Sequence[Row]
    stacks: Sequence[Stack]
    command: str
    date: str
    folder: Path
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    launches: dict[str, str] = field(default_factory=dict)
    taken: dict[tuple[str, str], Taken] = field(default_factory=dict)
    noise: list[float] = field(default_factory=list)

    def of(self, row: Row, stack: str) -> Taken:
        """What the row gave for the stack; made empty when first asked for."""
        return self.taken.setdefault((row.name, stack), Taken())

    def samples(self, row: Row, metric: Metric, stack: str) -> list[float]:
        """The figures of all rounds, in their order."""
        return [values[metric.key] for values in self.of(row, stack).values]

    def median(self, row: Row, metric: Metric, stack: str) -> float | None:
        """The median over the rounds, None where nothing was measured."""
        found = self.samples(row, metric, stack)
        return statistics.median(found) if found else None

    def present(self) -> list[Stack]:
        """The stacks whose program is here."""
        return [stack for stack in self.stacks if stack.name not in self.missing]

    def failures(self) -> dict[tuple[str, str], str]:
        """What broke, by row and stack."""
        return {place: taken.failure for place, taken in self.taken.items() if taken.failure}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target, judged. `reached` is None where there is nothing to compare with."""

    row: Row
    metric: Metric
    stack: str
    target: Target
    value: float | None
    against: str
    ratio: float | None
    reached: bool | None


def verdicts(results: Results) -> Iterator[Verdict]:
    """Every target of every metric, for our stacks that run a worker a core."""
    workers = os.cpu_count() or 1
    judged = {f"{server}-{workers}": server for server in ("hypercorn", "uvicorn")}
    present = [stack.name for stack in results.present()]
    ours = {stack.name for stack in results.present() if stack.kind == "ours"}
    for row in results.rows:
        for metric in row.metrics:
            for target in metric.targets:
                for name in present:
                    if (target.every and name in ours) or judged.get(name) in target.servers:
                        yield _judge(results, row, metric, target, name)


def _is_reached(metric: Metric, target: Target, value: float) -> bool:
    return value >= target.bound if metric.better == "more" else value <= target.bound


def _judge(results: Results, row: Row, metric: Metric, target: Target, stack: str) -> Verdict:
    value = results.median(row, metric, stack)
    if target.versus is None:
        reached = None if value is None else _is_reached(metric, target, value)
        return Verdict(row, metric, stack, target, value, "", value, reached)
    peers = {
        peer.name: median
        for peer in results.present()
        if (peer.kind == "peer" if target.versus == "best" else peer.name == target.versus)
        and (median := results.median(row, metric, peer.name)) is not None
    }
    if value is None or not peers:
        return Verdict(row, metric, stack, target, value, target.versus, None, None)
    best = (max if metric.better == "more" else min)(peers, key=lambda name: peers[name])
    ratio = value / peers[best] if peers[best] else float("inf")
    reached = _is_reached(metric, target, ratio)
    return Verdict(row, metric, stack, target, value, best, ratio, reached)


def number(value: float) -> str:
    """Three significant digits, thousands separated."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cell(results: Results, row: Row, metric: Metric, stack: str) -> str:
    found = results.samples(row, metric, stack)
    if not found:
        reason = results.of(row, stack).reason
        return reason if reason and metric is row.metrics[0] else "-"
    text = number(statistics.median(found))
    if len(found) > 1 and min(found) != max(found):
        text += f" ({number(min(found))} to {number(max(found))})"
    return text


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', '¦') for cell in row)} |" for row in rows) + "\n"


def _figures(results: Results) -> str:
    stacks = [stack.name for stack in results.present()]
    lines = []
    for row in results.rows:
        for metric in row.metrics:
            unit = f", {metric.unit}" if metric.unit else ""
            cells = [_cell(results, row, metric, stack) for stack in stacks]
            lines.append([f"`{row.name}`", metric.title + unit, *cells])
    return _table(["row", "figure", *stacks], lines)


def _ratios(results: Results) -> str:
    """Ours by each peer's, for every figure that both have."""
    ours = [stack.name for stack in results.present() if stack.kind == "ours"]
    peers = [stack.name for stack in results.present() if stack.kind != "ours"]
    lines = []
    for row in results.rows:
        for metric in row.metrics:
            cells = []
            for peer in peers:
                for own in ours:
                    mine, theirs = results.median(row, metric, own), results.median(row, metric, peer)
                    cells.append(f"{mine / theirs:.2f}" if mine is not None and theirs else "-")
            if any(cell != "-" for cell in cells):
                lines.append([f"`{row.name}`", metric.title, metric.better, *cells])
    if not ours or not peers or not lines:
        return "No two stacks to compare.\n"
    return _table(["row", "figure", "better", *(f"{own} : {peer}" for peer in peers for own in ours)], lines)


def _judged(results: Results) -> str:
    lines = []
    for each in verdicts(results):
        sign = "≥" if each.metric.better == "more" else "≤"
        unit = f" {each.metric.unit}" if each.metric.unit else ""
        value = "-" if each.value is None else number(each.value) + unit
        if each.target.versus is None:
            target, ratio = f"{sign} {number(each.target.bound)}{unit}", "-"
        else:
            versus = "the best peer" if each.target.versus == "best" else each.target.versus
            target = f"{sign} {number(each.target.bound)} x {versus}"
            ratio = "-" if each.ratio is None else f"{each.ratio:.2f} x {each.against}"
        reached = {True: "yes", False: "**no**", None: "not measured"}[each.reached]
        lines.append([f"`{each.row.name}`", each.metric.title, each.stack, value, ratio, target, reached])
    return _table(["row", "figure", "ours", "median", "ratio", "target", "reached"], lines)


def _machine(folder: Path) -> list[str]:
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    total = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return [
        f"{os.cpu_count()} cores ({model}), {total / 1024**2:.0f} GiB of memory, Linux {platform.release()}",
        f"data on {_file_system(folder)}",
    ]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _file_system(folder: Path) -> str:
    """The type of the file system that holds the folder."""
    best, kind = "", "an unknown file system"
    for line in _lines("/proc/self/mounts"):
        _, point, found, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, found
    return kind


_READING = """\
Each figure is the median over the rounds, with the smallest and the largest in brackets. A round measures
one stack after the other, and each round begins with another stack, so that a drift of the machine meets all
alike. Absolute figures belong to the machine; ratios are the point. CPU is the user and system time of the
server's processes, without the load generator's: the figure that noise hurts least. Server and load generator
share the cores, nothing is pinned, all is on loopback.
"""

_FAIRNESS = """\
Durability differs. This registry answers a push only when bytes, folder entry and database commit are synced
to the disk. distribution syncs each file that it writes, not the folders that hold them; zot does so when
told to (`commit`), as it is here.
"""


def markdown(results: Results) -> str:
    """The whole report."""
    noise = ""
    if results.noise:
        median, worst = statistics.median(results.noise), max(results.noise)
        noise = f"- other programs used {median:.0%} of the cores in the median, {worst:.0%} at worst\n"
    missing = "".join(f"- **{name}: not measured**, {reason}\n" for name, reason in results.missing.items())
    failures = "".join(f"- `{row}`, {stack}: {line}\n" for (row, stack), line in results.failures().items())
    parts = [
        "# Benchmarks\n",
        f"Made by `{results.command}` on {results.date}; that command writes this file, no hand does.\n",
        _READING,
        "## The machine and the programs\n",
        "".join(f"- {line}\n" for line in _machine(results.folder)) + noise,
        "".join(f"- {name}: {version}\n" for name, version in results.versions.items()) + missing,
        _FAIRNESS,
        "## Targets\n",
        _judged(results),
        "## Figures\n",
        _figures(results),
        f"## Failures\n\n{failures}" if failures else "",
        "## Ratios\n",
        _ratios(results),
        "## What the rows do\n",
        "".join(f"- `{row.name}`: {row.how}\n" for row in results.rows),
        "## Sizes\n",
        "".join(f"- {name}: {value:,}\n" for name, value in dataclasses.asdict(results.scale).items()),
        "## How each was started\n",
        "\n".join(f"{name}:\n\n```\n{text}```\n" for name, text in results.launches.items()),
    ]
    return "\n".join(part for part in parts if part)


def document(results: Results) -> dict[str, object]:
    """The same for programs: every sample, in the order of the rounds."""
    return {
        "command": results.command,
        "date": results.date,
        "machine": _machine(results.folder),
        "scale": dataclasses.asdict(results.scale),
        "versions": results.versions,
        "missing": results.missing,
        "noise": results.noise,
        "failures": [[*place, line] for place, line in results.failures().items()],
        "rows": {
            row.name: {
                stack.name: {metric.key: results.samples(row, metric, stack.name) for metric in row.metrics}
                if not results.of(row, stack.name).reason
                else results.of(row, stack.name).reason
                for stack in results.present()
            }
            for row in results.rows
        },
        "targets": [
            {
                "row": each.row.name,
                "metric": each.metric.key,
                "stack": each.stack,
                "value": each.value,
                "against": each.against,
                "ratio": each.ratio,
                "bound": each.target.bound,
                "reached": each.reached,
            }
            for each in verdicts(results)
        ],
    }
