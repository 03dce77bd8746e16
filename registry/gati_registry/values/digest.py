"""Content digests: `algorithm:encoded`.

Source: image-spec, descriptor.md#digests.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from gati_registry.errors import Code, RegistryError

if TYPE_CHECKING:
    from hashlib import _Hash

ALGORITHMS = {"sha256": 64, "sha512": 128}
"""Supported algorithms and the length of their hexadecimal form."""

_SUPPORTED = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_GRAMMAR = re.compile(r"[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")


class Digest(str):
    """A digest of a supported algorithm; a plain string otherwise, so it binds and compares as one."""

    __slots__ = ()

    @classmethod
    @lru_cache(maxsize=4096)  # requests repeat themselves; refusals are not kept
    def parse(cls, text: str) -> Digest:
        """Check a digest as a client sent it.

        Raises:
            RegistryError: DIGEST_INVALID, saying whether the form or the algorithm is the trouble.
        """
        if _SUPPORTED.fullmatch(text):
            return cls(text)
        if _GRAMMAR.fullmatch(text) and text.partition(":")[0] not in ALGORITHMS:
            raise RegistryError(
                Code.DIGEST_INVALID,
                f"digest algorithm not supported; use one of {', '.join(ALGORITHMS)}",
                detail={"digest": text[:200]},
            )
        raise RegistryError(
            Code.DIGEST_INVALID,
            "malformed digest; expected sha256:<64 hex digits> or sha512:<128 hex digits>, in lower case",
            detail={"digest": text[:200]},
        )

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview, algorithm: str = "sha256") -> Digest:
        """The digest of bytes in memory."""
        return cls(f"{algorithm}:{new_hash(algorithm, data).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """`sha256` or `sha512`."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """The hexadecimal part."""
        return self.partition(":")[2]


def new_hash(algorithm: str, data: bytes | bytearray | memoryview = b"") -> _Hash:
    """A hashlib object; `algorithm` must be one of `ALGORITHMS`."""
    return hashlib.new(algorithm, data, usedforsecurity=True)


def parse_algorithm(text: str) -> str:
    """Check a `digest-algorithm` parameter (distribution-spec end-4c).

    Raises:
        RegistryError: DIGEST_INVALID for an algorithm that is not supported.
    """
    if text not in ALGORITHMS:
        raise RegistryError(
            Code.DIGEST_INVALID,
            f"digest-algorithm not supported; use one of {', '.join(ALGORITHMS)}",
            detail={"digest-algorithm": text[:100]},
        )
    return text
