"""From a template and answers to the files of a project.

What is rendered lies in the template's folder `template/`, or, where there is none, in the template itself. Names are
templates too; one that comes out with an empty part is left out. Every text is rendered, and a name's ending `.jinja`
or `.j2` goes; what `verbatim` in the manifest names (`*.svg`, `.github/*`) and what is not UTF-8 is copied.
"""

from __future__ import annotations

import fnmatch
import json
import os
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gati_client.errors import Conflict, GatiError, Integrity, NotFound
from gati_client.names import Name
from gati_client.pack.names import BadName, Collisions, checked
from gati_client.project import files as json_files
from gati_client.templates.sandbox import Limits, Sandbox, Source
from gati_client.templates.variables import Description, plain

RECORD = ".gati/template.json"
"""What a project keeps of its template and of the answers, secrets apart."""

MANIFEST = "gati-template.json"
_BASE = "template"
_SUFFIXES = (".jinja", ".j2")
# A template that could write there would have its commands run without anybody's consent.
_KEPT_OUT = (".git", "git~1", ".gati", ".hg", ".svn")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a template came from, as the record names it."""

    registry: str
    repository: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Template:
    """A template on this machine; `origin` is None of one that came from a folder."""

    folder: Path
    description: Description
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file of a project."""

    data: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What is in `.gati/template.json`."""

    origin: Origin | None
    answers: Mapping[str, Any]


def render(template: Template, answers: Mapping[str, Any], sandbox: Sandbox) -> dict[str, File]:
    """The project's files by path, sorted. Nothing is written.

    Raises:
        GatiError: the template is wrong, or wants to write where it may not.
    """
    sources, copied = [], []
    for source, target, found in _found(template):
        data = found.read_bytes()
        verbatim = any(fnmatch.fnmatchcase(source, each) for each in template.description.verbatim)
        sources.append(Source(source, target, None if verbatim else _text(data)))
        copied.append(File(data, os.access(found, os.X_OK)))
    made: dict[str, File] = {}
    collisions = Collisions()
    for (path, text), file in zip(sandbox.render(sources, answers), copied, strict=True):
        if path is None:
            continue
        name = _allowed(path)
        if name in made:
            raise GatiError(f"the template makes {name} twice")
        try:
            collisions.add(name)
        except BadName as error:
            raise GatiError(f"the template is refused: {error}") from None
        made[name] = File(text.encode(), file.executable) if text is not None else file
    for name in made:
        parts = name.split("/")
        if outer := next((o for end in range(1, len(parts)) if (o := "/".join(parts[:end])) in made), None):
            raise GatiError(f"the template makes {outer} a file and a folder")
    if template.description.includes_modules and "gati.json" not in made:
        made["gati.json"] = _application(template.description.includes_modules)
    return dict(sorted(made.items()))


def _found(template: Template) -> list[tuple[str, str, Path]]:
    """Path in the template, template of the path in the project, and the file."""
    base = template.folder / _BASE
    if not base.is_dir() or base.is_symlink():
        base = template.folder
    there: dict[str, Path] = {}
    for folder, folders, names in os.walk(base):
        folders[:] = [each for each in folders if each not in (".git", ".gati")]
        for name in names:
            file = Path(folder) / name
            path = file.relative_to(base).as_posix()
            if file.is_symlink() or not file.is_file():
                raise GatiError(f"the template's {plain(path)} is no plain file, which a template cannot have")
            if path != MANIFEST or base != template.folder:
                there[path] = file
        if len(there) > Limits().files:
            raise GatiError(f"the template has more than {Limits().files} files")
    if not template.description.files:
        return [(path, _stripped(path), file) for path, file in sorted(there.items())]
    found = []
    for entry in template.description.files:
        path = entry if isinstance(entry, str) else entry.get("path", "")
        target = _stripped(path) if isinstance(entry, str) else entry.get("target", _stripped(path))
        if not isinstance(path, str) or not isinstance(target, str) or path not in there:
            raise GatiError(f"the template's `files` names {plain(str(path))!r}, which it does not hold")
        found.append((path, target, there[path]))
    return found


def _stripped(path: str) -> str:
    for suffix in _SUFFIXES:
        if path.endswith(suffix) and len(path.rsplit("/", 1)[-1]) > len(suffix):
            return path.removesuffix(suffix)
    return path


def _text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _allowed(path: str) -> str:
    """The path, if it may be written."""
    try:
        name = checked(path)
    except BadName as error:
        raise GatiError(f"the template is refused: {error}; nothing was written") from None
    if not name or any(_plainly(part) in _KEPT_OUT for part in name.split("/")):
        raise GatiError(f"the template is refused: it wants to write to {name!r}; nothing was written")
    return name


def _plainly(part: str) -> str:
    """A folder's name as the loosest file system reads it: some drop marks that nobody sees, some blanks and dots at
    the end, some take what follows a colon for a stream of the same file."""
    seen = "".join(letter for letter in part if unicodedata.category(letter) != "Cf")
    return seen.partition(":")[0].rstrip(" .").casefold()


def _application(modules: Sequence[str]) -> File:
    """A gati.json with the modules that come along, for `gati install`."""
    wanted = {}
    for text in modules:
        name = Name.parse(text)
        wanted[name.repository] = name.version or "*"
    document = {"dependencies": dict(sorted(wanted.items()))}
    return File((json.dumps(document, indent=2) + "\n").encode())


def check(files: Mapping[str, File], folder: Path, *, force: bool = False) -> None:
    """Whether the files may be written below the folder, which need not be there.

    Raises:
        Conflict: files of those names are there, and not `force`.
        GatiError: a symbolic link there leads out of the folder.
    """
    there = [path for path in files if (folder / path).exists() or (folder / path).is_symlink()]
    if there and not force:
        more = f" and {len(there) - 5} more" if len(there) > 5 else ""
        raise Conflict(
            f"{folder} has {', '.join(there[:5])}{more} already", remedy="take another folder, or --force to replace"
        )
    for path in files:
        inside(folder, path)


def write(files: Mapping[str, File], folder: Path, *, force: bool = False) -> None:
    """Write a project's files. Raises as `check` does; nothing is written then."""
    check(files, folder, force=force)
    for path, file in files.items():
        put(folder / path, file)


