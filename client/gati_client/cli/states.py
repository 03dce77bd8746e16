"""What is said of a version after its push: deprecated, yanked, unpublished, archived, and back; and stars."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gati_client.cli.api import Target, ask, reaching
from gati_client.cli.frame import App, confirm, emit, say
from gati_client.errors import Usage

app = App()

Versioned = Annotated[str, typer.Argument(metavar="NAME@VERSION", help="Which version, such as @acme/mail@1.2.0.")]
Named = Annotated[str, typer.Argument(help="Which artifact, such as @acme/mail.")]
Why = Annotated[str, typer.Option("--reason", help="Why.")]

_COLUMNS = ("repository", "version", "state", "digest")


async def _state(name: str, verb: str, said: str, **body: Any) -> None:
    async with reaching(name) as (client, target):
        found = await ask(client, "POST", f"{target.kinds}/versions/{_version(target)}/{verb}", body=body)
        emit(found, _COLUMNS)
        say(f"{target.repository} {found['version'] or found['tag']}: {said}")


def _version(target: Target) -> str:
    if target.reference is None:
        raise Usage(f"which version of {target.repository}?", remedy=f"write {target.repository}@1.2.3")
    return target.reference


@app.command()
async def unpublish(name: Versioned, reason: Why = "") -> None:
    """Take a version out of lists and searches; its digest can still be pulled."""
    confirm(f"Unpublish {name}?")
    await _state(name, "unpublish", "no longer published", reason=reason)


@app.command()
async def republish(name: Versioned, reason: Why = "") -> None:
    """Publish an unpublished version, or a draft."""
    await _state(name, "publish", "published", reason=reason)


@app.command()
async def deprecate(
    name: Versioned,
    reason: Why = "",
    replacement: Annotated[str, typer.Option(help="What to use instead.")] = "",
    removed_at: Annotated[str | None, typer.Option(help="Until when it stays, such as 2030-01-31T00:00:00Z.")] = None,
    alternative: Annotated[list[str] | None, typer.Option(help="A version to use instead.")] = None,
) -> None:
    """Say that a version should not be used any more; whoever pulls it is told."""
    body: dict[str, Any] = {"reason": reason, "replacement": replacement, "alternate_versions": alternative or []}
    if removed_at:
        body["removed_at"] = removed_at
    await _state(name, "deprecate", "deprecated", **body)


@app.command()
async def undeprecate(name: Versioned, reason: Why = "") -> None:
    """Take a deprecation back."""
    await _state(name, "undeprecate", "no longer deprecated", reason=reason)


@app.command()
async def yank(name: Versioned, reason: Why = "") -> None:
    """Keep a version out of new resolutions; locks that have it still work."""
    await _state(name, "yank", "yanked", reason=reason)


@app.command()
async def unyank(name: Versioned, reason: Why = "") -> None:
    """Take a yank back."""
    await _state(name, "unyank", "no longer yanked", reason=reason)


@app.command()
async def archive(name: Versioned, reason: Why = "") -> None:
    """Make a version read-only."""
    await _state(name, "archive", "archived", reason=reason)


@app.command()
async def restore(name: Versioned, reason: Why = "") -> None:
    """Take an archived version back."""
    await _state(name, "restore", "restored", reason=reason)


async def _star(name: str, method: str) -> None:
    async with reaching(name) as (client, target):
        emit({"repository": target.repository, **await ask(client, method, f"{target.kinds}/star")})


@app.command()
async def star(name: Named) -> None:
    """Give an artifact your star."""
    await _star(name, "PUT")


@app.command()
async def unstar(name: Named) -> None:
    """Take your star back."""
    await _star(name, "DELETE")


@app.command()
async def rate(
    name: Named,
    stars: Annotated[int, typer.Argument(min=1, max=5, help="One to five.")],
    review: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Rate an artifact with one to five stars."""
    async with reaching(name) as (client, target):
        body = {"stars": stars, "review": review}
        emit(await ask(client, "PUT", f"{target.kinds}/rating", body=body), ("stars", "review", "author"))
