"""`gati publish`, `validate`, `info`, `list`: with a kind before them, or without where the name or folder tells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gati_client.cli.api import namespace_at, own_namespace, reaching, some
from gati_client.cli.frame import App, configuration, connect, current, emit, say
from gati_client.errors import NotFound, Usage

if TYPE_CHECKING:
    from gati_client.client import Client
    from gati_client.models import Artifact, VersionDetail

app = App()

_VERSION = (
    *("repository", "kind", "version", "tag", "state", "facts.description", "facts.license"),
    *("digest", "size", "pushed_at", "pushed_by"),
)
_ARTIFACT = (
    *("repository", "kind", "latest", "version.state", "version.facts.description", "version.facts.license"),
    *("version.digest", "version.size", "stars", "rating", "channels", "updated_at"),
)

Folder = Annotated[Path, typer.Argument(help="The folder of the artifact, or its gati-<kind>.json.")]


@app.command()
async def validate(folder: Folder = Path()) -> int:
    """Check an artifact's manifest against the JSON Schema of its kind, as the registry has it."""
    import jsonschema_rs

    from gati_client.project import files
    from gati_client.publish import manifest_of

    kind, file = manifest_of(folder, current().kind)
    document = files.load(file, Usage)
    async with connect() as client:
        schema = await schema_of(client, kind)
    problems = [
        {"path": "/" + "/".join(map(str, error.instance_path)), "message": error.message}
        for error in jsonschema_rs.validator_for(schema).iter_errors(document)
    ]
    emit(problems, ("path", "message"), none="")
    say(f"{file} is {'not ' if problems else ''}a valid manifest of the kind {kind}")
    return 1 if problems else 0


@app.command()
async def info(
    name: Annotated[str, typer.Argument(help="Which artifact, such as @acme/mail or @acme/mail@1.2.0.")],
) -> None:
    """An artifact, or one of its versions."""
    async with reaching(name) as (client, target):
        await show(client, target.repository, target.reference)


async def show(client: Client, repository: str, reference: str | None = None) -> None:
    """An artifact, or one of its versions."""
    found: Artifact | VersionDetail
    if reference is None:
        found = await client.versions.artifact(repository)
    else:
        found = await client.versions.get(repository, reference)
    if current().kind not in (None, found.kind):
        raise NotFound(f"{repository} is no {current().kind}", remedy=f"it is a {found.kind}")
    emit(found, _ARTIFACT if reference is None else _VERSION)


@app.command("list")
async def list_(
    namespace: Annotated[str | None, typer.Argument(help="Which namespace; your own, if absent.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
) -> None:
    """Artifacts at and below a namespace."""
    async with connect() as client:
        path = namespace or current().namespace or configuration().namespace
        path = await namespace_at(client, path) if path else await own_namespace(client) or "library"
        found = await some(client.versions.artifacts(path, kind=current().kind), limit)
        emit(found, ("repository", "kind", "latest", "description"), wide=("stars", "updated_at", "digest"))


async def schema_of(client: Client, kind: str) -> Any:
    """The JSON Schema of a kind's manifests, as the registry has it."""
    for found in await client.versions.kinds():
        if found.name == kind and found.manifest is not None:
            return found.manifest
    raise NotFound(f"the registry knows no manifest of the kind {kind}")
