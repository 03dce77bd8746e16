"""The tables of `kinds`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gati_extensions.kinds import semver
from gati_extensions.kinds.json import compact
from gati_extensions.kinds.kind import Facts
from gati_extensions.kinds.understanding import Understood
from gati_registry.extension import Transaction, Visible

STATES = ("archived", "unpublished", "yanked", "deprecated")
"""From the strongest: of several that hold, the first is the version's state."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A manifest and what it is. `facts` as JSON."""

    digest: str
    kind: str
    media_type: str
    size: int
    facts: Mapping[str, Any]
    pushed_at: int
    pushed_by: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A version's states and overlay."""

    states: Mapping[str, Mapping[str, Any]]
    overlay: Mapping[str, Any]
    revision: int

    @property
    def state(self) -> str:
        """The strongest; without any: published."""
        return next((name for name in STATES if name in self.states), "published")


FRESH = Standing({}, {}, 0)


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag and what it names."""

    tag: str
    artifact: Artifact
    standing: Standing
    moved_at: int
    version_key: str | None


@dataclass(frozen=True, slots=True)
class Move:
    """A move of a tag."""

    tag: str
    number: int
    moved_at: int
    before: str | None
    after: str | None
    actor: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A repository in a list."""

    name: str
    kind: str
    latest: str
    digest: str
    title: str
    description: str
    stars: int
    ratings: int
    rated: int
    created_at: int
    updated_at: int


def encoded(facts: Facts) -> str:
    """Facts as they are kept: what says nothing is left out."""
    found = {
        field.name: value
        for field in dataclasses.fields(facts)
        if (value := getattr(facts, field.name)) not in ("", (), {}) and field.name not in ("dependencies", "exports")
    }
    if facts.dependencies:
        found["dependencies"] = [dataclasses.asdict(dependency) for dependency in facts.dependencies]
    return compact(found)


# --- artifacts --------------------------------------------------------------------------------------------------

_ARTIFACT = "artifact.digest, artifact.kind, artifact.media_type, artifact.size, artifact.facts, artifact.pushed_at," \
            " artifact.pushed_by"  # fmt: skip


def _artifact(row: Sequence[Any]) -> Artifact:
    return Artifact(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], row[6])


async def put_artifact(
    tx: Transaction, repository: str, digest: str, understood: Understood, *, media_type: str, subject: str | None,
    size: int, now: int, actor: str | None,
) -> None:  # fmt: skip
    """Keep what a manifest is."""
    await tx.run(
        "INSERT INTO kinds_artifact (repository, digest, kind, media_type, subject, size, content, facts, pushed_at,"
        " pushed_by) VALUES (:repository, :digest, :kind, :media_type, :subject, :size, :content, :facts, :now, :actor)"
        " ON CONFLICT (repository, digest) DO UPDATE SET kind = :kind, content = :content, facts = :facts",
        repository=repository, digest=digest, kind=understood.kind, media_type=media_type, subject=subject, size=size,
        content=understood.content, facts=encoded(understood.facts), now=now, actor=actor,
    )  # fmt: skip
    found = understood.signatures
    if found.types or found.methods:
        await tx.run(
            "INSERT INTO kinds_signature (repository, digest, body) VALUES (:repository, :digest, :body)"
            " ON CONFLICT (repository, digest) DO UPDATE SET body = :body",
            repository=repository, digest=digest, body=compact(found.plain()),
        )  # fmt: skip


async def drop_artifact(tx: Transaction, repository: str, digest: str) -> None:
    """It is gone; so are its tags."""
    for table in ("artifact", "signature"):
        await tx.run(
            f"DELETE FROM kinds_{table} WHERE repository = :repository AND digest = :digest",
            repository=repository, digest=digest,
        )  # fmt: skip


async def signatures(tx: Transaction, repository: str, digest: str) -> Mapping[str, Any] | None:
    """A manifest's GTypes and methods (`gtypes.signatures.Signatures.plain`); None where it has none."""
    row = await tx.one(
        "SELECT body FROM kinds_signature WHERE repository = :repository AND digest = :digest",
        repository=repository, digest=digest,
    )  # fmt: skip
    return json.loads(row[0]) if row is not None else None


