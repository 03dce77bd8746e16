"""The tree of names.

    users/<name>   a user's          orgs/<org>    an organization's
    library        curated, for all  system        read-only
    local/<name>   development       anything else the server's administrators'

A namespace is a repository's path or one of its ancestors. Its root is where it is owned: `users/alice`, `orgs/acme`,
`library`.
"""

from __future__ import annotations

from gati_registry.domain.namespace import OWNED as OWNED
from gati_registry.domain.namespace import below as below
from gati_registry.domain.namespace import root as root
from gati_registry.errors import Code, RegistryError
from gati_registry.values.reference import RepositoryName

FIXED = frozenset({"library", "system"})

MAX_DEPTH = 32
"""Parts of a path that rules are looked up for; a name of 255 characters could have 128."""


def parse(path: str) -> RepositoryName:
    """A path as a client wrote it.

    Raises:
        RegistryError: NAME_INVALID, or it is too deep.
    """
    name = RepositoryName.parse(path.strip("/"))
    if name.count("/") >= MAX_DEPTH:
        raise RegistryError(Code.NAME_INVALID, f"a namespace may have at most {MAX_DEPTH} parts")
    return name


def owner(path: str) -> tuple[str, str] | None:
    """Kind and name of the account that owns the path's root."""
    parts = path.split("/", 2)
    kind = OWNED.get(parts[0])
    return (kind, parts[1]) if kind is not None and len(parts) > 1 else None


def line(path: str) -> list[str]:
    """The path's root, then every namespace down to the path itself."""
    parts = path.split("/")
    first = min(2 if parts[0] in OWNED else 1, len(parts))
    depth = min(len(parts), MAX_DEPTH)
    return ["/".join(parts[:length]) for length in range(first, depth + 1)]
