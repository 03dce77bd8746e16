"""What the routes of this extension share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gati_extensions.identity.api import Accounts
from gati_extensions.kinds import semver, store
from gati_extensions.kinds.hooks import States
from gati_extensions.kinds.kind import Kinds
from gati_extensions.kinds.lines import Lines
from gati_extensions.kinds.model import Version, VersionDetail, moment
from gati_extensions.kinds.settings import KindsSettings
from gati_extensions.kinds.store import Tagged
from gati_extensions.namespaces.api import Namespaces
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Access, Action, Call, Change, Decision, Kernel, Operation, Permission, Transaction
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName

READ = Permission("kinds.read", Action.PULL)
MAINTAIN = Permission("kinds.maintain", Action.MAINTAIN)
PUBLISH = Permission("kinds.publish", Action.PUBLISH)

SIMILAR = 10


@dataclass(frozen=True, slots=True)
class Doors:
    """The extension's parts, and the ways in which every route uses them."""

    kernel: Kernel
    kinds: Kinds
    settings: KindsSettings
    namespaces: Namespaces
    accounts: Accounts
    states: States
    lines: Lines

    async def member(self, call: Call) -> bool:
        """Whether the caller sees what is for members alone."""
        access = Access(Action.PULL, call.repository, member=True, request=call.exchange)
        return await self.kernel.access.decide(call.identity, access) is Decision.ALLOW

    async def account(self, tx: Transaction, call: Call) -> tuple[int, str]:
        """Number and name of the caller's account.

        Raises:
            RegistryError: UNAUTHORIZED.
        """
        name = call.identity.name
        account = await self.accounts.find(tx, name) if name is not None else None
        if account is None or not account.active:
            raise RegistryError(Code.UNAUTHORIZED, "log in: this is done in somebody's name")
        return account.id, account.name

    async def resolve(self, tx: Transaction, repository: RepositoryName, text: str, *, member: bool) -> Tagged:
        """A version, tag or digest of a repository, as far as the caller may see it.

        Raises:
            RegistryError: NOT_FOUND.
        """
        found: Tagged | None = None
        for tag in _spellings(text):
            found = await store.tagged(tx, repository, tag)
            if found is not None:
                break
        if found is None and ":" in text:
            digest = Digest.parse(text)
            tags = await store.tags_of(tx, repository, digest, 100)
            versions = [tag for tag in tags if semver.parse(tag) is not None] or list(tags)
            if versions:
                found = await store.tagged(tx, repository, versions[0])
            elif (artifact := await store.artifact(tx, repository, digest)) is not None:
                found = Tagged("", artifact, store.FRESH, artifact.pushed_at, None)
        if found is None or not await self.shown(tx, repository, found, member=member):
            raise missing(f"version {text[:100]}")
        return found

    async def shown(self, tx: Transaction, repository: str, found: Tagged, *, member: bool) -> bool:
        """Whether the caller may see it."""
        if member:
            return True
        if "unpublished" in found.standing.states:
            return False
        return found.artifact.digest not in await self.namespaces.drafts(tx, repository)

    async def tell(
        self, tx: Transaction, call: Call, repository_id: int, thing: str, action: str, *, about: str,
        digest: str | None = None, before: Any = None, after: Any = None,
    ) -> None:  # fmt: skip
        """Let gates and the log know of a change."""
        assert call.repository is not None
        await self.kernel.core.emit(
            tx,
            Change(
                Operation.STATE_CHANGE,
                call.repository,
                repository_id,
                call.caller,
                self.kernel.clock.now(),
                digest=Digest(digest) if digest else None,
                detail={"subject": f"kinds.{thing}", "action": action, "id": about, "before": before, "after": after},
            ),
        )


def repository_of(call: Call) -> RepositoryName:
    """The repository of a repository route."""
    assert call.repository is not None
    return call.repository


async def repository_id(tx: Transaction, repository: RepositoryName) -> int:
    """Its number.

    Raises:
        RegistryError: NAME_UNKNOWN.
    """
    found = await tx.repositories.find(repository)
    if found is None:
        raise RegistryError(Code.NAME_UNKNOWN, detail={"name": repository})
    return found


def missing(what: str) -> RegistryError:
    """404."""
    return RegistryError(Code.NOT_FOUND, f"there is no {what} here")


def _spellings(text: str) -> list[str]:
    """The tags that a version could be: as written, without and with `v`, build metadata behind `_`."""
    version = semver.parse(text)
    found = [text.replace("+", "_")]
    if version is not None:
        found += [version.tag, f"v{version.tag}"]
    return list(dict.fromkeys(found))


def version_of(repository: str, found: Tagged, *, draft: bool = False) -> Version:
    """A line of a list."""
    return Version(**_common(repository, found, draft))


def detail_of(repository: str, found: Tagged, *, draft: bool, same: list[str]) -> VersionDetail:
    """All of it."""
    artifact = found.artifact
    return VersionDetail(
        **_common(repository, found, draft),
        media_type=artifact.media_type,
        size=artifact.size,
        facts=dict(artifact.facts),
        overlay=dict(found.standing.overlay),
        revision=found.standing.revision,
        same_content=same,
        pushed_at=moment(artifact.pushed_at),
        pushed_by=artifact.pushed_by,
    )


def _common(repository: str, found: Tagged, draft: bool) -> dict[str, Any]:
    version = semver.parse(found.tag)
    return {
        "repository": repository,
        "tag": found.tag,
        "version": str(version) if version is not None else None,
        "digest": found.artifact.digest,
        "kind": found.artifact.kind,
        "state": "draft" if draft else found.standing.state,
        "states": {name: dict(value) for name, value in found.standing.states.items()},
        "moved_at": moment(found.moved_at),
    }