async def artifact(tx: Transaction, repository: str, digest: str) -> Artifact | None:
    """What a manifest is."""
    row = await tx.one(
        f"SELECT {_ARTIFACT} FROM kinds_artifact AS artifact WHERE repository = :repository AND digest = :digest",
        repository=repository, digest=digest,
    )  # fmt: skip
    return _artifact(row) if row is not None else None


async def same_content(
    tx: Transaction, repository: str, digest: str, limit: int, visible: Visible
) -> Sequence[tuple[str, str]]:
    """(repository, digest) of artifacts of the same layers in other repositories that a caller may see."""
    condition, values = visible.where("other.repository")
    rows = await tx.all(
        "SELECT other.repository, other.digest FROM kinds_artifact AS own JOIN kinds_artifact AS other"
        " ON other.content = own.content AND other.content <> '' AND other.repository <> own.repository"
        f" WHERE own.repository = :repository AND own.digest = :digest AND ({condition})"
        " ORDER BY other.repository, other.digest LIMIT :limit",
        repository=repository, digest=digest, limit=limit, **values,
    )  # fmt: skip
    return [(row[0], row[1]) for row in rows]


# --- tags -------------------------------------------------------------------------------------------------------

_TAGGED = (
    f"SELECT {_ARTIFACT}, tag.tag, tag.moved_at, tag.version_key, standing.unpublished, standing.deprecated,"
    " standing.yanked, standing.archived, standing.overlay, standing.revision FROM kinds_tag AS tag"
    " JOIN kinds_artifact AS artifact ON artifact.repository = tag.repository AND artifact.digest = tag.digest"
    " LEFT JOIN kinds_standing AS standing ON standing.repository = tag.repository AND standing.tag = tag.tag"
    " WHERE tag.repository = :repository"
)


def _tagged(row: Sequence[Any]) -> Tagged:
    return Tagged(row[7], _artifact(row[:7]), _standing(row[10:]), row[8], row[9])


def _standing(row: Sequence[Any]) -> Standing:
    if row[4] is None:
        return FRESH
    names = ("unpublished", "deprecated", "yanked", "archived")
    states = {name: json.loads(value) for name, value in zip(names, row[:4], strict=True) if value is not None}
    return Standing(states, json.loads(row[4]), row[5])


async def tagged(tx: Transaction, repository: str, tag: str) -> Tagged | None:
    """What a tag names."""
    row = await tx.one(f"{_TAGGED} AND tag.tag = :tag", repository=repository, tag=tag)
    return _tagged(row) if row is not None else None


async def tags_of(tx: Transaction, repository: str, digest: str, limit: int) -> Sequence[str]:
    """The tags that name a manifest."""
    rows = await tx.all(
        "SELECT tag FROM kinds_tag WHERE repository = :repository AND digest = :digest ORDER BY tag LIMIT :limit",
        repository=repository, digest=digest, limit=limit,
    )  # fmt: skip
    return [row[0] for row in rows]


async def versions(tx: Transaction, repository: str, below: str | None, limit: int) -> Sequence[Tagged]:
    """Versions, the highest first; those whose key is below `below`."""
    bound = "" if below is None else " AND tag.version_key < :below"
    values = {} if below is None else {"below": below}
    rows = await tx.all(
        f"{_TAGGED} AND tag.version_key IS NOT NULL{bound} ORDER BY tag.version_key DESC, tag.tag LIMIT :limit",
        repository=repository, limit=limit, **values,
    )  # fmt: skip
    return [_tagged(row) for row in rows]


async def channels(tx: Transaction, repository: str, after: str, limit: int) -> Sequence[Tagged]:
    """Tags that are no version, by name."""
    rows = await tx.all(
        f"{_TAGGED} AND tag.version_key IS NULL AND tag.tag > :after ORDER BY tag.tag LIMIT :limit",
        repository=repository, after=after, limit=limit,
    )  # fmt: skip
    return [_tagged(row) for row in rows]


