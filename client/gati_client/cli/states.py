"""What is said of a version after its push: deprecated, yanked, unpublished, archived, and back; and stars."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from gati_client.cli.api import moment, reaching
from gati_client.cli.frame import App, emit, say, sure

if TYPE_CHECKING:
    from gati_client.models import Version
    from gati_client.spaces.versions import Versions

app = App()

Versioned = Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Which version, such as @acme/mail@1.2.0.")]
Named = Annotated[str, typer.Argument(help="Which artifact, such as @acme/mail.")]
Why = Annotated[str, typer.Option("--reason", help="Why.")]

_COLUMNS = ("repository", "version", "state", "digest")


async def _turned(
    name: str, said: str, turn: Callable[[Versions, str, str], Awaitable[Version]], question: str = ""
) -> None:
    """Change a version's state, once the user says yes to the question if there is one, and tell the new one."""
    async with reaching(name) as (client, target):
        versions, where = client.versions, (target.repository, target.version)
        if question:
            await sure(question, lambda: versions.get(*where))
        found = await turn(versions, *where)
        emit(found, _COLUMNS)
        say(f"{target.repository} {found.version or found.tag}: {said}")


@app.command()
async def unpublish(name: Versioned, reason: Why = "") -> None:
    """Take a version out of lists and searches; its digest can still be pulled."""
    question = f"Unpublish {name}?"
    await _turned(name, "no longer published", lambda versions, *where: versions.unpublish(*where, reason), question)


@app.command()
async def republish(name: Versioned, reason: Why = "") -> None:
    """Publish an unpublished version, or a draft."""
    await _turned(name, "published", lambda versions, *where: versions.publish(*where, reason))


@app.command()
async def deprecate(
    name: Versioned,
    reason: Why = "",
    replacement: Annotated[str, typer.Option(help="What to use instead.")] = "",
    removed_at: Annotated[datetime | None, typer.Option(help="Until when it stays, such as 2030-01-31.")] = None,
    alternative: Annotated[list[str] | None, typer.Option(help="A version to use instead.")] = None,
) -> None:
    """Say that a version should not be used any more; whoever pulls it is told."""
    from gati_client.models import Deprecation

    said = Deprecation(
        reason=reason,
        replacement=replacement,
        removed_at=moment(removed_at),
        alternate_versions=alternative or [],
    )
    await _turned(name, "deprecated", lambda versions, *where: versions.deprecate(*where, said))


@app.command()
async def undeprecate(name: Versioned, reason: Why = "") -> None:
    """Take a deprecation back."""
    await _turned(name, "no longer deprecated", lambda versions, *where: versions.undeprecate(*where, reason))


@app.command()
async def yank(name: Versioned, reason: Why = "") -> None:
    """Keep a version out of new resolutions; locks that have it still work."""
    await _turned(name, "yanked", lambda versions, *where: versions.yank(*where, reason))


@app.command()
async def unyank(name: Versioned, reason: Why = "") -> None:
    """Take a yank back."""
    await _turned(name, "no longer yanked", lambda versions, *where: versions.unyank(*where, reason))


@app.command()
async def archive(name: Versioned, reason: Why = "") -> None:
    """Make a version read-only."""
    await _turned(name, "archived", lambda versions, *where: versions.archive(*where, reason))


@app.command()
async def restore(name: Versioned, reason: Why = "") -> None:
    """Take an archived version back."""
    await _turned(name, "restored", lambda versions, *where: versions.restore(*where, reason))


@app.command()
async def star(name: Named) -> None:
    """Give an artifact your star."""
    async with reaching(name) as (client, target):
        emit(await client.versions.star(target.repository))


@app.command()
async def unstar(name: Named) -> None:
    """Take your star back."""
    async with reaching(name) as (client, target):
        emit(await client.versions.unstar(target.repository))


@app.command()
async def rate(
    name: Named,
    stars: Annotated[int, typer.Argument(min=1, max=5, help="One to five.")],
    review: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Rate an artifact with one to five stars."""
    from gati_client.models import RatingChange

    async with reaching(name) as (client, target):
        rating = RatingChange(stars=stars, review=review)
        emit(await client.versions.rate(target.repository, rating), ("stars", "review", "author"))
