"""Manifests and what they are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gati_extensions.kinds.json import compact
from gati_extensions.kinds.kind import Facts
from gati_extensions.kinds.store.rows import Artifact
from gati_extensions.kinds.understanding import Understood
from gati_registry.extension import Transaction, Visible


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


ARTIFACT = "artifact.digest, artifact.kind, artifact.media_type, artifact.size, artifact.facts, artifact.pushed_at," \
            " artifact.pushed_by"  # fmt: skip


def artifact_row(row: Sequence[Any]) -> Artifact:
    return Artifact(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], row[6])


async def put_artifact(
    tx: Transaction, repository: str, digest: str, understood: Understood, *, media_type: str, subject: str | None,
    size: int, now: int, actor: str | None,
) -> None:  # fmt: skip
    """Keep what a manifest is."""
    await tx.send(
        "INSERT INTO kinds_artifact (repository, digest, kind, media_type, subject, size, content, facts, pushed_at,"
        " pushed_by) VALUES (:repository, :digest, :kind, :media_type, :subject, :size, :content, :facts, :now, :actor)"
        " ON CONFLICT (repository, digest) DO UPDATE SET kind = :kind, content = :content, facts = :facts",
        repository=repository, digest=digest, kind=understood.kind, media_type=media_type, subject=subject, size=size,
        content=understood.content, facts=encoded(understood.facts), now=now, actor=actor,
    )  # fmt: skip
    found = understood.signatures
    if found.types or found.methods:
        await tx.send(
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
        f"SELECT {ARTIFACT} FROM kinds_artifact AS artifact WHERE repository = :repository AND digest = :digest",
        repository=repository, digest=digest,
    )  # fmt: skip
    return artifact_row(row) if row is not None else None


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
