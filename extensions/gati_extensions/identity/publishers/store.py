"""The tables of publishers, and of what was exchanged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from gati_extensions.identity.store import changed
from gati_registry.extension import Transaction

IDENTIFYING = (
    "sub", "workflow_path", "workflow_ref", "job_workflow_ref", "repository_id", "repository", "project_id",
    "project_path", "oidc.circleci.com/project-id",
)  # fmt: skip
"""Claims that say which source is meant: a publisher has one at least, or anybody's build at the issuer would do."""

MOST_MATCHING = 1000


@dataclass(frozen=True, slots=True)
class Publisher:
    """Whose builds may do what in one repository. It is never changed, only removed.

    `account_id` is in whose name they act: that of the namespace's owner.
    """

    id: str
    account_id: int
    repository: str
    name: str
    issuer: str
    claims: Mapping[str, str]
    actions: tuple[str, ...]
    created_at: int
    used_at: int | None


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A token that was given for a build's own, without its secret. `actions` are within the publisher's."""

    id: str
    publisher: Publisher
    actions: tuple[str, ...]
    created_at: int
    expires_at: int


_PUBLISHER = "p.id, p.account_id, p.repository, p.name, p.issuer, p.claims, p.actions, p.created_at, p.used_at"


def _publisher(row: tuple[object, ...]) -> Publisher:
    found = list(row)
    found[5], found[6] = json.loads(str(found[5])), tuple(str(found[6]).split())
    return Publisher(*found)  # type: ignore[arg-type]  # in the order of _PUBLISHER


async def add(tx: Transaction, publisher: Publisher) -> None:
    """A new publisher."""
    await tx.run(
        "INSERT INTO identity_publisher"
        " (id, account_id, repository, name, issuer, anchor, claims, actions, created_at)"
        " VALUES (:id, :account, :repository, :name, :issuer, :anchor, :claims, :actions, :now)",
        id=publisher.id,
        account=publisher.account_id,
        repository=publisher.repository,
        name=publisher.name,
        issuer=publisher.issuer,
        anchor=_anchors(publisher.claims)[0],
        claims=json.dumps(dict(publisher.claims), sort_keys=True),
        actions=" ".join(publisher.actions),
        now=publisher.created_at,
    )


async def get(tx: Transaction, publisher_id: str) -> Publisher | None:
    """A publisher by its id."""
    row = await tx.one(f"SELECT {_PUBLISHER} FROM identity_publisher p WHERE p.id = :id", id=publisher_id)
    return _publisher(row) if row is not None else None


async def of_repository(tx: Transaction, repository: str, after: str, limit: int) -> list[Publisher]:
    """A repository's publishers, by id."""
    rows = await tx.all(
        f"SELECT {_PUBLISHER} FROM identity_publisher p WHERE p.repository = :repository AND p.id > :after"
        " ORDER BY p.id LIMIT :limit",
        repository=repository,
        after=after,
        limit=limit,
    )
    return [_publisher(row) for row in rows]


async def is_issuer(tx: Transaction, issuer: str) -> bool:
    """Whether any publisher names this issuer."""
    row = await tx.one("SELECT 1 FROM identity_publisher WHERE issuer = :issuer LIMIT 1", issuer=issuer)
    return row is not None


async def matching(tx: Transaction, issuer: str, facts: Mapping[str, str]) -> list[Publisher]:
    """The publishers of an issuer all of whose claims a token has, letter for letter."""
    anchors = {f"anchor_{number}": anchor for number, anchor in enumerate(_anchors(facts))}
    if not anchors:
        return []
    rows = await tx.all(
        f"SELECT {_PUBLISHER} FROM identity_publisher p WHERE p.issuer = :issuer"
        f" AND p.anchor IN ({', '.join(f':{name}' for name in anchors)}) ORDER BY p.id LIMIT {MOST_MATCHING}",
        issuer=issuer,
        **anchors,
    )
    return [one for one in map(_publisher, rows) if one.claims.items() <= facts.items()]


def _anchors(facts: Mapping[str, str]) -> list[str]:
    """What publishers are found by: each of the claims that say which source is meant."""
    return [json.dumps([name, facts[name]]) for name in IDENTIFYING if name in facts]


async def drop(tx: Transaction, publisher_id: str) -> None:
    """Remove a publisher: the tokens that its builds have end; what was spent stays spent."""
    await tx.run("DELETE FROM identity_publisher WHERE id = :id", id=publisher_id)
    await changed(tx)


async def spend(tx: Transaction, exchanged: Exchanged, hashed: str, mark: str, until: int) -> bool:
    """Give a token for a build's own; False if that one was spent before. `until` is when it ends by itself."""
    made = await tx.run(
        "INSERT INTO identity_exchange (id, publisher_id, mark, hash, actions, created_at, expires_at, forget_at)"
        " VALUES (:id, :publisher, :mark, :hash, :actions, :now, :expires, :forget) ON CONFLICT (mark) DO NOTHING",
        id=exchanged.id,
        publisher=exchanged.publisher.id,
        mark=mark,
        hash=hashed,
        actions=" ".join(exchanged.actions),
        now=exchanged.created_at,
        expires=exchanged.expires_at,
        forget=max(until, exchanged.expires_at),
    )
    if not made:
        return False
    await tx.run(
        "UPDATE identity_publisher SET used_at = :now WHERE id = :id",
        now=exchanged.created_at,
        id=exchanged.publisher.id,
    )
    return True


_EXCHANGED = (
    f"SELECT e.id, e.actions, e.created_at, e.expires_at, {_PUBLISHER}"
    " FROM identity_exchange e JOIN identity_publisher p ON p.id = e.publisher_id"
)


def _exchanged(row: tuple[object, ...] | None) -> Exchanged | None:
    if row is None:
        return None
    token, actions, created_at, expires_at, *publisher = row
    return Exchanged(
        str(token),
        _publisher(tuple(publisher)),
        tuple(str(actions).split()),
        int(str(created_at)),
        int(str(expires_at)),
    )


async def find_exchanged(tx: Transaction, hashed: str) -> Exchanged | None:
    """What the secret of a token stands for, while there is its publisher."""
    return _exchanged(await tx.one(f"{_EXCHANGED} WHERE e.hash = :hash", hash=hashed))


async def get_exchanged(tx: Transaction, exchanged_id: str) -> Exchanged | None:
    """The same, by the id."""
    return _exchanged(await tx.one(f"{_EXCHANGED} WHERE e.id = :id", id=exchanged_id))
