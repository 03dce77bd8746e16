"""What happens in the course of an operation, in its transaction: quotas, drafts, names of new accounts."""

from __future__ import annotations

from gati_extensions.namespaces import drafts, renames, store, usage
from gati_extensions.namespaces.api import Situation
from gati_extensions.namespaces.counter import Counter
from gati_extensions.namespaces.settings import NamespacesSettings
from gati_extensions.namespaces.standing import Tree
from gati_extensions.namespaces.tree import root
from gati_registry.errors import Code
from gati_registry.extension import SERVE, Change, Database, Operation, Pull, Refusal, Transaction, Verdict
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName

ADDING = (Operation.BLOB_COMMIT, Operation.BLOB_MOUNT, Operation.MANIFEST_PUT)
REMEMBERED = 20_000
"""Repositories of which it is known whether they have drafts."""

REMOVING = (Operation.BLOB_DELETE, Operation.MANIFEST_DELETE)


class QuotaGate:
    """A gate: takes what is new from the quotas of all namespaces above it."""

    def __init__(self, tree: Tree, settings: NamespacesSettings) -> None:
        self._tree = tree
        self._settings = settings

    async def __call__(self, tx: Transaction, change: Change) -> Refusal | None:
        if not change.new:
            return None
        name, is_manifest = change.repository, change.operation is Operation.MANIFEST_PUT
        counted = await usage.joined_with(tx, name, change.size, manifest=is_manifest)
        if counted is None:
            await usage.begin(tx, self._settings, root(name))
            await renames.taken(tx, name)
            await usage.add_repository(tx, name, (await self._tree.visibility(tx, name))[0])
            counted = await usage.joined(tx, name)
            assert counted is not None
        first = is_manifest and not counted.artifact and await usage.becomes_artifact(tx, name)
        exceeded = await usage.add(tx, self._settings, name, counted, change.size, int(first))
        return _refusal(exceeded) if exceeded is not None else None


def _refusal(found: usage.Exceeded) -> Refusal:
    unit = "bytes" if found.what == "bytes" else "repositories"
    return Refusal(
        Code.DENIED,
        f"the quota of {found.path} is {found.limit} {unit}, of which {found.used} are used; "
        "delete what is not needed or ask its administrators for more",
        detail={
            "namespace": found.path,
            "quota": found.what,
            "limit": found.limit,
            "used": found.used,
            "requested": found.requested,
        },
    )


class GiveBack:
    """A projection: what is deleted is free again."""

    def __init__(self, settings: NamespacesSettings) -> None:
        self._settings = settings

    async def __call__(self, tx: Transaction, change: Change) -> None:
        name, is_manifest = change.repository, change.operation is Operation.MANIFEST_DELETE
        counted = await usage.joined(tx, name)
        if counted is None:
            return
        await usage.hold(tx, name, -change.size)
        last = is_manifest and counted.artifact and await usage.ends_as_artifact(tx, name)
        await usage.give_back(tx, self._settings, counted.paths, change.size, int(last))
        if is_manifest and change.digest is not None:
            await drafts.drop(tx, name, change.digest)


class Drafts:
    """What maintainers and contributors push is a draft, and takes no tag of what is published."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    async def note(self, tx: Transaction, change: Change) -> None:
        """A projection of manifest puts."""
        assert change.digest is not None
        if change.new and not await self._may(tx, change, "push"):
            author = change.caller.identity.name or ""
            await drafts.add(tx, change.repository, change.digest, author, change.time)
        elif await drafts.is_draft(tx, change.repository, change.digest) and await self._may(tx, change, "push"):
            await drafts.drop(tx, change.repository, change.digest)

    async def guard(self, tx: Transaction, change: Change) -> Refusal | None:
        """A gate of tag moves."""
        assert change.digest is not None
        if await self._may(tx, change, "push"):
            return None
        draft = await drafts.is_draft(tx, change.repository, change.digest)
        if not draft and not await self._may(tx, change, "maintain"):
            return Refusal(
                Code.DENIED,
                "your role pushes drafts: it cannot tag a published version; ask a publisher of the namespace",
                detail={"tag": change.tag},
            )
        if not draft or change.previous is None or await drafts.is_draft(tx, change.repository, change.previous):
            return None
        return Refusal(
            Code.DENIED,
            f"the tag {change.tag} names a published version, which a draft cannot replace; push under another tag",
            detail={"tag": change.tag, "published": change.previous},
        )

    async def _may(self, tx: Transaction, change: Change, word: str) -> bool:
        identity = change.caller.identity
        # Whoever came this far without an account of the tree was allowed by other means: the server's own.
        if identity.admin or (identity.id is None and identity.name is None):
            return True
        key = ("namespaces.roles", change.repository)  # the caller is one for all of a unit's changes
        roles = change.unit.get(key)
        if roles is None:
            roles = change.unit[key] = await self._tree.roles(tx, identity, change.repository)
        return word in roles.allowed(Situation(change.time))


class DraftsForMembers:
    """A pull gate and a rule: drafts are for members, and so are blobs that nothing else needs."""

    manifests = drafts.MANIFESTS

    def __init__(self, database: Database) -> None:
        self._database = database
        self.changes = Counter(database, "drafts")
        self._drafting: dict[str, bool] = {}  # whether a repository has drafts, as of
        self._revision = -1

    async def blob(self, repository: RepositoryName, digest: Digest) -> bool:
        number = await self.changes.get()
        if number != self._revision or len(self._drafting) > REMEMBERED:
            self._drafting, self._revision = {}, number
        kept = self._drafting
        drafting = kept.get(repository)
        if drafting is None:
            drafting = kept[repository] = await self._database.read(lambda tx: drafts.any_in(tx, repository))
        return drafting and not await self._database.read(lambda tx: drafts.needed_elsewhere(tx, repository, digest))

    async def version(self) -> str:
        return str(await self.changes.get())

    async def judge(self, pull: Pull) -> Verdict:
        found = await self._database.read(lambda tx: drafts.is_draft(tx, pull.repository, pull.digest))
        return Verdict(members=True) if found else SERVE


class Resemblance:
    """A gate of new accounts: their names must not pass for those of others."""

    def __init__(self, settings: NamespacesSettings) -> None:
        self._settings = settings

    async def __call__(self, tx: Transaction, change: Change) -> Refusal | None:
        detail = change.detail
        if detail.get("action") != "create" or detail.get("subject") not in ("identity.user", "identity.org"):
            return None
        name = detail.get("id")
        if not isinstance(name, str) or change.caller.identity.admin or self._settings.confusable != "enforce":
            return None
        from gati_extensions.namespaces.names import resembled

        verified = await store.verified_names(tx)
        similar = resembled(name, [*self._settings.well_known, *verified])
        if similar is None:
            return None
        return Refusal(
            Code.DENIED,
            f"the name {name} could be mistaken for {similar}; choose another or ask an administrator",
            detail={"name": name, "resembles": similar},
        )
