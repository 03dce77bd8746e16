"""`gati search`: words and filters, facets, a choice among what was found; and methods by what they take and give."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlencode

import typer

from gati_client.cli.api import namespace_at
from gati_client.cli.frame import App, asking, connect, current, emit, say
from gati_client.errors import GatiError, Usage, printable

if TYPE_CHECKING:
    from gati_client.client import Client

app = App()

MOST = 10_000
_PAGE = 100
"""What a registry gives at once."""

_FOUND = ("items", "next", "facets", "total", "total_exact", "ranking", "corrected", "relaxed")
_OF_TYPES = {"kind", "fields", "$ref"}
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
    created: Annotated[list[str] | None, typer.Option(help="A day, '>2026-01-31', or 2026-01..2026-03.")] = None,
    updated: Annotated[list[str] | None, typer.Option(help="The same.")] = None,
    context_length: Annotated[list[str] | None, typer.Option(help="Tokens of a model: '>8000'.")] = None,
    sort: Annotated[
        Literal["relevance", "downloads", "stars", "updated", "created", "name"], typer.Option(help="What comes first.")
    ] = "relevance",
    ranking: Annotated[
        Literal["lexical", "semantic", "fused"] | None,
        typer.Option(help="By words, by meaning, or both; both, where the registry can."),
    ] = None,
    takes: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE", help="Methods that take this: a word, JSON, or @FILE. Several are its arguments."),
    ] = None,
    gives: Annotated[str | None, typer.Option(metavar="TYPE", help="Methods whose result can be used as this.")] = None,
    suggest: Annotated[bool, typer.Option("--suggest", help="Instead, names that go on like the words.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")] = 20,
    cursor: Annotated[str, typer.Option(help="`next` of the JSON of the same search, to go on there.")] = "",
    facets: Annotated[
        bool, typer.Option("--facets", help="Instead, how many there are of each kind and so on.")
    ] = False,
    pick: Annotated[bool, typer.Option(help="On a terminal, ask which one to look at.")] = True,
) -> None:
    """Find artifacts. All filters must hold; of several values of one, one will do.

    --namespace: at and below it; --selector: with these labels; --filter FIELD=VALUE or FIELD>NUMBER: any other field.
    --takes and --gives find methods instead: --takes '{"email": "string"}' --gives Token[].
    --output json has items, facets, the total and where the next ones begin.
    """
    context = current()
    if takes or gives:
        await _signatures(takes or [], gives, words, kind or ([context.kind] if context.kind else []), limit, cursor)
        return
    if suggest:
        async with connect() as client:
            names = await client.search.suggest(" ".join(words or ()), limit=min(limit, 20))
            emit(names, ("repository", "kind", "title"), choosing=False)
        return
    query: dict[str, Any] = {
        "q": " ".join(words or ()),
        "kind": kind or [context.kind],
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
        "created": created,
        "updated": updated,
        "contextLength": context_length,
        "field": [*map(_field, context.filter), *_labels(context.selector)],
        "sort": sort,
        "ranking": ranking,
        "cursor": cursor,
    }
    async with connect() as client:
        if context.namespace:
            query["namespace"] = await namespace_at(client, context.namespace)
        found = await searched(client, {**query, "limit": min(limit, _PAGE)})
        items = found["items"]
        while found["next"] and len(items) < limit:
            page = await searched(client, {**query, "cursor": found["next"], "limit": min(limit - len(items), _PAGE)})
            items += page["items"]
            found["next"] = page["next"]
        for word, instead in found["corrected"].items():
            say(f"nothing has {word}; looked for {', '.join(instead)}")
        if found.get("relaxed"):
            say("nothing has all of these words; these have some of them")
        if context.output in ("json", "yaml"):
            emit({name: found.get(name) for name in _FOUND})
            return
        if facets:
            rows = [{"facet": name, **value} for name, values in found["facets"].items() for value in values]
            emit(rows, ("facet", "value", "count"), choosing=False)
            return
        emit(items, _COLUMNS, wide=("license", "publisher.name", "updated", "digest"), choosing=False)
        if found["total"] > len(items):
            say(f"{len(items)} of {found['total']}{'' if found['total_exact'] else ' or more'}; --limit shows more")
        if pick and items and sys.stdin.isatty() and sys.stdout.isatty() and not context.quiet:
            await _pick(client, items)


def _field(text: str) -> str:
    """`--filter` as the query language writes it: `acme.tier=gold`, `rows>1000`."""
    match = re.fullmatch(r"([^:=<>~\s]+)(=|[<>]=?)(.+)", text, re.DOTALL)
    if match is None:
        raise Usage(f"--filter {text}: not understood", remedy="write --filter FIELD=VALUE, or FIELD>NUMBER")
    name, sign, value = match.groups()
    return f"{name}:{value}" if sign == "=" else f"{name}:{sign}{value}"


def _labels(selector: str | None) -> list[str]:
    """Labels as the field of words that they are."""
    return [f'label:"{pair}"' for pair in (selector or "").split(",") if pair]


async def searched(client: Client, query: Mapping[str, Any]) -> Any:
    """What the registry finds.

    Raises:
        Usage: the query is none; where it is wrong was shown.
    """
    if "search" not in await client.features():
        raise GatiError(f"this needs the extension search, which {client.host} does not have",
                        remedy="use a Gati registry with that extension enabled")  # fmt: skip
    pairs = [(name, each) for name, value in query.items() for each in (value if isinstance(value, list) else [value])]
    text = urlencode([(name, each) for name, each in pairs if each not in (None, "")])
    try:
        return (await client.transport.ask("GET", f"/v2/_ext/search?{text}", action="search")).json()
    except GatiError as error:
        if error.status != 400 or not isinstance(error.detail, list) or not error.detail:
            raise
        wrong = error.detail[0] if isinstance(error.detail[0], dict) else {}
        if wrong.get("field") == "/q" and isinstance(wrong.get("at"), int):
            _point(str(query["q"]), wrong["at"])
        raise Usage(printable(str(wrong.get("problem") or error)), remedy="see gati search --help") from None


def _point(query: str, at: int) -> None:
    """Show the place in a query."""
    if query.isprintable() and 0 <= at <= len(query):
        sys.stderr.write(f"  {query}\n  {' ' * at}^\n")


async def _signatures(
    takes: Sequence[str], gives: str | None, words: Sequence[str] | None, kinds: Sequence[str], limit: int, cursor: str
) -> None:
    """Methods by what they take and give."""
    from gati_client.models import TypesQuery

    if words or len(kinds) > 1:
        raise Usage("methods are found by their types and one kind", remedy="leave out words, and all but one --kind")
    wanted = [_type(text) for text in takes]
    asked = TypesQuery(
        takes=wanted[0] if len(wanted) == 1 else wanted or None,
        gives=_type(gives) if gives else None,
        kind=kinds[0] if kinds else None,
        limit=min(limit, _PAGE),
        cursor=cursor,
    )
    async with connect() as client:
        found = await client.search.types(asked)
    if current().output in ("json", "yaml"):
        emit(found)
        return
    emit(found.items, ("repository", "kind", "version", "method", "match"), wide=("takes", "gives"), choosing=False)
    if not found.complete:
        say("there were more candidates than the registry compares: ask for something narrower")


def _type(text: str) -> Any:
    """A GType as somebody writes it: a word of the shorthand (`string[]`), JSON, or a file with JSON. An object
    without any of a GType's own keys is one of fields."""
    if text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8")
    elif not text.lstrip().startswith(("{", "[", '"')):
        return text.strip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Usage(f"{text[:80]}: no type, as it is no JSON: {error}",
                    remedy="""write string, 'User[]', '{"email": "string"}' or @FILE""") from None  # fmt: skip
    return {"fields": found} if isinstance(found, dict) and not found.keys() & _OF_TYPES else found


async def _pick(client: Client, items: Sequence[Any]) -> None:
    """Let somebody at a terminal choose one to look at."""
    from gati_client.cli.publishing import show

    for number, item in enumerate(items, 1):
        say(f"{number:3}  {item['repository']}")
    with asking():
        text = typer.prompt("Which one (Enter: none)", default="", show_default=False, err=True).strip()
    if not text:
        return
    if not text.isdecimal() or not 1 <= int(text) <= len(items):
        raise Usage(f"{text}: none of them", remedy=f"type a number from 1 to {len(items)}")
    await show(client, items[int(text) - 1]["repository"])
