"""Versions, channels, states, stars and ratings of artifacts."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Sequence

from gati_client.models import (
    Artifact,
    ArtifactItem,
    ChannelChange,
    Deprecation,
    HistoryItem,
    KindItem,
    KindList,
    MoveItem,
    Overlay,
    RatingChange,
    RatingItem,
    Reason,
    SchemaChange,
    SchemaItem,
    SchemaList,
    SignatureItem,
    Starred,
    Version,
    VersionDetail,
)
from gati_client.names import tag_of
from gati_client.spaces.base import Space, namespace_path, part, repository_path


class Versions(Space):
    """`client.versions`."""

    needs = "kinds"

    async def artifact(self, repository: str) -> Artifact:
        """What the repository is, with its newest published version."""
        return await self._get(Artifact, repository_path(repository, "kinds/artifact"))

    def artifacts(self, namespace: str, *, kind: str | None = None) -> AsyncIterator[ArtifactItem]:
        """The artifacts at and below a namespace, by name."""
        path = f"/v2/_ext/kinds/namespaces/{namespace_path(namespace)}/artifacts"
        return self._items(ArtifactItem, path, {"kind": kind})

    def list(
        self,
        repository: str,
        *,
        channel: str | None = None,
        as_of: datetime.datetime | None = None,
        all_states: bool = False,
    ) -> AsyncIterator[Version]:
        """Versions, newest first: all, those of one channel, or those of a time; `all_states`: hidden ones too."""
        query = {"channel": channel, "as_of": as_of.isoformat() if as_of else None, "all": all_states or None}
        return self._items(Version, repository_path(repository, "kinds/versions"), query)

    async def get(self, repository: str, version: str) -> VersionDetail:
        """A version, a channel or a digest, with all that is known of it."""
        return await self._get(VersionDetail, self._path(repository, version))

    async def types(self, repository: str, version: str) -> SignatureItem:
        """A version's GTypes and the methods that take and give them."""
        return await self._get(SignatureItem, self._path(repository, version, "types"))

    async def update(
        self, repository: str, version: str, overlay: Overlay, *, revision: int | None = None
    ) -> VersionDetail:
        """Change what may be changed after a push; fields that were not set stay, None removes.

        Args:
            revision: that which was read before; None: whatever it is now.

        Raises:
            Conflict: somebody changed it meanwhile.
        """
        if revision is None:
            revision = (await self.get(repository, version)).revision
        headers = {"If-Match": f'"{revision}"'}
        return await self._send("PATCH", self._path(repository, version), VersionDetail, overlay, headers=headers)

    def history(self, repository: str, version: str) -> AsyncIterator[HistoryItem]:
        """What changed after the push, newest first."""
        return self._items(HistoryItem, self._path(repository, version, "history"))

    async def publish(self, repository: str, version: str, reason: str = "") -> Version:
        """A draft, or what was unpublished, is seen by all."""
        return await self._turn(repository, version, "publish", reason)

    async def unpublish(self, repository: str, version: str, reason: str = "") -> Version:
        """Hide it from search and lists; its digest still pulls."""
        return await self._turn(repository, version, "unpublish", reason)

    async def deprecate(self, repository: str, version: str, deprecation: Deprecation) -> Version:
        """Tell who uses it what to use instead."""
        return await self._send("POST", self._path(repository, version, "deprecate"), Version, deprecation)

    async def undeprecate(self, repository: str, version: str, reason: str = "") -> Version:
        """The reverse."""
        return await self._turn(repository, version, "undeprecate", reason)

    async def yank(self, repository: str, version: str, reason: str = "") -> Version:
        """No resolver chooses it from now on; digests and locks still resolve."""
        return await self._turn(repository, version, "yank", reason)

    async def unyank(self, repository: str, version: str, reason: str = "") -> Version:
        """The reverse."""
        return await self._turn(repository, version, "unyank", reason)

    async def archive(self, repository: str, version: str, reason: str = "") -> Version:
        """Make it read-only."""
        return await self._turn(repository, version, "archive", reason)

    async def restore(self, repository: str, version: str, reason: str = "") -> Version:
        """The reverse."""
        return await self._turn(repository, version, "restore", reason)

    def channels(self, repository: str) -> AsyncIterator[Version]:
        """Channels and what they point to."""
        return self._items(Version, repository_path(repository, "kinds/channels"))

    async def promote(self, repository: str, channel: str, change: ChannelChange) -> Version:
        """Let a channel point to a version."""
        path = repository_path(repository, f"kinds/channels/{part(channel)}")
        return await self._send("PUT", path, Version, change)

    def moves(self, repository: str, channel: str) -> AsyncIterator[MoveItem]:
        """Where a channel pointed, newest first."""
        return self._items(MoveItem, repository_path(repository, f"kinds/channels/{part(channel)}/moves"))

    async def star(self, repository: str) -> Starred:
        """Like it."""
        return await self._send("PUT", repository_path(repository, "kinds/star"), Starred)

    async def unstar(self, repository: str) -> Starred:
        """Do so no longer."""
        return await self._send("DELETE", repository_path(repository, "kinds/star"), Starred)

    async def starred(self, repository: str) -> Starred:
        """Whether the caller likes it, and how many do."""
        return await self._get(Starred, repository_path(repository, "kinds/star"))

    async def rate(self, repository: str, rating: RatingChange) -> RatingItem:
        """One to five, with a review."""
        return await self._send("PUT", repository_path(repository, "kinds/rating"), RatingItem, rating)

    def ratings(self, repository: str) -> AsyncIterator[RatingItem]:
        """What others say."""
        return self._items(RatingItem, repository_path(repository, "kinds/ratings"))

    async def kinds(self) -> Sequence[KindItem]:
        """The kinds of artifacts that the registry understands."""
        return (await self._get(KindList, "/v2/_ext/kinds/kinds")).items

    async def schemas(self, namespace: str | None = None) -> Sequence[SchemaItem]:
        """Schemas of custom metadata."""
        return (await self._get(SchemaList, "/v2/_ext/kinds/schemas", {"namespace": namespace})).items

    async def put_schema(self, schema_id: str, schema: SchemaChange) -> SchemaItem:
        """Register or replace a schema of custom metadata."""
        return await self._send("PUT", f"/v2/_ext/kinds/schemas/{part(schema_id)}", SchemaItem, schema)

    async def _turn(self, repository: str, version: str, verb: str, reason: str) -> Version:
        body = Reason(reason=reason) if reason else Reason()
        return await self._send("POST", self._path(repository, version, verb), Version, body)

    def _path(self, repository: str, version: str, verb: str = "") -> str:
        version = version if ":" in version else tag_of(version)
        return repository_path(repository, f"kinds/versions/{part(version)}" + (f"/{verb}" if verb else ""))
