"""The tables of the tree: namespaces, members, roles, policies, verifications, and the counters of changes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gati_extensions.namespaces.tree import below
from gati_registry.extension import Transaction


@dataclass(frozen=True, slots=True)
class Node:
    """What is set at a path. A `visibility` of None is inherited."""

    path: str
    visibility: str | None
    description: str
    labels: Mapping[str, str]
    created_at: int
    changed_at: int


@dataclass(frozen=True, slots=True)
class Member:
    """A role of a user, robot or team at a path."""

    path: str
    kind: str
    subject: int
    name: str
    role: str
    added_at: int


@dataclass(frozen=True, slots=True)
class CustomRole:
    """A role of one's own, usable at its path and below it."""

    path: str
    name: str
    inherits: tuple[str, ...]
    permissions: tuple[Mapping[str, Any], ...]


def within(values: Iterable[object], prefix: str) -> tuple[str, dict[str, object]]:
    """`(:p0, :p1, …)` for a list of values, and these parameters."""
    named = {f"{prefix}{number}": value for number, value in enumerate(values)}
    return "(" + ", ".join(f":{name}" for name in named) + ")", named


# --- counters of changes ----------------------------------------------------------------------------------------


async def revision(tx: Transaction, name: str) -> int:
    """How often this kind of thing was changed."""
    row = await tx.one(
        "SELECT CAST(COALESCE(sum(number), 0) AS BIGINT) FROM namespaces_revision"
        " WHERE name = :name OR (name > :name || ' ' AND name < :name || '!')",
        name=name,
    )
    return row[0] if row is not None else 0


async def changed(tx: Transaction, name: str) -> None:
    """It was changed. Counted in a row that no other transaction is using: pushes do not wait for each other."""
    free = " FOR UPDATE SKIP LOCKED" if tx.concurrent else ""
    counted = await tx.run(
        "UPDATE namespaces_revision SET number = number + 1 WHERE name = (SELECT name FROM namespaces_revision"
        f" WHERE name = :name OR (name > :name || ' ' AND name < :name || '!') LIMIT 1{free})",
        name=name,
    )
    if not counted:
        await tx.run(
            "INSERT INTO namespaces_revision (name, number) VALUES (:part, 1)", part=f"{name} {secrets.token_hex(8)}"
        )


async def set_flag(tx: Transaction, name: str, value: int) -> None:
    """Set a counter."""
    await tx.run("UPDATE namespaces_revision SET number = :value WHERE name = :name", name=name, value=value)


# --- namespaces -------------------------------------------------------------------------------------------------


async def node(tx: Transaction, path: str) -> Node | None:
    """What is set at exactly this path."""
    found = await nodes(tx, [path])
    return found[0] if found else None


async def nodes(tx: Transaction, paths: Sequence[str]) -> list[Node]:
    """What is set at these paths, the longest last."""
    listed, values = within(paths, "p")
    rows = await tx.all(
        "SELECT path, visibility, description, labels, created_at, changed_at FROM namespaces_node"
        f" WHERE path IN {listed} ORDER BY length(path)",
        **values,
    )
    return [Node(row[0], row[1], row[2], json.loads(row[3]), row[4], row[5]) for row in rows]


