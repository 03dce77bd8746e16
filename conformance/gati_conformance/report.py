"""Reports of a run: results.yaml (in the official suite's form, and our cases), junit.xml, text for the terminal."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from gati_conformance.entries import API_ENTRIES
from gati_conformance.html import render
from gati_conformance.model import Result, Status
from gati_conformance.runner import Run

_WORDS = {Status.FAIL: "failed", Status.ERROR: "errors", Status.SKIP: "skipped", Status.DISABLED: "disabled"}


def write(run: Run, directory: Path) -> None:
    """Write results.yaml, junit.xml and report.html into the directory, which is made if needed."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.yaml").write_text(results_yaml(run), encoding="utf-8")
    (directory / "junit.xml").write_text(junit(run), encoding="utf-8")
    (directory / "report.html").write_text(render(run), encoding="utf-8")


def results_yaml(run: Run) -> str:
    """The official suite's document (config, apis, data), and below it a summary and every case of ours."""
    apis = {entry: status.word for entry, status in run.entries.items() if entry in API_ENTRIES}
    data = {entry: status.word for entry, status in run.entries.items() if entry not in API_ENTRIES}
    document: dict[str, Any] = {
        "config": run.config.as_yaml(),
        "apis": dict(sorted(apis.items())),
        "data": dict(sorted(data.items())),
        "summary": {
            "passed": run.passed,
            "started": datetime.fromtimestamp(run.started, UTC).isoformat(timespec="seconds"),
            "seconds": round(run.seconds, 3),
            "counts": {status.word: run.count(status) for status in Status if status is not Status.UNKNOWN},
        },
        "cases": [_case(result) for result in run.results],
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _case(result: Result) -> dict[str, str]:
    found = {
        "id": result.case.id,
        "title": result.case.title,
        "level": result.case.level.value,
        "status": result.status.word,
    }
    return found | ({"reason": result.reason} if result.reason else {})


def junit(run: Run) -> str:
    """JUnit XML: one suite per group, one test case per case, skips and failures with their reasons."""
    root = ElementTree.Element("testsuites", _junit_counts(run.results, run.seconds))
    for group, found in _groups(run.results):
        seconds = sum(result.seconds for result in found)
        suite = ElementTree.SubElement(root, "testsuite", {"name": group, **_junit_counts(found, seconds)})
        for result in found:
            names = {"classname": f"gati_conformance.{group}", "name": result.case.id}
            node = ElementTree.SubElement(suite, "testcase", {**names, "time": f"{result.seconds:.6f}"})
            kind = {Status.FAIL: "failure", Status.ERROR: "error"}.get(result.status, "skipped")
            if result.status is not Status.PASS:
                ElementTree.SubElement(node, kind, {"message": _xml(result.reason)}).text = _xml(result.case.title)
            if result.exchanges and kind != "skipped":
                text = "\n\n".join(exchange.text() for exchange in result.exchanges)
                ElementTree.SubElement(node, "system-out").text = _xml(text)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written.decode() + "\n"


def _junit_counts(results: Iterable[Result], seconds: float) -> dict[str, str]:
    statuses = [result.status for result in results]
    skipped = statuses.count(Status.SKIP) + statuses.count(Status.DISABLED)
    return {
        "tests": str(len(statuses)),
        "failures": str(statuses.count(Status.FAIL)),
        "errors": str(statuses.count(Status.ERROR)),
        "skipped": str(skipped),
        "time": f"{seconds:.6f}",
    }


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold."""
    return "".join(
        char if char in "\t\n\r" or " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" else "?" for char in text
    )


def summary(run: Run) -> str:
    """For the terminal: groups, what did not pass and why, the official entries, the verdict."""
    lines = [f"{run.config.url}  spec {run.config.version}  {run.config.repo1}, {run.config.repo2}", ""]
    width = max((len(result.case.group) for result in run.results), default=0)
    for group, found in _groups(run.results):
        lines.append(f"{group.ljust(width)}  {counts(found)}")
    for status in (Status.FAIL, Status.ERROR, Status.SKIP, Status.DISABLED):
        found = [result for result in run.results if result.status is status]
        if found:
            lines += ["", f"{_WORDS[status]}:", *(f"  {item.case.id}: {item.reason}" for item in found)]
    return "\n".join([*lines, *_entry_lines(run.entries), "", verdict(run)])


def verdict(run: Run) -> str:
    """The last line: what came of the run."""
    if run.ran == 0:
        return "FAIL: no case ran, which proves nothing"
    passes = sum(status is Status.PASS for status in run.entries.values())
    numbers = ", ".join(f"{run.count(status)} {word}" for status, word in ((Status.PASS, "passed"), *_WORDS.items()))
    word = "PASS" if run.passed else "FAIL"
    python = f"Python {platform.python_version()}"
    entries = f"{passes} of {len(run.entries)} official entries"
    return f"{word}: {numbers}; {entries}; {run.seconds:.1f} s, {python}"


def counts(results: Iterable[Result]) -> str:
    """`12 passed, 1 failed`, without what did not occur."""
    statuses = [result.status for result in results]
    words = ((Status.PASS, "passed"), *_WORDS.items())
    return ", ".join(f"{statuses.count(status)} {word}" for status, word in words if status in statuses)


def _entry_lines(entries: Mapping[str, Status]) -> list[str]:
    known = {entry: status for entry, status in entries.items() if status is not Status.UNKNOWN}
    if not known:
        return []
    width = max(map(len, known))
    return ["", "official entries:", *(f"  {entry.ljust(width, '.')}: {word.word}" for entry, word in known.items())]


def _groups(results: Iterable[Result]) -> list[tuple[str, list[Result]]]:
    return [(group, list(found)) for group, found in groupby(results, key=lambda result: result.case.group)]
