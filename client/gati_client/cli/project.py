"""Commands about the project that one stands in: what it asks for, what that came to, what is installed."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gati_client.cli.api import connect_named, reaching
from gati_client.cli.frame import App, asking, configuration, current, emit, progress, say
from gati_client.cli.output import write
from gati_client.errors import NotFound, Usage

if TYPE_CHECKING:
    from gati_client.client import Client
    from gati_client.project.project import Project, Resolved

app = App()
deps = App(help="What the artifact in this folder needs: its gati-<kind>.json.")
app.add_typer(deps, name="deps")

lock = App(help="gati.lock, from and to the locks of other ecosystems.")
app.add_typer(lock, name="lock")

Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Such as @acme/mail, or @acme/mail@^1.2.")]
Some = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Which ones; all, if absent.")]
Dev = Annotated[bool, typer.Option("--dev", help="Only for who works on the project.")]
Strategy = Literal["highest", "lowest", "newest", "most-downloaded", "locked-first", "manual"]
_COLUMNS = ("name", "version", "digest")


@app.command()
async def add(names: Names, dev: Dev = False) -> None:
    """Ask for artifacts: into gati.json, gati.lock and gati_modules."""
    project = _project()
    _warn(await project.add(names, dev=dev, namespace=_namespace()))
    await _install(project)


@app.command()
async def remove(names: Names) -> None:
    """Ask for artifacts no more."""
    project = _project()
    await project.remove(names, namespace=_namespace())
    await _install(project)


@app.command()
async def install(
    names: Some = None,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Only from a gati.lock that fits; nothing is written.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Only from the cache.")] = False,
    production: Annotated[bool, typer.Option("--production", help="Without what is for development.")] = False,
    dev: Dev = False,
) -> None:
    """Install what gati.lock says; with names, ask for them first."""
    project = _project(begun=not names)
    if names:
        if frozen or offline:
            raise Usage("a new name has to be asked for", remedy="leave out --frozen and --offline")
        _warn(await project.add(names, dev=dev, namespace=_namespace()))
    await _install(project, frozen=frozen, offline=offline, dev=not production)


@app.command()
async def update(names: Some = None) -> None:
    """Take the newest versions that gati.json allows."""
    project = _project(begun=True)
    _warn(await project.update(names or (), namespace=_namespace()))
    await _install(project)


@app.command()
async def outdated() -> int:
    """What has a newer version: within what gati.json allows, and beyond."""
    from gati_client.project.project import outdated as find

    rows = await find(_project(begun=True), connect_locked)
    emit(rows, ("name", "current", "wanted", "latest"), none="everything is the newest there is")
    return 1 if rows else 0


@app.command()
async def resolve(
    names: Some = None,
    strategy: Annotated[Strategy, typer.Option(help="Which versions to prefer.")] = "highest",
) -> None:
    """What names, or gati.json, would come to; nothing is written."""
    from gati_client.project.manifest import Application

    project = _project(begun=not names)
    application = Application({"dependencies": {name: text or "*" for name, text in _wished(names)}}) if names else None
    found = await project.resolve(application, strategy=strategy, keep=strategy == "locked-first")
    _warn(found)
    emit(found.packages, ("name", "version", "kind", "state", "wanted_by"), wide=("digest", "gati"))


@app.command()
def tree() -> None:
    """What is locked, as a tree."""
    from gati_client.project import lock as locks
    from gati_client.project.tree import walk

    nodes = list(walk(locks.load(_project().folder)))
    if current().output in ("json", "yaml"):
        emit(nodes)
        return
    for node in nodes:
        marks = (" (dev)" if node.dev and not node.depth else "") + (" (see above)" if node.again else "")
        write(f"{'   ' * node.depth}{'└─ ' if node.depth else ''}{node.key}{marks}")


@app.command()
def why(name: Annotated[str, typer.Argument(help="Which artifact.")]) -> None:
    """Who wants an artifact."""
    from gati_client.project import lock as locks
    from gati_client.project.tree import why as paths

    found = paths(locks.load(_project().folder), _wished([name])[0][0])
    emit([" → ".join(path) for path in found] if current().output in ("table", "wide") else found)


@app.command()
async def audit(
    fix: Annotated[bool, typer.Option("--fix", help="Leave the versions that advisories are about.")] = False,
) -> int:
    """Advisories against what is locked."""
    project = _project()
    found = await project.audit()
    if found and fix:
        await project.fix()
        await _install(project, quiet=True)
        found = await project.audit()
    emit(found, ("key", "id", "severity", "summary", "fixed"), none="")
    if not found:
        say("no advisory is about anything in gati.lock")
    return 1 if found else 0


@app.command()
async def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="NAME@VERSION.")],
    after: Annotated[str, typer.Argument(metavar="B", help="NAME@VERSION, a version of A, or a folder.")],
    patch: Annotated[bool, typer.Option("--patch", help="Also the lines that differ.")] = False,
) -> None:
    """What changed between two versions of an artifact."""
    from gati_client import diff as diffs

    with tempfile.TemporaryDirectory(prefix="gati-diff-") as name:
        old = await _unpacked(before, Path(name) / "a")
        new = await _laid(Path(after), Path(name) / "b") if Path(after).is_dir() else None
        if new is None:
            same = before.rpartition("@")[0] if before.rfind("@") > 0 else before.rpartition(":")[0]
            whole = "/" in after or after.rfind("@") > 0 or not same
            new = await _unpacked(after if whole else f"{same}@{after}", Path(name) / "b")
        found = diffs.compare(old, new)
        if patch:
            if current().output in ("json", "yaml"):
                raise Usage("--patch writes a patch", remedy="leave it out, or --output")
            lines = diffs.patch(old, new, found)
            sys.stdout.writelines(map(_visible, lines) if sys.stdout.isatty() else lines)
        else:
            emit(found, ("change", "path", "before", "after"), none="no file differs")


def _visible(line: str) -> str:
    """A line of a stranger's file as a terminal may have it: control characters are written out."""
    return "".join(each if each.isprintable() or each in "\t\n" else ascii(each)[1:-1] for each in line)


