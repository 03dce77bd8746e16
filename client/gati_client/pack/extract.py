"""Unpacking what strangers packed. Nothing is written outside, nothing half-written is ever seen: all goes into a new
folder beside the target, which gets its name when everything was checked.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from gati_client.errors import Conflict, Integrity
from gati_client.pack import tar
from gati_client.pack.names import BadName, Collisions, checked, folded

_READ = 256 * 1024
_LINKED = 16 << 20  # bytes from which on a file is not copied: nobody edits weights by hand
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_HERE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EFBIG, errno.EMFILE)
"""Errors of this machine's disk, whatever is unpacked."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may hold: bytes in all and of one file, members, and how many times its own size it may grow
    to once it passes `free` bytes."""

    total: int = 16 * 1024**3
    file: int = 8 * 1024**3
    members: int = 200_000
    ratio: int = 200
    free: int = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was unpacked: names in the archive's order, and bytes."""

    files: tuple[str, ...]
    size: int


def extract(archive: Path, target: Path, limits: Limits = Limits(), *, digest: str | None = None) -> Extracted:
    """Unpack a tar archive (plain, gzip or zstd) into the folder `target`, which must not be there yet.

    With `digest` the archive is what that says, or nothing appears.

    Raises:
        Conflict: the target is there.
        Integrity: the archive is damaged, not what its digest says, or holds what no pack may: names and links that
            lead out, devices, sparse files, names that are the same on some systems, more than the limits.
    """
    if target.exists() or target.is_symlink():
        raise Conflict(f"{target} is there already", remedy="name a folder that is not there yet")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        unpacking = Unpacking(scratch, limits)
        unpacking.add(archive, digest=digest)
        done = unpacking.finish()
        scratch.chmod(0o755)
        try:
            scratch.rename(target)
        except OSError as error:
            raise Conflict(f"{target} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return done


@contextlib.contextmanager
def _refusing(what: str) -> Iterator[None]:
    try:
        yield
    except (tar.BadArchive, BadName, zlib.error, EOFError) as error:
        raise Integrity(f"{what} is refused: {error}") from None
    except OSError as error:
        if error.errno in _HERE:
            raise  # nothing is wrong with what came
        raise Integrity(f"{what} cannot be unpacked here: {error.strerror or error}") from error


class _Hashing:
    """The archive's bytes, hashed as they are read."""

    def __init__(self, file: BinaryIO, digest: str | None) -> None:
        self._file = file
        self._digest = digest
        self._hash = hashlib.new((digest or "sha256:").partition(":")[0])

    def read(self, size: int) -> bytes:
        part = self._file.read(size)
        self._hash.update(part)
        return part

    def finish(self) -> None:
        """Read what is left, and see whether all of it was what it should be."""
        while self.read(_READ):
            pass
        if self._digest is not None and self._hash.hexdigest() != self._digest.partition(":")[2]:
            raise tar.BadArchive(f"its bytes are not those of {self._digest}")


def _plain(source: _Hashing) -> Iterator[bytes]:
    """The tar itself, in pieces of bounded size."""
    first = source.read(_READ)
    if first.startswith(_GZIP):
        return _gunzipped(first, source)
    if first.startswith(_ZSTD):
        return _unzstded(first, source)
    return _as_it_is(first, source)


def _as_it_is(first: bytes, source: _Hashing) -> Iterator[bytes]:
    part = first
    while part:
        yield part
        part = source.read(_READ)


def _gunzipped(first: bytes, source: _Hashing) -> Iterator[bytes]:
    unpack = zlib.decompressobj(wbits=31)
    part = first
    while part:
        out = unpack.decompress(part, _READ)
        if out:
            yield out
        part = unpack.unconsumed_tail
        if unpack.eof:
            part = unpack.unused_data or source.read(_READ)
            if not part or not part.strip(b"\0"):
                return  # zeros to a device's block may follow
            unpack = zlib.decompressobj(wbits=31)
        elif not part:
            part = source.read(_READ)
    if not unpack.eof:
        raise EOFError("it ends too early")


def _unzstded(first: bytes, source: _Hashing) -> Iterator[bytes]:
    import zstandard  # only where somebody packed that way

    class _Both:
        """What was read already, then the rest."""

        def __init__(self) -> None:
            self.first = first

        def read(self, size: int = -1, /) -> bytes:
            part, self.first = self.first[:size], self.first[size:]
            return part or source.read(size)

    unpack = zstandard.ZstdDecompressor(max_window_size=128 * 1024 * 1024)
    try:
        with unpack.stream_reader(cast("BinaryIO", _Both()), read_across_frames=True) as reader:
            while part := reader.read(_READ):
                yield part
    except zstandard.ZstdError as error:
        raise tar.BadArchive(f"it is no zstd, or damaged: {error}") from None


class _Stream:
    """Bytes of the tar in the sizes that are asked for."""

    def __init__(self, parts: Iterator[bytes], most: int) -> None:
        self._parts = parts
        self._most = most
        self._seen = 0
        self._held = bytearray()

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end. Only for small sizes."""
        while len(self._held) < size and self._more():
            pass
        out = bytes(self._held[:size])
        del self._held[:size]
        return out

    def pieces(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, piecewise."""
        while size:
            if not self._held and not self._more():
                raise EOFError("it ends in the middle of a file")
            part = bytes(self._held[:size])
            del self._held[:size]
            size -= len(part)
            yield part

    def _more(self) -> bool:
        part = next(self._parts, b"")
        self.grow(len(part))
        self._held += part
        return bool(part)

    def grow(self, size: int) -> None:
        """The archive comes to so many bytes more."""
        self._seen += size
        if self._seen > self._most:
            raise tar.BadArchive(f"it grows beyond {self._most} bytes, which no honest archive of its size does")


class Unpacking:
    """Lays archives and single files below a folder that is there and that nobody else knows; nothing is replaced."""

    def __init__(self, folder: Path, limits: Limits = Limits()) -> None:
        self._folder = folder
        self._limits = limits
        self._collisions = Collisions()
        self._links: dict[str, str] = {}
        self._regular: set[str] = set()
        self._files: list[str] = []
        self._members = 0
        self._size = 0

    def __contains__(self, name: str) -> bool:
        """Whether there is a file of this name already."""
        return name in self._regular or name in self._links

    def add(self, archive: Path, *, digest: str | None = None, what: str = "") -> None:
        """All of an archive (tar: plain, gzip or zstd); with `digest`, if it is what that says. Errors call it `what`.

        Raises:
            Integrity: as `extract`.
        """
        with _refusing(what or archive.name), archive.open("rb") as file:
            source = _Hashing(file, digest)
            stream = _Stream(_plain(source), max(self._limits.free, archive.stat().st_size * self._limits.ratio))
            while (member := tar.next_member(stream.read)) is not None:
                self._take(member, stream)
            source.finish()

    def file(self, name: str, content: Path) -> None:
        """One file that is no archive. A large one is the same file under a second name, where the disk allows it.

        The limits are those of archives: what is whole on the disk already cannot grow.

        Raises:
            Integrity: its name leads out, or is there already.
        """
        with _refusing(name):
            name = self._new(checked(name))
            if content.stat().st_size < _LINKED or not _link(content, self._folder / name):
                with content.open("rb") as source, self._create(name, 0o644) as out:
                    shutil.copyfileobj(source, out, 4 * _READ)
            self._regular.add(name)

    def finish(self) -> Extracted:
        """Links come last: nothing is ever written through one."""
        with _refusing("a link"):
            links = {folded(name) for name in self._links}  # where `A` is `a`, a link through either leads through it
            for name, link in self._links.items():
                path = PurePosixPath(name)
                for part in (*path.parents, *_steps(path.parent, link)):
                    if folded(str(part)) in links and str(part) != name:
                        raise BadName(f"the link {name!r} leads through another link")
                (self._folder / name).symlink_to(link)
        return Extracted(tuple(self._files), self._size)

    def _take(self, member: tar.Member, stream: _Stream) -> None:
        self._members += 1
        if self._members > self._limits.members:
            raise tar.BadArchive(f"it holds more than {self._limits.members} members")
        name = checked(member.name)
        if member.kind == "directory":
            if name:
                self._distinct(name)
                self._parents(f"{name}/")
            return
        if member.mode & 0o6000:
            raise BadName(f"{name!r} runs with the rights of its owner (setuid or setgid)")
        self._new(name)
        if member.kind == "symlink":
            self._links[name] = self._inside(name, member.link)
        elif member.kind == "hardlink":
            self._copy(name, checked(member.link), stream)
        else:
            self._write(name, member, stream)

    def _new(self, name: str) -> str:
        if not name:
            raise BadName("a file has no name")
        if name in self:
            raise BadName(f"{name!r} is there twice")
        self._distinct(name)
        self._parents(name)
        self._files.append(name)
        return name

    def _distinct(self, name: str) -> None:
        self._collisions.add(name)
        # Folders that are only named on the way count as well: a name has room for many.
        if len(self._collisions) > self._limits.members:
            raise tar.BadArchive(f"it holds more than {self._limits.members} files and folders")

    def _parents(self, name: str) -> None:
        parent = name.rpartition("/")[0]
        steps = parent.split("/") if parent else []
        for end in range(1, len(steps) + 1):
            step = "/".join(steps[:end])
            if step in self._regular or step in self._links:
                raise BadName(f"{step!r} is a file and a folder")
        (self._folder / parent).mkdir(parents=True, exist_ok=True)

    def _room(self, name: str, size: int) -> None:
        self._size += size
        if size > self._limits.file or self._size > self._limits.total:
            most = f"at most {self._limits.total} are unpacked, {self._limits.file} of one file"
            raise tar.BadArchive(f"{name!r} brings it to {self._size} bytes; {most}")

    def _write(self, name: str, member: tar.Member, stream: _Stream) -> None:
        self._room(name, member.size)
        with self._create(name, 0o755 if member.mode & 0o100 else 0o644) as out:
            for part in stream.pieces(member.size):
                out.write(part)
        for _ in stream.pieces(-member.size % tar.BLOCK):
            pass
        self._regular.add(name)

    def _copy(self, name: str, source: str, stream: _Stream) -> None:
        """A hard link, as a file of its own."""
        if source not in self._regular:
            raise BadName(f"the hard link {name!r} leads to {source[:200]!r}, which is no earlier file of the archive")
        before = self._folder / source
        status = before.stat()
        self._room(name, status.st_size)
        stream.grow(status.st_size)
        with before.open("rb") as data, self._create(name, status.st_mode & 0o777) as out:
            shutil.copyfileobj(data, out, _READ)
        self._regular.add(name)

    def _create(self, name: str, mode: int) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(self._folder / name, flags, mode)
        os.fchmod(descriptor, mode)
        return os.fdopen(descriptor, "wb")

    def _inside(self, name: str, link: str) -> str:
        """The link, if it stays within the archive's folder whatever its steps are."""
        if not link or link.startswith("/") or "\\" in link or "\0" in link or len(link.encode()) > 1024:
            raise BadName(f"the link {name!r} leads to {link[:200]!r}, which is not within the archive")
        _steps(PurePosixPath(name).parent, link)
        return link


def _link(content: Path, place: Path) -> bool:
    try:
        os.link(content, place)
    except OSError:  # another disk, one that has no links, or somebody else's file
        return False
    return True


def _steps(folder: PurePosixPath, link: str) -> list[PurePosixPath]:
    """Every place that a link passes, from the folder it lies in.

    Raises:
        BadName: one of them is outside.
    """
    parts = [part for part in folder.parts if part != "."]
    out = []
    for part in link.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise BadName(f"the link to {link[:200]!r} leads out of the archive")
            parts.pop()
        else:
            parts.append(part)
        out.append(PurePosixPath(*parts))
    return out
