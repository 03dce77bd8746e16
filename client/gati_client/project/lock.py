"""`gati.lock`: every package with its version, digest, integrity and source. Sorted, a line for each fact, so that
branches merge and a reader sees what changed.

    {"version": 1, "root": {…as in gati.json},
     "packages": {"orgs/acme/x@1.2.3": {"registry", "kind", "digest", "integrity", "dependencies", "approved_at"?}}}

A lock is read as something that somebody may have tampered with: what does not hold together is an `Integrity` error.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gati_client.errors import Conflict, Integrity, NotFound, Usage
from gati_client.project import files, ranges
from gati_client.project.manifest import Application

FILE = "gati.lock"
MAX_PACKAGES = 20_000
# Source: distribution-spec, "Pulling manifests".
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_LENGTHS = {"sha256": 32, "sha512": 64}
_REMEDY = "compare it with what is committed; rm gati.lock and gati install make a new one"


@dataclass(frozen=True, slots=True)
class Package:
    """A locked package. `dependencies` are versions by name; `registry` is where it comes from."""

    digest: str
    registry: str = ""
    kind: str = ""
    dependencies: Mapping[str, str] = field(default_factory=dict)
    approved_at: str | None = None

    @property
    def integrity(self) -> str:
        """The digest as W3C's Subresource Integrity writes it."""
        algorithm, _, text = self.digest.partition(":")
        return f"{algorithm}-{base64.b64encode(bytes.fromhex(text)).decode()}"

    def document(self) -> dict[str, Any]:
        """As it is written."""
        out: dict[str, Any] = {
            "registry": self.registry, "kind": self.kind, "digest": self.digest, "integrity": self.integrity,
            "dependencies": dict(sorted(self.dependencies.items())),
        }  # fmt: skip
        return out | ({"approved_at": self.approved_at} if self.approved_at else {})