async def move(
    tx: Transaction, repository: str, tag: str, before: str | None, after: str | None, *, now: int, actor: str | None
) -> None:
    """Note that a tag names something else, or nothing, from now on."""
    if after is None:
        await tx.run(
            "DELETE FROM kinds_tag WHERE repository = :repository AND tag = :tag", repository=repository, tag=tag
        )
    else:
        version = semver.parse(tag)
        await tx.run(
            "INSERT INTO kinds_tag (repository, tag, digest, version_key, release_key, moved_at)"
            " VALUES (:repository, :tag, :digest, :key, :release, :now) ON CONFLICT (repository, tag)"
            " DO UPDATE SET digest = :digest, moved_at = :now",
            repository=repository, tag=tag, digest=after, key=version.key if version else None,
            release=version.key if version and not version.prerelease else None, now=now,
        )  # fmt: skip
    await tx.run(
        "INSERT INTO kinds_move (repository, tag, moved_at, number, before, after, actor)"
        " SELECT :repository, :tag, :now, COALESCE(max(number), 0) + 1, :before, :after, :actor"
        " FROM kinds_move WHERE repository = :repository AND tag = :tag",
        repository=repository, tag=tag, now=now, before=before, after=after, actor=actor,
    )  # fmt: skip


async def moves(tx: Transaction, repository: str, tag: str, below: int, limit: int) -> Sequence[Move]:
    """Moves of a tag, newest first, of numbers below `below`."""
    rows = await tx.all(
        "SELECT tag, number, moved_at, before, after, actor FROM kinds_move WHERE repository = :repository"
        " AND tag = :tag AND number < :below ORDER BY number DESC LIMIT :limit",
        repository=repository, tag=tag, below=below, limit=limit,
    )  # fmt: skip
    return [Move(*row) for row in rows]


async def as_of(tx: Transaction, repository: str, tag: str, time: int) -> str | None:
    """The digest that a tag named at a time; None if it was not there."""
    row = await tx.one(
        "SELECT after FROM kinds_move WHERE repository = :repository AND tag = :tag AND moved_at <= :time"
        " ORDER BY number DESC LIMIT 1",
        repository=repository, tag=tag, time=time,
    )  # fmt: skip
    return row[0] if row is not None else None


# --- states and overlays ----------------------------------------------------------------------------------------


async def ensure_standing(tx: Transaction, repository: str, tag: str, now: int) -> None:
    """Make the row."""
    await tx.run(
        "INSERT INTO kinds_standing (repository, tag, changed_at) VALUES (:repository, :tag, :now)"
        " ON CONFLICT (repository, tag) DO NOTHING",
        repository=repository, tag=tag, now=now,
    )  # fmt: skip


async def set_state(
    tx: Transaction, repository: str, tag: str, state: str, value: Mapping[str, Any] | None, now: int
) -> None:
    """Set a state, or with None unset it."""
    assert state in STATES
    await ensure_standing(tx, repository, tag, now)
    await tx.run(
        f"UPDATE kinds_standing SET {state} = :value, changed_at = :now WHERE repository = :repository AND tag = :tag",
        repository=repository, tag=tag, value=compact(value) if value is not None else None, now=now,
    )  # fmt: skip
    await tx.run("UPDATE kinds_revision SET number = number + 1 WHERE name = 'states'")


async def set_overlay(
    tx: Transaction,
    repository: str,
    tag: str,
    revision: int,
    overlay: Mapping[str, Any],
    *,
    now: int,
    actor: str | None,
) -> bool:
    """Replace an overlay of this revision by the next one; False if another came before."""
    await ensure_standing(tx, repository, tag, now)
    text = compact(overlay)
    changed = await tx.run(
        "UPDATE kinds_standing SET overlay = :overlay, revision = revision + 1, changed_at = :now"
        " WHERE repository = :repository AND tag = :tag AND revision = :revision",
        repository=repository, tag=tag, overlay=text, revision=revision, now=now,
    )  # fmt: skip
    if not changed:
        return False
    await tx.run(
        "INSERT INTO kinds_overlay (repository, tag, revision, overlay, changed_at, actor)"
        " VALUES (:repository, :tag, :revision, :overlay, :now, :actor)",
        repository=repository, tag=tag, revision=revision + 1, overlay=text, now=now, actor=actor,
    )  # fmt: skip
    return True


