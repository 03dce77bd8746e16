"""What the API speaks of."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from gati_registry.extension import Model, Paging

Text = Annotated[str, StringConstraints(max_length=4096)]
Prose = Annotated[str, StringConstraints(max_length=131072)]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$")]
State = Literal["draft", "published", "deprecated", "yanked", "archived", "unpublished"]


def moment(milliseconds: int) -> datetime.datetime:
    """A time as the API writes it."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


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


class Endpoint(Model):
    """Where something answers, and how to ask whether it is well."""

    url: Annotated[str, StringConstraints(max_length=2048, pattern=r"^https?://[^\s]+$")]
    name: Text = ""
    authentication: Text = ""
    health: Annotated[str, StringConstraints(max_length=2048)] = ""
    status: Literal["unknown", "up", "degraded", "down"] = "unknown"


class Link(Model):
    """A link to follow."""

    title: Text
    url: Annotated[str, StringConstraints(max_length=2048, pattern=r"^https?://[^\s]+$")]


class Overlay(Model):
    """What can be changed after a push, without a new digest. In a PATCH, what is left out stays; null removes."""

    description: Prose | None = None
    readme: Prose | None = None
    labels: Annotated[dict[Label, Annotated[str, Field(max_length=256)]], Field(max_length=64)] | None = None
    keywords: Annotated[list[Text], Field(max_length=64)] | None = None
    links: Annotated[list[Link], Field(max_length=64)] | None = None
    contact: Text | None = None
    endpoints: Annotated[list[Endpoint], Field(max_length=64)] | None = None
    metadata: Annotated[dict[str, Any], Field(max_length=32)] | None = None
    successor: Text | None = None


class Version(Model):
    """A tag of a repository. `version` where the tag is one; `states` tells what is behind `state`."""

    repository: str
    tag: str
    version: str | None
    digest: str
    kind: str
    state: State
    states: dict[str, dict[str, Any]]
    moved_at: datetime.datetime


class VersionDetail(Version):
    """With all that is known. `facts` is what the artifact says of itself, `overlay` what was said of it later."""

    media_type: str
    size: int
    facts: dict[str, Any]
    overlay: dict[str, Any]
    revision: int
    same_content: list[str]
    pushed_at: datetime.datetime
    pushed_by: str | None


class MethodItem(Model):
    """What a method takes and gives, as hashes among `definitions`; null where that is not told."""

    takes: str | None
    gives: str | None


class SignatureItem(Model):
    """The GTypes of a version by name and its methods ("" is the artifact as a whole), in one spelling.

    Equal types have equal hashes, however they were written; `definitions` has each by its hash.
    """

    types: dict[str, str]
    methods: dict[str, MethodItem]
    definitions: dict[str, dict[str, Any]]


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


class ArtifactQuery(Paging):
    """A list of artifacts."""

    kind: Annotated[str, StringConstraints(max_length=64)] | None = None


class VersionQuery(Paging):
    """Versions. With `channel`, that tag alone, with `as_of` as it was then."""

    channel: Annotated[str, StringConstraints(max_length=128)] | None = None
    as_of: AwareDatetime | None = None
    all: bool = Field(False, description="Unpublished ones too, for members.")


class MoveItem(Model):
    """A move of a tag: `before` and `after` are digests, null where there was, or is, none."""

    tag: str
    number: int
    before: str | None
    after: str | None
    actor: str | None
    moved_at: datetime.datetime


class Reason(Model):
    """Why."""

    reason: Text = ""


class Deprecation(Reason):
    """What to use instead, and until when it stays."""

    replacement: Text = ""
    removed_at: AwareDatetime | None = None
    alternate_versions: Annotated[list[Text], Field(max_length=64)] = Field(default_factory=list)


class ChannelChange(Model):
    """The version, tag or digest that the channel shall name. With `expected` only where it names that digest now."""

    to: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    expected: Annotated[str, StringConstraints(max_length=256)] | None = None


class Starred(Model):
    """How many stars there are, and whether yours is among them."""

    stars: int
    starred: bool


class RatingChange(Model):
    """One to five stars, and why."""

    stars: int = Field(ge=1, le=5)
    review: Annotated[str, StringConstraints(max_length=16384)] = ""


class RatingItem(RatingChange):
    """A rating."""

    author: str
    rated_at: datetime.datetime


class IndexedField(Model):
    """A field that can be searched for. `path` is a JSON pointer."""

    path: Annotated[str, StringConstraints(pattern=r"^(/[^/]{1,100}){1,8}$")]
    index: Literal["value", "fulltext"] = "value"
    unique: bool = False


class SchemaChange(Model):
    """A schema of custom metadata. Without a namespace it holds everywhere."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    version: Annotated[str, StringConstraints(max_length=64)] = "1.0.0"
    namespace: Annotated[str, StringConstraints(max_length=255)] = ""
    json_schema: dict[str, Any]
    applicable_to: Annotated[list[str], Field(max_length=64)] = Field(default_factory=list)
    required: bool = False
    indexed_fields: Annotated[list[IndexedField], Field(max_length=32)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _distinct(self) -> SchemaChange:
        paths = [field.path for field in self.indexed_fields]
        if len(set(paths)) != len(paths):
            raise ValueError("indexed_fields: a path is there twice")
        return self


class SchemaItem(SchemaChange):
    """A schema."""

    id: str


class SchemaList(Model):
    """The schemas that hold at a path."""

    items: list[SchemaItem]


class SchemaQuery(Model):
    """For which namespace."""

    namespace: Annotated[str, StringConstraints(max_length=255)] = ""


class HistoryItem(Model):
    """An earlier overlay."""

    revision: int
    overlay: dict[str, Any]
    actor: str | None
    changed_at: datetime.datetime
