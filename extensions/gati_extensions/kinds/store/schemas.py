"""Schemas of custom metadata, and the values that are searched by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gati_extensions.kinds.json import compact
from gati_registry.extension import Transaction


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


async def schemas_after(tx: Transaction, after: str, limit: int) -> Sequence[Mapping[str, Any]]:
    """Schemas of all namespaces, by their ids."""
    rows = await tx.all(
        "SELECT body FROM kinds_schema WHERE id > :after ORDER BY id LIMIT :limit", after=after, limit=limit
    )
    return [json.loads(row[0]) for row in rows]
