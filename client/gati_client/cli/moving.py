"""`gati copy`, `export`, `import`: artifacts between registries and OCI layouts."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Literal

import typer

from gati_client.cli.api import reaching
from gati_client.cli.frame import App, configuration, current, emit, progress, say
from gati_client.errors import Usage
from gati_client.names import Name

app = App()

Bare = Annotated[bool, typer.Option("--without-referrers", help="Leave signatures, SBOMs and the like behind.")]


@app.command()
async def copy(
    source: Annotated[str, typer.Argument(help="What to copy: NAME@VERSION, or HOST/PATH:TAG.")],
    target: Annotated[str, typer.Argument(help="Where to: NAME, NAME@VERSION, or HOST/PATH:TAG.")],
    bare: Bare = False,
) -> None:
    """Copy an artifact to another repository or registry, with all that refers to it."""
    if current().token and not current().registry and not configuration().default:
        hosts = {Name.parse(name).registry for name in (source, target)}
        if len(hosts - {None}) > 1:
            raise Usage("two registries, and one token", remedy="say --registry HOST for the one that it is of")
    async with contextlib.AsyncExitStack() as stack:
        there, origin = await stack.enter_async_context(reaching(source))
        reference = origin.reference or "latest"
        await there.artifacts.manifest(origin.repository, reference)  # what is missing here is not missing there
        here, place = await stack.enter_async_context(reaching(target, publishing=True))
        tag = place.reference or (None if origin.by_digest else reference)
        if tag is None:
            raise Usage(f"under which tag shall {source} be?", remedy=f"write {target}:TAG")
        with progress() as report:
            await here.artifacts.copy(
                there, origin.repository, reference, place.repository, tag, referrers=not bare, progress=report
            )
        found = await here.artifacts.manifest(place.repository, tag)
        emit(
            {"registry": here.host, "repository": place.repository, "tag": tag, "digest": found.digest},
        )


@app.command()
async def export(
    names: Annotated[list[str], typer.Argument(metavar="NAME@VERSION", help="What to export, of one repository.")],
    to: Annotated[Path, typer.Option(help="The folder; made if it is not there.")],
) -> None:
    """Write artifacts into an OCI layout, a folder that other tools read too."""
    async with reaching(names[0]) as (client, first):
        references = [first.reference or "latest"]
        for name in names[1:]:
            async with reaching(name) as (_, other):
                if other.repository != first.repository:
                    raise Usage("one layout takes versions of one repository", remedy="export the others apart")
                references.append(other.reference or "latest")
        with progress() as report:
            await client.artifacts.export_layout(first.repository, references, to, report)
        emit({"registry": client.host, "repository": first.repository, "references": references, "folder": str(to)})


@app.command("import")
async def import_(
    source: Annotated[str, typer.Argument(help="The OCI layout; or what npm or git have: NAME@VERSION, or a URL.")],
    to: Annotated[str | None, typer.Argument(help="The repository that it goes into; the folder, with --from.")] = None,
    origin: Annotated[
        Literal["npm", "git"] | None, typer.Option("--from", help="Make a folder that can be published.")
    ] = None,
    reference: Annotated[str | None, typer.Option("--ref", help="The branch, tag or full commit, of git.")] = None,
) -> None:
    """Push everything of an OCI layout; with --from, make an artifact's folder of what npm or git have."""
    from gati_client.transfer.layout import tag_of

    if origin is not None:
        _adopt(origin, source, to, reference)
        return
    folder = Path(source)
    if not (folder / "index.json").is_file():
        raise Usage(f"{folder} is no OCI layout: it has no index.json", remedy="gati export writes one")
    if to is None:
        raise Usage("which repository shall it go into?", remedy=f"gati import {source} NAME")
    async with reaching(to, publishing=True) as (client, target):
        with progress() as report:
            found = await client.artifacts.import_layout(folder, target.repository, report)
        references = [tag_of(entry) or entry.digest for entry in found]
        emit({
            "registry": client.host, "repository": target.repository, "references": references, "folder": str(folder),
        })  # fmt: skip


def _adopt(origin: Literal["npm", "git"], source: str, to: str | None, reference: str | None) -> None:
    from gati_client import adopt

    bare = source[:1] + source[1:].partition("@")[0] if origin == "npm" else source
    target = Path(to or bare.rstrip("/").rpartition("/")[2].removesuffix(".git") or ".")
    kind = current().kind or "module"
    if origin == "npm":
        manifest = adopt.from_npm(source, target, kind=kind)
    else:
        manifest = adopt.from_git(source, target, kind=kind, reference=reference)
    emit({"path": str(target), "manifest": str(manifest), "kind": kind})
    say(f"look at {manifest}, then: gati publish {target}")
