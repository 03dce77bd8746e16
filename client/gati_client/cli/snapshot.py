"""`gati snapshot`: an environment as it is, shared and had again somewhere else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gati_client.cli.frame import App, current, emit, progress, say
from gati_client.cli.project import connect_locked
from gati_client.errors import Integrity, NotFound

if TYPE_CHECKING:
    from gati_client.snapshots import Snapshot

app = App()

Wanted = Annotated[str, typer.Argument(help="NAME, NAME@VERSION, or the URL or name of a shared one.")]
InProject = Annotated[Path, typer.Option("--project", help="The project's folder.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What you call it, such as dev-setup.")],
    version: Annotated[str | None, typer.Option("--version", help="Its version; made of the time by default.")] = None,
    description: Annotated[str, typer.Option("--description", help="What it is for.")] = "",
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="PATTERN", help="Only names of environment variables like this (NODE_*)."),
    ] = None,
    no_env: Annotated[bool, typer.Option("--no-env", help="No names of environment variables.")] = False,
    project: InProject = Path(),
) -> None:
    """Keep what is installed here: artifacts, versions, gati's version, names of environment variables (no values)."""
    from gati_client import snapshots

    made = snapshots.capture(
        project,
        name,
        version or snapshots.made_up(datetime.now(UTC)),
        description=description,
        variables=() if no_env else env or ("*",),
    )
    folder = snapshots.keep(project, made)
    emit({"name": made.name, "version": made.version, "artifacts": len(made.artifacts), "folder": str(folder)})
    say(f"next: gati snapshot share {made.name}")


@app.command()
async def share(
    name: Annotated[str, typer.Argument(help="NAME or NAME@VERSION of a snapshot of this project.")],
    to: Annotated[
        str | None, typer.Option("--to", help="Where: @acme/dev-setup; your own namespace by default.")
    ] = None,
    project: InProject = Path(),
) -> None:
    """Push a snapshot; prints the URL that `gati snapshot restore` takes. Who may read the repository can use it."""
    from gati_client import snapshots
    from gati_client.cli.api import reaching

    found = snapshots.find(project, name)
    if found is None:
        raise NotFound(f"this project has no snapshot {name}", remedy=f"gati snapshot create {name.partition('@')[0]}")
    async with reaching(to or found.name, publishing=True) as (client, target):
        with progress() as report:
            pushed = await snapshots.share(client, target.repository, found, labels=current().labels, progress=report)
        url = snapshots.address(str(client.transport.url), target.repository, pushed.digest)
        reference = f"{client.host}/{target.repository}@{pushed.digest}"
    if current().output in ("json", "yaml"):
        emit({"url": url, "reference": reference, "digest": pushed.digest, "version": found.version})
    else:
        emit(url)


@app.command()
async def restore(
    wanted: Wanted,
    folder: Annotated[Path, typer.Argument(help="Where; an empty folder, or one with the same lock.")] = Path(),
) -> None:
    """Have again what a snapshot holds: its gati.json and gati.lock, byte for byte, and all that they name."""
    from gati_client import snapshots
    from gati_client.project.project import Project

    found = await _found(wanted, folder)
    snapshots.put_back(found, folder, force=current().force)
    with progress() as report:
        await Project(folder, connect_locked).install(frozen=True, force=current().force, progress=report)
    emit({"name": found.name, "version": found.version, "artifacts": len(found.artifacts), "folder": str(folder)})
    if absent := snapshots.missing(found):
        say(f"not set here, but where the snapshot was made: {', '.join(absent)}")


@app.command()
async def diff(
    before: Wanted,
    after: Annotated[str, typer.Argument(help="The same; what is here now by default.")] = ".",
    project: InProject = Path(),
) -> None:
    """What is different between two snapshots, or between one and what is here now."""
    from gati_client import snapshots

    changes = snapshots.diff(await _found(before, project), await _found(after, project))
    emit(changes, ("what", "name", "before", "after"), none="the same is in both")


@app.command("list")
async def list_(
    shared: Annotated[str | None, typer.Argument(help="A shared snapshot, whose versions to list.")] = None,
    project: InProject = Path(),
) -> None:
    """The snapshots of this project, or the versions of a shared one."""
    from gati_client import snapshots
    from gati_client.cli.api import reaching

    damaged: dict[str, Integrity] = {}
    if shared is None:
        found, damaged = snapshots.kept(project)
        rows = [
            {
                "name": each.name,
                "version": each.version,
                "artifacts": len(each.artifacts),
                "description": each.document.get("description", ""),
            }
            for each in found
        ]
    else:
        async with reaching(shared) as (client, target):
            tags = [tag async for tag in client.artifacts.tags(target.repository)]
        rows = [{"name": target.repository, "version": tag.replace("_", "+")} for tag in tags if tag[:1].isdigit()]
    emit(rows, ("name", "version", *(("artifacts", "description") if shared is None else ())))
    if damaged:
        said = "; ".join(f"{name} is damaged: {error}" for name, error in damaged.items())
        raise Integrity(said, remedy=f"remove its folder in {project / snapshots.FOLDER}")


async def _found(wanted: str, folder: Path) -> Snapshot:
    """By what somebody said: `.` is what is here now, else one of the project's, else a shared one."""
    from gati_client import snapshots
    from gati_client.cli.api import reaching

    if wanted == ".":
        return snapshots.capture(folder, "here", snapshots.made_up(datetime.now(UTC)))
    if (kept := snapshots.find(folder, wanted)) is not None:
        return kept
    async with reaching(snapshots.located(wanted)) as (client, target):
        with progress() as report:
            return await snapshots.fetch(client, target.repository, target.reference or "latest", report)
