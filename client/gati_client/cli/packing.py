"""`gati publish`, `pack`, `unpack`, `cache`: what leaves a folder, and what lies on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gati_client.cli.api import reaching
from gati_client.cli.frame import App, current, emit, progress, say
from gati_client.errors import Usage

if TYPE_CHECKING:
    from gati_client.pack.archive import PackedFile

app = App()
cache = App(help="What was downloaded, shared by all projects.")
app.add_typer(cache, name="cache")

Folder = Annotated[Path, typer.Argument(help="The folder of the artifact, or its gati-<kind>.json.")]
AllowSecret = Annotated[bool, typer.Option("--allow-secret", help="Go on even if something looks like a secret.")]


@app.command()
async def publish(
    folder: Folder = Path(),
    to: Annotated[str | None, typer.Option(help="Where to; what the manifest's name means, if absent.")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="A channel that it becomes; latest, if absent.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go and what speaks against it.")] = False,
    allow_secret: AllowSecret = False,
) -> int:
    """Publish the artifact in a folder; --label KEY=VALUE gives the version labels."""
    from gati_client import publish as publishing
    from gati_client.project import files

    labels = current().labels
    kind, manifest = publishing.manifest_of(folder, current().kind)
    name = to or files.load(manifest, Usage).get("name")
    if not isinstance(name, str):
        raise Usage(f"{manifest.name} needs a name")
    async with reaching(name, publishing=True) as (client, target):
        with publishing.prepare(manifest, kind, repository=target.repository, channels=channel) as plan:
            if dry_run:
                return _planned(plan, await publishing.check(client, plan))
            if plan.findings and not allow_secret:
                raise publishing.SecretsFound(plan.findings)
            _list(plan.files)
            with progress() as report:
                done = await publishing.push(
                    client, plan, allow_secrets=allow_secret, force=current().force, progress=report
                )
            if labels:
                from gati_client.models import Overlay

                before = await client.versions.get(plan.repository, plan.tags[0])
                both = {**(before.overlay.get("labels") or {}), **labels}
                await client.versions.update(
                    plan.repository, plan.tags[0], Overlay(labels=both), revision=before.revision
                )
            emit({
                "repository": plan.repository, "version": plan.version, "kind": plan.kind, "digest": done.digest,
                "tags": plan.tags, "size": plan.size, "registry": client.host,
            })  # fmt: skip
    return 0


def _planned(plan: Any, problems: list[str]) -> int:
    secrets = [str(finding) for finding in plan.findings]
    if current().output in ("json", "yaml"):
        emit({
            "repository": plan.repository, "version": plan.version, "kind": plan.kind, "tags": plan.tags,
            "size": plan.size, "files": [{"name": file.name, "size": file.size} for file in plan.files],
            "digest": plan.pack.digest if plan.pack else None, "secrets": secrets, "problems": problems,
        })  # fmt: skip
    else:
        emit([{"name": file.name, "size": file.size} for file in plan.files], ("name", "size"))
        say(f"{plan.kind} {plan.repository} {plan.version} as {', '.join(plan.tags)}: {_size(plan.size)} to send")
        for line in [*(f"looks like a secret: {text}" for text in secrets), *problems]:
            say(line)
    return 1 if secrets or problems else 0


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="What to pack.")] = Path(),
    to: Annotated[Path | None, typer.Option(help="The archive; NAME-VERSION.tar.gz, if absent.")] = None,
    allow_secret: AllowSecret = False,
) -> None:
    """Make an archive of a folder: the same files are the same bytes on any machine."""
    from gati_client.pack.archive import listed, write
    from gati_client.pack.secrets import scan
    from gati_client.publish import SecretsFound

    target = (to or Path(_archive_name(folder))).absolute()
    files = [file for file in listed(folder) if file.path != target.resolve()]
    findings = scan(files)
    if findings and not allow_secret:
        raise SecretsFound(findings)
    target.parent.mkdir(parents=True, exist_ok=True)
    packed = write(files, target)
    _list(packed.files)
    emit({"path": str(to or target.name), "digest": packed.digest, "size": packed.size, "unpacked": packed.unpacked,
          "files": len(packed.files)})  # fmt: skip


@app.command()
def unpack(
    archive: Annotated[Path, typer.Argument(help="The archive: tar, with gzip, zstd or as it is.")],
    to: Annotated[Path | None, typer.Option(help="The folder, which must not be there yet.")] = None,
    digest: Annotated[str | None, typer.Option(help="Only if it is what this digest says.")] = None,
) -> None:
    """Unpack an archive safely: nothing leaves the folder, and it is there whole or not at all."""
    from gati_client.names import is_digest
    from gati_client.pack.extract import extract

    if digest is not None and not is_digest(digest):
        raise Usage(f"{digest[:100]!r} is no digest", remedy="write sha256: and 64 hex digits")
    if not archive.is_file():
        raise Usage(f"{archive} is no file")
    target = to or Path(re.sub(r"(\.tar)?(\.gz|\.zst|\.tgz)?$", "", archive.name) or "unpacked")
    done = extract(archive, target, digest=digest)
    emit({"path": str(target), "files": len(done.files), "size": done.size})


@cache.command()
def path() -> None:
    """Where the cache is."""
    from gati_client.cache import Cache

    emit(str(Cache().root))


@cache.command()
async def verify() -> int:
    """Look at everything in the cache; what is damaged is deleted."""
    from gati_client.cache import Cache

    done = await Cache().verify()
    emit({"blobs": done.blobs, "size": done.size, "damaged": done.damaged})
    return 6 if done.damaged else 0


@cache.command()
async def prune(
    older_than: Annotated[int, typer.Option(min=0, help="Only what nobody used for so many days.")] = 0,
) -> None:
    """Delete what lies in the cache. What is installed stays."""
    from gati_client.cache import Cache

    done = await Cache().prune(older_than=older_than * 86_400)
    emit({"blobs": done.blobs, "size": done.size})


def _archive_name(folder: Path) -> str:
    from gati_client.errors import GatiError
    from gati_client.project import files
    from gati_client.publish import manifest_of

    name = folder.resolve().name or "pack"
    try:
        document = files.load(manifest_of(folder)[1], Usage)
    except GatiError:
        return f"{name}.tar.gz"
    words = [str(document.get("name") or name).rpartition("/")[2], str(document.get("version") or "")]
    return re.sub(r"[^A-Za-z0-9._+-]", "-", "-".join(word for word in words if word)) + ".tar.gz"


def _list(files: tuple[PackedFile, ...]) -> None:
    for file in files[:50]:
        say(f"{_size(file.size):>10}  {file.name}")
    if len(files) > 50:
        say(f"{'':>10}  and {len(files) - 50} more")


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
