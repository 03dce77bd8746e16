"""Honest content for a registry that is then attacked, and how to make more of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from tests.hostile.wire import Answer, ask
from tests.support.server import RegistryProcess

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
SMALL = b"a small blob, kept in the database"
LARGE = bytes(range(256)) * 1200
"""300 KiB: kept as a file."""
ABSENT = "sha256:" + hashlib.sha256(b"nobody pushed this").hexdigest()


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """The digest of bytes."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def descriptor(data: bytes, media_type: str = "application/octet-stream") -> dict[str, Any]:
    """A descriptor of bytes."""
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def image(*blobs: bytes, config: bytes = SMALL, **more: Any) -> dict[str, Any]:
    """An image manifest; `more` are further members of it, or others in the place of the usual."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(blob) for blob in blobs],
    }
    return {**document, **more}


def encode(document: Any) -> bytes:
    """JSON as clients write it."""
    return json.dumps(document, separators=(",", ":")).encode()


def push_blob(server: RegistryProcess, repository: str, data: bytes, algorithm: str = "sha256") -> Answer:
    """A blob in one request."""
    digest = digest_of(data, algorithm)
    return ask(server, "POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", body=data)


def push_manifest(
    server: RegistryProcess, repository: str, reference: str, data: bytes, media_type: str = OCI_MANIFEST
) -> Answer:
    """A manifest under a tag or digest."""
    return ask(server, "PUT", f"/v2/{repository}/manifests/{reference}", {"Content-Type": media_type}, data)


def start_upload(server: RegistryProcess, repository: str) -> str:
    """A new session's path."""
    answer = ask(server, "POST", f"/v2/{repository}/blobs/uploads/")
    assert answer.status == 202, answer
    location = answer.header("location")
    assert location is not None
    return location


@dataclass(frozen=True)
class Seed:
    """What stands in a registry before it is attacked: one repository, and another with a secret of its own."""

    repository: str = "seed/app"
    other: str = "seed/secret"
    secret: bytes = b"nobody but seed/secret has this"
    tag: str = "v1"

    @property
    def manifest(self) -> bytes:
        """The manifest under `tag`."""
        return encode(image(LARGE))

    @property
    def secret_manifest(self) -> bytes:
        """A manifest of `other`, under `tag` there."""
        return encode(image(config=self.secret))

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return digest_of(self.manifest)

    def plant(self, server: RegistryProcess) -> None:
        """Push it all."""
        for repository, blobs in ((self.repository, (SMALL, LARGE)), (self.other, (self.secret,))):
            for blob in blobs:
                assert push_blob(server, repository, blob).status == 201
        assert push_manifest(server, self.repository, self.tag, self.manifest).status == 201
        assert push_manifest(server, self.other, self.tag, self.secret_manifest).status == 201

    def check(self, server: RegistryProcess) -> None:
        """All of it is there, byte for byte, and nothing more."""
        for blob in (SMALL, LARGE):
            answer = ask(server, "GET", f"/v2/{self.repository}/blobs/{digest_of(blob)}")
            assert (answer.status, answer.body) == (200, blob)
        for reference in (self.tag, self.digest):
            answer = ask(server, "GET", f"/v2/{self.repository}/manifests/{reference}")
            assert (answer.status, answer.body) == (200, self.manifest)
        answer = ask(server, "GET", f"/v2/{self.repository}/tags/list")
        assert answer.json() == {"name": self.repository, "tags": [self.tag]}
        assert ask(server, "GET", "/v2/_catalog").json() == {"repositories": [self.repository, self.other]}


SEED = Seed()
