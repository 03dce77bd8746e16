"""Collects what a resolution chooses from: releases of what is asked for, of what those want, and so on.

Only releases that somebody's range admits are followed, so that the rest of the registry does not matter. All in one
transaction's snapshot; what the caller may not see is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gati_extensions.kinds.api import Catalogue, Dependency, Release, Releases, meanings
from gati_extensions.resolve import ranges
from gati_extensions.resolve.problem import ROOT, TYPES, Environment, Want, label
from gati_extensions.resolve.ranges import BadRange, Range
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Transaction, Visible

RELEASES = 2000
"""Of one artifact: the highest."""


@dataclass(slots=True)
class Gathered:
    """What there is to choose from. `elsewhere` tells, by `name@version`, what that wants of other registries."""

    wants: list[Want] = field(default_factory=list)
    available: dict[str, Releases] = field(default_factory=dict)
    wanted: dict[str, list[Want]] = field(default_factory=dict)
    elsewhere: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is looked at."""

    artifacts: int
    releases: int


class Gathering:
    """One collection.

    `own` is the caller's namespace, where bare names are looked for first; `here` are this registry's own host names.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        visible: Visible,
        environment: Environment,
        overrides: Mapping[str, Range],
        limits: Limits,
        own: str | None,
        here: frozenset[str] = frozenset(),
    ) -> None:
        self._catalogue = catalogue
        self._visible = visible
        self._environment = environment
        self._overrides = overrides
        self._limits = limits
        self._own = own
        self._here = here
        self._names: dict[str, str] = {}
        self._ranges: dict[str, set[Range]] = {}
        self._count = 0

    async def run(self, tx: Transaction, requests: Sequence[Dependency]) -> Gathered:
        """Collect for these requests.

        Raises:
            RegistryError: INVALID, it is too much.
        """
        found = Gathered()
        wanted = [need for need in requests if self._environment.wants(need)]
        await self._learn(tx, [need.name for need in wanted])
        found.wants = [self._want(need, ROOT) for need in wanted]
        waiting: list[Want] = list(found.wants)
        while waiting:
            await self._load(tx, found, waiting)
            fresh = self._admitted(found, waiting)
            followed = {label(release): self._followed(release, found) for release in fresh}
            await self._learn(tx, [need.name for needs in followed.values() for need in needs])
            waiting = []
            for parent, needs in followed.items():
                wants = found.wanted[parent] = [self._want(need, parent) for need in needs]
                waiting += wants
        return found

    def _followed(self, release: Release, found: Gathered) -> Sequence[Dependency]:
        """The dependencies of a release that are to be had here."""
        out = []
        for need in release.dependencies:
            if need.type not in TYPES or not self._environment.wants(need):
                continue
            if need.registry and (urlsplit(need.registry).netloc or need.registry) not in self._here:
                parent = label(release)
                text = f"{need.name} ({need.constraint}), which {parent} wants of {need.registry}"
                found.elsewhere.setdefault(parent, []).append(text[:500])
            else:
                out.append(need)
        return out

    def _want(self, need: Dependency, parent: str) -> Want:
        try:
            found = ranges.parse(need.constraint or "*")
        except BadRange:
            found = Range(need.constraint[:200])  # admits nothing; the explanation shows it as it is
        return Want(self._names.get(need.name, need.name), found, parent, need.type, need.optional)

    async def _learn(self, tx: Transaction, names: Sequence[str]) -> None:
        """Find out which repository each name means."""
        unknown = [name for name in dict.fromkeys(names) if name not in self._names]
        if not unknown:
            return
        meant = {name: meanings(name, self._own) for name in unknown}
        there = set(
            await self._catalogue.existing(
                tx, list(dict.fromkeys(one for all_ in meant.values() for one in all_)), self._visible
            )
        )
        for name, candidates in meant.items():
            self._names[name] = next((one for one in candidates if one in there), candidates[0])

    async def _load(self, tx: Transaction, found: Gathered, waiting: Sequence[Want]) -> None:
        names = [name for name in dict.fromkeys(want.name for want in waiting) if name not in self._ranges]
        if not names:
            return
        if len(self._ranges) + len(names) > self._limits.artifacts:
            raise RegistryError(
                Code.INVALID, f"more than {self._limits.artifacts} artifacts would have to be looked at"
            )
        self._ranges.update((name, set()) for name in names)
        seen = await self._catalogue.existing(tx, names, self._visible)
        for one in await self._catalogue.releases(tx, seen, RELEASES):
            found.available[one.repository] = one
            self._count += len(one.releases)
        if self._count > self._limits.releases:
            raise RegistryError(Code.INVALID, f"more than {self._limits.releases} releases would have to be looked at")

    def _admitted(self, found: Gathered, waiting: Sequence[Want]) -> list[Release]:
        """Releases that a range admits which was not seen before, and that were not followed yet."""
        fresh: dict[str, Release] = {}
        for want in waiting:
            range_ = self._overrides.get(want.name, want.range)
            seen = self._ranges[want.name]
            if range_ in seen:
                continue
            seen.add(range_)
            available = found.available.get(want.name)
            for release in available.releases if available is not None else ():
                name = label(release)
                if name in found.wanted or name in fresh:
                    continue
                if range_.digest or range_.channel:
                    digest = range_.digest or (available.channels.get(range_.channel) if available else None)
                    if release.digest != digest:
                        continue
                elif not range_.admits(release.version):
                    continue
                fresh[name] = release
        return list(fresh.values())
