"""Referrers: the list of manifests whose subject is a given digest.

Every pushed manifest with a subject is listed from its push on, whether or not its client also keeps a fallback tag
(`<algorithm>-<first 64 hex digits>`), so the manifests that such a tag's index lists are taken in by their own push.

Source: distribution-spec end-12.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from gati_registry.values.descriptor import Descriptor
from gati_registry.values.mediatype import OCI_INDEX

MAX_BODY = 4 * 1024 * 1024
"""Bytes of one page: the manifest size that every client must be able to read."""

_HEAD = b'{"schemaVersion":2,"mediaType":"' + OCI_INDEX.encode() + b'","manifests":['
_TAIL = b"]}"


def encode(descriptor: Descriptor) -> str:
    """A descriptor as JSON text, made once at the push and stored beside the manifest."""
    return json.dumps(descriptor.to_json(), separators=(",", ":"), ensure_ascii=False)


def index(descriptors: Sequence[str]) -> bytes:
    """The answer's body: an image index of descriptors encoded before."""
    return _HEAD + ",".join(descriptors).encode() + _TAIL


def fitting(descriptors: Sequence[str]) -> int:
    """How many of the descriptors one answer holds; at least one."""
    room = MAX_BODY - len(_HEAD) - len(_TAIL)
    for number, text in enumerate(descriptors):
        room -= len(text.encode()) + 1
        if room < 0:
            return max(number, 1)
    return len(descriptors)
