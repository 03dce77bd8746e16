"""Bytes to push that can be read again from any offset: what a broken upload needs."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from gati_client.errors import GatiError


class Source(Protocol):
    """Bytes that stay the same; `digest` where it is known before they are read."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    @property
    def digest(self) -> str | None:
        """`sha256:…`, or None: whoever pushes them reads them once to find out."""
        ...

    def open(self, offset: int = 0) -> BinaryIO:
        """Those from `offset` on; whoever opens closes."""
        ...


@dataclass(frozen=True, slots=True)
class BytesSource:
    """Bytes in memory."""

    data: bytes
    digest: str | None = None

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)

    def open(self, offset: int = 0) -> BinaryIO:
        """Those from `offset` on."""
        return io.BytesIO(self.data[offset:] if offset else self.data)


class FileSource:
    """A file as long as it was when it was named."""

    __slots__ = ("digest", "path", "size")

    def __init__(self, path: Path, digest: str | None = None) -> None:
        self.path = path
        self.digest = digest
        try:
            self.size = path.stat().st_size
        except OSError as error:
            raise GatiError(f"{path}: {error.strerror}") from None

    def open(self, offset: int = 0) -> BinaryIO:
        """Its bytes from `offset` on."""
        try:
            file = self.path.open("rb", buffering=0)
        except OSError as error:
            raise GatiError(f"{self.path}: {error.strerror}") from None
        file.seek(offset)
        return file
