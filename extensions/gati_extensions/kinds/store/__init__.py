"""The tables of `kinds`."""

from __future__ import annotations

from gati_extensions.kinds.store.artifacts import (
    artifact,
    drop_artifact,
    encoded,
    put_artifact,
    same_content,
    signatures,
)
from gati_extensions.kinds.store.catalogue import described, existing, names, release_rows, signed
from gati_extensions.kinds.store.opinions import has_star, rate, ratings, star
from gati_extensions.kinds.store.repositories import listed, refresh, rename, within
from gati_extensions.kinds.store.rows import FRESH, STATES, Artifact, Listed, Move, Standing, Tagged
from gati_extensions.kinds.store.schemas import holder, put_schema, put_values, schema, schemas_after, schemas_for
from gati_extensions.kinds.store.standings import ensure_standing, overlays, revision, set_overlay, set_state, states_of
from gati_extensions.kinds.store.tags import as_of, channels, move, moves, tagged, tags_of, versions

__all__ = [
    "FRESH",
    "STATES",
    "Artifact",
    "Listed",
    "Move",
    "Standing",
    "Tagged",
    "artifact",
    "as_of",
    "channels",
    "described",
    "drop_artifact",
    "encoded",
    "ensure_standing",
    "existing",
    "has_star",
    "holder",
    "listed",
    "move",
    "moves",
    "names",
    "overlays",
    "put_artifact",
    "put_schema",
    "put_values",
    "rate",
    "ratings",
    "refresh",
    "release_rows",
    "rename",
    "revision",
    "same_content",
    "schema",
    "schemas_after",
    "schemas_for",
    "set_overlay",
    "set_state",
    "signatures",
    "signed",
    "star",
    "states_of",
    "tagged",
    "tags_of",
    "versions",
    "within",
]
