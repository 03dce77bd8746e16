"""The specification's table of endpoints, as data, and how a path finds its row.

`manifests`, `blobs`, `tags` and `uploads` are legal parts of a repository's name, so paths are split from the right.
The raw path is matched, percent-encoding and all: what a proxy and we would decode differently does not exist here.

Source: distribution-spec, section "Endpoints".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gati_registry.domain.access import Action
from gati_registry.errors import Code, RegistryError
from gati_registry.http.exchange import Exchange

Handler = Callable[[Exchange], Awaitable[None]]

MAX_PATH = 8192
"""Bytes of path and query together; 414 from here on."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method on a resource: its number in the specification, what it does to the repository, who handles it."""

    id: str
    action: Action
    handler: Handler


@dataclass(frozen=True, slots=True)
class Resource:
    """One path pattern with all its methods."""

    pattern: str
    methods: Mapping[str, Endpoint]

    @property
    def allow(self) -> str:
        """The `Allow` header."""
        return ", ".join(sorted(self.methods))


@dataclass(frozen=True, slots=True)
class Table:
    """All resources of the registry's own API."""

    base: Resource
    catalog: Resource
    discover: Resource
    repository_discover: Resource
    openapi: Resource
    docs: Resource
    blob: Resource
    manifest: Resource
    uploads: Resource
    upload: Resource
    tags: Resource
    referrers: Resource

    def all(self) -> tuple[Resource, ...]:
        """Every resource; for documentation and for the test that each endpoint names its action."""
        return (
            self.base,
            self.catalog,
            self.discover,
            self.repository_discover,
            self.openapi,
            self.docs,
            self.blob,
            self.manifest,
            self.uploads,
            self.upload,
            self.tags,
            self.referrers,
        )

    def match(self, path: str) -> tuple[Resource, str, str] | None:
        """The resource of a path below `/v2/`, the repository's name and the last part; None: no such path.

        Raises:
            RegistryError: a percent-encoded or otherwise impossible path.
        """
        if "%" in path:
            path = _decode_colon(path)
        name, _, last = path.rpartition("/")
        name, _, kind = name.rpartition("/")
        if kind == "manifests" and last:
            return self.manifest, name, last
        if kind == "uploads" and name.endswith("/blobs"):
            return (self.upload if last else self.uploads), name[:-6], last
        if kind == "blobs" and last:
            return (self.uploads if last == "uploads" else self.blob), name, last
        if kind == "tags" and last == "list":
            return self.tags, name, ""
        if kind == "referrers" and last:
            return self.referrers, name, last
        if kind == "ext" and last == "discover":
            if name == "_oci":
                return self.discover, "", ""
            if name.endswith("/_oci"):
                return self.repository_discover, name[:-5], ""
        if path == "_ext/openapi.json":
            return self.openapi, "", ""
        if path == "_ext/docs":
            return self.docs, "", ""
        if path == "_catalog":
            return self.catalog, "", ""
        if not path:
            return self.base, "", ""
        return None


def _decode_colon(path: str) -> str:
    """Some clients write a digest's colon as %3A; nothing else in these paths is ever encoded."""
    head, _, last = path.rpartition("/")
    last = last.replace("%3A", ":").replace("%3a", ":")
    if "%" in head or "%" in last:
        raise RegistryError(
            Code.NAME_INVALID,
            "percent-encoded characters are not part of repository names, tags or digests",
            detail={"path": path[:300]},
        )
    return f"{head}/{last}"


def not_found() -> RegistryError:
    """404 for a path that is no endpoint."""
    return RegistryError(Code.UNSUPPORTED, "no such endpoint; see the OCI distribution specification", status=404)


def method_not_allowed(resource: Resource) -> RegistryError:
    """405 with `Allow`."""
    return RegistryError(
        Code.UNSUPPORTED, f"this path takes {resource.allow}", status=405, headers={"Allow": resource.allow}
    )