async def overlays(
    tx: Transaction, repository: str, tag: str, below: int, limit: int
) -> Sequence[tuple[int, dict[str, Any], int, str | None]]:
    """(revision, overlay, time, actor), newest first, of revisions below `below`."""
    rows = await tx.all(
        "SELECT revision, overlay, changed_at, actor FROM kinds_overlay WHERE repository = :repository AND tag = :tag"
        " AND revision < :below ORDER BY revision DESC LIMIT :limit",
        repository=repository, tag=tag, below=below, limit=limit,
    )  # fmt: skip
    return [(row[0], json.loads(row[1]), row[2], row[3]) for row in rows]


async def states_of(tx: Transaction, repository: str, digest: str, tag: str | None) -> Sequence[Standing]:
    """The standing of a tag; without one, of all versions that a digest is."""
    which = "tag.digest = :digest AND tag.version_key IS NOT NULL" if tag is None else "tag.tag = :tag"
    rows = await tx.all(
        "SELECT standing.unpublished, standing.deprecated, standing.yanked, standing.archived, standing.overlay,"
        " standing.revision FROM kinds_tag AS tag JOIN kinds_standing AS standing"
        " ON standing.repository = tag.repository AND standing.tag = tag.tag"
        f" WHERE tag.repository = :repository AND {which}",
        repository=repository, **({"digest": digest} if tag is None else {"tag": tag}),
    )  # fmt: skip
    return [_standing(row) for row in rows]


async def revision(tx: Transaction) -> int:
    """How often a state was changed."""
    row = await tx.one("SELECT number FROM kinds_revision WHERE name = 'states'")
    return row[0] if row is not None else 0


# --- repositories -----------------------------------------------------------------------------------------------

_LISTED = "name, kind, latest, digest, title, description, stars, ratings, rated, created_at, updated_at"


async def refresh(tx: Transaction, repository: str, now: int, drafts: frozenset[str]) -> None:
    """Write a repository's line of the lists anew: after any change of its tags, states, overlays or drafts.

    Where there are drafts alone there is no line: lists are for everybody.
    """
    found = await _best(tx, repository, drafts)
    if found is None:
        await tx.run("DELETE FROM kinds_repository WHERE name = :name", name=repository)
        return
    facts, overlay = found.artifact.facts, found.standing.overlay
    await tx.run(
        "INSERT INTO kinds_repository (name, kind, latest, digest, title, description, stars, ratings, rated,"
        " created_at, updated_at) SELECT :name, :kind, :latest, :digest, :title, :description,"
        " (SELECT count(*) FROM kinds_star WHERE repository = :name),"
        " (SELECT count(*) FROM kinds_rating WHERE repository = :name),"
        " (SELECT CAST(COALESCE(sum(stars), 0) AS BIGINT) FROM kinds_rating WHERE repository = :name), :now, :now"
        " WHERE TRUE ON CONFLICT (name) DO UPDATE SET kind = :kind, latest = :latest, digest = :digest,"
        " title = :title, description = :description, updated_at = :now",
        name=repository,
        kind=found.artifact.kind,
        latest=found.tag,
        digest=found.artifact.digest,
        title=str(facts.get("title", ""))[:256],
        description=str(overlay.get("description", facts.get("description", "")))[:1024],
        now=now,
    )


_LOOKED = 50
"""Versions from the highest that are looked at for one that is neither unpublished nor yanked."""


