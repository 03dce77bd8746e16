"""Repository names and tags.

Source: distribution-spec, section "Pulling manifests".
"""

from __future__ import annotations

import re
from functools import lru_cache

from gati_registry.errors import Code, RegistryError
from gati_registry.values.digest import Digest

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")

MAX_NAME = 255
"""Characters of host, `/` and name together: many clients stop there (distribution-spec, implementers' note)."""


class RepositoryName(str):
    """A valid repository name, such as `orgs/acme/app`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str, *, host: str = "") -> RepositoryName:
        """Check a name as a client sent it; with `host`, also the length that clients can address.

        Raises:
            RegistryError: NAME_INVALID.
        """
        limit = MAX_NAME - (len(host) + 1 if host else 0)
        # The length first: the pattern is linear, but there is no reason to run it over kilobytes.
        if len(text) > limit:
            raise RegistryError(
                Code.NAME_INVALID,
                f"repository name is longer than {limit} characters",
                detail={"name": text[:300], "length": len(text)},
            )
        return _name(text)


@lru_cache(maxsize=4096)  # requests repeat themselves; refusals are not kept
def _name(text: str) -> RepositoryName:
    if not _NAME.fullmatch(text):
        raise RegistryError(
            Code.NAME_INVALID,
            "repository name must be lower-case letters and digits, joined by single '.', '_', '__' or '-', "
            "in parts separated by '/'",
            detail={"name": text[:300]},
        )
    return RepositoryName(text)


class Tag(str):
    """A valid tag."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Tag:
        """Check a tag as a client sent it.

        Raises:
            RegistryError: MANIFEST_INVALID (the specification has no code of its own for tags).
        """
        if not _TAG.fullmatch(text):
            raise RegistryError(
                Code.MANIFEST_INVALID,
                "tag must be at most 128 letters, digits, '_', '.' or '-', and not begin with '.' or '-'",
                detail={"tag": text[:200]},
            )
        return cls(text)


@lru_cache(maxsize=4096)
def parse_reference(text: str) -> Tag | Digest:
    """A manifest's reference: a digest if it holds a colon, else a tag.

    Raises:
        RegistryError: DIGEST_INVALID or MANIFEST_INVALID.
    """
    return Digest.parse(text) if ":" in text else Tag.parse(text)
