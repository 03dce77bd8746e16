"""The table of vectors. The rest of search's tables have nothing to do with it: it may be emptied and comes back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gati_registry.extension import Transaction

_AT_ONCE = 200


class Waiting(NamedTuple):
    """A text that is to be embedded."""

    id: int
    text: str


async def hashes(tx: Transaction, names: Sequence[str]) -> Mapping[str, bytes]:
    """The hashes of the texts of artifacts, embedded or waiting."""
    found: dict[str, bytes] = {}
    for part in _parts(names):
        marks = ", ".join(f":{mark}" for mark in part)
        rows = await tx.all(f"SELECT name, hash FROM search_index_vector WHERE name IN ({marks})", **part)
        found |= {name: bytes(digest) for name, digest in rows}
    return found


async def wait(tx: Transaction, name: str, digest: bytes, text: str) -> None:
    """Let a text wait; until it is embedded, the vector of the one before serves."""
    await tx.run(
        "INSERT INTO search_index_vector (name, hash, text) VALUES (:name, :hash, :text)"
        " ON CONFLICT (name) DO UPDATE SET hash = :hash, text = :text",
        name=name,
        hash=digest,
        text=text,
    )


async def forget(tx: Transaction, names: Sequence[str]) -> None:
    """Forget artifacts. Workers that know their vectors leave them out when they look for the names."""
    for part in _parts(names):
        marks = ", ".join(f":{mark}" for mark in part)
        await tx.run(f"DELETE FROM search_index_vector WHERE name IN ({marks})", **part)


async def waiting(tx: Transaction, limit: int) -> Sequence[Waiting]:
    """Texts that wait, the oldest first."""
    rows = await tx.all(
        "SELECT id, text FROM search_index_vector WHERE text IS NOT NULL ORDER BY id LIMIT :limit", limit=limit
    )
    return [Waiting(*row) for row in rows]


async def keep(tx: Transaction, vectors: Iterable[tuple[Waiting, bytes]]) -> None:
    """Keep vectors; of a text that another one has replaced meanwhile, it goes on waiting."""
    row = await tx.one("SELECT COALESCE(MAX(changed), 0) FROM search_index_vector WHERE changed IS NOT NULL")
    changed = int(row[0]) + 1 if row else 1
    for text, vector in vectors:
        await tx.run(
            "UPDATE search_index_vector SET vector = :vector, changed = :changed, text = NULL"
            " WHERE id = :id AND text = :text",
            vector=vector,
            changed=changed,
            id=text.id,
            text=text.text,
        )


async def newer(tx: Transaction, changed: int, after: int, limit: int) -> Sequence[tuple[int, int, bytes]]:
    """(changed, id, vector) of vectors that came after this one, in that order."""
    rows = await tx.all(
        "SELECT changed, id, vector FROM search_index_vector"
        " WHERE changed IS NOT NULL AND (changed > :changed OR (changed = :changed AND id > :after))"
        " ORDER BY changed, id LIMIT :limit",
        changed=changed,
        after=after,
        limit=limit,
    )
    return [(row[0], row[1], bytes(row[2])) for row in rows]


async def names(tx: Transaction, ids: Sequence[int]) -> Mapping[int, str]:
    """Names by number."""
    found: dict[int, str] = {}
    for part in _parts(ids):
        marks = ", ".join(f":{mark}" for mark in part)
        found |= dict(await tx.all(f"SELECT id, name FROM search_index_vector WHERE id IN ({marks})", **part))
    return found


def _parts(values: Sequence[object]) -> Iterable[Mapping[str, object]]:
    for start in range(0, len(values), _AT_ONCE):
        yield {f"n{number}": value for number, value in enumerate(values[start : start + _AT_ONCE])}