def inside(folder: Path, path: str) -> Path:
    """Where a path of a project is.

    Raises:
        GatiError: not in its folder: something on the way is a symbolic link that leads out, or a file.
    """
    root = folder.resolve()
    target = folder / path
    if not target.parent.resolve().is_relative_to(root):
        raise GatiError(f"{path} leads out of {folder} by a symbolic link; nothing was written")
    for parent in target.relative_to(folder).parents:
        if (folder / parent).exists() and not (folder / parent).is_dir():
            raise Conflict(f"{folder / parent} is there and no folder; nothing was written")
    if target.is_dir():
        raise Conflict(f"{target} is there and a folder; nothing was written")
    return target


def put(target: Path, file: File) -> None:
    """Write one file, whole or not at all; a symbolic link of that name is replaced, not followed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".gati-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        scratch.write_bytes(file.data)
        if file.executable:
            scratch.chmod(0o755)
        elif target.is_file():
            scratch.chmod(target.stat().st_mode & 0o777)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


def record(template: Template, answers: Mapping[str, Any]) -> File:
    """The record of a project: its template and its answers; secrets are not among them."""
    hidden = {variable.name for variable in template.description.variables if variable.type == "secret"}
    origin = template.origin
    document = {
        "version": 1,
        "template": None
        if origin is None
        else {
            "registry": origin.registry,
            "repository": origin.repository,
            "version": origin.version,
            "digest": origin.digest,
        },
        "answers": {name: value for name, value in answers.items() if name not in hidden},
    }
    return File((json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def recorded(folder: Path) -> Record:
    """What a project keeps of its template.

    Raises:
        NotFound: it was not made of one.
        Integrity: the record is not what gati writes.
    """
    try:
        document = json_files.read(folder / RECORD, Integrity)
    except NotFound:
        raise NotFound(
            f"{folder} was not made of a template: there is no {RECORD}", remedy="gati init --template NAME"
        ) from None
    origin, answers = document.get("template"), document.get("answers")
    names = ("registry", "repository", "version", "digest")
    if document.get("version") != 1 or not isinstance(answers, dict):
        raise Integrity(f"{RECORD} is not written as gati writes it")
    if origin is None:
        return Record(None, answers)
    if not isinstance(origin, dict) or not all(isinstance(origin.get(name), str) for name in names):
        raise Integrity(f"{RECORD} does not name its template as gati writes it")
    return Record(Origin(*(origin[name] for name in names)), answers)
