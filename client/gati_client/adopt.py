"""Packages of npm and repositories of git, made into folders that can be published: `gati import --from`.

Both come by their own programs, with the registries, proxies and credentials that those are set up with, but nothing
of what comes is run: no scripts, no hooks. What they depend on is no artifact of a Gati registry: it is not taken over.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gati_client.errors import Conflict, GatiError, Network, NotFound, Usage, printable
from gati_client.pack.archive import listed
from gati_client.pack.extract import Unpacking, extract
from gati_client.project import files
from gati_client.project.gists import Gist
from gati_client.project.ranges import Version

TIMEOUT = 600
"""Seconds that npm or git may take."""
# Packages of a registry alone: npm also takes URLs, folders and repositories, and would build those.
_NPM = re.compile(r"(?P<name>(?:@[a-z0-9~][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]*)(?:@[A-Za-z0-9^~<>=|. *+-]{1,100})?")
_URL = re.compile(r"(?:https?|ssh|git|file)://[^\s]+|[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^\s]+|/[^\s]*|\.{1,2}/[^\s]*")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,200}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_FRAMEWORKS = {".tla": "tlaplus", ".als": "alloy", ".alloy": "alloy", ".scxml": "scxml", ".zed": "z"}
_COPIED = ("description", "author", "license", "keywords", "homepage", "repository")


def from_npm(package: str, target: Path, *, kind: str = "module") -> Path:
    """The folder `target` with a package of npm's registry, and its manifest; the manifest's path.

    Raises:
        Usage: that is no name of such a package, or npm is not installed.
        NotFound: there is no such package.
        Network: npm could not fetch it.
        Conflict: the folder is there.
        Integrity: the package is refused.
    """
    found = _NPM.fullmatch(package)
    if found is None:
        raise Usage(f"{package[:100]!r} is no package of npm's registry", remedy="write NAME or NAME@VERSION")
    _free(target)
    with tempfile.TemporaryDirectory(prefix=".gati-import-", dir=target.parent) as name:
        scratch = Path(name)
        _run(["npm", "pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", name, "--", package])
        archives = [path for path in scratch.iterdir() if path.suffix == ".tgz"]
        if len(archives) != 1:
            raise GatiError(f"npm gave no package for {package}")
        extract(archives[0], scratch / "unpacked")
        roots = [path for path in (scratch / "unpacked").iterdir() if path.is_dir()]
        if len(roots) != 1:  # `package` by convention, not by rule
            raise GatiError(f"{package} is not laid out as npm's packages are")
        _manifest(roots[0], kind, found["name"], None)
        roots[0].rename(target)
    return target / f"gati-{kind}.json"


def from_git(url: str, target: Path, *, kind: str = "module", reference: str | None = None) -> Path:
    """The folder `target` with what a repository of git holds, without its history, and its manifest.

    Args:
        url: of the repository; `mlld://gist/USER/ID` is a gist.
        reference: a branch, a tag, or a commit by its full hash, which is a gist's revision.

    Raises:
        Usage: that is no address or reference, git is not installed, or what it holds cannot be published.
        Network: git could not fetch it.
        Conflict: the folder is there.
    """
    if url.startswith("mlld://"):
        if (gist := Gist.parse(url)) is None:
            raise Usage(f"{url[:200]!r} is no gist", remedy="write mlld://gist/USER/ and the full id of the gist")
        url = gist.url
    if _URL.fullmatch(url) is None or (reference is not None and _REF.fullmatch(reference) is None):
        raise Usage(f"{url[:200]!r} is no repository of git", remedy="write https://HOST/PATH.git")
    _free(target)
    with tempfile.TemporaryDirectory(prefix=".gati-import-", dir=target.parent) as name:
        clone = Path(name) / "clone"
        _clone(url, reference, clone)
        laid = Path(name) / "laid"
        laid.mkdir()
        unpacking = Unpacking(laid)
        for file in listed(clone):
            unpacking.file(file.name, file.path)
            (laid / file.name).chmod(0o755 if file.executable else 0o644)
        stem = url.rstrip("/").rpartition("/")[2].rpartition(":")[2].removesuffix(".git")
        _manifest(laid, kind, stem.lower(), reference)
        laid.rename(target)
    return target / f"gati-{kind}.json"


def _clone(url: str, reference: str | None, target: Path) -> None:
    git = ["git", "-c", "core.hooksPath=/dev/null"]
    if reference is None or _COMMIT.fullmatch(reference) is None:
        branch = ["--branch", reference] if reference else []
        _run([*git, "clone", "--quiet", "--depth", "1", "--no-tags", "--template=", *branch, "--", url, str(target)])
        return
    # A clone takes branches and tags alone.
    _run([*git, "init", "--quiet", "--template=", "--", str(target)])
    there = [*git, "-C", str(target)]
    _run([*there, "fetch", "--quiet", "--depth", "1", "--no-tags", "--", url, reference])
    _run([*there, "checkout", "--quiet", "--detach", reference])


def _free(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise Conflict(f"{target} is there already", remedy="name a folder that is not there yet")
    target.parent.mkdir(parents=True, exist_ok=True)


def _run(command: Sequence[str]) -> None:
    program = shutil.which(command[0])
    if program is None:
        raise Usage(f"{command[0]} is not installed", remedy=f"install {command[0]}, which fetches it")
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file",
                   "npm_config_update_notifier": "false"}  # fmt: skip
    try:
        run = subprocess.run([program, *command[1:]], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                             text=True, errors="replace", timeout=TIMEOUT)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Network(f"{command[0]} did not come to an end within {TIMEOUT} seconds") from None
    if run.returncode:
        said = run.stderr.strip() or run.stdout.strip() or f"exit code {run.returncode}"
        if command[0] == "npm":
            said = _of_npm(said)
        kind = NotFound if said.startswith("E404") else Network
        raise kind(f"{command[0]}: {printable(said)[:500]}")


def _of_npm(said: str) -> str:
    """Code and reason of what npm says at length, each line behind `npm error` (before version 10, `npm ERR!`)."""
    lines = [line.partition(" ")[2].partition(" ")[2].strip() for line in said.splitlines() if line.startswith("npm ")]
    code = next((line[5:] for line in lines if line.startswith("code ")), "")
    reason = next((line for line in lines if line and not line.startswith(("code ", "syscall ", "errno "))), said)
    return f"{code}: {reason}" if code else reason


def _manifest(folder: Path, kind: str, name: str, reference: str | None) -> None:
    """Write the manifest of a folder that has none yet, from what it says of itself."""
    path = folder / f"gati-{kind}.json"
    if path.exists():
        return
    found = _said(folder)
    version = found.get("version")
    if not isinstance(version, str) or Version.parse(version) is None:
        version = (reference or "").removeprefix("v")
        version = version if Version.parse(version) is not None else "0.1.0"
    said = found.get("name")
    document: dict[str, Any] = {"name": said if isinstance(said, str) and said else name, "version": version}
    document |= {key: found[key] for key in _COPIED if found.get(key)}
    if kind == "module":
        document["gati"] = {"type": "module", "dependencies": {}}
    elif kind == "spec":
        document |= _spec(folder, found)
    files.write(path, document)


def _said(folder: Path) -> dict[str, Any]:
    """What spec.yaml or package.json says."""
    for name in ("spec.yaml", "spec.yml"):
        if (folder / name).is_file():
            found = files.read_yaml(folder / name, Usage)
            if isinstance(found, dict):
                plain: dict[str, Any] = json.loads(json.dumps(found, default=str))
                return plain
    path = folder / "package.json"
    return files.read(path, Usage) if path.is_file() else {}


def _spec(folder: Path, found: dict[str, Any]) -> dict[str, Any]:
    """What a specification's manifest needs besides (002): its framework and its main file."""
    keys = ("framework", "specifications", "tests", "tools", "documentation", "dependencies", "devDependencies")
    document = {key: found[key] for key in keys if found.get(key)}
    if (folder / "package.json").is_file() and not any((folder / name).is_file() for name in ("spec.yaml", "spec.yml")):
        document.pop("dependencies", None)  # npm's
        document.pop("devDependencies", None)
    if "framework" in document and "specifications" in document:
        return document
    for file in listed(folder):
        suffix = Path(file.name).suffix.lower()
        framework = _FRAMEWORKS.get(suffix)
        if Path(file.name).stem.lower() in ("openapi", "swagger"):
            framework = "openapi"
        if framework is not None:
            return {"framework": framework, "specifications": {"main": file.name}, **document}
    raise Usage("no specification is found in it", remedy="it may be of another kind: see --kind")