async def _best(tx: Transaction, repository: str, drafts: frozenset[str]) -> Tagged | None:
    """The highest release that is neither a draft, unpublished nor yanked; else the newest tag that everybody sees."""
    # Each of these reads as many rows from the end of an index as there are drafts and the like, and one.
    order = (("release_key", True), ("version_key", True), ("moved_at", False))
    for column, versions_ in order:
        rows = await tx.all(
            "SELECT tag.tag, tag.digest, standing.unpublished, standing.yanked FROM kinds_tag AS tag"
            " LEFT JOIN kinds_standing AS standing"
            " ON standing.repository = tag.repository AND standing.tag = tag.tag"
            f" WHERE tag.repository = :repository AND tag.{column} IS NOT NULL"
            f" ORDER BY tag.{column} DESC LIMIT :limit",
            repository=repository,
            limit=len(drafts) + _LOOKED,
        )
        for tag, digest, unpublished, yanked in rows:
            if digest not in drafts and not unpublished and not (versions_ and yanked):
                return await tagged(tx, repository, tag)
    return None


async def listed(tx: Transaction, name: str) -> Listed | None:
    """A repository's line."""
    row = await tx.one(f"SELECT {_LISTED} FROM kinds_repository WHERE name = :name", name=name)
    return Listed(*row) if row is not None else None


async def within(
    tx: Transaction, path: str, kind: str | None, after: str, limit: int, visible: Visible
) -> Sequence[Listed]:
    """Repositories at and below a path (empty: anywhere) that a caller may see, by name."""
    condition, values = visible.where("kinds_repository.name")
    if kind is not None:
        condition, values = f"({condition}) AND kind = :kind", {**values, "kind": kind}
    if path:
        condition = f"({condition}) AND (name = :path OR (name > :below AND name < :beyond))"
        values |= {"path": path, "below": f"{path}/", "beyond": f"{path}0"}
    rows = await tx.all(
        f"SELECT {_LISTED} FROM kinds_repository WHERE name > :after AND ({condition}) ORDER BY name LIMIT :limit",
        after=after, limit=limit, **values,
    )  # fmt: skip
    return [Listed(*row) for row in rows]


_TABLES = (
    "artifact", "signature", "tag", "move", "standing", "overlay", "star", "rating", "value", "download", "popularity",
)  # fmt: skip


async def rename(tx: Transaction, source: str, target: str) -> None:
    """Repositories at and below a path have other names from now on."""
    for table, column in (("repository", "name"), *((table, "repository") for table in _TABLES)):
        await tx.run(
            f"UPDATE kinds_{table} SET {column} = :target || substr({column}, CAST(:cut AS INTEGER))"
            f" WHERE {column} = :source OR ({column} > :below AND {column} < :beyond)",
            source=source, target=target, cut=len(source) + 1, below=f"{source}/", beyond=f"{source}0",
        )  # fmt: skip


# --- stars and ratings ------------------------------------------------------------------------------------------


async def star(tx: Transaction, repository: str, account: int, now: int, *, on: bool) -> None:
    """Give a star, or take it back; again changes nothing."""
    if on:
        changed = await tx.run(
            "INSERT INTO kinds_star (repository, account, starred_at) VALUES (:repository, :account, :now)"
            " ON CONFLICT (repository, account) DO NOTHING",
            repository=repository, account=account, now=now,
        )  # fmt: skip
    else:
        changed = await tx.run(
            "DELETE FROM kinds_star WHERE repository = :repository AND account = :account",
            repository=repository, account=account,
        )  # fmt: skip
    if changed:
        await tx.run(
            "UPDATE kinds_repository SET stars = stars + :by WHERE name = :name", name=repository, by=1 if on else -1
        )


async def has_star(tx: Transaction, repository: str, account: int) -> bool:
    """Whether the account's star is among them."""
    row = await tx.one(
        "SELECT 1 FROM kinds_star WHERE repository = :repository AND account = :account",
        repository=repository, account=account,
    )  # fmt: skip
    return row is not None


