"""Giving repositories and namespaces another name or owner."""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.namespaces import renames, store, tree
from gati_extensions.namespaces.model import TransferChange, Transferred, moment
from gati_extensions.namespaces.routes.doors import ADMINISTER, Doors, missing, path_of
from gati_registry.domain.access import is_within
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Access, Action, Call, Decision, Route, Transaction
from gati_registry.values.reference import RepositoryName


def routes(doors: Doors) -> Sequence[Route]:
    """One."""
    own = _Transfers(doors)
    return [
        Route("POST", "{path:path}/transfer", ADMINISTER, own.transfer,
              "Rename a repository or a namespace, also to another owner whose namespace you administer.",
              body=TransferChange, answer=Transferred),
    ]  # fmt: skip


class _Transfers:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def transfer(self, call: Call) -> Transferred:
        source, wanted = path_of(call), call.body
        assert isinstance(wanted, TransferChange)
        target = tree.parse(wanted.to)
        await self._check(call, source, target)
        now = self._doors.kernel.clock.now()
        until = now + int(self._doors.settings.rename_redirect * 1000)

        async def work(tx: Transaction) -> Sequence[str]:
            names = await renames.move(tx, self._doors.tree, self._doors.settings, source, target, until)
            if not names:
                raise missing("repository or namespace with repositories")
            await store.changed(tx, "rules")
            await store.changed(tx, "drafts")
            # Both sides' logs tell of it.
            for path in (source, target):
                await self._doors.tell(
                    tx, call, path, "path", "transfer", id=source, before={"path": source}, after={"path": target}
                )
            return names

        names = await self._doors.write(work)
        return Transferred(
            repositories=[target + name.removeprefix(source) for name in names], redirect_until=moment(until)
        )

    async def _check(self, call: Call, source: RepositoryName, target: RepositoryName) -> None:
        owning = tree.owner(target)
        if owning is not None and target == tree.root(target):
            raise RegistryError(Code.INVALID, f"to: name a repository or namespace below {target}")
        if tree.owner(source) is not None and source == tree.root(source):
            raise RegistryError(Code.INVALID, f"{source} stays with its account; move what is below it")
        if is_within(target, source) or is_within(source, target):
            raise RegistryError(Code.INVALID, "to: neither path may lie within the other")
        access = Access(Action.ADMINISTER, target, request=call.exchange)
        if await self._doors.kernel.access.decide(call.identity, access) is not Decision.ALLOW:
            raise RegistryError(Code.DENIED, f"to: you do not administer {tree.root(target)}")
        if owning is not None:
            kind, name = owning
            account = await self._doors.read(lambda tx: self._doors.accounts.find(tx, name))
            if account is None or account.kind != kind:
                raise RegistryError(Code.CONFLICT, f"to: there is no {kind} {name}; make the account first")
