"""Advisories of an artifact: published by those who maintain it, submitted by others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from gati_extensions.resolve import advisories, store
from gati_extensions.resolve.model import AdvisoryDecision, AdvisoryItem, AdvisoryQuery, Osv
from gati_extensions.resolve.routes.doors import Doors, moment, repository_of
from gati_extensions.resolve.store import Advisory
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import (
    Access,
    Action,
    Call,
    Change,
    Decision,
    Operation,
    Page,
    Permission,
    Route,
    Transaction,
)

READ = Permission("resolve.advisories", Action.PULL)
ADVISE = Permission("resolve.advise", Action.MAINTAIN)
SUBMIT = Permission("resolve.submit", Action.PULL)

MOST_SUBMITTED = 100
"""Undecided submissions of one artifact."""


def repository_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/<repository>/_ext/resolve/`."""
    own = _Advising(doors)
    return [
        Route("GET", "advisories", READ, own.page, "Advisories about this artifact.", query=AdvisoryQuery,
              answer=Page[AdvisoryItem]),
        Route("GET", "advisories/{id}", READ, own.get, "One advisory.", answer=AdvisoryItem),
        Route("PUT", "advisories/{id}", ADVISE, own.put, "Publish or change an advisory (OSV).", body=Osv,
              answer=AdvisoryItem),
        Route("DELETE", "advisories/{id}", ADVISE, own.withdraw, "Withdraw an advisory.", answer=AdvisoryItem),
        Route("POST", "advisories", SUBMIT, own.submit, "Submit an advisory (OSV), to be decided on.", body=Osv,
              answer=AdvisoryItem, status=202),
        Route("POST", "advisories/{id}/decision", ADVISE, own.decide, "Publish what was submitted, or drop it.",
              body=AdvisoryDecision, answer=AdvisoryItem),
    ]  # fmt: skip


class _Advising:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def page(self, call: Call) -> Page[AdvisoryItem]:
        asked: AdvisoryQuery = call.query
        repository = repository_of(call)
        if asked.state == "submitted" and not await self._maintains(call):
            raise RegistryError(Code.DENIED, "submitted advisories are for those who maintain the artifact")
        found = await self._doors.kernel.database.scan(
            lambda tx: store.advisories(tx, repository, [asked.state], asked.cursor, asked.limit + 1)
        )
        items = [_item(one) for one in found[: asked.limit]]
        return Page[AdvisoryItem](items=items, next=items[-1].id if len(found) > asked.limit else None)

    async def get(self, call: Call) -> AdvisoryItem:
        repository = repository_of(call)
        found = await self._doors.kernel.database.read(lambda tx: store.advisory(tx, repository, call.parameters["id"]))
        if found is None or (found.state == "submitted" and not await self._maintains(call)):
            raise _missing()
        return _item(found)

    async def put(self, call: Call) -> AdvisoryItem:
        asked: Osv = call.body
        if asked.id != call.parameters["id"]:
            raise RegistryError(Code.INVALID, "id: must be that of the path")
        return await self._set(call, self._advisory(call, asked, "published"), "publish")

    async def submit(self, call: Call) -> AdvisoryItem:
        """By anybody with an account who may see the artifact."""
        asked, repository = call.body, repository_of(call)
        assert isinstance(asked, Osv)
        if call.identity.name is None:
            raise RegistryError(Code.UNAUTHORIZED, "log in: advisories are submitted in somebody's name")
        wanted = self._advisory(call, asked, "submitted")

        async def work(tx: Transaction) -> None:
            if await store.advisory(tx, repository, asked.id) is not None:
                raise RegistryError(Code.CONFLICT, f"there is an advisory {asked.id} already")
            waiting = await store.advisories(tx, repository, ["submitted"], "", MOST_SUBMITTED)
            if len(waiting) >= MOST_SUBMITTED:
                raise RegistryError(Code.TOOMANYREQUESTS, "too many submissions wait to be decided on")
            await store.put_advisory(tx, wanted)
            await self._tell(tx, call, wanted, "submit")

        await self._doors.kernel.database.write(work)
        return _item(wanted)

    async def decide(self, call: Call) -> AdvisoryItem:
        accept, repository, now = call.body.accept, repository_of(call), self._doors.kernel.clock.now()

        async def work(tx: Transaction) -> Advisory:
            found = await store.advisory(tx, repository, call.parameters["id"])
            if found is None or found.state != "submitted":
                raise _missing()
            decided = replace(found, state="published" if accept else "withdrawn", changed_at=now)
            if accept:
                await store.put_advisory(tx, decided)
            else:
                await store.drop_advisory(tx, repository, found.id)
            await self._tell(tx, call, decided, "publish" if accept else "drop")
            return decided

        return _item(await self._doors.kernel.database.write(work))

    async def withdraw(self, call: Call) -> AdvisoryItem:
        repository, now = repository_of(call), self._doors.kernel.clock.now()
        found = await self._doors.kernel.database.read(lambda tx: store.advisory(tx, repository, call.parameters["id"]))
        if found is None:
            raise _missing()
        body = {**found.body, "withdrawn": moment(now).isoformat()}
        return await self._set(call, replace(found, state="withdrawn", body=body, changed_at=now), "withdraw")

    # --- inside -------------------------------------------------------------------------------------------------

    def _advisory(self, call: Call, asked: Osv, state: str) -> Advisory:
        now = self._doors.kernel.clock.now()
        body = json.loads(asked.model_dump_json(exclude_none=True, exclude_defaults=True))
        body |= {"id": asked.id, "schema_version": asked.schema_version, "modified": moment(now).isoformat()}
        return Advisory(repository_of(call), asked.id, state, advisories.severity(body), body, call.identity.name, now)

    async def _set(self, call: Call, wanted: Advisory, action: str) -> AdvisoryItem:
        async def work(tx: Transaction) -> None:
            await store.put_advisory(tx, wanted)
            await self._tell(tx, call, wanted, action)

        await self._doors.kernel.database.write(work)
        return _item(wanted)

    async def _tell(self, tx: Transaction, call: Call, about: Advisory, action: str) -> None:
        repository = repository_of(call)
        number = await tx.repositories.find(repository)
        if number is None:
            raise RegistryError(Code.NAME_UNKNOWN, detail={"name": repository})
        detail = {"subject": "resolve.advisory", "action": action, "id": f"{repository} {about.id}",
                  "before": None, "after": {"state": about.state, "severity": about.severity}}  # fmt: skip
        now = self._doors.kernel.clock.now()
        change = Change(Operation.STATE_CHANGE, repository, number, call.caller, now, detail=detail)
        await self._doors.kernel.core.emit(tx, change)

    async def _maintains(self, call: Call) -> bool:
        access = Access(Action.MAINTAIN, call.repository, request=call.exchange)
        return await self._doors.kernel.access.decide(call.identity, access) is Decision.ALLOW


def _item(found: Advisory) -> AdvisoryItem:
    return AdvisoryItem(
        repository=found.repository, id=found.id, state=found.state,  # type: ignore[arg-type]  # as the store keeps it
        severity=found.severity, author=found.author, changed_at=moment(found.changed_at), record=dict(found.body),
    )  # fmt: skip


def _missing() -> RegistryError:
    return RegistryError(Code.NOT_FOUND, "there is no such advisory here")
