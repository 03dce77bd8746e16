"""The rows of the benchmark, in the order in which they run.

Reading comes first, while the page cache still holds what is read.
"""

from __future__ import annotations

from pathlib import Path

from bench.model import Row, Scale
from bench.rows.artifacts import SMALL_ARTIFACTS
from bench.rows.authenticated import BY_PASSWORD, BY_TOKEN
from bench.rows.blobs import BESIDE_DOWNLOADS, download_row, upload_row
from bench.rows.cost import COST
from bench.rows.lists import CATALOG, REFERRERS, TAGS
from bench.rows.manifests import GET_BY_DIGEST, GET_BY_TAG, HEAD_BY_TAG
from bench.rows.resolving import RESOLVE
from bench.rows.searching import search_row
from bench.rows.standing import MEMORY, START


def all_rows(scale: Scale) -> list[Row]:
    """Every row, for runs of this scale."""
    return [
        GET_BY_TAG,
        GET_BY_DIGEST,
        HEAD_BY_TAG,
        BY_PASSWORD,
        BY_TOKEN,
        download_row(1),
        download_row(scale.streams),
        BESIDE_DOWNLOADS,
        REFERRERS,
        CATALOG,
        TAGS,
        SMALL_ARTIFACTS,
        upload_row(1, 1.8),
        upload_row(scale.streams, 1.1),
        START,
        MEMORY,
    ]


def replica_rows(scale: Scale) -> list[Row]:
    """Those that make sense past one machine."""
    return [
        COST,
        GET_BY_TAG,
        GET_BY_DIGEST,
        HEAD_BY_TAG,
        download_row(1),
        download_row(scale.streams),
        BESIDE_DOWNLOADS,
        REFERRERS,
        CATALOG,
        TAGS,
        SMALL_ARTIFACTS,
        upload_row(1, 1.8),
        upload_row(scale.streams, 1.1),
    ]


def search_rows(kept: Path | None) -> list[Row]:
    """What the registry knows of its artifacts: found, and put together. Filled databases stay in `kept`, if given."""
    return [RESOLVE, search_row(kept)]
