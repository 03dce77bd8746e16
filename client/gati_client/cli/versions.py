"""`gati version`: the versions of an artifact and its channels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gati_client.cli.api import reaching, some
from gati_client.cli.frame import App, current, emit, say
from gati_client.errors import Usage

app = App()
version = App(help="Versions of an artifact, and its channels.")
app.add_typer(version, name="version")

Named = Annotated[str, typer.Argument(help="Which artifact, such as @acme/mail.")]
_COLUMNS = ("version", "tag", "state", "digest", "moved_at")


@version.command("list")
async def list_(
    name: Named,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    unpublished: Annotated[bool, typer.Option("--all", help="Unpublished ones too, for members.")] = False,
) -> None:
    """Versions, the highest first."""
    async with reaching(name) as (client, target):
        found = client.versions.list(target.repository, all_states=unpublished)
        emit(await some(found, limit), _COLUMNS, wide=("kind", "repository"))


@version.command()
async def channels(name: Named) -> None:
    """Channels, such as latest and stable, and what they name."""
    async with reaching(name) as (client, target):
        emit(await some(client.versions.channels(target.repository)), ("tag", "digest", "moved_at"))


@version.command()
async def promote(
    name: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Which version, such as @acme/mail@1.2.0.")],
    channel: Annotated[str, typer.Argument(help="latest, stable, beta, alpha, canary, edge, nightly or your own.")],
    expected: Annotated[str | None, typer.Option(help="Only if the channel names this digest now.")] = None,
) -> None:
    """Let a channel name a version."""
    from gati_client.models import ChannelChange

    async with reaching(name) as (client, target):
        change = ChannelChange(to=target.version, expected=expected)
        found = await client.versions.promote(target.repository, channel, change)
        emit(found, ("repository", "tag", "digest", "moved_at"))
        say(f"{channel} of {target.repository} is {target.version} now")


@version.command()
async def history(
    name: Named,
    channel: Annotated[str, typer.Argument(help="Which channel.")],
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
) -> None:
    """Every move of a channel, newest first."""
    async with reaching(name) as (client, target):
        moves = await some(client.versions.moves(target.repository, channel), limit)
        emit(moves, ("number", "before", "after", "actor", "moved_at"))


@version.command()
async def downloads(
    name: Named,
    since: Annotated[str | None, typer.Option(help="From this day on, UTC: 2026-01-31.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
) -> None:
    """How often each version was downloaded on each day."""
    async with reaching(name) as (client, target):
        found = client.search.downloads(target.repository, since=since)
        emit(await some(found, limit), ("day", "version", "count"))


@version.command()
async def types(
    name: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Which version, such as @acme/mail@1.2.0.")],
) -> None:
    """What the methods of a version take and give. `gati search --takes TYPE` finds methods by that."""
    async with reaching(name) as (client, target):
        found = await client.versions.types(target.repository, target.reference or "latest")
    if current().output in ("json", "yaml"):
        emit(found)
        return
    named = {digest: name for name, digest in found.types.items()}

    def shown(digest: str | None) -> str:
        if digest is None:
            return ""
        return named.get(digest) or json.dumps(found.definitions.get(digest), ensure_ascii=False)

    rows = [
        {"method": method, "takes": shown(one.takes), "gives": shown(one.gives)}
        for method, one in sorted(found.methods.items())
    ]
    emit(rows, ("method", "takes", "gives"))


@version.command()
async def edit(
    name: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Which version, such as @acme/mail@1.2.0.")],
    description: Annotated[str | None, typer.Option(help="What it is, in a sentence.")] = None,
    readme: Annotated[Path | None, typer.Option(help="A file to show with it.")] = None,
    keyword: Annotated[list[str] | None, typer.Option(help="A keyword; they replace the earlier ones.")] = None,
    contact: Annotated[str | None, typer.Option(help="Whom to ask.")] = None,
    successor: Annotated[str | None, typer.Option(help="What comes after it.")] = None,
) -> None:
    """Change what is said of a version, without a new digest. --label KEY=VALUE adds labels, KEY= removes one."""
    from gati_client.models import Overlay

    said: dict[str, Any] = {"description": description, "keywords": keyword, "contact": contact, "successor": successor}
    if readme is not None:
        said["readme"] = readme.read_text()
    async with reaching(name) as (client, target):
        before = await client.versions.get(target.repository, target.version)
        if labels := current().labels:
            both = {**(before.overlay.get("labels") or {}), **labels}
            said["labels"] = {key: value for key, value in both.items() if value}
        overlay = Overlay(**{field: value for field, value in said.items() if value is not None})
        if not overlay.model_fields_set:
            raise Usage("nothing to change", remedy="say --description, --label or another option")
        found = await client.versions.update(target.repository, target.version, overlay, revision=before.revision)
        emit(found, ("repository", "version", "revision", "overlay"))
