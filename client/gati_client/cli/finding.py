"""`gati search`, and `gati registry stats`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from gati_client.cli.api import ask, connected_to
from gati_client.cli.frame import App, current, emit, say
from gati_client.errors import Usage

app = App()

_SEARCH = "/v2/_ext/search"
_COLUMNS = ("repository", "kind", "version", "downloads", "stars", "description")

Field = Annotated[list[str] | None, typer.Option()]


@app.command()
async def search(
    words: Annotated[list[str] | None, typer.Argument(help='Words, "phrases", field:value, AND, OR, NOT.')] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind.")] = None,
    capability: Annotated[list[str] | None, typer.Option(help="Only with this capability, such as db.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Only in this language.")] = None,
    license_: Annotated[list[str] | None, typer.Option("--license", help="Only under this license.")] = None,
    keyword: Annotated[list[str] | None, typer.Option(help="Only with this keyword.")] = None,
    publisher: Annotated[list[str] | None, typer.Option(help="Only by this publisher.")] = None,
    gati: Annotated[str | None, typer.Option(help="Only what works with this version of Gati.")] = None,
    sort: Annotated[
        Literal["relevance", "downloads", "stars", "updated", "created", "name"], typer.Option(help="What comes first.")
    ] = "relevance",
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20,
    facets: Annotated[
        bool, typer.Option("--facets", help="How many there are of each kind, license and so on.")
    ] = False,
    pick: Annotated[bool, typer.Option(help="Ask which one to look at, on a terminal.")] = True,
) -> None:
    """Find artifacts. `--output json` has items, facets and the total."""
    context = current()
    fields = {
        "kind": kind or [context.kind or ""],
        "capability": capability,
        "language": language,
        "license": license_,
        "keyword": keyword,
        "publisher": publisher,
        "namespace": [context.namespace or ""],
        "gati": [gati or ""],
    }
    parts = [*(words or []), *(_either(name, values) for name, values in fields.items() if values and values[0])]
    query: dict[str, Any] = {"q": " ".join(parts), "limit": limit, "sort": sort}
    async with connected_to() as client:
        found = await ask(client, "GET", _SEARCH, query=query)
    if current().output in ("json", "yaml"):
        emit({name: found[name] for name in ("items", "facets", "total", "ranking")})
        return
    items = found["items"]
    if facets:
        rows = [
            {"field": field, "value": value, "count": count}
            for field, counts in found["facets"].items()
            for value, count in counts.items()
        ]
        emit(rows, ("field", "value", "count"))
        return
    emit(items, _COLUMNS, wide=("publisher", "license", "updated_at", "digest"))
    if found["total"] > len(items):
        say(f"{len(items)} of {found['total']}; --limit shows more")
    if pick and items and sys.stdin.isatty() and sys.stdout.isatty() and not current().quiet:
        _pick(items)


def _pick(items: Sequence[Any]) -> None:
    """Let somebody at a terminal choose one to look at."""
    for number, item in enumerate(items, 1):
        say(f"{number:3}  {item['repository']}")
    text = typer.prompt("Which one to look at (Enter: none)", default="", show_default=False, err=True).strip()
    if not text:
        return
    if not text.isdecimal() or not 1 <= int(text) <= len(items):
        raise Usage(f"{text}: none of them", remedy=f"type a number from 1 to {len(items)}")
    emit(items[int(text) - 1])


def _either(field: str, values: Sequence[str]) -> str:
    """`field:value`, or several of them joined by OR, as the query language has it."""
    written = [f'{field}:"{value}"' if not value.replace("-", "").isalnum() else f"{field}:{value}" for value in values]
    return written[0] if len(written) == 1 else f"({' OR '.join(written)})"
