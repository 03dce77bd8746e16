"""What the extension kinds says and wants to hear. Generated from its OpenAPI; do not edit:

python -m tests.client.generate
"""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import Field

from gati_client.models.base import Model


class Artifact(Model):
    """A repository as an artifact with versions. `version` is the newest that is published."""

    repository: str
    kind: str
    latest: str
    stars: int
    ratings: int
    rating: float | None
    similar_names: list[str]
    channels: dict[str, str]
    created_at: datetime.datetime
    updated_at: datetime.datetime
    version: VersionDetail


class ArtifactItem(Model):
    """An artifact in a list."""

    repository: str
    kind: str
    latest: str
    digest: str
    title: str
    description: str
    stars: int
    rating: float | None
    updated_at: datetime.datetime


class ChannelChange(Model):
    """The version, tag or digest that the channel shall name. With `expected` only where it names that digest
    now.
    """

    to: str
    expected: str | None = None


class Deprecation(Model):
    """What to use instead, and until when it stays."""

    reason: str = ""
    replacement: str = ""
    removed_at: datetime.datetime | None = None
    alternate_versions: list[str] = Field(default_factory=list)


class Endpoint(Model):
    """Where something answers, and how to ask whether it is well."""

    url: str
    name: str = ""
    authentication: str = ""
    health: str = ""
    status: Literal["unknown", "up", "degraded", "down"] = "unknown"


class HistoryItem(Model):
    """An earlier overlay."""

    revision: int
    overlay: dict[str, Any]
    actor: str | None
    changed_at: datetime.datetime


class IndexedField(Model):
    """A field that can be searched for. `path` is a JSON pointer."""

    path: str
    index: Literal["value", "fulltext"] = "value"
    unique: bool = False


class KindItem(Model):
    """A kind of artifact; `manifest` is the JSON Schema of its config."""

    name: str
    summary: str
    artifact_types: list[str]
    config_types: list[str]
    layer_types: list[str]
    aliases: list[str]
    manifest: dict[str, Any] | None


class KindList(Model):
    """All kinds."""

    items: list[KindItem]


class Link(Model):
    """A link to follow."""

    title: str
    url: str


class MethodItem(Model):
    """What a method takes and gives, as hashes among `definitions`; null where that is not told."""

    takes: str | None
    gives: str | None


class MoveItem(Model):
    """A move of a tag: `before` and `after` are digests, null where there was, or is, none."""

    tag: str
    number: int
    before: str | None
    after: str | None
    actor: str | None
    moved_at: datetime.datetime


class Overlay(Model):
    """What can be changed after a push, without a new digest. In a PATCH, what is left out stays; null
    removes.
    """

    description: str | None = None
    readme: str | None = None
    labels: dict[str, str] | None = None
    keywords: list[str] | None = None
    links: list[Link] | None = None
    contact: str | None = None
    endpoints: list[Endpoint] | None = None
    metadata: dict[str, Any] | None = None
    successor: str | None = None


class RatingChange(Model):
    """One to five stars, and why."""

    stars: int
    review: str = ""


class RatingItem(Model):
    """A rating."""

    stars: int
    review: str = ""
    author: str
    rated_at: datetime.datetime


class Reason(Model):
    """Why."""

    reason: str = ""


class SchemaChange(Model):
    """A schema of custom metadata. Without a namespace it holds everywhere."""

    name: str
    version: str = "1.0.0"
    namespace: str = ""
    json_schema: dict[str, Any]
    applicable_to: list[str] = Field(default_factory=list)
    required: bool = False
    indexed_fields: list[IndexedField] = Field(default_factory=list)


class SchemaItem(Model):
    """A schema."""

    name: str
    version: str = "1.0.0"
    namespace: str = ""
    json_schema: dict[str, Any]
    applicable_to: list[str] = Field(default_factory=list)
    required: bool = False
    indexed_fields: list[IndexedField] = Field(default_factory=list)
    id: str


class SchemaList(Model):
    """The schemas that hold at a path."""

    items: list[SchemaItem]


class SignatureItem(Model):
    """The GTypes of a version by name and its methods ("" is the artifact as a whole), in one spelling. Equal
    types have equal hashes, however they were written; `definitions` has each by its hash.
    """

    types: dict[str, str]
    methods: dict[str, MethodItem]
    definitions: dict[str, dict[str, Any]]


class Starred(Model):
    """How many stars there are, and whether yours is among them."""

    stars: int
    starred: bool


class Version(Model):
    """A tag of a repository. `version` where the tag is one; `states` tells what is behind `state`."""

    repository: str
    tag: str
    version: str | None
    digest: str
    kind: str
    state: str
    states: dict[str, dict[str, Any]]
    moved_at: datetime.datetime


class VersionDetail(Model):
    """With all that is known. `facts` is what the artifact says of itself, `overlay` what was said of it
    later.
    """

    repository: str
    tag: str
    version: str | None
    digest: str
    kind: str
    state: str
    states: dict[str, dict[str, Any]]
    moved_at: datetime.datetime
    media_type: str
    size: int
    facts: dict[str, Any]
    overlay: dict[str, Any]
    revision: int
    same_content: list[str]
    pushed_at: datetime.datetime
    pushed_by: str | None
