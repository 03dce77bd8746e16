"""What an mlld client asks of a user's registry. Modules are artifacts at and below `users/<user>` whose configs are
mlld's (`kinds`): whole registries, and modules one by one, which win over them.

Source: the mlld registry's developer guide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gati_extensions.facades.model import MlldAdvisories, MlldAdvisory, MlldModule, MlldRegistry
from gati_extensions.facades.routes.doors import READ, Doors, moment
from gati_extensions.facades.scanning import severity
from gati_extensions.kinds.api import Described
from gati_extensions.resolve.api import Known
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Call, Route, Transaction

MOST = 1000
"""Artifacts of a user that are looked at."""


def routes(doors: Doors) -> Sequence[Route]:
    """Outside of `/v2`."""
    own = _Mlld(doors)
    return [
        Route("GET", "/{user}/registry.json", READ, own.registry, "A user's modules, as mlld's clients read them.",
              answer=MlldRegistry),
        Route("GET", "/{user}/advisories.json", READ, own.advisories, "Advisories about a user's modules.",
              answer=MlldAdvisories),
    ]  # fmt: skip


class _Mlld:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def registry(self, call: Call) -> MlldRegistry:
        user = call.parameters["user"]
        entries = await self._entries(call, user)
        modules: dict[str, MlldModule] = {}
        for entry in entries:
            for name, found in _modules(entry).items():
                modules[name] = MlldModule(
                    gist=found["gist"],
                    revision=found.get("revision"),
                    description=found["description"],
                    tags=found["tags"],
                    created=found["created"] or moment(entry.created_at).isoformat(),
                )
        updated = max(entry.updated_at for entry in entries)
        return MlldRegistry(updated=moment(updated).isoformat(), author=user, modules=dict(sorted(modules.items())))

    async def advisories(self, call: Call) -> MlldAdvisories:
        user = call.parameters["user"]
        entries = await self._entries(call, user)
        about = {entry.name: entry for entry in entries}

        async def work(tx: Transaction) -> Sequence[Known]:
            return await self._doors.resolving.advisories(tx, list(about))

        found = await self._doors.kernel.database.scan(work)
        return MlldAdvisories(author=user, advisories=[_advisory(one, about[one.repository]) for one in found])

    async def _entries(self, call: Call, user: str) -> Sequence[Described]:
        """The user's mlld artifacts, whole registries first.

        Raises:
            RegistryError: NOT_FOUND, there is none that the caller may see; whether there is such a user is not told.
        """
        visible = await self._doors.kernel.access.visible(call.identity)
        listed = await self._doors.kernel.database.scan(
            lambda tx: self._doors.catalogue.entries(tx, f"users/{user}", "module", "", MOST, visible)
        )
        entries = [entry for entry in listed if _modules(entry)]
        if not entries:
            raise RegistryError(Code.NOT_FOUND, f"there is no registry of {user[:64]} here that you may read")
        return sorted(entries, key=lambda entry: ("updated" not in entry.facts["details"], entry.name))


def _modules(entry: Described) -> Mapping[str, Any]:
    details = entry.facts.get("details")
    modules = details.get("modules") if isinstance(details, dict) and entry.facts.get("type") == "mlld" else None
    return modules if isinstance(modules, dict) else {}


def _advisory(found: Known, entry: Described) -> MlldAdvisory:
    """Of the modules that the record names, else of all that the artifact holds."""
    record, modules = found.record, _modules(entry)
    specific = record.get("database_specific")
    own: Mapping[str, Any] = specific if isinstance(specific, dict) else {}
    named = [
        affected.get("package", {}).get("name", "").rpartition("/")[2] for affected in record.get("affected") or ()
    ]
    affects = [name for name in named if name in modules] or list(modules)
    return MlldAdvisory(
        id=found.id,
        created=str(record.get("published") or moment(found.changed_at).isoformat()),
        severity=severity(found.severity),
        affects=affects,
        gists=list(dict.fromkeys(modules[name]["gist"] for name in affects)),
        type=str(own.get("type") or "vulnerability"),
        description=str(record.get("summary") or record.get("details") or ""),
        recommendation=str(own.get("recommendation") or ""),
    )
