"""What happens to artifacts in the course of pushes, moves and deletions, in their transactions; and at pulls.

Policies of a namespace (`PUT /v2/_ext/namespaces/<path>/policy/<name>`):

    kinds.versions     a tag that is a version is immutable
    kinds.references   artifacts that others need must be there: body {"action": "refuse" | "warn"}
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from gati_extensions.kinds import semver, store
from gati_extensions.kinds.kind import Dependency
from gati_extensions.kinds.lines import Lines
from gati_extensions.kinds.understanding import Understood
from gati_extensions.namespaces.api import Namespaces
from gati_registry.errors import Code
from gati_registry.extension import SERVE, Change, Database, Operation, Pull, Refusal, Transaction, Verdict
from gati_registry.values.reference import RepositoryName

VERSIONS = "kinds.versions"
REFERENCES = "kinds.references"

PUSHES = (Operation.MANIFEST_PUT,)
MOVES = (Operation.TAG_MOVE, Operation.TAG_DELETE, Operation.MANIFEST_DELETE)

MOST_NAMED = 20
"""Missing artifacts that a refusal names."""

FRESH = 0.5
"""Seconds for which the number of state changes is believed where the database has no cheap revision."""


class Gates:
    """What refuses."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    async def versions(self, tx: Transaction, change: Change) -> Refusal | None:
        """Versions stay what they are, where a policy says so; archived ones everywhere."""
        if change.operation is Operation.MANIFEST_DELETE:
            assert change.digest is not None
            tags = await store.tags_of(tx, change.repository, change.digest, 1000)
        else:
            assert change.tag is not None
            if change.previous is None:
                return None
            tags = [change.tag]
        found = [tag for tag in tags if semver.parse(tag) is not None]
        if not found:
            return None
        for tag in found:
            standing = await store.states_of(tx, change.repository, "", tag)
            if standing and "archived" in standing[0].states:
                return Refusal(Code.DENIED, f"{tag} is archived and read-only; restore it first", {"version": tag})
        policy = await self._namespaces.policy_in(tx, change.repository, VERSIONS)
        if policy is None or policy.enforcement != "enforce":
            return None
        return Refusal(
            Code.DENIED,
            f"{found[0]} is a version, and versions are immutable here; push the next one",
            {"version": found[0], "policy": policy.name, "path": policy.path},
        )

    async def references(self, tx: Transaction, change: Change) -> Refusal | None:
        """What an artifact cannot do without must be there."""
        understood = _understood(change)
        if understood is None or not change.new:
            return None
        wanted = [needed for needed in understood.facts.dependencies if needed.kind and not needed.optional]
        if not wanted:
            return None
        policy = await self._namespaces.policy_in(tx, change.repository, REFERENCES)
        if policy is None or policy.enforcement != "enforce" or policy.body.get("action", "refuse") != "refuse":
            return None
        missing = await absent(tx, wanted)
        if not missing:
            return None
        named = ", ".join(f"{needed.name} ({needed.kind})" for needed in missing[:MOST_NAMED])
        return Refusal(
            Code.MANIFEST_INVALID,
            f"this {understood.kind} needs what is not here: {named}; push it first",
            {"missing": [needed.name for needed in missing[:MOST_NAMED]], "policy": policy.name, "path": policy.path},
        )


async def absent(tx: Transaction, wanted: Sequence[Dependency]) -> list[Dependency]:
    """Those whose repository holds no artifact. A bare name is looked for in `library`."""
    missing = []
    for needed in wanted:
        names = [needed.name] if "/" in needed.name else [needed.name, f"library/{needed.name}"]
        for name in names:
            if await store.listed(tx, name) is not None:
                break
        else:
            missing.append(needed)
    return missing


class Projections:
    """What is kept."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    async def pushed(self, tx: Transaction, change: Change) -> None:
        """A manifest is here."""
        understood = _understood(change)
        if understood is None or change.digest is None or change.manifest is None or not change.new:
            return
        await store.put_artifact(
            tx, change.repository, change.digest, understood, media_type=change.manifest.media_type,
            subject=change.manifest.subject, size=change.size, now=change.time, actor=change.caller.identity.name,
        )  # fmt: skip

    async def moved(self, tx: Transaction, change: Change) -> None:
        """A tag names something else, or nothing; a manifest is gone with its tags."""
        repository, actor = change.repository, change.caller.identity.name
        if change.operation is Operation.MANIFEST_DELETE:
            assert change.digest is not None
            gone = await store.tags_of(tx, repository, change.digest, 10_000)
            for tag in gone:
                await store.move(tx, repository, tag, change.digest, None, now=change.time, actor=actor)
            await store.drop_artifact(tx, repository, change.digest)
            if not gone:
                return
        else:
            assert change.tag is not None
            after = change.digest if change.operation is Operation.TAG_MOVE else None
            await store.move(tx, repository, change.tag, change.previous, after, now=change.time, actor=actor)
        await self._lines.refresh(tx, repository, change.time)

    async def changed(self, tx: Transaction, change: Change) -> None:
        """A draft is public now, or repositories have other names."""
        detail = change.detail
        what = detail.get("subject"), detail.get("action")
        if what == ("namespaces.draft", "publish"):
            await self._lines.refresh(tx, change.repository, change.time)
        if what != ("namespaces.path", "transfer"):
            return
        source, target = detail["before"]["path"], detail["after"]["path"]
        if change.repository == source:  # it is told to both sides
            await store.rename(tx, source, target)
            for path in (source, target):
                await self._lines.tell(tx, path, below=True)


def _understood(change: Change) -> Understood | None:
    found = change.facts.get("kinds", {}).get("understood")
    return found if isinstance(found, Understood) else None


class States:
    """A pull gate: what is deprecated or yanked says so, what is unpublished has no tag for who is no member."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: bytes | None = None
        self._heard = 0
        self._until = 0.0
        self._number = 0

    async def version(self) -> str:
        seen, heard = self._database.revision(), self._database.heard()
        late = heard != self._heard or time.monotonic() >= self._until
        if (seen is None or seen != self._seen) and (seen is not None or late):
            self._number = await self._database.read(store.revision)
            self._seen, self._heard, self._until = seen, heard, time.monotonic() + FRESH
        return str(self._number)

    def forget(self) -> None:
        """This worker has changed a state."""
        self._seen, self._until = None, 0.0
        self._database.tell()

    async def judge(self, pull: Pull) -> Verdict:
        found = await self._database.read(
            lambda tx: store.states_of(tx, RepositoryName(pull.repository), pull.digest, pull.tag)
        )
        warnings = tuple(dict.fromkeys(text for standing in found for text in told(standing)))
        members = pull.tag is not None and any("unpublished" in standing.states for standing in found)
        return Verdict(warnings, members=members) if warnings or members else SERVE


def told(standing: store.Standing) -> Sequence[str]:
    """What a client is warned of."""
    out = []
    if (yanked := standing.states.get("yanked")) is not None:
        out.append(f"yanked: {yanked.get('reason', '')}"[:500])
    if (deprecated := standing.states.get("deprecated")) is not None:
        text = f"deprecated: {deprecated.get('reason', '')}"[:500]
        if deprecated.get("replacement"):
            text += f"; use {deprecated['replacement']}"[:300]
        if deprecated.get("removed_at"):
            text += f"; to be removed {deprecated['removed_at']}"
        out.append(text)
    return out
