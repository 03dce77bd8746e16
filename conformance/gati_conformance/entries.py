"""The official suite's entries: their names, what switches each off, and their status in a run of ours.

An entry's status is the most severe one of the cases that decide it, as in the official suite.
Source: distribution-spec, conformance/state.go (names), run.go (APIRequire).
"""

from __future__ import annotations

from collections.abc import Iterable

from gati_conformance.datasets import RECIPES
from gati_conformance.model import Case, Result, Status

TAG_LIST = "Tag listing"
TAG_DELETE = "Tag delete"
TAG_DELETE_ATOMIC = "Tag delete atomic"
BLOB_CANCEL = "Blob upload cancel"
BLOB_PUSH = "Blob push"
BLOB_POST_ONLY = "Blob post only"
BLOB_POST_PUT = "Blob post put"
BLOB_CHUNKED = "Blob chunked"
BLOB_STREAM = "Blob streaming"
BLOB_MOUNT = "Blob mount"
BLOB_MOUNT_ANONYMOUS = "Blob anonymous mount"
BLOB_GET = "Blob get"
BLOB_RANGE = "Blob get range"
BLOB_HEAD = "Blob head"
BLOB_DELETE = "Blob delete"
BLOB_DELETE_ATOMIC = "Blob delete atomic"
PUT_DIGEST = "Manifest put by digest"
PUT_TAG = "Manifest put by tag"
PUT_TAG_PARAM = "Manifest put with tag params"
PUT_SUBJECT = "Manifest put with subject"
GET_DIGEST = "Manifest get by digest"
GET_TAG = "Manifest get by tag"
HEAD_DIGEST = "Manifest head by digest"
HEAD_TAG = "Manifest head by tag"
MANIFEST_DELETE = "Manifest delete"
MANIFEST_DELETE_ATOMIC = "Manifest delete atomic"
REFERRERS = "Referrers"
PING = "Ping"

API_ENTRIES: dict[str, tuple[str, ...]] = {
    TAG_LIST: ("apis.tags.list",),
    TAG_DELETE: ("apis.tags.delete",),
    TAG_DELETE_ATOMIC: ("apis.tags.delete", "apis.tags.atomic"),
    BLOB_CANCEL: ("apis.blobs.uploadCancel",),
    BLOB_PUSH: ("apis.push",),
    BLOB_POST_ONLY: ("apis.push",),
    BLOB_POST_PUT: ("apis.push",),
    BLOB_CHUNKED: ("apis.push",),
    BLOB_STREAM: ("apis.push",),
    BLOB_MOUNT: ("apis.push",),
    BLOB_MOUNT_ANONYMOUS: ("apis.push", "apis.blobs.mountAnonymous"),
    BLOB_GET: ("apis.pull",),
    BLOB_RANGE: ("apis.pull",),
    BLOB_HEAD: ("apis.pull",),
    BLOB_DELETE: ("apis.blobs.delete",),
    BLOB_DELETE_ATOMIC: ("apis.blobs.delete", "apis.blobs.atomic"),
    PUT_DIGEST: ("apis.push",),
    PUT_TAG: ("apis.push",),
    PUT_TAG_PARAM: ("apis.push", "apis.manifests.tagParam"),
    PUT_SUBJECT: ("apis.push",),
    GET_DIGEST: ("apis.pull",),
    GET_TAG: ("apis.pull",),
    HEAD_DIGEST: ("apis.pull",),
    HEAD_TAG: ("apis.pull",),
    MANIFEST_DELETE: ("apis.manifests.delete",),
    MANIFEST_DELETE_ATOMIC: ("apis.manifests.delete", "apis.manifests.atomic"),
    REFERRERS: ("apis.referrer",),
    PING: ("apis.ping",),
}

ALGORITHMS = ("sha256", "sha512")
INVALID_MANIFEST_DIGEST = "Invalid Manifest Digest"
READ_ONLY = "Read Only Inputs"


def blobs_entry(algorithm: str) -> str:
    """The data entry of the blob tests of one algorithm."""
    return f"Blobs {algorithm}"


DATA_ENTRIES = tuple(
    sorted(
        [
            *(recipe.entry for recipe in RECIPES),
            *(blobs_entry(algorithm) for algorithm in ALGORITHMS),
            INVALID_MANIFEST_DIGEST,
        ]
    )
)
OFFICIAL_ENTRIES = (*API_ENTRIES, *DATA_ENTRIES)


def switches_for(*entries: str) -> tuple[str, ...]:
    """The switches that must be on for cases deciding those entries."""
    return tuple(dict.fromkeys(key for entry in entries for key in API_ENTRIES.get(entry, ())))


def entry_statuses(results: Iterable[Result]) -> dict[str, Status]:
    """The status of each official entry after a run; UNKNOWN where no case ran."""
    statuses = dict.fromkeys(OFFICIAL_ENTRIES, Status.UNKNOWN)
    for result in results:
        decided = result.case.entries
        if result.status is Status.PASS:
            decided += result.case.credits
        for entry in decided:
            statuses[entry] = max(statuses.get(entry, Status.UNKNOWN), result.status)
    return statuses


def cases_by_entry(cases: Iterable[Case]) -> dict[str, list[str]]:
    """The mapping table: official entry to the ids of our cases that decide it."""
    table: dict[str, list[str]] = {entry: [] for entry in OFFICIAL_ENTRIES}
    for case in cases:
        for entry in (*case.entries, *case.credits):
            table.setdefault(entry, []).append(case.id)
    return table
