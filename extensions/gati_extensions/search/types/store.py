"""The tables of methods and types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gati_registry.extension import Transaction, Visible

TAKES, GIVES = 1, 2
"""The role of a key: of a type that takes, or of one that is given."""

_AT_ONCE = 400
"""Values of one statement."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A type as it is kept, with its keys."""

    hash: str
    shape: str
    body: str
    keys: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Row:
    """A method; `takes` and `gives` are hashes."""

    repository: str
    method: str
    kind: str
    version: str
    digest: str
    takes: str | None
    gives: str | None


async def replace(tx: Transaction, repository: str, rows: Sequence[Row], types: Mapping[str, Typed]) -> None:
    """The methods of a repository instead of the earlier ones; `types` has all that they take and give."""
    before = await of_repository(tx, repository)
    if list(before) == list(rows):
        return
    gone = [hash_ for row in before for hash_ in (row.takes, row.gives) if hash_ is not None]
    here = [hash_ for row in rows for hash_ in (row.takes, row.gives) if hash_ is not None]
    # Always in the same order, so that two of these never wait for each other.
    for hash_ in sorted({*gone, *here}):
        await _count(tx, hash_, here.count(hash_) - gone.count(hash_), types.get(hash_))
    await tx.run("DELETE FROM search_method WHERE repository = :repository", repository=repository)
    for row in rows:
        await tx.run(
            "INSERT INTO search_method (repository, method, kind, version, digest, takes, gives)"
            " VALUES (:repository, :method, :kind, :version, :digest, :takes, :gives)",
            repository=row.repository, method=row.method, kind=row.kind, version=row.version, digest=row.digest,
            takes=row.takes, gives=row.gives,
        )  # fmt: skip


async def _count(tx: Transaction, hash_: str, change: int, found: Typed | None) -> None:
    """Count mentions of a type; the first one makes it, the last one removes it."""
    if change > 0:
        assert found is not None
        row = await tx.one(
            "INSERT INTO search_type (hash, shape, body, uses) VALUES (:hash, :shape, :body, :change)"
            " ON CONFLICT (hash) DO UPDATE SET uses = search_type.uses + :change RETURNING uses",
            hash=hash_, shape=found.shape, body=found.body, change=change,
        )  # fmt: skip
        assert row is not None
        for role, key in sorted(found.keys) if row[0] == change else ():
            await tx.run(
                "INSERT INTO search_type_key (role, key, hash) VALUES (:role, :key, :hash) ON CONFLICT DO NOTHING",
                role=role, key=key, hash=hash_,
            )  # fmt: skip
    elif change < 0:
        await tx.run("UPDATE search_type SET uses = uses + :change WHERE hash = :hash", hash=hash_, change=change)
        # The condition is on the row itself: who mentions the type meanwhile has counted there.
        if await tx.run("DELETE FROM search_type WHERE hash = :hash AND uses <= 0", hash=hash_):
            await tx.run("DELETE FROM search_type_key WHERE hash = :hash", hash=hash_)


async def of_repository(tx: Transaction, repository: str) -> Sequence[Row]:
    """Its methods, by name."""
    rows = await tx.all(
        "SELECT repository, method, kind, version, digest, takes, gives FROM search_method"
        " WHERE repository = :repository ORDER BY method",
        repository=repository,
    )
    return [Row(*row) for row in rows]


async def among(tx: Transaction, repositories: Sequence[str]) -> Sequence[str]:
    """Those of the repositories that have methods here."""
    found: list[str] = []
    for start in range(0, len(repositories), _AT_ONCE):
        listed = {f"r{number}": name for number, name in enumerate(repositories[start : start + _AT_ONCE])}
        marks = ", ".join(f":{name}" for name in listed)
        rows = await tx.all(
            f"SELECT DISTINCT repository FROM search_method WHERE repository IN ({marks}) ORDER BY repository", **listed
        )
        found += [row[0] for row in rows]
    return found


async def within(tx: Transaction, path: str, after: str, limit: int) -> Sequence[str]:
    """Repositories at and below a path that have methods here, by name."""
    rows = await tx.all(
        "SELECT DISTINCT repository FROM search_method WHERE (repository = :path OR (repository > :below"
        " AND repository < :beyond)) AND repository > :after ORDER BY repository LIMIT :limit",
        path=path, below=f"{path}/", beyond=f"{path}0", after=after, limit=limit,
    )  # fmt: skip
    return [row[0] for row in rows]


async def candidates(
    tx: Transaction, role: int, keys: Sequence[str], hash_: str, shape: str, limit: int
) -> Sequence[tuple[str, str, str]]:
    """(hash, shape, body) of types that could fit: the same one first, then those of its shape."""
    found: dict[str, tuple[str, str, str]] = {}
    same = await tx.all(
        "SELECT hash, shape, body FROM search_type WHERE shape = :shape ORDER BY hash <> :hash, hash LIMIT :limit",
        shape=shape, hash=hash_, limit=limit,
    )  # fmt: skip
    found.update((row[0], (row[0], row[1], row[2])) for row in same)
    for start in range(0, len(keys), _AT_ONCE):
        if len(found) >= limit:
            break
        listed = {f"k{number}": key for number, key in enumerate(keys[start : start + _AT_ONCE])}
        rows = await tx.all(
            "SELECT hash, shape, body FROM search_type WHERE hash IN (SELECT hash FROM search_type_key"
            f" WHERE role = :role AND key IN ({', '.join(f':{name}' for name in listed)}) LIMIT :limit)",
            role=role, limit=limit, **listed,
        )  # fmt: skip
        found.update((row[0], (row[0], row[1], row[2])) for row in rows)
    return list(found.values())[:limit]


async def bodies(tx: Transaction, hashes: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """(shape, body) of types by hash."""
    found: dict[str, tuple[str, str]] = {}
    for start in range(0, len(hashes), _AT_ONCE):
        listed = {f"h{number}": hash_ for number, hash_ in enumerate(hashes[start : start + _AT_ONCE])}
        rows = await tx.all(
            f"SELECT hash, shape, body FROM search_type WHERE hash IN ({', '.join(f':{name}' for name in listed)})",
            **listed,
        )
        found.update((row[0], (row[1], row[2])) for row in rows)
    return found


async def methods(
    tx: Transaction, side: str, hashes: Sequence[str], kind: str | None, limit: int, visible: Visible
) -> Sequence[Row]:
    """Methods whose `side` (takes or gives) is one of these types, as far as a caller may see them."""
    assert side in ("takes", "gives")
    condition, values = visible.where("search_method.repository")
    wanted = "" if kind is None else " AND kind = :kind"
    found: list[Row] = []
    for start in range(0, len(hashes), _AT_ONCE):
        if len(found) >= limit:
            break
        listed = {f"h{number}": hash_ for number, hash_ in enumerate(hashes[start : start + _AT_ONCE])}
        rows = await tx.all(
            "SELECT repository, method, kind, version, digest, takes, gives FROM search_method"
            f" WHERE {side} IN ({', '.join(f':{name}' for name in listed)}) AND ({condition}){wanted}"
            " ORDER BY repository, method LIMIT :limit",
            limit=limit - len(found), **listed, **values, **({} if kind is None else {"kind": kind}),
        )  # fmt: skip
        found += [Row(*row) for row in rows]
    return found