async def rate(tx: Transaction, repository: str, account: int, author: str, stars: int, review: str, now: int) -> None:
    """Rate; replaces one's earlier rating."""
    row = await tx.one(
        "SELECT stars FROM kinds_rating WHERE repository = :repository AND account = :account",
        repository=repository, account=account,
    )  # fmt: skip
    await tx.run(
        "INSERT INTO kinds_rating (repository, account, author, stars, review, rated_at)"
        " VALUES (:repository, :account, :author, :stars, :review, :now) ON CONFLICT (repository, account)"
        " DO UPDATE SET stars = :stars, review = :review, rated_at = :now",
        repository=repository, account=account, author=author, stars=stars, review=review, now=now,
    )  # fmt: skip
    await tx.run(
        "UPDATE kinds_repository SET ratings = ratings + :new, rated = rated + :by WHERE name = :name",
        name=repository, new=0 if row else 1, by=stars - (row[0] if row else 0),
    )  # fmt: skip


async def ratings(tx: Transaction, repository: str, after: int, limit: int) -> Sequence[tuple[int, str, int, str, int]]:
    """(account, author, stars, review, time) by account."""
    rows = await tx.all(
        "SELECT account, author, stars, review, rated_at FROM kinds_rating WHERE repository = :repository"
        " AND account > :after ORDER BY account LIMIT :limit",
        repository=repository, after=after, limit=limit,
    )  # fmt: skip
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


# --- schemas ----------------------------------------------------------------------------------------------------


async def schema(tx: Transaction, schema_id: str) -> Mapping[str, Any] | None:
    """A schema of custom metadata."""
    row = await tx.one("SELECT body FROM kinds_schema WHERE id = :id", id=schema_id)
    return json.loads(row[0]) if row is not None else None


