"""What the registry really holds, read and written over plain HTTP, beside any client program."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """`algorithm:hex` of the bytes."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest as the registry answered it."""

    data: bytes
    media_type: str
    digest: str

    @property
    def json(self) -> Any:
        """The manifest, parsed."""
        return json.loads(self.data)


@dataclass(frozen=True, slots=True)
class Registry:
    """One running registry on loopback; `credentials` are sent as Basic. Who makes it closes it."""

    url: str
    credentials: tuple[str, str] | None = None
    # No environment: a proxy or .netrc of the caller's must not come between.
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60, trust_env=False))

    def close(self) -> None:
        """Close its connections."""
        self.http.close()

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`, as image references begin."""
        return self.url.partition("://")[2]

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """One request; `path` is relative to the registry or absolute."""
        url = path if path.startswith("http") else self.url + path
        auth = httpx.BasicAuth(*self.credentials) if self.credentials else None
        return self.http.request(method, url, headers=headers, content=content, auth=auth)

    def manifest(self, repository: str, reference: str) -> Stored:
        """The manifest of a tag or digest, its bytes checked against the digest that the registry names."""
        accept = ", ".join([INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, "*/*"])
        response = self.request("GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": accept})
        assert response.status_code == 200, f"{repository}:{reference}: {response.status_code} {response.text}"
        named = response.headers["Docker-Content-Digest"]
        assert named == digest_of(response.content, named.partition(":")[0])
        return Stored(response.content, response.headers["Content-Type"], named)

    def has_manifest(self, repository: str, reference: str) -> bool:
        """Whether the tag or digest is there."""
        response = self.request("HEAD", f"/v2/{repository}/manifests/{reference}", headers={"Accept": "*/*"})
        assert response.status_code in (200, 404), response.status_code
        return response.status_code == 200

    def blob(self, repository: str, digest: str) -> bytes:
        """A blob's bytes, checked against its digest."""
        response = self.request("GET", f"/v2/{repository}/blobs/{digest}")
        assert response.status_code == 200, f"{repository} {digest}: {response.text}"
        assert digest_of(response.content, digest.partition(":")[0]) == digest
        return response.content

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the blob is there, linked in this repository."""
        response = self.request("HEAD", f"/v2/{repository}/blobs/{digest}")
        assert response.status_code in (200, 404), response.status_code
        return response.status_code == 200

    def tags(self, repository: str) -> list[str]:
        """The repository's tags, in the registry's order."""
        response = self.request("GET", f"/v2/{repository}/tags/list")
        assert response.status_code == 200, response.text
        return list(response.json()["tags"])

    def referrers(self, repository: str, digest: str) -> list[dict[str, Any]]:
        """The descriptors of what refers to the digest."""
        response = self.request("GET", f"/v2/{repository}/referrers/{digest}")
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"] == INDEX
        return list(response.json()["manifests"])

    def push_blob(self, repository: str, data: bytes, algorithm: str = "sha256") -> str:
        """Upload a blob by POST and PUT; returns its digest."""
        digest = digest_of(data, algorithm)
        started = self.request("POST", f"/v2/{repository}/blobs/uploads/?digest-algorithm={algorithm}")
        assert started.status_code == 202, started.text
        location = str(httpx.URL(self.url).join(started.headers["Location"]))
        separator = "&" if "?" in location else "?"
        headers = {"Content-Type": "application/octet-stream"}
        put = self.request("PUT", f"{location}{separator}digest={digest}", headers=headers, content=data)
        assert put.status_code == 201, put.text
        return digest

    def push_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> str:
        """Put a manifest under a tag or digest; returns its digest."""
        put = self.request(
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            headers={"Content-Type": media_type},
            content=data,
        )
        assert put.status_code == 201, put.text
        return str(put.headers["Docker-Content-Digest"])
