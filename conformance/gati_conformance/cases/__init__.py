"""All cases, in the order in which they run: first what the official suite checks, then what it leaves out."""

from __future__ import annotations

from gati_conformance.cases import (
    auth,
    basics,
    blobs,
    concurrency,
    content,
    datasets,
    deletes,
    errors,
    limits,
    manifests,
    mounts,
    names,
    ranges,
    referrers,
    tags,
    uploads,
)
from gati_conformance.config import Config
from gati_conformance.model import Case

GROUPS = (
    content.group,
    ranges.group,
    uploads.group,
    mounts.group,
    manifests.group,
    tags.group,
    referrers.group,
    deletes.group,
    errors.group,
    names.group,
    auth.group,
    concurrency.group,
    limits.group,  # last: it looks back on every answer of the run
)


def all_cases(config: Config) -> tuple[Case, ...]:
    """Every case that exists under this configuration."""
    return (
        *basics.FIRST,
        *blobs.CASES,
        *datasets.read_only_cases(config),
        *datasets.CASES,
        *basics.LAST,
        *(case for group in GROUPS for case in group.cases),
    )
