"""`gati search`: words and filters, facets, and a choice among what was found."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlencode

import typer

from gati_client.cli.frame import App, connect, current, emit, say
from gati_client.errors import GatiError, Usage

if TYPE_CHECKING:
    from gati_client.client import Client

app = App()

_COLUMNS = ("repository", "kind", "version", "downloads", "stars", "description")


@app.command()
async def search(
    words: Annotated[
        list[str] | None, typer.Argument(help='Words, "phrases", field:value, OR, -without, in any order.')
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Of this kind.")] = None,
    publisher: Annotated[list[str] | None, typer.Option(help="By this publisher.")] = None,
    capability: Annotated[list[str] | None, typer.Option(help="With this capability, such as db.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="In this language.")] = None,
    license_: Annotated[list[str] | None, typer.Option("--license", help="Under this license.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="With this tag.")] = None,
    keyword: Annotated[list[str] | None, typer.Option(help="With this keyword.")] = None,
    state: Annotated[list[str] | None, typer.Option(help="In this state, such as deprecated.")] = None,
    gati: Annotated[list[str] | None, typer.Option(help="Works with this version of Gati.")] = None,
    version: Annotated[list[str] | None, typer.Option(help="Its latest version lies in this range.")] = None,
    stars: Annotated[list[str] | None, typer.Option(help="A number, '>10', or 10..20.")] = None,
    downloads: Annotated[list[str] | None, typer.Option(help="A number, '>10', or 10..20.")] = None,
    updated: Annotated[list[str] | None, typer.Option(help="A day, '>2026-01-31', or 2026-01..2026-03.")] = None,
    context_length: Annotated[list[str] | None, typer.Option(help="Tokens of a model: '>8000'.")] = None,
    sort: Annotated[
        Literal["relevance", "downloads", "stars", "updated", "created", "name"], typer.Option(help="What comes first.")
    ] = "relevance",
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20,
    facets: Annotated[
        bool, typer.Option("--facets", help="Instead, how many there are of each kind and so on.")
    ] = False,
    pick: Annotated[bool, typer.Option(help="On a terminal, ask which one to look at.")] = True,
) -> None:
    """Find artifacts. All filters must hold; of several values of one, one will do.

    --namespace: at and below it; --filter FIELD=VALUE: any other field. --output json has items, facets and the total.
    """
    context = current()
    query: dict[str, Any] = {
        "q": " ".join(words or ()),
        "kind": kind or [context.kind],
        "namespace": [context.namespace],
        "publisher": publisher,
        "capability": capability,
        "language": language,
        "license": license_,
        "tag": tag,
        "keyword": keyword,
        "state": state,
        "gati": gati,
        "version": version,
        "stars": stars,
        "downloads": downloads,
        "updated": updated,
        "contextLength": context_length,
        "field": [text.replace("=", ":", 1) for text in context.filter],
        "sort": sort,
        "limit": limit,
    }
    async with connect() as client:
        found = await searched(client, query)
        for word, instead in found["corrected"].items():
            say(f"nothing has {word}; looked for {', '.join(instead)}")
        if context.output in ("json", "yaml"):
            emit({name: found[name] for name in ("items", "facets", "total", "total_exact", "ranking", "corrected")})
            return
        if facets:
            rows = [{"facet": name, **value} for name, values in found["facets"].items() for value in values]
            emit(rows, ("facet", "value", "count"), choosing=False)
            return
        items = found["items"]
        emit(items, _COLUMNS, wide=("license", "publisher.name", "updated", "digest"), choosing=False)
        if found["total"] > len(items):
            say(f"{len(items)} of {found['total']}{'' if found['total_exact'] else ' or more'}; --limit shows more")
        if pick and items and sys.stdin.isatty() and sys.stdout.isatty() and not context.quiet:
            await _pick(client, items)


async def searched(client: Client, query: Mapping[str, Any]) -> Any:
    """What the registry finds."""
    if "search" not in await client.features():
        raise GatiError(f"this needs the extension search, which {client.host} does not have")
    pairs = [(name, each) for name, value in query.items() for each in (value if isinstance(value, list) else [value])]
    text = urlencode([(name, each) for name, each in pairs if each not in (None, "")])
    return (await client.transport.ask("GET", f"/v2/_ext/search?{text}", action="search")).json()


async def _pick(client: Client, items: Sequence[Any]) -> None:
    """Let somebody at a terminal choose one to look at."""
    from gati_client.cli.publishing import show

    for number, item in enumerate(items, 1):
        say(f"{number:3}  {item['repository']}")
    text = typer.prompt("Which one (Enter: none)", default="", show_default=False, err=True).strip()
    if not text:
        return
    if not text.isdecimal() or not 1 <= int(text) <= len(items):
        raise Usage(f"{text}: none of them", remedy=f"type a number from 1 to {len(items)}")
    await show(client, items[int(text) - 1]["repository"])
