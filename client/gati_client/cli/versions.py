"""`gati version`: the versions of an artifact and its channels."""

from __future__ import annotations

from typing import Annotated

import typer

from gati_client.cli.api import reaching, some
from gati_client.cli.frame import App, emit, say

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
    expected: Annotated[str | None, typer.Option(help="Only if the channel names this digest until now.")] = None,
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
