"""report.html: one self-contained page; what did not pass comes with its exchanges, secrets masked."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from itertools import groupby

import yaml

from gati_conformance.model import Result, Status
from gati_conformance.runner import Run

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1b1f24 }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem; border-bottom: 1px solid #d8dee4 }
pre { background: #f6f8fa; border: 1px solid #d8dee4; padding: .6rem; overflow: auto; max-height: 30rem }
summary { cursor: pointer }
.pass { color: #116329 } .fail, .error { color: #a40e26; font-weight: 600 }
.skip, .disabled, .unknown { color: #6e7781 }
.entries { columns: 3; list-style: none; padding: 0 }
@media (max-width: 50rem) { .entries { columns: 1 } }
"""


def render(run: Run) -> str:
    """The page as text."""
    started = datetime.fromtimestamp(run.started, UTC).isoformat(sep=" ", timespec="seconds")
    numbers = ", ".join(f"{run.count(status)} {status.word}" for status in Status if run.count(status))
    verdict = "PASS" if run.passed else "FAIL"
    config = yaml.safe_dump(run.config.as_yaml(), sort_keys=False)
    entries = "".join(f"<li>{_word(status)} {escape(entry)}</li>" for entry, status in run.entries.items())
    groups = "".join(
        _group(name, list(found)) for name, found in groupby(run.results, key=lambda item: item.case.group)
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{verdict}: {escape(run.config.url)}</title>
<style>{_STYLE}</style>
<h1>Conformance of {escape(run.config.url)}: <span class="{verdict.lower()}">{verdict}</span></h1>
<p>{numbers or "no case ran"}; {started} UTC, {run.seconds:.1f} seconds, spec {escape(run.config.version)}.</p>
<details><summary>Configuration</summary><pre>{escape(config)}</pre></details>
<h2>Entries of the official suite</h2>
<ul class="entries">{entries}</ul>
<h2>Cases</h2>
{groups}
</html>
"""


def _group(name: str, results: list[Result]) -> str:
    bad = any(result.status in (Status.FAIL, Status.ERROR) for result in results)
    passed = sum(result.status is Status.PASS for result in results)
    rows = "".join(map(_row, results))
    return (
        f"<details{' open' if bad else ''}><summary><b>{escape(name)}</b> {passed} of {len(results)}</summary>"
        f"<table><tr><th>Case<th>Rule<th>Level<th>Result</tr>{rows}</table></details>\n"
    )


def _row(result: Result) -> str:
    case = result.case
    exchanges = ""
    if result.exchanges:
        text = "\n\n".join(exchange.text() for exchange in result.exchanges)
        exchanges = f"<details><summary>{len(result.exchanges)} exchanges</summary><pre>{escape(text)}</pre></details>"
    reason = f"<br>{escape(result.reason)}" if result.reason else ""
    return (
        f"<tr><td><code>{escape(case.id)}</code><td>{escape(case.title)}<br><small>{escape(case.source)}</small>"
        f"<td>{case.level.value}<td>{_word(result.status)}{reason}{exchanges}</tr>"
    )


def _word(status: Status) -> str:
    return f'<span class="{status.word.lower()}">{status.word}</span>'
