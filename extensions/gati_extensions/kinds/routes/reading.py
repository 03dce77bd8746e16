"""Reading: artifacts, their versions, channels and their history."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from gati_extensions.kinds import store
from gati_extensions.kinds.model import (
    Artifact,
    ArtifactItem,
    ArtifactQuery,
    HistoryItem,
    KindItem,
    KindList,
    MoveItem,
    SignatureItem,
    Version,
    VersionDetail,
    VersionQuery,
    moment,
)
from gati_extensions.kinds.routes.doors import READ, SIMILAR, Doors, detail_of, missing, repository_of, version_of
from gati_extensions.kinds.store import Listed, Tagged
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Answer, Call, Page, Paging, Permission, Route, Transaction, Visible
from gati_registry.values.reference import RepositoryName

KINDS = Permission("kinds.kinds", Action.PUBLIC)
WITHIN = Permission("kinds.browse", Action.CATALOG)

_CHANNELS = 100
"""Channels that an artifact's page shows."""


def registry_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/_ext/kinds/`."""
    own = _Reading(doors)
    return [
        Route("GET", "kinds", KINDS, own.kinds, "All kinds of artifacts.", answer=KindList),
        Route("GET", "namespaces/{path:path}/artifacts", WITHIN, own.within, "Artifacts at and below a namespace.",
              query=ArtifactQuery, answer=Page[ArtifactItem]),
    ]  # fmt: skip


def repository_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/<repository>/_ext/kinds/`."""
    own = _Reading(doors)
    return [
        Route("GET", "artifact", READ, own.artifact, "The artifact, with its newest version.", answer=Artifact),
        Route("GET", "versions", READ, own.versions, "Versions, the highest first; or a channel, also as it was.",
              query=VersionQuery, answer=Page[Version]),
        Route("GET", "versions/{version}", READ, own.version, "A version, tag or digest.", answer=VersionDetail),
        Route("GET", "versions/{version}/types", READ, own.types, "GTypes and methods of a version, normalised.",
              answer=SignatureItem),
        Route("GET", "versions/{version}/history", READ, own.history, "Earlier overlays, newest first.", query=Paging,
              answer=Page[HistoryItem]),
        Route("GET", "channels", READ, own.channels, "Tags that are no version.", query=Paging, answer=Page[Version]),
        Route("GET", "channels/{channel}/moves", READ, own.moves, "Every move of a tag, newest first.", query=Paging,
              answer=Page[MoveItem]),
    ]  # fmt: skip


class _Reading:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    # --- the registry -------------------------------------------------------------------------------------------

    async def kinds(self, _: Call) -> KindList:
        return KindList(
            items=[
                KindItem(
                    name=kind.name,
                    summary=kind.summary,
                    artifact_types=list(kind.artifact_types),
                    config_types=list(kind.config_types),
                    layer_types=list(kind.layer_types),
                    aliases=list(kind.aliases),
                    manifest=kind.model.model_json_schema(by_alias=True) if kind.model is not None else None,
                )
                for kind in self._doors.kinds
            ]
        )

    async def within(self, call: Call) -> Page[ArtifactItem]:
        asked: ArtifactQuery = call.query
        path = call.parameters["path"].strip("/")
        visible = await self._doors.kernel.access.visible(call.identity)
        found = await self._doors.kernel.database.scan(
            lambda tx: store.within(tx, path, asked.kind, asked.cursor, asked.limit + 1, visible)
        )
        items = [item_of(one) for one in found[: asked.limit]]
        return Page[ArtifactItem](items=items, next=items[-1].repository if len(found) > asked.limit else None)

    # --- one repository -----------------------------------------------------------------------------------------

    async def artifact(self, call: Call) -> Artifact:
        repository, member = repository_of(call), await self._doors.member(call)
        visible = await self._doors.kernel.access.visible(call.identity)

        async def work(tx: Transaction) -> Artifact:
            line = await store.listed(tx, repository)
            if line is None:
                raise missing("artifact")
            found = await self._newest(tx, line, member=member)
            named = [
                one for one in await store.channels(tx, repository, "", _CHANNELS)
                if await self._doors.shown(tx, repository, one, member=member)
            ]  # fmt: skip
            parent = repository.rpartition("/")[0]
            near = await store.within(tx, parent, None, "", 500, visible) if parent else []
            return Artifact(
                repository=repository,
                kind=line.kind,
                latest=found.tag,
                stars=line.stars,
                ratings=line.ratings,
                rating=rating_of(line),
                similar_names=_similar(repository, [one.name for one in near]),
                channels={one.tag: one.artifact.digest for one in named},
                created_at=moment(line.created_at),
                updated_at=moment(line.updated_at),
                version=await self._detail(tx, repository, found, visible),
            )

        return await self._doors.kernel.database.scan(work)

    async def version(self, call: Call) -> Answer:
        repository, member = repository_of(call), await self._doors.member(call)
        visible = await self._doors.kernel.access.visible(call.identity)

        async def work(tx: Transaction) -> VersionDetail:
            found = await self._doors.resolve(tx, repository, call.parameters["version"], member=member)
            return await self._detail(tx, repository, found, visible)

        detail = await self._doors.kernel.database.scan(work)
        return Answer(200, detail, {"ETag": f'"{detail.revision}"'})

    async def types(self, call: Call) -> SignatureItem:
        repository, member = repository_of(call), await self._doors.member(call)

        async def work(tx: Transaction) -> SignatureItem:
            found = await self._doors.resolve(tx, repository, call.parameters["version"], member=member)
            kept = await store.signatures(tx, repository, found.artifact.digest)
            return SignatureItem(**kept) if kept else SignatureItem(types={}, methods={}, definitions={})

        return await self._doors.kernel.database.scan(work)

    async def versions(self, call: Call) -> Page[Version]:
        asked: VersionQuery = call.query
        repository, member = repository_of(call), await self._doors.member(call)
        if asked.all and not member:
            raise RegistryError(Code.DENIED, "unpublished versions are for members of the namespace")
        if asked.channel is not None:
            return await self._channel(call, asked, member=member)
        if asked.as_of is not None:
            raise RegistryError(Code.INVALID, "as_of: goes with channel")

        async def work(tx: Transaction) -> Page[Version]:
            found = await store.versions(tx, repository, asked.cursor or None, asked.limit + 1)
            drafts = await self._doors.namespaces.drafts(tx, repository)
            items = [
                version_of(repository, one, draft=one.artifact.digest in drafts)
                for one in found[: asked.limit]
                if (member and asked.all)
                or ("unpublished" not in one.standing.states and (member or one.artifact.digest not in drafts))
            ]
            more = found[asked.limit - 1].version_key if len(found) > asked.limit else None
            return Page[Version](items=items, next=more)

        return await self._doors.kernel.database.scan(work)

    async def _channel(self, call: Call, asked: VersionQuery, *, member: bool) -> Page[Version]:
        repository, channel = repository_of(call), asked.channel or ""

        async def work(tx: Transaction) -> Page[Version]:
            if asked.as_of is None:
                found = await self._doors.resolve(tx, repository, channel, member=member)
                return Page[Version](items=[version_of(repository, found)])
            then = int(asked.as_of.timestamp() * 1000)
            digest = await store.as_of(tx, repository, channel, then)
            artifact = await store.artifact(tx, repository, digest) if digest is not None else None
            if artifact is None:
                raise missing(f"{channel[:100]} at that time, or what it named is gone,")
            found = Tagged(channel, artifact, store.FRESH, then, None)
            if not await self._doors.shown(tx, repository, found, member=member):
                raise missing(f"{channel[:100]} at that time")
            return Page[Version](items=[version_of(repository, found)])

        return await self._doors.kernel.database.scan(work)

    async def channels(self, call: Call) -> Page[Version]:
        asked: Paging = call.query
        repository, member = repository_of(call), await self._doors.member(call)

        async def work(tx: Transaction) -> Page[Version]:
            found = await store.channels(tx, repository, asked.cursor, asked.limit + 1)
            items = [
                version_of(repository, one) for one in found[: asked.limit]
                if await self._doors.shown(tx, repository, one, member=member)
            ]  # fmt: skip
            return Page[Version](items=items, next=found[asked.limit - 1].tag if len(found) > asked.limit else None)

        return await self._doors.kernel.database.scan(work)

    async def moves(self, call: Call) -> Page[MoveItem]:
        asked: Paging = call.query
        repository, tag = repository_of(call), call.parameters["channel"].replace("+", "_")
        member = await self._doors.member(call)

        async def work(tx: Transaction) -> Page[MoveItem]:
            found = await store.moves(tx, repository, tag, _number(asked.cursor), asked.limit + 1)
            drafts = frozenset() if member else await self._doors.namespaces.drafts(tx, repository)
            items = [
                MoveItem(
                    tag=one.tag, number=one.number, before=one.before, after=one.after,
                    actor=one.actor if member else None, moved_at=moment(one.moved_at),
                )
                for one in found[: asked.limit]
                if one.before not in drafts and one.after not in drafts
            ]  # fmt: skip
            more = str(found[asked.limit - 1].number) if len(found) > asked.limit else None
            return Page[MoveItem](items=items, next=more)

        return await self._doors.kernel.database.scan(work)

    async def history(self, call: Call) -> Page[HistoryItem]:
        asked: Paging = call.query
        repository, member = repository_of(call), await self._doors.member(call)

        async def work(tx: Transaction) -> Page[HistoryItem]:
            found = await self._doors.resolve(tx, repository, call.parameters["version"], member=member)
            rows = await store.overlays(tx, repository, found.tag, _number(asked.cursor), asked.limit + 1)
            items = [
                HistoryItem(
                    revision=row[0], overlay=row[1], changed_at=moment(row[2]), actor=row[3] if member else None
                )
                for row in rows[: asked.limit]
            ]
            return Page[HistoryItem](items=items, next=str(items[-1].revision) if len(rows) > asked.limit else None)

        return await self._doors.kernel.database.scan(work)

    # --- inside -------------------------------------------------------------------------------------------------

    async def _newest(self, tx: Transaction, line: Listed, *, member: bool) -> Tagged:
        found = await store.tagged(tx, line.name, line.latest)
        if found is not None and await self._doors.shown(tx, line.name, found, member=member):
            return found
        for one in await store.versions(tx, line.name, None, 100):
            if await self._doors.shown(tx, line.name, one, member=member) and one.standing.state == "published":
                return one
        for one in await store.channels(tx, line.name, "", _CHANNELS):
            if await self._doors.shown(tx, line.name, one, member=member):
                return one
        raise missing("artifact")

    async def _detail(
        self, tx: Transaction, repository: RepositoryName, found: Tagged, visible: Visible
    ) -> VersionDetail:
        others = await store.same_content(tx, repository, found.artifact.digest, 10 * SIMILAR, visible)
        drafts = await self._doors.namespaces.drafts_among(tx, [repository, *(name for name, _ in others)])
        same = list(dict.fromkeys(other[0] for other in others if other not in drafts))[:SIMILAR]
        return detail_of(repository, found, draft=(repository, found.artifact.digest) in drafts, same=same)


def item_of(found: Listed) -> ArtifactItem:
    """A line of a list."""
    return ArtifactItem(
        repository=found.name,
        kind=found.kind,
        latest=found.latest,
        digest=found.digest,
        title=found.title,
        description=found.description,
        stars=found.stars,
        rating=rating_of(found),
        updated_at=moment(found.updated_at),
    )


def rating_of(found: Listed) -> float | None:
    """The mean of the ratings."""
    return round(found.rated / found.ratings, 2) if found.ratings else None


def _similar(name: str, others: Sequence[str]) -> list[str]:
    """Names beside it that could be mistaken for it."""
    own = name.rpartition("/")[2]
    near = {one.rpartition("/")[2]: one for one in others if one != name}
    return [near[one] for one in difflib.get_close_matches(own, [one for one in near if one != own], SIMILAR, 0.85)]


def _number(cursor: str) -> int:
    if not cursor:
        return 2**62
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise RegistryError(Code.INVALID, "cursor: take `next` of the page before")
    return int(cursor)
