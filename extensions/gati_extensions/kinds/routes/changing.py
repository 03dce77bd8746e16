"""Changing what is said of a version: states, overlay, channels; stars and ratings; schemas of custom metadata."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gati_extensions.kinds import metadata, semver, store
from gati_extensions.kinds.json import compact
from gati_extensions.kinds.model import (
    ChannelChange,
    Deprecation,
    Overlay,
    RatingChange,
    RatingItem,
    Reason,
    SchemaChange,
    SchemaItem,
    SchemaList,
    SchemaQuery,
    Starred,
    Version,
    VersionDetail,
    moment,
)
from gati_extensions.kinds.routes.doors import (
    MAINTAIN,
    PUBLISH,
    READ,
    Doors,
    detail_of,
    missing,
    repository_id,
    repository_of,
    version_of,
)
from gati_extensions.kinds.store import Tagged
from gati_extensions.namespaces.api import line
from gati_registry.domain import manifest as rules
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import (
    Access,
    Action,
    Answer,
    Call,
    Change,
    Decision,
    Operation,
    Page,
    Paging,
    Permission,
    Route,
    Transaction,
)
from gati_registry.values.digest import Digest
from gati_registry.values.reference import Tag

STAR = Permission("kinds.star", Action.PULL)
SCHEMAS = Permission("kinds.schemas", Action.SIGN_IN)

SET = {"unpublish": "unpublished", "deprecate": "deprecated", "yank": "yanked", "archive": "archived"}
UNSET = {"publish": "unpublished", "undeprecate": "deprecated", "unyank": "yanked", "restore": "archived"}


def registry_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/_ext/kinds/`."""
    own = _Schemas(doors)
    return [
        Route("GET", "schemas", SCHEMAS, own.all, "Schemas of custom metadata that hold at a namespace.",
              query=SchemaQuery, answer=SchemaList),
        Route("GET", "schemas/{id}", SCHEMAS, own.get, "A schema of custom metadata.", answer=SchemaItem),
        Route("PUT", "schemas/{id}", SCHEMAS, own.put, "Register or replace a schema of custom metadata.",
              body=SchemaChange, answer=SchemaItem),
    ]  # fmt: skip


