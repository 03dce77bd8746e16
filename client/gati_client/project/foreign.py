"""Locks of other ecosystems: `spec-lock.yaml` (specifications) and `mlld.lock.json` (mlld modules), in and out.

    spec-lock.yaml                                  mlld.lock.json
    lockfileVersion: 1                              {"version": "1.0.0", "imports": {
    packages:                                         "mlld://alice/json-utils": {
      payments/protocol:                                "resolved": "mlld://gist/alice/<gist>",
        version: 1.2.3                                  "gistRevision": "<revision>",
        integrity: sha256-…                             "integrity": "sha256:<hex>",
        resolved: http://…/v2/…@sha256:…                "approvedAt": "2024-05-28T10:00:00Z"}}}
        dependencies: {crypto/algorithms: 2.1.0}

Importing gives wishes, which a registry then resolves: versions of specifications as they are locked; of mlld's
modules the digest where gati wrote the lock, else the version that is the same gist at the same revision, else the
newest. What was approved stays so where it is the same content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gati_client.errors import GatiError, Usage
from gati_client.names import Name, is_digest
from gati_client.project import files
from gati_client.project.gists import Gist
from gati_client.project.lock import Lock, Package

Form = Literal["spec", "mlld"]
SPEC, MLLD = "spec-lock.yaml", "mlld.lock.json"
_MOST = 8 * 1024**2


@dataclass(frozen=True, slots=True)
class Imported:
    """What a foreign lock asks for: ranges by repository; and what was approved there, by repository: when, and the
    digest of what was. `gists` are what was locked of mlld's modules, by repository."""

    wishes: Mapping[str, str]
    approved: Mapping[str, tuple[str, str]]
    gists: Mapping[str, Gist] = field(default_factory=dict)


def form_of(path: Path) -> Form:
    """By its name.

    Raises:
        Usage: it is neither.
    """
    if path.name.endswith((".yaml", ".yml")):
        return "spec"
    if path.name.endswith(".json"):
        return "mlld"
    raise Usage(f"{path.name} is neither {SPEC} nor {MLLD}")


def read(path: Path) -> Imported:
    """What a foreign lock asks for.

    Raises:
        Usage: it is none.
    """
    return _read_spec(path) if form_of(path) == "spec" else _read_mlld(path)


def write(lock: Lock, form: Form) -> str:
    """The lock in a foreign form. What that has no place for is left out.

    Raises:
        Usage: nothing in it is of that ecosystem.
    """
    return _write_spec(lock) if form == "spec" else _write_mlld(lock)


def _read_spec(path: Path) -> Imported:
    try:
        document = files.read_yaml(path, Usage, _MOST)
    except OSError as error:
        raise Usage(f"{path.name} cannot be read: {error.strerror}") from None
    packages = document.get("packages", document.get("dependencies")) if isinstance(document, dict) else None
    if not isinstance(packages, dict):
        raise Usage(f"{path.name} holds no packages")
    wishes = {}
    for name, entry in packages.items():
        version = entry.get("version") if isinstance(entry, dict) else entry
        if not isinstance(name, str) or not isinstance(version, str):
            raise Usage(f"{path.name}: {str(name)[:100]} has no version")
        wishes[_repository(name.rpartition("@")[0] if "@" in name[1:] else name)] = version
    return Imported(wishes, {})


def _read_mlld(path: Path) -> Imported:
    imports = files.read(path, Usage).get("imports")
    if not isinstance(imports, dict):
        raise Usage(f"{path.name} holds no imports")
    wishes, approved, gists = dict[str, str](), dict[str, tuple[str, str]](), dict[str, Gist]()
    for name, entry in imports.items():
        if not isinstance(entry, dict):
            raise Usage(f"{path.name}: {name[:100]} is not written as mlld writes it")
        repository = _repository(name)
        when, integrity = entry.get("approvedAt"), entry.get("integrity")
        wishes[repository] = "*"
        if (gist := Gist.parse(entry.get("resolved"), entry.get("gistRevision"))) is not None:
            gists[repository] = gist
        if isinstance(integrity, str) and is_digest(integrity):
            if str(entry.get("resolved")).endswith(integrity):  # gati wrote it
                wishes[repository] = integrity
            if isinstance(when, str):
                approved[repository] = (when, integrity)
    return Imported(wishes, approved, gists)


def _repository(name: str) -> str:
    try:
        return Name.parse(name).repository
    except GatiError as error:
        raise Usage(f"{name[:100]!r} is no name that a registry has: {error}"[:300]) from None


def _write_spec(lock: Lock) -> str:
    import yaml

    packages = {}
    for key, package in sorted(lock.packages.items()):
        name, _, version = key.rpartition("@")
        entry: dict[str, Any] = {
            "version": version,
            "resolved": _resolved(name, package),
            "integrity": package.integrity,
        }
        if package.dependencies:
            entry["dependencies"] = dict(sorted(package.dependencies.items()))
        packages[name] = entry
    text: str = yaml.safe_dump({"lockfileVersion": 1, "packages": packages}, sort_keys=False, allow_unicode=True)
    return text


def _resolved(name: str, package: Package) -> str:
    return f"{package.registry}/v2/{name}/manifests/{package.digest}"


def _write_mlld(lock: Lock) -> str:
    imports = {}
    for key, package in sorted(lock.packages.items()):
        name = key.rpartition("@")[0]
        if not name.startswith("users/"):
            continue  # mlld knows users alone
        entry = {"resolved": _resolved(name, package), "gistRevision": package.digest.partition(":")[2],
                 "integrity": package.digest}  # fmt: skip
        imports[f"mlld://{name.removeprefix('users/')}"] = entry | (
            {"approvedAt": package.approved_at} if package.approved_at else {}
        )
    if not imports:
        raise Usage("nothing in gati.lock is a user's module, which is all that mlld imports")
    return json.dumps({"version": "1.0.0", "imports": imports}, indent=2, ensure_ascii=False) + "\n"
