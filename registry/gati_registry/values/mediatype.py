"""Media types that the core must tell apart.

Sources: image-spec media-types.md; docker's image manifest v2 schema 2.
"""

from __future__ import annotations

import re

from gati_registry.errors import Code, RegistryError

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_SCHEMA1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)

IMAGES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
GENERIC = frozenset({"application/json", "application/octet-stream", "text/plain"})
"""Types that clients send when they have none to tell; the manifest's own `mediaType` decides then."""

_NEVER_PUSHED = ("application/vnd.docker.image.rootfs.foreign.", "application/vnd.oci.image.layer.nondistributable.")
_TYPE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}")


def parse_media_type(text: str) -> str:
    """A media type without its parameters, in the case it was written.

    Raises:
        RegistryError: MANIFEST_INVALID for something that is no media type.
    """
    essence = text.partition(";")[0].strip()
    if not _TYPE.fullmatch(essence):
        raise RegistryError(
            Code.MANIFEST_INVALID, "malformed media type; expected type/subtype", detail={"mediaType": text[:200]}
        )
    return essence


def is_distributable(media_type: str) -> bool:
    """False for foreign and non-distributable layers, whose bytes are never pushed."""
    return not media_type.startswith(_NEVER_PUSHED)
