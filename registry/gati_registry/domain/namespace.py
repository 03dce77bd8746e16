"""Namespaces as names alone: whose a repository is.

users/<name>   a user's          orgs/<org>    an organization's
local/<name>   development       <first part>  anything else
"""

from __future__ import annotations

from functools import lru_cache

OWNED = {"users": "user", "orgs": "org", "local": "user"}
"""First parts whose second part is an account, and that account's kind."""


@lru_cache(maxsize=8192)  # requests repeat themselves
def root(path: str) -> str:
    """The owned namespace that a path lies in; the path itself where it lies above all."""
    parts = path.split("/", 2)
    return "/".join(parts[: 2 if parts[0] in OWNED else 1])


def below(path: str) -> tuple[str, str]:
    """Bounds between which, bytewise and exclusive, all names below a path lie."""
    return path + "/", path + "0"  # "0" is the character after "/"
