"""A folder as one archive, reproducibly: sorted names, no times, no owners, two modes, and a compressor that gives the
same bytes everywhere. ADR 0030 tells why it is neither zlib nor our own.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gati_client.errors import Usage
from gati_client.pack import tar
from gati_client.pack.ignore import Ignore
from gati_client.pack.names import BadName, Collisions, checked

CHUNK = 4 * 1024 * 1024
"""Bytes of the tar that make one member of the gzip file: a pack needs no more memory than that."""
LEVEL = 9
"""Part of the form: another level, or another size of chunks, gives other digests."""
MAX_FILES = 100_000
_READ = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file that goes into a pack: its name there, where it lies, bytes, and whether it may be run."""

    name: str
    path: Path
    size: int
    executable: bool


@dataclass(frozen=True, slots=True)
class Packed:
    """A pack: where it lies, its digest, bytes, and what is in it, in order."""

    path: Path
    digest: str
    size: int
    files: tuple[PackedFile, ...]

    @property
    def unpacked(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def listed(folder: Path, ignore: Ignore | None = None) -> list[PackedFile]:
    """What goes into a pack of the folder, in the pack's order.

    A link to a file within the folder counts as that file; other links are refused, and so is what is neither file nor
    folder. Empty folders are left out.

    Raises:
        Usage: something in it cannot go into a pack; the message says what to do.
    """
    if not folder.is_dir():
        raise Usage(f"{folder} is no folder")
    root = folder.resolve()
    found = list(_walk(root, "", ignore if ignore is not None else Ignore.defaults()))
    if len(found) > MAX_FILES:
        raise Usage(f"{folder} holds {len(found)} files; a pack holds at most {MAX_FILES}",
                    remedy="leave some out in .gatiignore")  # fmt: skip
    found.sort(key=lambda file: file.name.encode())
    collisions = Collisions()
    try:
        for file in found:
            collisions.add(file.name)
    except BadName as error:
        raise Usage(str(error), remedy="rename one of them") from None
    return found


def _walk(root: Path, base: str, ignore: Ignore) -> Iterator[PackedFile]:
    folder = root / base
    ignore = ignore.within(folder, base)
    with os.scandir(folder) as entries:
        listing = sorted(entries, key=lambda entry: entry.name)
    for entry in listing:
        path = base + entry.name
        if ignore(path, folder=entry.is_dir(follow_symlinks=False)):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, f"{path}/", ignore)
            continue
        yield _file(root, path, Path(entry.path), entry.is_symlink())


def _file(root: Path, path: str, real: Path, link: bool) -> PackedFile:
    try:
        name = checked(path)
    except BadName as error:
        raise Usage(str(error), remedy="rename it, or leave it out in .gatiignore") from None
    if link:
        target = real.resolve()
        if not target.is_relative_to(root) or not target.is_file():
            raise Usage(f"{path} is a link to something that is no file of this folder",
                        remedy="copy what it leads to, or leave it out in .gatiignore")  # fmt: skip
        real = target
    status = real.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Usage(f"{path} is neither a file nor a folder", remedy="leave it out in .gatiignore")
    return PackedFile(name, real, status.st_size, bool(status.st_mode & stat.S_IXUSR))


def build(folder: Path, target: Path, *, ignore: Ignore | None = None) -> Packed:
    """Pack a folder into the file `target`, which may not lie in what is packed. The same files give the same bytes.

    Raises:
        Usage: something in it cannot go into a pack, or changes while it is read.
    """
    return write(listed(folder, ignore), target)


def write(files: list[PackedFile], target: Path) -> Packed:
    """A pack of files that were listed. What is unfinished never lies under the name of `target`."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as out:
            digest, size = _written(files, out)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return Packed(target, digest, size, tuple(files))


def _written(files: list[PackedFile], out: BinaryIO) -> tuple[str, int]:
    import deflate  # heavy, and only needed here

    sha, size, pending = hashlib.sha256(), 0, bytearray()

    def flush(least: int) -> None:
        nonlocal size
        while len(pending) >= least and pending:
            data = bytes(deflate.gzip_compress(bytes(pending[:CHUNK]), LEVEL))
            del pending[:CHUNK]
            sha.update(data)
            size += len(data)
            out.write(data)

    for file in files:
        pending += tar.header(file.name, file.size, executable=file.executable)
        for part in _content(file):
            pending += part
            flush(CHUNK)
        pending += b"\0" * (-file.size % tar.BLOCK)
    pending += b"\0" * (2 * tar.BLOCK)
    flush(CHUNK)
    flush(1)
    return f"sha256:{sha.hexdigest()}", size


def _content(file: PackedFile) -> Iterator[bytes]:
    left = file.size
    with file.path.open("rb") as source:
        while left and (part := source.read(min(_READ, left))):
            left -= len(part)
            yield part
        if left or source.read(1):
            raise Usage(f"{file.name} changed while it was packed", remedy="run it again when nothing writes to it")