async def page(tx: Transaction, after: str, limit: int) -> list[Node]:
    """Namespaces in the order of their paths."""
    rows = await tx.all(
        "SELECT path, visibility, description, labels, created_at, changed_at FROM namespaces_node"
        " WHERE path > :after ORDER BY path LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [Node(row[0], row[1], row[2], json.loads(row[3]), row[4], row[5]) for row in rows]


async def put_node(tx: Transaction, new: Node) -> None:
    """Make or replace it."""
    await tx.run(
        "INSERT INTO namespaces_node (path, visibility, description, labels, created_at, changed_at)"
        " VALUES (:path, :visibility, :description, :labels, :created_at, :changed_at) ON CONFLICT (path) DO UPDATE SET"
        " visibility = :visibility, description = :description, labels = :labels, changed_at = :changed_at",
        path=new.path,
        visibility=new.visibility,
        description=new.description,
        labels=json.dumps(dict(new.labels), sort_keys=True),
        created_at=new.created_at,
        changed_at=new.changed_at,
    )


async def drop_node(tx: Transaction, path: str) -> None:
    """Forget all that is set at a path; quotas stay with what they count."""
    for table in ("node", "member", "role", "policy", "verification"):
        await tx.run(f"DELETE FROM namespaces_{table} WHERE path = :path", path=path)


async def has_below(tx: Transaction, path: str) -> bool:
    """Whether a repository at or below the path holds anything, or a namespace below it has settings."""
    low, high = below(path)
    row = await tx.one(  # asked of what is stored: not all of it may be counted yet
        "SELECT 1 FROM repository WHERE (name = :path OR (name > :low AND name < :high))"
        " AND (EXISTS (SELECT 1 FROM manifest WHERE manifest.repository_id = repository.id)"
        " OR EXISTS (SELECT 1 FROM link WHERE link.repository_id = repository.id)) LIMIT 1",
        path=path,
        low=low,
        high=high,
    ) or await tx.one("SELECT 1 FROM namespaces_node WHERE path > :low AND path < :high", low=low, high=high)
    return row is not None


# --- members and roles ------------------------------------------------------------------------------------------


async def members(tx: Transaction, path: str, after: str, limit: int) -> list[Member]:
    """Members set at a path, by kind and name."""
    rows = await tx.all(
        "SELECT path, kind, subject, name, role, added_at FROM namespaces_member"
        " WHERE path = :path AND kind || ' ' || name > :after ORDER BY kind || ' ' || name LIMIT :limit",
        path=path,
        after=after,
        limit=limit,
    )
    return [Member(*row) for row in rows]


async def member(tx: Transaction, path: str, kind: str, subject: int) -> Member | None:
    """One member set at a path."""
    row = await tx.one(
        "SELECT path, kind, subject, name, role, added_at FROM namespaces_member"
        " WHERE path = :path AND kind = :kind AND subject = :subject",
        path=path,
        kind=kind,
        subject=subject,
    )
    return Member(*row) if row is not None else None


async def put_member(tx: Transaction, new: Member) -> None:
    """Give or change a role."""
    await tx.run(
        "INSERT INTO namespaces_member (path, kind, subject, name, role, added_at)"
        " VALUES (:path, :kind, :subject, :name, :role, :added_at)"
        " ON CONFLICT (path, kind, subject) DO UPDATE SET name = :name, role = :role",
        path=new.path,
        kind=new.kind,
        subject=new.subject,
        name=new.name,
        role=new.role,
        added_at=new.added_at,
    )


async def drop_member(tx: Transaction, path: str, kind: str, subject: int) -> bool:
    """Take a role away; False if there was none."""
    return (
        await tx.run(
            "DELETE FROM namespaces_member WHERE path = :path AND kind = :kind AND subject = :subject",
            path=path,
            kind=kind,
            subject=subject,
        )
        > 0
    )


async def memberships(tx: Transaction, account: int, teams: Sequence[int], paths: Sequence[str] | None) -> list[Member]:
    """Roles of an account and its teams at some paths (None: anywhere)."""
    where = ""
    values: dict[str, object] = {}
    if paths is not None:
        listed, values = within(paths, "p")
        where = f" AND path IN {listed}"
    subject = "(kind IN ('user', 'robot') AND subject = :account)"  # as the index has it
    if teams:
        listed, named = within(teams, "t")
        values = {**values, **named}
        subject = f"({subject} OR (kind = 'team' AND subject IN {listed}))"
    rows = await tx.all(
        f"SELECT path, kind, subject, name, role, added_at FROM namespaces_member WHERE {subject}{where}"
        " ORDER BY path, kind, subject",
        account=account,
        **values,
    )
    return [Member(*row) for row in rows]


async def roles(tx: Transaction, paths: Sequence[str]) -> list[CustomRole]:
    """Custom roles of these paths, the longest first."""
    listed, values = within(paths, "p")
    rows = await tx.all(
        f"SELECT path, name, inherits, permissions FROM namespaces_role WHERE path IN {listed}"
        " ORDER BY length(path) DESC, name",
        **values,
    )
    return [CustomRole(row[0], row[1], tuple(json.loads(row[2])), tuple(json.loads(row[3]))) for row in rows]


async def put_role(tx: Transaction, new: CustomRole) -> None:
    """Make or replace a custom role."""
    await tx.run(
        "INSERT INTO namespaces_role (path, name, inherits, permissions)"
        " VALUES (:path, :name, :inherits, :permissions)"
        " ON CONFLICT (path, name) DO UPDATE SET inherits = :inherits, permissions = :permissions",
        path=new.path,
        name=new.name,
        inherits=json.dumps(list(new.inherits)),
        permissions=json.dumps([dict(permission) for permission in new.permissions]),
    )


async def drop_role(tx: Transaction, path: str, name: str) -> bool:
    """Remove a custom role; False if there was none."""
    return await tx.run("DELETE FROM namespaces_role WHERE path = :path AND name = :name", path=path, name=name) > 0


async def role_in_use(tx: Transaction, path: str, name: str) -> bool:
    """Whether a member at or below the path has a role of this name."""
    low, high = below(path)
    row = await tx.one(
        "SELECT 1 FROM namespaces_member WHERE role = :name AND (path = :path OR (path > :low AND path < :high))",
        name=name,
        path=path,
        low=low,
        high=high,
    )
    return row is not None


# --- policies ---------------------------------------------------------------------------------------------------


async def policies(tx: Transaction, paths: Sequence[str]) -> list[tuple[str, str, str, Mapping[str, Any]]]:
    """(path, name, enforcement, body) of the policies at these paths, the longest first."""
    listed, values = within(paths, "p")
    rows = await tx.all(
        f"SELECT path, name, enforcement, body FROM namespaces_policy WHERE path IN {listed}"
        " ORDER BY length(path) DESC, name",
        **values,
    )
    return [(row[0], row[1], row[2], json.loads(row[3])) for row in rows]


async def put_policy(
    tx: Transaction, path: str, name: str, enforcement: str, body: Mapping[str, Any], now: int
) -> None:
    """Make or replace a policy."""
    await tx.run(
        "INSERT INTO namespaces_policy (path, name, enforcement, body, changed_at)"
        " VALUES (:path, :name, :enforcement, :body, :now)"
        " ON CONFLICT (path, name) DO UPDATE SET enforcement = :enforcement, body = :body, changed_at = :now",
        path=path,
        name=name,
        enforcement=enforcement,
        body=json.dumps(dict(body), sort_keys=True),
        now=now,
    )


async def drop_policy(tx: Transaction, path: str, name: str) -> bool:
    """Remove a policy; False if there was none."""
    return await tx.run("DELETE FROM namespaces_policy WHERE path = :path AND name = :name", path=path, name=name) > 0


# --- proofs of publishers ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof asked for, and when it was found."""

    path: str
    method: str
    subject: str
    token: str
    asked_at: int
    verified_at: int | None


async def proofs(tx: Transaction, path: str) -> list[Proof]:
    """All proofs of a namespace."""
    rows = await tx.all(
        "SELECT path, method, subject, token, asked_at, verified_at FROM namespaces_verification"
        " WHERE path = :path ORDER BY method, subject",
        path=path,
    )
    return [Proof(*row) for row in rows]


async def ask_proof(tx: Transaction, new: Proof) -> None:
    """Ask for a proof; one that was asked for keeps its token."""
    await tx.run(
        "INSERT INTO namespaces_verification (path, method, subject, token, asked_at)"
        " VALUES (:path, :method, :subject, :token, :now) ON CONFLICT (path, method, subject) DO NOTHING",
        path=new.path,
        method=new.method,
        subject=new.subject,
        token=new.token,
        now=new.asked_at,
    )


async def set_proof(tx: Transaction, proof: Proof, verified_at: int | None) -> None:
    """It was found, or is gone."""
    await tx.run(
        "UPDATE namespaces_verification SET verified_at = :verified_at"
        " WHERE path = :path AND method = :method AND subject = :subject",
        path=proof.path,
        method=proof.method,
        subject=proof.subject,
        verified_at=verified_at,
    )


async def drop_proof(tx: Transaction, path: str, method: str, subject: str) -> bool:
    """Withdraw a proof; False if there was none."""
    return (
        await tx.run(
            "DELETE FROM namespaces_verification WHERE path = :path AND method = :method AND subject = :subject",
            path=path,
            method=method,
            subject=subject,
        )
        > 0
    )


async def verified_among(tx: Transaction, paths: Sequence[str]) -> frozenset[str]:
    """Those of some namespaces that have a proof."""
    named = {f"p{number}": path for number, path in enumerate(paths)}
    if not named:
        return frozenset()
    marks = ", ".join(f":{name}" for name in named)
    rows = await tx.all(
        f"SELECT DISTINCT path FROM namespaces_verification WHERE verified_at IS NOT NULL AND path IN ({marks})",
        **named,
    )
    return frozenset(row[0] for row in rows)


async def verified_names(tx: Transaction) -> list[str]:
    """Names of accounts that have proved who they are."""
    rows = await tx.all("SELECT DISTINCT path FROM namespaces_verification WHERE verified_at IS NOT NULL LIMIT 10000")
    return [row[0].rpartition("/")[2] for row in rows]


# --- drafts -----------------------------------------------------------------------------------------------------


async def drafts_among(tx: Transaction, repositories: Sequence[str]) -> frozenset[tuple[str, str]]:
    """(repository, digest) of all drafts of some repositories."""
    found: list[tuple[str, str]] = []
    for start in range(0, len(repositories), 400):
        listed, values = within(repositories[start : start + 400], "r")
        rows = await tx.all(f"SELECT repository, digest FROM namespaces_draft WHERE repository IN {listed}", **values)
        found += [(row[0], row[1]) for row in rows]
    return frozenset(found)