async def _unpacked(text: str, folder: Path) -> Path:
    from gati_client.cache import Cache
    from gati_client.project.install import take

    async with reaching(text) as (client, target):
        return await take(client, target.repository, target.reference or "latest", folder, Cache())


async def _laid(source: Path, folder: Path) -> Path:
    """A folder as it would be after it was published and installed."""
    from gati_client.pack.archive import listed
    from gati_client.pack.extract import Unpacking

    folder.mkdir()
    unpacking = Unpacking(folder)
    for file in listed(source):
        unpacking.file(file.name, file.path)
        (folder / file.name).chmod(0o755 if file.executable else 0o644)
    return folder


# --- lock -----------------------------------------------------------------------------------------------------------


@lock.command("import")
async def lock_import(file: Annotated[Path, typer.Argument(help="spec-lock.yaml or mlld.lock.json.")]) -> None:
    """Ask for what the lock of another ecosystem holds, and install it."""
    from gati_client.project import foreign

    project = _project()
    _warn(await project.adopt(foreign.read(file)))
    await _install(project)


@lock.command("export")
def lock_export(
    form: Annotated[Literal["spec", "mlld"], typer.Argument(help="spec-lock.yaml or mlld.lock.json.")],
) -> None:
    """Write gati.lock in another ecosystem's form, to standard output."""
    from gati_client.project import foreign
    from gati_client.project import lock as locks

    sys.stdout.write(foreign.write(locks.load(_project().folder), form))


# --- deps -----------------------------------------------------------------------------------------------------------


@deps.command("add")
def deps_add(names: Names) -> None:
    """Let the artifact in this folder need others: NAME@RANGE."""
    from gati_client.project import ranges

    wished = _wished(names)
    for name, text in wished:
        if not ranges.understood(text):
            raise Usage(f"{name}: {text!r} is neither a range nor a channel", remedy="write ^1.2, ~1.2.3 or stable")
    _change(lambda entries: entries.update({name: text or "*" for name, text in wished}))


@deps.command("remove")
def deps_remove(names: Names) -> None:
    """Let it need them no more."""

    def change(entries: dict[str, Any]) -> None:
        for name, _ in _wished(names):
            if entries.pop(name, None) is None:
                raise NotFound(f"{name} is not among what it needs", remedy="gati deps list shows that")

    _change(change)


@deps.command("list")
def deps_list() -> None:
    """What it needs."""
    from gati_client.project import files
    from gati_client.publish import manifest_of

    entries = _needs(files.load(manifest_of(Path(), current().kind)[1], Usage))
    emit([{"name": name, "range": text} for name, text in sorted(entries.items())], ("name", "range"))


def _change(change: Any) -> None:
    from gati_client.project import files
    from gati_client.publish import manifest_of

    _, path = manifest_of(Path(), current().kind)
    if path.suffix != ".json":
        raise Usage(f"{path.name} is yours to write", remedy="write its dependencies there")
    document = files.read(path, Usage)
    entries = _needs(document)
    change(entries)
    ordered = dict(sorted(entries.items()))
    entries.clear()
    entries.update(ordered)
    files.write(path, document)
    emit([{"name": name, "range": text} for name, text in ordered.items()], ("name", "range"))


def _needs(document: dict[str, Any]) -> dict[str, Any]:
    """The dependencies of a manifest: those of gati-module.json stand in its section `gati`."""
    section = document.get("gati")
    place = section if isinstance(section, dict) else document
    entries = place.setdefault("dependencies", {})
    if not isinstance(entries, dict):
        raise Usage("dependencies must be an object of ranges by name")
    return entries


# --- inside ---------------------------------------------------------------------------------------------------------


def connect_locked(registry: str) -> Client:
    """A client by a lock's URL. A lock may come from anybody, so what it names was not `typed`."""
    return connect_named(registry, typed=False)


def _project(*, begun: bool = False) -> Project:
    """The project that one stands in.

    Raises:
        NotFound: `begun`, and nothing has been asked for here yet.
    """
    from gati_client.project.project import Project, find

    folder = find(Path())
    if begun and not (folder / "gati.json").is_file():
        raise NotFound(f"there is no gati.json in {folder}", remedy="gati add NAME makes one")
    return Project(folder, connect_locked)


def _namespace() -> str | None:
    return current().namespace or configuration().namespace


def _wished(names: Sequence[str]) -> list[tuple[str, str]]:
    from gati_client.project.project import wish

    return [wish(name, _namespace()) for name in names]


def _warn(found: Resolved) -> None:
    for text in found.warnings:
        say(text)


async def _install(project: Project, *, frozen: bool = False, offline: bool = False, dev: bool = True,
                   quiet: bool = False) -> None:  # fmt: skip
    with progress() as report:
        done = await project.install(
            frozen=frozen, offline=offline, dev=dev, force=current().force, ask=_approve, progress=report
        )
    for text in done.warnings:
        say(text)
    if not quiet:
        emit(done.packages, _COLUMNS, wide=("path", "fresh"), none="gati.json asks for nothing")
    for name in done.removed:
        say(f"{name} is gone")


def _approve(keys: Sequence[str]) -> bool:
    if current().yes:
        return True
    if not sys.stdin.isatty():
        return False
    for key in keys:
        say(f"new: {key}")
    with asking():
        return typer.confirm(f"Install {len(keys)} that nobody approved yet?", err=True)
