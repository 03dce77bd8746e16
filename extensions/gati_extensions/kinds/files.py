"""An artifact's files, as kinds read them: by range, and never more than a bounded number of bytes in all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from gati_registry.extension import BlobReader
from gati_registry.values.digest import Digest

WINDOW = 64 * 1024
"""Bytes that are read at a time."""

BUDGET = 32 * 1024 * 1024
"""Bytes that are read of one artifact at most, however its headers are made."""


class Malformed(Exception):
    """The bytes are not what their media type says; the message says where and why."""


class Overstated(Malformed):
    """Counts or lengths go beyond the file."""


class Window:
    """A file with random access through one window in memory. Raises `Malformed` where the file or the budget ends."""

    def __init__(self, reader: BlobReader, size: int, budget: int = BUDGET) -> None:
        self._reader = reader
        self._left = budget
        self._at = 0
        self._data = b""
        self.size = size

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Overstated(f"bytes {offset} to {offset + length} are wanted of a file of {self.size}")
        start = offset - self._at
        if start < 0 or start + length > len(self._data):
            await self._load(offset, max(length, WINDOW))
            start = 0
        return self._data[start : start + length]

    async def _load(self, offset: int, length: int) -> None:
        length = min(length, self.size - offset)
        self._left -= length
        if self._left < 0:
            raise Malformed("its headers are too large to be read")
        parts: list[bytes] = []
        got = 0
        while got < length:
            part = await self._reader.read(offset + got, length - got)
            if not part:
                raise Malformed("it ends early")
            parts.append(part)
            got += len(part)
        self._at, self._data = offset, b"".join(parts)

    def close(self) -> None:
        """Let go."""
        self._reader.close()


@dataclass(frozen=True, slots=True)
class File:
    """A layer. `title` is the file's name, where an annotation tells it."""

    media_type: str
    digest: str
    size: int
    title: str
    open: Callable[[], Awaitable[Window | None]]


@dataclass(frozen=True, slots=True)
class Files:
    """The layers of an artifact, in order. Where it is `strict`, a file that lies about its size may be refused."""

    layers: Sequence[File]
    strict: bool = False

    def __iter__(self) -> Iterator[File]:
        return iter(self.layers)

    def of_type(self, *media_types: str, endings: Sequence[str] = ()) -> Iterator[File]:
        """Those of a media type, or whose names end so."""
        for file in self.layers:
            if file.media_type in media_types or (endings and file.title.lower().endswith(tuple(endings))):
                yield file


def opener(
    find: Callable[[Digest], Awaitable[tuple[int, BlobReader] | None]], digest: Digest
) -> Callable[[], Awaitable[Window | None]]:
    """Opens a layer by its digest; None where the repository lacks it."""

    async def open_() -> Window | None:
        found = await find(digest)
        return Window(found[1], found[0]) if found is not None else None

    return open_
