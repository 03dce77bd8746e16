"""Quotas and policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gati_extensions.namespaces import store, usage
from gati_extensions.namespaces.model import (
    Measure,
    PolicyChange,
    PolicyItem,
    PolicyList,
    PolicyName,
    Quota,
    QuotaChange,
)
from gati_extensions.namespaces.routes.doors import ADMINISTER, Doors, missing, path_of
from gati_extensions.namespaces.settings import UNLIMITED
from gati_extensions.namespaces.traffic import month_of, used
from gati_extensions.namespaces.tree import line, root
from gati_extensions.namespaces.usage import Usage
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Call, Route, Transaction

_POLICY_NAME: TypeAdapter[str] = TypeAdapter(PolicyName)


def routes(doors: Doors) -> Sequence[Route]:
    """All of them."""
    own = _Limits(doors)
    quota, policy = "{path:path}/quota", "{path:path}/policy/{name}"
    return [
        Route("GET", quota, ADMINISTER, own.quota, "Limits of a namespace, and what is used of them.", answer=Quota),
        Route("PUT", quota, ADMINISTER, own.put_quota, "Set limits.", body=QuotaChange, answer=Quota),
        Route("DELETE", quota, ADMINISTER, own.delete_quota, "Go back to the default limits."),
        Route("GET", "{path:path}/policy", ADMINISTER, own.policies, "Policies that hold here.", answer=PolicyList),
        Route("PUT", policy, ADMINISTER, own.put_policy, "Set a policy.", body=PolicyChange, answer=PolicyItem),
        Route("DELETE", policy, ADMINISTER, own.delete_policy, "Remove a policy that is set here."),
    ]


class _Limits:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def quota(self, call: Call) -> Quota:
        path = path_of(call)
        return await self._doors.read(lambda tx: self._read(tx, path))

    async def put_quota(self, call: Call) -> Quota:
        wanted = call.body
        assert isinstance(wanted, QuotaChange)
        return await self._set(call, wanted, "update")

    async def delete_quota(self, call: Call) -> None:
        await self._set(call, QuotaChange(), "delete")

    async def policies(self, call: Call) -> PolicyList:
        path = path_of(call)
        nearest: dict[str, PolicyItem] = {}
        for at, name, enforcement, body in await self._doors.read(lambda tx: store.policies(tx, line(path))):
            if name not in nearest:
                nearest[name] = PolicyItem.model_validate(
                    {"name": name, "path": at, "enforcement": enforcement, "body": body}
                )
        return PolicyList(items=[nearest[name] for name in sorted(nearest)])

    async def put_policy(self, call: Call) -> PolicyItem:
        path, wanted, now = path_of(call), call.body, self._doors.kernel.clock.now()
        assert isinstance(wanted, PolicyChange)
        try:
            name = _POLICY_NAME.validate_python(call.parameters["name"])
        except ValidationError:
            raise RegistryError(
                Code.INVALID, "a policy's name is lower-case letters and digits, joined by '.' or '-'"
            ) from None
        item = PolicyItem(name=name, path=path, enforcement=wanted.enforcement, body=wanted.body)

        async def work(tx: Transaction) -> None:
            before = await self._policy(tx, path, name)
            await store.put_policy(tx, path, name, wanted.enforcement, wanted.body, now)
            await store.changed(tx, "rules")
            await self._doors.tell(
                tx, call, path, "policy", "update" if before else "create", id=f"{path} {name}",
                before=before, after=wanted.model_dump(mode="json"),
            )  # fmt: skip

        await self._doors.write(work)
        return item

    async def delete_policy(self, call: Call) -> None:
        path, name = path_of(call), call.parameters["name"]

        async def work(tx: Transaction) -> None:
            before = await self._policy(tx, path, name)
            if not await store.drop_policy(tx, path, name):
                raise missing("policy")
            await store.changed(tx, "rules")
            await self._doors.tell(tx, call, path, "policy", "delete", id=f"{path} {name}", before=before, after=None)

        await self._doors.write(work)

    # --- inside -------------------------------------------------------------------------------------------------

    async def _policy(self, tx: Transaction, path: str, name: str) -> dict[str, Any] | None:
        for _, found, enforcement, body in await store.policies(tx, [path]):
            if found == name:
                return {"enforcement": enforcement, "body": dict(body)}
        return None

    async def _set(self, call: Call, wanted: QuotaChange, action: str) -> Quota:
        path = path_of(call)

        async def work(tx: Transaction) -> Quota:
            if path == root(path) and not call.identity.admin and not self._doors.kernel.open:
                raise RegistryError(Code.DENIED, f"the limits of {path} are set by the server's administrators")
            if path != root(path):
                if wanted.bandwidth is not None or wanted.calls is not None:
                    raise RegistryError(Code.INVALID, f"bandwidth and calls are counted for {root(path)} as a whole")
                await usage.begin(tx, self._doors.settings, root(path))
            await usage.begin(tx, self._doors.settings, path)
            before = await usage.usage(tx, path)
            assert before is not None
            after = replace(
                before,
                limit_bytes=wanted.bytes,
                limit_artifacts=wanted.artifacts,
                limit_bandwidth=wanted.bandwidth,
                limit_calls=wanted.calls,
            )
            await self._check_pool(tx, after)
            await usage.set_limits(tx, self._doors.settings, after)
            await self._doors.tell(
                tx, call, path, "quota", action, id=path, before=_limits(before), after=_limits(after)
            )
            return await self._read(tx, path)

        return await self._doors.write(work)

    async def _check_pool(self, tx: Transaction, wanted: Usage) -> None:
        """A namespace draws from those above it: a limit beyond theirs would be a promise that nobody keeps."""
        for path in await usage.counted(tx, wanted.path):
            if path == wanted.path:
                continue
            above = await usage.usage(tx, path)
            assert above is not None
            limits = usage.effective(self._doors.settings, above)
            for name, value, most in (
                ("bytes", wanted.limit_bytes, limits.bytes),
                ("artifacts", wanted.limit_artifacts, limits.artifacts),
            ):
                if value is not None and most != UNLIMITED and (value == UNLIMITED or value > most):
                    raise RegistryError(
                        Code.INVALID, f"{name}: {path} has a limit of {most}, from which this namespace draws"
                    )

    async def _read(self, tx: Transaction, path: str) -> Quota:
        found = await usage.usage(tx, path) or Usage(path, 0, 0, None, None, None, None)
        limits = usage.effective(self._doors.settings, found)
        month = month_of(self._doors.kernel.clock.now())
        owned = path == root(path)
        bandwidth, calls = await used(tx, path, month)
        return Quota(
            path=path,
            bytes=_measure(found.bytes, limits.bytes),
            artifacts=_measure(found.artifacts, limits.artifacts),
            bandwidth=_measure(bandwidth, limits.bandwidth) if owned else None,
            calls=_measure(calls, limits.calls) if owned else None,
            month=month,
            complete=not await store.revision(tx, "uncounted"),
        )


def _measure(used: int, limit: int) -> Measure:
    return Measure(used=used, limit=None if limit == UNLIMITED else limit)


def _limits(found: Usage) -> dict[str, int | None]:
    return {
        "bytes": found.limit_bytes,
        "artifacts": found.limit_artifacts,
        "bandwidth": found.limit_bandwidth,
        "calls": found.limit_calls,
    }
