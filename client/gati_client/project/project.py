"""A project: a folder with `gati.json`, what is done to it, and how its lock follows.

Only what changes what is asked for (`add`, `remove`, `update`, a `gati.json` that was edited) asks the resolver;
installing goes by the lock alone.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from gati_client.cache import Cache
from gati_client.errors import Conflict, Denied, NotFound, Usage
from gati_client.locks import locked
from gati_client.names import Name
from gati_client.project import gati
from gati_client.project import lock as locks
from gati_client.project import manifest as manifests
from gati_client.project.audit import Affected, audit
from gati_client.project.foreign import Imported
from gati_client.project.gists import Gist, version_of
from gati_client.project.install import Connect, Report, Way, install
from gati_client.project.lock import Lock
from gati_client.project.manifest import Application
from gati_client.project.ranges import Version
from gati_client.transfer import Progress

if TYPE_CHECKING:
    from gati_client.models import ConflictItem, Package

Ask = Callable[[Sequence[str]], bool]
"""Whether these packages (`name@version`), which were never approved, may be installed."""
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a wish comes to: the lock, and what the registry warns of."""

    lock: Lock
    warnings: tuple[str, ...] = ()
    packages: tuple[Package, ...] = ()


def find(start: Path) -> Path:
    """The nearest folder with a gati.json, from `start` up; `start` itself where there is none."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / manifests.FILE).is_file():
            return folder
    return start


def _alone(
    work: Callable[Concatenate[Project, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Project, P], Coroutine[Any, Any, T]]:
    """One process at a time changes a project: what another one adds meanwhile would be lost. The lock lies in the
    cache, so that nothing is left in folders where nothing comes of it."""

    @functools.wraps(work)
    async def changing(self: Project, /, *args: P.args, **kwargs: P.kwargs) -> T:
        name = hashlib.sha256(os.fsencode(self.folder.resolve())).hexdigest()
        async with locked(self.cache.root / "projects" / name):
            return await work(self, *args, **kwargs)

    return changing


class Project:
    """A project in a folder. `connect` gives clients; `registry` is where all comes from (empty: the default)."""

    def __init__(self, folder: Path, connect: Connect, *, cache: Cache | None = None, registry: str = "") -> None:
        self.folder = folder
        self.cache = cache if cache is not None else Cache()
        self._connect = connect
        self._registry = registry

    @property
    def application(self) -> Application:
        """What `gati.json` says; an empty one where there is none.

        Raises:
            Usage: it cannot be understood.
        """
        try:
            return manifests.load(self.folder)
        except NotFound:
            return Application({"name": self.folder.name or "app", "version": "0.1.0", "dependencies": {}})

    @property
    def lock(self) -> Lock | None:
        """What `gati.lock` says; None where there is none.

        Raises:
            Integrity: it does not hold together.
        """
        try:
            return locks.load(self.folder)
        except NotFound:
            return None

    # --- what asks the resolver ---------------------------------------------------------------------------------------

    async def resolve(
        self, application: Application | None = None, *, strategy: str = "locked-first", advisories: str = "warn",
        without: Sequence[str] = (), keep: bool = True,
    ) -> Resolved:  # fmt: skip
        """What an application's wishes come to now; nothing is written.

        Args:
            application: what is asked for; None: what `gati.json` says.
            strategy: as the resolver names them.
            advisories: `refuse` takes no version that an advisory is about.
            without: names whose locked version is given up.
            keep: whether the lock is told to the resolver at all.

        Raises:
            Conflict: the wishes do not fit together; the message says which.
            NotFound: there is nothing by one of the names.
        """
        application = application if application is not None else self.application
        before = self.lock if keep else None
        if before is not None and without:
            dropped = {before.named(locks.repository(name)) for name in without}
            before = Lock(before.root, {key: entry for key, entry in before.packages.items() if key not in dropped})
        body: dict[str, Any] = {
            "requests": dict(application.dependencies), "dev": dict(application.dev_dependencies),
            "strategy": strategy, "advisories": advisories,
        }  # fmt: skip
        if before is not None:
            body["lock"] = before.document()
        from gati_client.models import ResolveRequest  # heavy

        async with self._connect(self._registry) as client:
            answer = await client.resolve.solve(ResolveRequest.model_validate(body))
        if answer.conflicts or answer.lock is None:
            lines = [line for one in answer.conflicts for line in _lines(one)]
            helped = any(line.startswith("help:") for line in lines)
            kind = NotFound if any(one.missing for one in answer.conflicts) else Conflict
            raise kind("; ".join(lines)[:2000], remedy="" if helped else "change a range in gati.json")
        found = locks.parse({**answer.lock.model_dump(mode="json"), "root": application.root})
        return Resolved(_approved(found, before), tuple(answer.warnings), tuple(answer.packages))

    @_alone
    async def add(self, names: Sequence[str], *, dev: bool = False, namespace: str | None = None) -> Resolved:
        """Ask for these artifacts too (`NAME`, `NAME@RANGE`), and lock what that comes to. Of what has no range the
        newest is taken, and what is compatible with it later. What is asked for already gets the new range. Nothing
        is installed yet."""
        application, lock, open_ = self.application, self.lock, []
        wishes = []
        for text in names:
            name, wanted = wish(text, namespace)
            name = _asked(application, lock, name) or name
            wishes.append((name, wanted))
            application = application.with_dependencies({name: wanted or "*"}, dev=dev)
            if not wanted:
                open_.append(name)
        given_up = [name for name, _ in wishes]
        try:
            found = await self.resolve(application, without=given_up)
        except Conflict:
            if not open_:
                raise
            # What has no release yet has perhaps a channel.
            application = application.with_dependencies(dict.fromkeys(open_, "latest"), dev=dev)
            found = await self.resolve(application, without=given_up)
        placed = {}
        for name, wanted in wishes:
            key = found.lock.named(name)
            if key is None:
                continue
            repository, _, version = key.rpartition("@")
            if repository != name:
                application = application.without({name})
            placed[repository] = wanted or f"^{version.partition('+')[0]}"
        application = application.with_dependencies(placed, dev=dev)
        lock = locks.parse({**found.lock.document(), "root": application.root})
        self._save(application, lock)
        return replace(found, lock=lock)

    @_alone
    async def remove(self, names: Sequence[str], *, namespace: str | None = None) -> Resolved:
        """Ask for these no more.

        Raises:
            NotFound: one of them is not asked for.
        """
        application, lock = self.application, self.lock
        for text in names:
            found = _asked(application, lock, wish(text, namespace)[0])
            if found is None:
                raise NotFound(f"{text} is not in gati.json", remedy="gati tree shows what is")
            application = application.without({found})
        left = Lock(application.root, lock.packages if lock is not None else {})
        lock = Lock(application.root, left.needed())  # what is left fits together as it did: nobody has to be asked
        self._save(application, lock)
        return Resolved(lock)

    @_alone
    async def update(self, names: Sequence[str] = (), *, namespace: str | None = None) -> Resolved:
        """Take the newest versions that the ranges allow; of these names alone, or of all."""
        application = self.application
        wanted = [wish(text, namespace)[0] for text in names]
        lock = self.lock
        for name in wanted:
            if lock is None or lock.named(name) is None:
                raise NotFound(f"{name} is not in gati.lock", remedy="gati add NAME asks for it")
        found = await self.resolve(application, without=wanted) if wanted else await self.resolve(
            application, strategy="highest"
        )  # fmt: skip
        self._save(application, found.lock)
        return found

    @_alone
    async def adopt(self, imported: Imported) -> Resolved:
        """Ask for what the lock of another ecosystem holds: mlld's gists at their revisions, where a version here is
        that; a warning says where none is."""
        pinned, unknown = await self._pinned(imported.gists)
        application = self.application.with_dependencies({**imported.wishes, **pinned})
        found = await self.resolve(application)
        packages = dict(found.lock.packages)
        for name, (when, digest) in imported.approved.items():
            key = found.lock.named(name)
            if key is not None and packages[key].digest == digest:
                packages[key] = replace(packages[key], approved_at=when)
        found = replace(found, lock=Lock(found.lock.root, packages), warnings=(*found.warnings, *unknown))
        self._save(application, found.lock)
        return found

    async def _pinned(self, gists: Mapping[str, Gist]) -> tuple[dict[str, str], list[str]]:
        """Digests by repository, and words about gists that no version here is."""
        pinned, unknown = dict[str, str](), list[str]()
        if gists:
            async with self._connect(self._registry) as client:
                for repository, gist in gists.items():
                    digest = await version_of(client, repository, gist)
                    if digest is not None:
                        pinned[repository] = digest
                    else:
                        unknown.append(f"no version of {repository} here is {gist}: the newest is taken")
        return pinned, unknown

    @_alone
    async def fix(self) -> Resolved:
        """Leave versions that advisories are about, and as little else as possible."""
        application = self.application
        found = await self.resolve(application, advisories="refuse")
        self._save(application, found.lock)
        return found

    async def audit(self) -> list[Affected]:
        """What is known against what the lock holds.

        Raises:
            NotFound: there is no lock.
        """
        lock = locks.load(self.folder)
        async with self._connect(self._registry) as client:
            return await audit(client, lock)

    # --- what does not ------------------------------------------------------------------------------------------------

    @_alone
    async def install(
        self, *, frozen: bool = False, offline: bool = False, dev: bool = True, force: bool = False,
        ask: Ask | None = None, progress: Progress | None = None,
    ) -> Report:  # fmt: skip
        """Bring `gati_modules` to what the lock says. The resolver is asked only where there is no lock for what
        `gati.json` says, and never with `frozen` or `offline`.

        Args:
            ask: whether what was never approved may come; used where `gati.json` says `"approve": true`.

        Raises:
            Conflict: `frozen` or `offline`, and the lock is not for this gati.json.
            Denied: something was not approved.
            Integrity, NotFound: as `install.install`.
        """
        application, lock, warnings = self.application, self.lock, tuple[str, ...]()
        if lock is None or not lock.fits(application):
            if frozen or offline:
                what = "there is no gati.lock" if lock is None else "gati.lock is not for what gati.json asks for"
                raise Conflict(what, remedy=f"run gati install without --{'frozen' if frozen else 'offline'}")
            found = await self.resolve(application)
            lock, warnings = found.lock, found.warnings
        if application.approve:
            lock = self._approve(lock, ask, frozen)
        connect = None if offline else self._connect
        way = Way(self.cache, connect, gati.version(self.folder, application), dev, force, progress)
        report = await install(lock, self.folder, way)
        if not frozen:
            locks.save(self.folder, lock)
        return replace(report, warnings=(*warnings, *report.warnings))

    def _approve(self, lock: Lock, ask: Ask | None, frozen: bool) -> Lock:
        new = [key for key, package in lock.packages.items() if package.approved_at is None]
        if not new:
            return lock
        if frozen or ask is None or not ask(new):
            shown = ", ".join(new[:5]) + (f" and {len(new) - 5} more" if len(new) > 5 else "")
            raise Denied(f"not approved: {shown}", remedy="gati install asks; --yes approves")
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return lock.approved(set(new), now)

    def _save(self, application: Application, lock: Lock) -> None:
        """The lock first: one that is ahead of gati.json is made anew, by the same wishes."""
        locks.save(self.folder, lock)
        manifests.save(self.folder, application)


def wish(text: str, namespace: str | None) -> tuple[str, str]:
    """Name and range as they go into gati.json; the range is empty where none is given.

    Raises:
        Usage: it is no name, or one at another registry.
    """
    name = Name.parse(text, namespace=namespace)
    if name.registry is not None:
        raise Usage(f"{text}: a project takes what it needs from one registry",
                    remedy=f"say --registry {name.registry} and {name.repository}")  # fmt: skip
    wanted = name.digest or name.version or ""
    if (
        namespace is None
        and name.repository.startswith("library/")
        and Name.parse(text, namespace="users/x").repository != name.repository
    ):
        return name.repository.removeprefix("library/"), wanted  # bare: the registry knows whose it is
    return name.repository, wanted


def _asked(application: Application, lock: Lock | None, name: str) -> str | None:
    """The name under which `gati.json` asks for it: this one, or what the lock says that a short one meant."""
    asked = {**application.dependencies, **application.dev_dependencies}
    key = lock.named(name) if lock is not None else None
    return next((one for one in (name, key.rpartition("@")[0] if key else name) if one in asked), None)


@dataclass(frozen=True, slots=True)
class Outdated:
    """`wanted` is the newest that gati.json allows, `latest` the newest there is."""

    name: str
    current: str
    wanted: str
    latest: str


async def outdated(project: Project, connect: Connect) -> list[Outdated]:
    """What has newer versions than the lock holds, by name.

    Raises:
        NotFound: there is no lock.
    """
    lock = locks.load(project.folder)
    best = {one.name: one.version for one in (await project.resolve(strategy="highest", advisories="off")).packages}
    out = []
    async with connect("") as client:
        for key in lock.packages:
            name, _, version = key.rpartition("@")
            try:
                latest = (await client.versions.artifact(name)).latest or version
            except NotFound:
                latest = version
            wanted = best.get(name, version)
            newest = latest.replace("_", "+")
            if wanted != version or _above(newest, version):
                out.append(Outdated(name, version, wanted, newest))
    return out


def _above(one: str, other: str) -> bool:
    first, second = Version.parse(one), Version.parse(other)
    return first is not None and second is not None and second < first


def _lines(conflict: ConflictItem) -> Sequence[str]:
    return [*conflict.lines, *([f"choices: {', '.join(conflict.choices)}"] if conflict.choices else [])]


def _approved(lock: Lock, before: Lock | None) -> Lock:
    """What was approved stays so, under the same digest."""
    known = before.packages if before is not None else {}
    packages = {
        key: replace(package, approved_at=known[key].approved_at)
        if key in known and known[key].digest == package.digest
        else replace(package, approved_at=None)
        for key, package in lock.packages.items()
    }
    return Lock(lock.root, packages)
