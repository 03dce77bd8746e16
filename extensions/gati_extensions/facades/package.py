"""A SpecRegistry package: a gzipped tar with `spec.yaml` and the files that it names, read within bounds in memory.

    spec-name@1.2.3/spec.yaml      all in one folder, or without any
    spec-name@1.2.3/specs/main.tla

Source: SpecRegistry design, section 2.1.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from gati_registry.errors import Code, RegistryError

MANIFEST = "spec.yaml"
MAX_MANIFEST = 256 * 1024
MAX_MEMBERS = 10_000
MAX_HEADER = 64 * 1024
"""Bytes of a long name or of extended headers: tarfile reads them whole."""
MAX_UNPACKED = 20
"""Times its own size, and `ROOM`, that a package may unpack to."""
ROOM = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Package:
    """`manifest` is spec.yaml byte for byte, `files` the names of all files, without the common folder."""

    manifest: bytes
    files: frozenset[str]


def read(data: bytes) -> Package:
    """Look through a package; nothing is unpacked to a disk. Takes its time: not for the event loop.

    Raises:
        RegistryError: INVALID, it is none, or unpacks to too much.
    """
    names: list[str] = []
    manifests: dict[str, bytes] = {}
    try:
        stream = _Bounded(data)
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header, errors="strict") as archive:  # one pass
            for member in archive:
                if len(names) >= MAX_MEMBERS:
                    raise _invalid(f"holds more than {MAX_MEMBERS} files")
                name = _safe(member)
                if member.isdir():
                    continue
                names.append(name)
                if name.rpartition("/")[2] == MANIFEST and name.count("/") <= 1:
                    if member.size > MAX_MANIFEST:
                        raise _invalid(f"has a {MANIFEST} of more than {MAX_MANIFEST} bytes")
                    content = archive.extractfile(member)
                    manifests[name] = content.read() if content is not None else b""
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError):
        raise _invalid("is no gzipped tar archive, or is cut short") from None
    folders = {name.partition("/")[0] for name in names}
    if MANIFEST in manifests:
        return Package(manifests[MANIFEST], frozenset(names))
    if len(folders) == 1 and (found := manifests.get(f"{(folder := folders.pop())}/{MANIFEST}")) is not None:
        return Package(found, frozenset(name.removeprefix(f"{folder}/") for name in names))
    raise _invalid(f"has no {MANIFEST} at its top, nor in the one folder that holds all")


def missing(package: Package, document: Mapping[str, Any]) -> list[str]:
    """Files that its manifest names and that are not there, at most twenty."""
    return [name for name in dict.fromkeys(_named(document)) if name.removeprefix("./") not in package.files][:20]


def _named(document: Mapping[str, Any]) -> Iterator[str]:
    specifications, documentation = document.get("specifications"), document.get("documentation")
    if isinstance(specifications, Mapping):
        yield from _texts([specifications.get("main")])
        yield from _texts(specifications.get("modules"))
    yield from _texts(document.get("tests"))
    if isinstance(documentation, Mapping):
        yield from _texts([documentation.get("readme"), documentation.get("examples")])


def _texts(found: Any) -> Iterable[str]:
    return [one for one in found if isinstance(one, str) and one] if isinstance(found, list) else ()


def _safe(member: tarfile.TarInfo) -> str:
    """The member's name; links and whatever leads out of the folder are no part of a package."""
    name = member.name.removeprefix("./")
    if not (member.isreg() or member.isdir()):
        raise _invalid(f"holds {name[:100]!r}, which is neither a file nor a folder")
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or any(ord(char) < 32 for char in name):
        raise _invalid(f"holds the name {name[:100]!r}, which leads out of it")
    return name


class _Header(tarfile.TarInfo):
    """Refuses what would be read into memory whole, and sizes that lead backwards."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if found.size < 0 or (found.type in _EXTENSIONS and found.size > MAX_HEADER):
            raise tarfile.HeaderError("a header of an impossible size")
        return found


_EXTENSIONS = frozenset({
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
})  # fmt: skip


class _Bounded(io.RawIOBase):
    """What a gzip holds, as far as it may: unpacks piece by piece, and stops where there is too much of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._unpack = zlib.decompressobj(wbits=31)
        self._rest = data
        self._left = ROOM + MAX_UNPACKED * len(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = size if 0 <= size < 1 << 20 else 1 << 20
        if not wanted or self._unpack.eof:
            return b""
        out = self._unpack.decompress(self._rest, wanted)
        self._rest = self._unpack.unconsumed_tail
        self._left -= len(out)
        if self._left < 0:
            raise _invalid("unpacks to far more than its size")
        if not out and not self._unpack.eof:
            raise EOFError
        return out


def _invalid(problem: str) -> RegistryError:
    return RegistryError(Code.INVALID, f"the package {problem}", detail={"field": "package"})