async def schemas_for(tx: Transaction, paths: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Schemas of these namespaces, and those of all."""
    names = {f"p{number}": path for number, path in enumerate(paths)}
    listed_ = ", ".join(f":{name}" for name in names)
    rows = await tx.all(f"SELECT body FROM kinds_schema WHERE namespace IN ('', {listed_}) ORDER BY id", **names)
    return [json.loads(row[0]) for row in rows]


async def put_schema(tx: Transaction, body: Mapping[str, Any], now: int) -> None:
    """Make or replace a schema."""
    await tx.run(
        "INSERT INTO kinds_schema (id, namespace, body, changed_at) VALUES (:id, :namespace, :body, :now)"
        " ON CONFLICT (id) DO UPDATE SET namespace = :namespace, body = :body, changed_at = :now",
        id=body["id"], namespace=body.get("namespace", ""), body=compact(body), now=now,
    )  # fmt: skip


async def put_values(
    tx: Transaction, repository: str, tag: str, schema_id: str, values: Sequence[tuple[str, str, float | None]]
) -> None:
    """The indexed fields of a version's metadata, instead of the earlier ones."""
    await tx.run(
        "DELETE FROM kinds_value WHERE repository = :repository AND tag = :tag AND schema = :schema",
        repository=repository, tag=tag, schema=schema_id,
    )  # fmt: skip
    for path, word, number in values:
        await tx.run(
            "INSERT INTO kinds_value (schema, path, repository, tag, word, number)"
            " VALUES (:schema, :path, :repository, :tag, :word, :number) ON CONFLICT DO NOTHING",
            schema=schema_id, path=path, repository=repository, tag=tag, word=word, number=number,
        )  # fmt: skip


async def holder(tx: Transaction, schema_id: str, path: str, word: str, repository: str) -> str | None:
    """Another repository that has this value in a field that must be unique."""
    row = await tx.one(
        "SELECT repository FROM kinds_value WHERE schema = :schema AND path = :path AND word = :word"
        " AND repository <> :repository LIMIT 1",
        schema=schema_id, path=path, word=word, repository=repository,
    )  # fmt: skip
    return row[0] if row is not None else None


# --- the catalogue ----------------------------------------------------------------------------------------------

_AT_ONCE = 400
"""Names of one statement."""


async def existing(tx: Transaction, names: Sequence[str], visible: Visible) -> Sequence[str]:
    """Those of the names that are artifacts which a caller may see."""
    condition, values = visible.where("kinds_repository.name")
    rows = await tx.all(
        f"SELECT name FROM kinds_repository WHERE name IN (SELECT item.value FROM {tx.items('names')})"
        f" AND ({condition})",
        names=json.dumps(names), **values,
    )  # fmt: skip
    return [row[0] for row in rows]


async def names(tx: Transaction, path: str, after: str, limit: int) -> Sequence[str]:
    """Repositories at and below a path, "" being everywhere, by name."""
    within_ = "" if not path else " AND (name = :path OR (name > :below AND name < :beyond))"
    rows = await tx.all(
        f"SELECT name FROM kinds_repository WHERE name > :after{within_} ORDER BY name LIMIT :limit",
        after=after, limit=limit, **({"path": path, "below": f"{path}/", "beyond": f"{path}0"} if path else {}),
    )  # fmt: skip
    return [row[0] for row in rows]


_TAGS = 20
"""Tags of the same content that are told."""


async def described(
    tx: Transaction, names: Sequence[str]
) -> Sequence[tuple[Listed, Tagged, Sequence[str], Sequence[tuple[str, str, str, float | None]]]]:
    """(line, latest version, its tags, its metadata's indexed values) of the repositories that have a line."""
    found = []
    for name in names:
        line = await listed(tx, name)
        latest = await tagged(tx, name, line.latest) if line is not None else None
        if line is None or latest is None:
            continue
        values = await tx.all(
            "SELECT schema, path, word, number FROM kinds_value WHERE repository = :name AND tag = :tag",
            name=name, tag=line.latest,
        )  # fmt: skip
        tags = await tags_of(tx, name, line.digest, _TAGS)
        found.append((line, latest, tags, [(row[0], row[1], row[2], row[3]) for row in values]))
    return found


async def schemas_after(tx: Transaction, after: str, limit: int) -> Sequence[Mapping[str, Any]]:
    """Schemas of all namespaces, by their ids."""
    rows = await tx.all(
        "SELECT body FROM kinds_schema WHERE id > :after ORDER BY id LIMIT :limit", after=after, limit=limit
    )
    return [json.loads(row[0]) for row in rows]


async def signed(tx: Transaction, names: Sequence[str]) -> Sequence[tuple[Any, ...]]:
    """(name, kind, latest, digest, body) of repositories in lists whose latest version has GTypes or methods."""
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(names), _AT_ONCE):
        listed_ = {f"n{number}": name for number, name in enumerate(names[start : start + _AT_ONCE])}
        found += await tx.all(
            "SELECT line.name, line.kind, line.latest, line.digest, signature.body FROM kinds_repository AS line"
            " JOIN kinds_signature AS signature"
            " ON signature.repository = line.name AND signature.digest = line.digest"
            f" WHERE line.name IN ({', '.join(f':{name}' for name in listed_)})",
            **listed_,
        )
    return found


async def release_rows(tx: Transaction, names: Sequence[str]) -> Sequence[tuple[Any, ...]]:
    """All tags of artifacts: repository, tag, digest, version key, kind, facts, time of the push, and the states.

    By repository, versions first and the highest of them first.
    """
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(names), _AT_ONCE):
        listed_ = {f"n{number}": name for number, name in enumerate(names[start : start + _AT_ONCE])}
        marks = ", ".join(f":{name}" for name in listed_)
        found += await tx.all(
            "SELECT tag.repository, tag.tag, tag.digest, tag.version_key, artifact.kind, artifact.facts,"
            " artifact.pushed_at, standing.deprecated, standing.yanked, standing.archived, standing.unpublished"
            " FROM kinds_tag AS tag JOIN kinds_artifact AS artifact"
            " ON artifact.repository = tag.repository AND artifact.digest = tag.digest"
            " LEFT JOIN kinds_standing AS standing"
            " ON standing.repository = tag.repository AND standing.tag = tag.tag"
            f" WHERE tag.repository IN ({marks})"
            " ORDER BY tag.repository, tag.version_key IS NULL, tag.version_key DESC, tag.tag",
            **listed_,
        )
    return found
