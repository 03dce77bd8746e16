"""Namespaces themselves: visibility, description, labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gati_extensions.namespaces import store, usage
from gati_extensions.namespaces.model import Badge, Namespace, NamespaceChange, NamespaceItem, moment
from gati_extensions.namespaces.routes.doors import ADMINISTER, READ, Doors, missing, path_of
from gati_extensions.namespaces.store import Node
from gati_extensions.namespaces.tree import OWNED, line, owner, root
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Access, Action, Call, Decision, Page, Paging, Permission, Route, Transaction
from gati_registry.values.reference import RepositoryName

LOOKED_AT = 500
"""Namespaces that are decided on for one page."""

LIST = Permission("namespaces.list", Action.CATALOG)


def routes(doors: Doors) -> Sequence[Route]:
    """All of them; matched last."""
    own = _Namespaces(doors)
    return [
        Route("GET", "", LIST, own.page, "Namespaces with settings that you may see.", query=Paging,
              answer=Page[NamespaceItem]),
        Route("GET", "{path:path}", READ, own.get, "A namespace.", answer=Namespace),
        Route("PUT", "{path:path}", ADMINISTER, own.put, "Make a namespace, or set its properties.",
              body=NamespaceChange, answer=Namespace),
        Route("DELETE", "{path:path}", ADMINISTER, own.delete, "Remove an empty namespace with all that is set at it."),
    ]  # fmt: skip


class _Namespaces:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def page(self, call: Call) -> Page[NamespaceItem]:
        query: Paging = call.query
        items: list[NamespaceItem] = []
        found = await self._doors.read(lambda tx: store.page(tx, query.cursor, LOOKED_AT + 1))
        for node in found[:LOOKED_AT]:
            last = node.path
            access = Access(Action.PULL, node.path, request=call.exchange)
            if await self._doors.kernel.access.decide(call.identity, access) is Decision.ALLOW:
                items.append(
                    NamespaceItem(
                        path=node.path,
                        visibility=node.visibility,  # type: ignore[arg-type]  # checked when it was set
                        description=node.description,
                    )
                )
            if len(items) == query.limit:
                break
        # A page may be short, even empty, and others follow: who sees few is not to make us look at all at once.
        more = bool(found) and last != found[-1].path
        return Page[NamespaceItem](items=items, next=last if more else None)

    async def get(self, call: Call) -> Namespace:
        path = path_of(call)
        return await self._doors.read(lambda tx: self._read(tx, path))

    async def put(self, call: Call) -> Namespace:
        path, new = path_of(call), call.body
        assert isinstance(new, NamespaceChange)
        now = self._doors.kernel.clock.now()

        async def work(tx: Transaction) -> Namespace:
            await self._check_owner(tx, path)
            before = await store.node(tx, path)
            node = Node(path, new.visibility, new.description, new.labels, before.created_at if before else now, now)
            await store.put_node(tx, node)
            await usage.refresh_visibility(tx, path, (await self._doors.tree.visibility(tx, path))[0])
            await store.changed(tx, "rules")
            await self._doors.tell(
                tx, call, path, "namespace", "update" if before else "create", id=path,
                before=_shown(before) if before else None, after=_shown(node),
            )  # fmt: skip
            return await self._read(tx, path)

        return await self._doors.write(work)

    async def delete(self, call: Call) -> None:
        path = path_of(call)

        async def work(tx: Transaction) -> None:
            before = await store.node(tx, path)
            if before is None:
                raise missing("namespace")
            # Without its settings, what is in it would have those of the namespace above: perhaps be public.
            if await store.has_below(tx, path):
                raise RegistryError(Code.CONFLICT, "the namespace is not empty; delete or move what is in it first")
            await store.drop_node(tx, path)
            await store.changed(tx, "rules")
            await self._doors.tell(tx, call, path, "namespace", "delete", id=path, before=_shown(before), after=None)

        await self._doors.write(work)

    async def _check_owner(self, tx: Transaction, path: RepositoryName) -> None:
        owning = owner(path)
        if owning is None:
            if path in OWNED:
                raise RegistryError(Code.INVALID, f"{path}: name a {OWNED[path]} below it, such as {path}/acme")
            return
        kind, name = owning
        account = await self._doors.accounts.find(tx, name)
        if account is None or account.kind != kind:
            raise RegistryError(Code.CONFLICT, f"there is no {kind} {name}; make the account first")

    async def _read(self, tx: Transaction, path: RepositoryName) -> Namespace:
        visibility, at = await self._doors.tree.visibility(tx, path)
        nodes = await store.nodes(tx, line(path))
        own = nodes[-1] if nodes and nodes[-1].path == path else None
        owning = owner(path)
        proofs = [p for p in await store.proofs(tx, root(path)) if p.verified_at is not None]
        return Namespace(
            path=path,
            owner=owning[1] if owning else None,
            visibility=visibility,  # type: ignore[arg-type]  # one of three words, checked when it was set
            visibility_from=at,
            description=own.description if own else "",
            labels={key: value for node in nodes for key, value in node.labels.items()},
            verified=[
                Badge(method=p.method, subject=p.subject, verified_at=moment(p.verified_at or 0))  # type: ignore[arg-type]
                for p in proofs
            ],
        )


def _shown(node: Node) -> dict[str, Any]:
    return {
        "path": node.path,
        "visibility": node.visibility,
        "description": node.description,
        "labels": dict(node.labels),
    }
