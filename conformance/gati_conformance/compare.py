"""Several reports side by side, as Markdown: ours and the official suite's results.yaml alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import yaml

from gati_conformance.cases import GROUPS
from gati_conformance.entries import API_ENTRIES
from gati_conformance.model import Level

_INTRODUCTION = """\
# Conformance

To check a registry, whoever wrote it: `pip install "gati-registry[conformance]"`, then

    OCI_VERSION=dev python -m gati_conformance http://HOST[:PORT]

(`--help` tells the rest). This document is made of the reports of such runs, one column each, at version {version} of
the specification:

    python -m gati_conformance --compare NAME=results/results.yaml ... > docs/conformance.md

Every registry here ran with empty storage, deleting enabled, and a user and password that the suite was given.

Pass, FAIL and Error speak for themselves. Skip: the rule could not be judged there, or the registry says, in a way the
specification allows, that it does not offer this; the reasons stand at the end. Disabled: switched off for the run.
"""

_ENTRIES = """\
## What the official suite checks

The entries under `apis:` and `data:` of the OCI distribution-spec's own program, decided by our cases as it decides
them: an entry shows the worst of its cases. `python -m gati_conformance --entries` prints which cases those are.
"""

_BEYOND = """\
## What it leaves out

Level: *must* and *should* are the specification's words (or those of an RFC that it builds on); *expected* stands
nowhere, but real clients or operators rely on it.
"""

_MISSING = "-"


class ReportError(Exception):
    """A report cannot be read; the message names the file."""


@dataclass(frozen=True)
class Report:
    """What the tables need of one results.yaml."""

    name: str
    version: str
    entries: Mapping[str, str]
    cases: Mapping[str, Mapping[str, str]]  # by id; empty for a report of the official suite

    def case(self, case_id: str) -> str:
        """The status of a case, as a word."""
        return self.cases.get(case_id, {}).get("status", _MISSING)


def read(arguments: Sequence[str]) -> list[Report]:
    """The reports of `NAME=FILE` arguments. Raises ReportError."""
    found = []
    for argument in arguments:
        name, separator, file = argument.partition("=")
        if not separator or not name or not file:
            raise ReportError(f"{argument}: use NAME=FILE")
        try:
            document = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
            entries = {**(document["apis"] or {}), **(document["data"] or {})}
            cases = {item["id"]: item for item in document.get("cases", ())}
            version = str(document["config"]["version"])
        except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError) as problem:
            raise ReportError(f"{file}: no results.yaml ({type(problem).__name__}: {problem})") from problem
        found.append(Report(name, version, entries, cases))
    return found


def render(reports: Sequence[Report]) -> str:
    """The document: official entries, our cases beyond them, reasons of skips."""
    versions = ", ".join(dict.fromkeys(report.version for report in reports))
    parts = [_INTRODUCTION.format(version=versions), _ENTRIES, _entries(reports)]
    if any(report.cases for report in reports):
        parts += [_BEYOND, _totals(reports), *_groups(reports), *_reasons(reports)]
    return "\n".join(parts)


def _entries(reports: Sequence[Report]) -> str:
    names = list(dict.fromkeys(entry for report in reports for entry in report.entries))
    names.sort(key=lambda entry: (entry not in API_ENTRIES, entry))
    rows = [[entry, *(report.entries.get(entry, _MISSING) for report in reports)] for entry in names]
    passes = [sum(word == "Pass" for word in report.entries.values()) for report in reports]
    total = ["**Pass**", *(f"**{count} of {len(names)}**" for count in passes)]
    return _table(["Entry", *(report.name for report in reports)], [*rows, total])


def _beyond(reports: Sequence[Report]) -> dict[str, Mapping[str, str]]:
    """Our cases that the official suite has none of, by id, in the order of running."""
    ours = {group.name for group in GROUPS}
    return {
        case_id: item
        for report in reports
        for case_id, item in report.cases.items()
        if case_id.partition("/")[0] in ours
    }


def _totals(reports: Sequence[Report]) -> str:
    rows = []
    cases = _beyond(reports)
    for level in Level:
        ids = [case_id for case_id, item in cases.items() if item["level"] == level.value]
        rows.append([level.value, *(_count(report, ids) for report in reports)])
    rows.append(["**all**", *(f"**{_count(report, cases)}**" for report in reports)])
    return _table(["Passed, of those judged", *(report.name for report in reports)], rows)


def _count(report: Report, ids: Iterable[str]) -> str:
    words = [report.case(case_id) for case_id in ids]
    return f"{words.count('Pass')} of {sum(word in ('Pass', 'FAIL', 'Error') for word in words)}"


def _groups(reports: Sequence[Report]) -> list[str]:
    parts = []
    for group, items in groupby(_beyond(reports).values(), key=lambda item: item["id"].partition("/")[0]):
        rows = [
            [f"`{item['id'].partition('/')[2]}`", item["title"], item["level"]]
            + [report.case(item["id"]) for report in reports]
            for item in items
        ]
        head = ["Case", "Rule", "Level", *(report.name for report in reports)]
        parts.append(f"### {group}\n\n{_table(head, rows)}")
    return parts


def _reasons(reports: Sequence[Report]) -> list[str]:
    parts = ["## Skipped, and why\n"]
    ids = _beyond(reports)
    for report in reports:
        skipped = [item for case_id in ids if (item := report.cases.get(case_id, {})).get("status") == "Skip"]
        if skipped:
            lines = [f"- `{item['id']}`: {_escape(_short(item['reason']))}" for item in skipped]
            parts.append(f"### {report.name}\n\n" + "\n".join(lines) + "\n")
    return parts


def _short(reason: str) -> str:
    """A reason without what differs from run to run: digests, query strings; at most 200 characters."""
    plain = re.sub(r"\?\S*(?=: )", "", re.sub(r"(sha\d+:)[0-9a-f]+", r"\1...", reason))
    return plain if len(plain) <= 200 else f"{plain[:197]}..."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_escape, line)) + " |" for line in lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
