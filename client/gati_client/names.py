"""Names of artifacts in all their spellings; one canonical form, the repository's path.

| written | means |
|---|---|
| `@acme/x`, `org.acme.x`, `gati.dev/orgs/acme/x` | `orgs/acme/x` |
| `@user/alice/x`, `user.alice.x`, `gati.dev/users/alice/x`, `mlld://alice/x` | `users/alice/x` |
| `lib.x`, `pkg.x`, `global/x` | `library/x` |
| `hyper.x`, `system.x` | `system/x` |
| `local.x` | `local/x` |
| `x` | `<namespace>/x`, without one `library/x` |
| `host:port/any/path`, `host.name/any/path`, `oci://…` | that path at that registry, as it is written |

Behind each may stand a version, a channel or a range (`@1.2.3`, `@^1.2`, `:latest`) and a digest (`@sha256:…`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gati_client.errors import Usage

# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_REGISTRY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_MAX_REPOSITORY = 255
_MAX_VERSION = 256
_DOTTED = {"lib": "library", "pkg": "library", "hyper": "system", "system": "system", "local": "local"}
LEVELS = ("orgs", "users", "library", "system", "local")
"""What paths of namespaces begin with."""


@dataclass(frozen=True, slots=True)
class Name:
    """An artifact: `registry` is None where the default one is meant; `version` is a tag, a version or a range."""

    registry: str | None
    repository: str
    version: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str, *, default_registry: str | None = None, namespace: str | None = None) -> Name:
        """Read any of the spellings above.

        Args:
            text: as somebody wrote it.
            default_registry: what `registry` is where the text names none.
            namespace: where bare names belong (`users/alice`, `@acme`); None: `library`.

        Raises:
            Usage: it is no name.
        """
        if not text or len(text) > _MAX_REPOSITORY + _MAX_VERSION + 400 or not text.isprintable():
            raise Usage(f"{text[:80]!r} is no name of an artifact", remedy="Write NAME, @ORG/NAME or HOST/PATH:TAG.")
        body, version, digest = _split(text)
        registry, repository = _located(body, namespace)
        if not _REPOSITORY.fullmatch(repository) or len(repository) > _MAX_REPOSITORY:
            raise Usage(
                f"{text[:200]!r} is no name of an artifact: {repository[:200]!r} is no path of a repository",
                remedy="Paths are lower-case words of letters and digits, joined by . _ - and /.",
            )
        if version is not None and (not version or len(version) > _MAX_VERSION):
            raise Usage(f"{text[:200]!r} has no good version", remedy="Write NAME@1.2.3, NAME@^1.2 or NAME:TAG.")
        return cls(registry or default_registry, repository, version, digest)

    def __str__(self) -> str:
        """`[registry/]repository[:tag | @version][@digest]`, which `parse` reads back."""
        text = f"{self.registry}/{self.repository}" if self.registry else self.repository
        if self.registry and not _plainly_a_host(self.registry):
            text = f"oci://{text}"
        if self.version is not None:
            text += f":{self.version}" if _TAG.fullmatch(self.version) else f"@{self.version}"
        return text + (f"@{self.digest}" if self.digest else "")

    @property
    def reference(self) -> str:
        """What a manifest is asked for by: the digest, else the version as a tag, else `latest`."""
        return self.digest or (tag_of(self.version) if self.version else "latest")

    @property
    def unplaced(self) -> bool:
        """Whether it is `a/b`, which is `orgs/a/b` where that organization exists and `users/a/b` where not."""
        parts = self.repository.split("/")
        return self.registry is None and len(parts) == 2 and parts[0] not in LEVELS

    def at(self, repository: str) -> Name:
        """The same in another repository."""
        return replace(self, repository=repository)


def tag_of(version: str) -> str:
    """A version as a tag: what stands behind `+` is joined by `_`, as tags have no `+`.

    Raises:
        Usage: it fits no tag; a range, for example, is asked of the resolver.
    """
    tag = version.replace("+", "_")
    if not _TAG.fullmatch(tag):
        raise Usage(f"{version[:100]!r} is no single version", remedy="Write an exact version or a channel.")
    return tag


def is_digest(text: str) -> bool:
    """Whether it is a digest that registries here deal in: sha256 or sha512."""
    return _DIGEST.fullmatch(text) is not None


def check_repository(text: str) -> str:
    """The text itself.

    Raises:
        Usage: it is no path of a repository.
    """
    if not _REPOSITORY.fullmatch(text) or len(text) > _MAX_REPOSITORY:
        raise Usage(f"{text[:200]!r} is no path of a repository")
    return text


def check_reference(text: str) -> str:
    """The text itself.

    Raises:
        Usage: it is neither a tag nor a digest.
    """
    if not is_digest(text) and not _TAG.fullmatch(text):
        raise Usage(f"{text[:200]!r} is neither a tag nor a digest")
    return text


def _split(text: str) -> tuple[str, str | None, str | None]:
    """What stands before versions, then the version, then the digest."""
    body, at, rest = text[1:].partition("@")
    body = text[0] + body
    version: str | None = None
    digest: str | None = None
    if at:
        for each in rest.split("@"):
            if is_digest(each) and digest is None:
                digest = each
            elif version is None and digest is None and not each.startswith(("sha256:", "sha512:")):
                version = each
            else:
                raise Usage(f"{text[:200]!r} has no good digest", remedy="Write NAME@sha256: and 64 hex digits.")
    head, colon, tag = body.rpartition(":")
    if colon and "/" not in tag:
        if version is not None:
            raise Usage(f"{text[:200]!r} names two versions", remedy="Write NAME:TAG or NAME@VERSION.")
        body, version = head, tag
    return body, version, digest


def _located(body: str, namespace: str | None) -> tuple[str | None, str]:
    """The registry, where one is named, and the path."""
    if body.startswith("mlld://"):
        return None, f"users/{body.removeprefix('mlld://')}"
    explicit = body.startswith("oci://")
    body = body.removeprefix("oci://")
    first, slash, rest = body.partition("/")
    if first == "gati.dev" and slash:
        return None, rest
    if slash and (explicit or _plainly_a_host(first)) and not first.startswith("@"):
        if not _REGISTRY.fullmatch(first):
            raise Usage(f"{first[:200]!r} is no host of a registry")
        return first, rest
    if first == "global" and slash:
        return None, f"library/{rest}"
    if first == "@user" and slash:
        return None, f"users/{rest}"
    if first.startswith("@"):
        return None, f"orgs/{body[1:]}"
    return None, body if slash else _bare(body, namespace)


def _plainly_a_host(first: str) -> bool:
    """Whether the first part of a path is a registry, as docker tells the two apart."""
    return first == "localhost" or "." in first or ":" in first


def _bare(body: str, namespace: str | None) -> str:
    """A name without a slash: dotted, or one word."""
    family, dot, rest = body.partition(".")
    if dot and family in _DOTTED:
        return f"{_DOTTED[family]}/{rest}"
    if dot and family in ("org", "user") and "." in rest:
        owner, _, name = rest.partition(".")
        return f"{family}s/{owner}/{name}"
    if namespace and namespace.startswith("@"):
        namespace = f"orgs/{namespace[1:]}"
    return f"{(namespace or 'library').strip('/')}/{body}"