@dataclass(frozen=True, slots=True)
class Lock:
    """What an application's wishes came to. Packages by `name@version`."""

    root: Mapping[str, Any] = field(default_factory=dict)
    packages: Mapping[str, Package] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As it is written: sorted."""
        packages = {name: package.document() for name, package in sorted(self.packages.items())}
        return {"version": 1, "root": dict(self.root), "packages": packages}

    def fits(self, application: Application) -> bool:
        """Whether it was made for what the application asks for now."""
        wanted = application.root
        return all(self.root.get(key, {}) == wanted.get(key, {}) for key in ("dependencies", "devDependencies"))

    def named(self, name: str) -> str | None:
        """The `name@version` of a package, by the name under which somebody wants it."""
        return self._by_name().get(name)

    def _by_name(self) -> dict[str, str]:
        out = {key.rpartition("@")[0]: key for key in self.packages}
        # What a short name means only the registry knew: `a/x` is an organization's or a user's, `x` the user's own
        # or the library's.
        for root in ("orgs/", "users/", "library/"):
            for name, key in list(out.items()):
                if name.startswith(root):
                    out.setdefault(name[len(root) :], key)
                    if root == "users/":
                        out.setdefault(name.rpartition("/")[2], key)
        return out

    def approved(self, names: set[str], now: str) -> Lock:
        """With these packages approved."""
        packages = {
            name: dataclasses.replace(package, approved_at=now) if name in names else package
            for name, package in self.packages.items()
        }
        return Lock(self.root, packages)

    def needed(self, *, dev: bool = True) -> dict[str, Package]:
        """What has to be installed: what the root wants and all that this needs."""
        by_name, out = self._by_name(), dict[str, Package]()
        wanted = [*self.root.get("dependencies", {}), *(self.root.get("devDependencies", {}) if dev else ())]
        queue = [key for name in wanted if (key := by_name.get(repository(name))) is not None]
        while queue:
            key = queue.pop()
            if key not in out:
                out[key] = self.packages[key]
                queue += [f"{name}@{version}" for name, version in self.packages[key].dependencies.items()]
        return dict(sorted(out.items()))


def repository(name: str) -> str:
    """The repository that a name in gati.json means; those that gati writes are repositories already."""
    from gati_client.names import Name

    parsed = Name.parse(name).repository
    # A bare name stays one: whose it is, the lock tells.
    return name if "/" not in name and parsed == f"library/{name}" else parsed


def load(folder: Path) -> Lock:
    """The lock of a folder, checked.

    Raises:
        NotFound: there is none.
        Integrity: it does not hold together.
    """
    try:
        return parse(files.read(folder / FILE, Integrity))
    except NotFound:
        raise NotFound(f"there is no {FILE} in {folder}", remedy="gati install makes one") from None


def save(folder: Path, lock: Lock) -> bool:
    """Write it, if that changes anything; whether it did."""
    try:
        if files.read(folder / FILE, Integrity) == lock.document():
            return False
    except (NotFound, Integrity):
        pass
    files.write(folder / FILE, lock.document())
    return True


def parse(document: Mapping[str, Any]) -> Lock:
    """A lock from its document.

    Raises:
        Integrity: a digest and an integrity differ, a dependency is missing, there are packages that nobody wants,
            or anything is not written as gati writes it.
    """
    version = document.get("version")
    if isinstance(version, int) and version > 1:
        raise Integrity(f"{FILE} is of version {version}; this gati reads version 1", remedy="use a newer gati")
    if version != 1:
        raise _bad(f"its version is {version!r}; this gati reads version 1")
    root, entries = document.get("root", {}), document.get("packages", {})
    if not isinstance(root, dict) or not isinstance(entries, dict):
        raise _bad("root and packages must be objects")
    for key in ("dependencies", "devDependencies"):
        _texts(root.get(key, {}), f"root.{key}")
    if len(entries) > MAX_PACKAGES:
        raise _bad(f"it holds more than {MAX_PACKAGES} packages")
    lock = Lock(root, {name: _package(name, entry) for name, entry in entries.items()})
    _consistent(lock)
    return lock


def _package(name: str, entry: Any) -> Package:
    repository, _, version = name.rpartition("@")
    if len(repository) > 255 or not _REPOSITORY.fullmatch(repository) or not version:
        raise _bad(f"{name[:100]!r} is not written repository@version")
    if not isinstance(entry, dict) or not isinstance(entry.get("digest"), str):
        raise _bad(f"{name} has no digest")
    digest, integrity = entry["digest"], entry.get("integrity")
    algorithm, _, text = digest.partition(":")
    if algorithm not in _LENGTHS or not re.fullmatch(rf"[0-9a-f]{{{2 * _LENGTHS[algorithm]}}}", text):
        raise _bad(f"{name}: {digest[:100]!r} is no digest")
    texts = _texts({key: entry.get(key, "") for key in ("registry", "kind")}, name)
    approved = entry.get("approved_at")
    if approved is not None and not isinstance(approved, str):
        raise _bad(f"{name}: approved_at must be a time")
    package = Package(
        digest, texts["registry"], texts["kind"], _texts(entry.get("dependencies", {}), name), approved
    )  # fmt: skip
    if integrity != package.integrity and not _same(integrity, package.integrity):
        raise _bad(f"{name}: its integrity and its digest differ")
    return package


def _same(integrity: Any, own: str) -> bool:
    """As bytes: padding may differ."""
    algorithm, _, text = own.partition("-")
    if not isinstance(integrity, str) or not integrity.startswith(f"{algorithm}-"):
        return False
    try:
        given = base64.b64decode(integrity[len(algorithm) + 1 :] + "==")
    except (binascii.Error, ValueError):
        return False
    return given == base64.b64decode(text)


def _texts(entries: Any, where: str) -> dict[str, str]:
    if not isinstance(entries, dict) or not all(isinstance(text, str) for text in entries.values()):
        raise _bad(f"{where} must be an object of texts")
    return entries


def _consistent(lock: Lock) -> None:
    names: dict[str, str] = {}
    for key, package in lock.packages.items():
        name = key.rpartition("@")[0]
        if name in names:
            raise _bad(f"it holds {names[name]} and {key}; one version of each is installed")
        names[name] = key
        for wanted, version in package.dependencies.items():
            if f"{wanted}@{version}" not in lock.packages:
                raise _bad(f"{key} needs {wanted}@{version}, which is not in it")
    for key in ("dependencies", "devDependencies"):
        for name, text in lock.root.get(key, {}).items():
            try:
                found = lock.named(repository(name))
            except Usage as error:
                raise _bad(str(error)) from None
            if found is None:
                raise _bad(f"{name} is wanted and not in it")
            if ranges.admits(text, found.rpartition("@")[2]) is False:
                raise _bad(f"{found} is not what {name} {text} asks for")
    needed = lock.needed()
    if len(needed) < len(lock.packages):
        more = next(key for key in lock.packages if key not in needed)
        raise _bad(f"nobody wants {more}, which is in it")


def _bad(why: str) -> Integrity:
    return Integrity(f"{FILE} is refused: {why}"[:500], remedy=_REMEDY)


def nested(lock: Lock) -> None:
    """See that no package would have to lie inside another one.

    Raises:
        Conflict: one would.
    """
    names = {key.rpartition("@")[0] for key in lock.packages}
    for name in names:
        parts = name.split("/")
        for end in range(1, len(parts)):
            if (outer := "/".join(parts[:end])) in names:
                raise Conflict(f"{name} cannot be installed beside {outer}: its folder would lie inside the other's")