def repository_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/<repository>/_ext/kinds/`."""
    own, people = _Changing(doors), _People(doors)
    states = [
        Route(
            "POST", f"versions/{{version}}/{action}", PUBLISH if action in ("publish", "unpublish") else MAINTAIN,
            own.setting(action), f"{action.capitalize()} a version.",
            body=Deprecation if action == "deprecate" else Reason, answer=Version,
        )
        for action in (*SET, *UNSET)
    ]  # fmt: skip
    return [
        *states,
        Route("PATCH", "versions/{version}", MAINTAIN, own.patch, "Change the overlay. Send its ETag as If-Match.",
              body=Overlay, answer=VersionDetail),
        Route("PUT", "channels/{channel}", MAINTAIN, own.put_channel, "Move a channel to a version.",
              body=ChannelChange, answer=Version),
        Route("PUT", "star", STAR, people.star, "Give a star.", answer=Starred),
        Route("GET", "star", STAR, people.starred, "Whether your star is among them.", answer=Starred),
        Route("DELETE", "star", STAR, people.unstar, "Take the star back.", answer=Starred),
        Route("PUT", "rating", STAR, people.rate, "Rate with one to five stars.", body=RatingChange,
              answer=RatingItem),
        Route("GET", "ratings", READ, people.ratings, "All ratings.", query=Paging, answer=Page[RatingItem]),
    ]  # fmt: skip


class _Changing:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    # --- states -------------------------------------------------------------------------------------------------

    def setting(self, action: str) -> Callable[[Call], Awaitable[Version]]:
        """The handler that sets or unsets a state."""
        state, sets = (SET[action], True) if action in SET else (UNSET[action], False)

        async def handler(call: Call) -> Version:
            repository, said = repository_of(call), call.body.model_dump(mode="json", exclude_defaults=True)
            now = self._doors.kernel.clock.now()

            async def work(tx: Transaction) -> Version:
                number = await repository_id(tx, repository)
                found = await self._version(tx, call)
                if action == "publish" and "unpublished" not in found.standing.states:
                    await self._publish_draft(tx, call, found)
                _check(action, found)
                value = {**said, "at": moment(now).isoformat(), "by": call.identity.name} if sets else None
                before, after = found.standing.state, None
                await store.set_state(tx, repository, found.tag, state, value, now)
                await self._doors.lines.refresh(tx, repository, now)
                changed = await store.tagged(tx, repository, found.tag)
                assert changed is not None
                after = changed.standing.state
                await self._doors.tell(
                    tx, call, number, "state", action, about=f"{repository}:{found.tag}",
                    digest=found.artifact.digest, before={"state": before}, after={"state": after, **said},
                )  # fmt: skip
                return version_of(repository, changed)

            done = await self._doors.kernel.database.write(work)
            self._doors.states.forget()
            return done

        return handler

    async def _publish_draft(self, tx: Transaction, call: Call, found: Tagged) -> None:
        if found.artifact.digest in await self._doors.namespaces.drafts(tx, repository_of(call)):
            raise RegistryError(
                Code.CONFLICT,
                "this version is a draft; publish it with all that it lists by "
                f"POST …/_ext/namespaces/drafts/{found.artifact.digest}/publish",
            )

    # --- overlay ------------------------------------------------------------------------------------------------

    async def patch(self, call: Call) -> Answer:
        """What the body names is changed; null removes it."""
        repository, asked, now = repository_of(call), call.body, self._doors.kernel.clock.now()
        assert isinstance(asked, Overlay)
        given = asked.model_dump(mode="json", exclude_unset=True)
        expected = _if_match(call)

        async def work(tx: Transaction) -> VersionDetail:
            number = await repository_id(tx, repository)
            found = await self._version(tx, call)
            if "archived" in found.standing.states:
                raise RegistryError(Code.DENIED, f"{found.tag} is archived and read-only; restore it first")
            before, revision = dict(found.standing.overlay), found.standing.revision
            if expected is not None and expected != revision:
                raise RegistryError(Code.PRECONDITION_FAILED, detail={"revision": revision})
            after = {name: value for name, value in {**before, **given}.items() if value is not None}
            if len(compact(after)) > self._doors.settings.max_overlay:
                raise RegistryError(Code.INVALID, f"an overlay has at most {self._doors.settings.max_overlay} bytes")
            await self._metadata(tx, repository, found, after)
            if not await store.set_overlay(
                tx, repository, found.tag, revision, after, now=now, actor=call.identity.name
            ):
                raise RegistryError(Code.PRECONDITION_FAILED)
            await self._doors.lines.refresh(tx, repository, now)
            changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
            await self._doors.tell(
                tx, call, number, "endpoints" if "endpoints" in changed else "overlay", "update",
                about=f"{repository}:{found.tag}", digest=found.artifact.digest,
                before={name: before.get(name) for name in sorted(changed)},
                after={name: after.get(name) for name in sorted(changed)},
            )  # fmt: skip
            renewed = await store.tagged(tx, repository, found.tag)
            assert renewed is not None
            return detail_of(repository, renewed, draft=False, same=[])

        detail = await self._doors.kernel.database.write(work)
        return Answer(200, detail, {"ETag": f'"{detail.revision}"'})

    async def _metadata(self, tx: Transaction, repository: str, found: Tagged, overlay: dict[str, Any]) -> None:
        schemas = await store.schemas_for(tx, line(repository))
        custom = overlay.get("metadata", {})
        if not schemas and not custom:
            return
        metadata.check(schemas, found.artifact.kind, custom)
        for schema in schemas:
            values = metadata.values(schema, custom[schema["id"]]) if schema["id"] in custom else []
            unique = {field["path"] for field in schema["indexed_fields"] if field["unique"]}
            for path, word, _ in values:
                if path in unique and await store.holder(tx, schema["id"], path, word, repository):
                    raise RegistryError(
                        Code.CONFLICT, f"metadata/{schema['id']}{path}: another artifact has this value already"
                    )
            await store.put_values(tx, repository, found.tag, schema["id"], values)

    # --- channels -----------------------------------------------------------------------------------------------

    async def put_channel(self, call: Call) -> Version:
        """The same as pushing the manifest under that tag again, for those who may not push."""
        repository, asked, now = repository_of(call), call.body, self._doors.kernel.clock.now()
        assert isinstance(asked, ChannelChange)
        channel = Tag.parse(call.parameters["channel"])
        if semver.parse(channel) is not None:
            raise RegistryError(Code.INVALID, f"{channel} is a version; versions are pushed, channels are moved")

        async def work(tx: Transaction) -> Version:
            number = await repository_id(tx, repository)
            found = await self._doors.resolve(tx, repository, asked.to, member=True)
            digest = Digest(found.artifact.digest)
            if digest in await self._doors.namespaces.drafts(tx, repository):
                raise RegistryError(Code.CONFLICT, "a draft is published before a channel names it")
            before = await tx.manifests.find(repository, channel)
            if asked.expected is not None and (before.digest if before else None) != asked.expected:
                raise RegistryError(Code.PRECONDITION_FAILED, detail={"digest": before.digest if before else None})
            row, data = await tx.manifests.find(repository, digest), await tx.manifests.data(repository, digest)
            if row is None or data is None:
                raise missing("manifest")
            manifest_id = await tx.manifests.add(number, digest, rules.parse(data, row.media_type), data, now)
            await tx.tags.point(number, channel, manifest_id, now)
            if before is None or before.digest != digest:
                await self._doors.kernel.core.emit(
                    tx,
                    Change(
                        Operation.TAG_MOVE, repository, number, call.caller, now, digest=digest, tag=channel,
                        previous=before.digest if before else None, new=before is None,
                    ),
                )  # fmt: skip
            renewed = await store.tagged(tx, repository, channel)
            assert renewed is not None
            return version_of(repository, renewed)

        return await self._doors.kernel.database.write(work)

    async def _version(self, tx: Transaction, call: Call) -> Tagged:
        found = await self._doors.resolve(tx, repository_of(call), call.parameters["version"], member=True)
        if not found.tag:
            raise RegistryError(Code.INVALID, "states and overlays belong to versions: this manifest has no tag")
        return found


def _check(action: str, found: Tagged) -> None:
    """Only what changes something is done.

    Raises:
        RegistryError: CONFLICT.
    """
    states = found.standing.states
    if action in SET and SET[action] in states:
        raise RegistryError(Code.CONFLICT, f"{found.tag} is {SET[action]} already")
    if action in UNSET and UNSET[action] not in states:
        raise RegistryError(Code.CONFLICT, f"{found.tag} is not {UNSET[action]}")
    if "archived" in states and action != "restore":
        raise RegistryError(Code.DENIED, f"{found.tag} is archived and read-only; restore it first")


def _if_match(call: Call) -> int | None:
    text = (call.header("if-match") or "").strip()
    if text in ("", "*"):
        return None
    number = text.strip('"')
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise RegistryError(Code.PRECONDITION_FAILED, "If-Match: send the ETag of the version as it was read")
    return int(number)


class _People:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def star(self, call: Call) -> Starred:
        return await self._set(call, on=True)

    async def unstar(self, call: Call) -> Starred:
        return await self._set(call, on=False)

    async def _set(self, call: Call, *, on: bool) -> Starred:
        repository, now = repository_of(call), self._doors.kernel.clock.now()

        async def work(tx: Transaction) -> Starred:
            account, _ = await self._doors.account(tx, call)
            if await store.listed(tx, repository) is None:
                raise missing("artifact")
            await store.star(tx, repository, account, now, on=on)
            await self._doors.lines.tell(tx, repository)
            found = await store.listed(tx, repository)
            assert found is not None
            return Starred(stars=found.stars, starred=on)

        return await self._doors.kernel.database.write(work)

    async def starred(self, call: Call) -> Starred:
        repository = repository_of(call)

        async def work(tx: Transaction) -> Starred:
            account, _ = await self._doors.account(tx, call)
            found = await store.listed(tx, repository)
            if found is None:
                raise missing("artifact")
            return Starred(stars=found.stars, starred=await store.has_star(tx, repository, account))

        return await self._doors.kernel.database.read(work)

    async def rate(self, call: Call) -> RatingItem:
        repository, asked, now = repository_of(call), call.body, self._doors.kernel.clock.now()
        assert isinstance(asked, RatingChange)

        async def work(tx: Transaction) -> RatingItem:
            account, name = await self._doors.account(tx, call)
            if await store.listed(tx, repository) is None:
                raise missing("artifact")
            await store.rate(tx, repository, account, name, asked.stars, asked.review, now)
            return RatingItem(stars=asked.stars, review=asked.review, author=name, rated_at=moment(now))

        return await self._doors.kernel.database.write(work)

    async def ratings(self, call: Call) -> Page[RatingItem]:
        repository, asked = repository_of(call), call.query
        cursor = asked.cursor
        if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
            raise RegistryError(Code.INVALID, "cursor: take `next` of the page before")
        rows = await self._doors.kernel.database.scan(
            lambda tx: store.ratings(tx, repository, int(cursor or 0), asked.limit + 1)
        )
        items = [RatingItem(author=row[1], stars=row[2], review=row[3], rated_at=moment(row[4])) for row in rows]
        more = str(rows[asked.limit - 1][0]) if len(rows) > asked.limit else None
        return Page[RatingItem](items=items[: asked.limit], next=more)


class _Schemas:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def all(self, call: Call) -> SchemaList:
        asked: SchemaQuery = call.query
        path = asked.namespace.strip("/")
        await self._may(call, path, Action.PULL)
        found = await self._doors.kernel.database.scan(lambda tx: store.schemas_for(tx, line(path) if path else ["-"]))
        return SchemaList(items=[SchemaItem.model_validate(body) for body in found])

    async def get(self, call: Call) -> SchemaItem:
        found = await self._doors.kernel.database.read(lambda tx: store.schema(tx, call.parameters["id"]))
        if found is None:
            raise missing("schema")
        await self._may(call, found["namespace"], Action.PULL)
        return SchemaItem.model_validate(found)

    async def put(self, call: Call) -> SchemaItem:
        asked, name, now = call.body, call.parameters["id"], self._doors.kernel.clock.now()
        assert isinstance(asked, SchemaChange)
        if (
            len(name) > 128
            or not name.replace("-", "").replace(".", "").replace("_", "").isalnum()
            or not name.isascii()
        ):
            raise RegistryError(Code.INVALID, "id: letters, digits, '.', '_' and '-', at most 128")
        namespace = asked.namespace.strip("/")
        await self._may(call, namespace, Action.ADMINISTER)
        for kind in asked.applicable_to:
            if self._doors.kinds.get(kind) is None:
                raise RegistryError(Code.INVALID, f"applicable_to: there is no kind {kind[:60]!r}")
        metadata.check_schema(asked)
        body = {**asked.model_dump(mode="json"), "id": name, "namespace": namespace}
        before = await self._doors.kernel.database.read(lambda tx: store.schema(tx, name))
        if before is not None and before["namespace"] != namespace:
            await self._may(call, before["namespace"], Action.ADMINISTER)

        async def work(tx: Transaction) -> None:
            now_there = await store.schema(tx, name)
            if now_there != before:
                raise RegistryError(Code.PRECONDITION_FAILED)
            await store.put_schema(tx, body, now)

        await self._doors.kernel.database.write(work)
        return SchemaItem.model_validate(body)

    async def _may(self, call: Call, namespace: str, action: Action) -> None:
        """Schemas of everywhere are read by all and changed by the server's administrators.

        Raises:
            RegistryError: DENIED, or NOT_FOUND where the namespace is hidden.
        """
        if not namespace and action is Action.PULL:
            return
        access = Access(action, namespace, request=call.exchange) if namespace else Access(Action.OPERATE)
        decision = await self._doors.kernel.access.decide(call.identity, access)
        if decision is Decision.ALLOW:
            return
        if decision is Decision.HIDE:
            raise missing("schema")
        raise RegistryError(Code.DENIED, f"you may not {action.value} in {namespace or 'the registry as a whole'}")
