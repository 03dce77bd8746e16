"""What programs do to files, one change at a time, and what a crash leaves of it."""

from __future__ import annotations

import enum
import os
import posixpath
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512  # bytes that a disk writes whole or not at all


class Kept(enum.Enum):
    """How much of one write reached the disk."""

    WHOLE = "whole"
    FIRST_HALF = "first half"
    SECOND_HALF = "second half"
    LENGTH = "length only"


@dataclass(frozen=True, slots=True)
class Write:
    """`data` at `offset` of file `inode`."""

    time: int
    inode: int
    offset: int
    data: bytes

    def ways(self) -> list[Kept]:
        """The ways in which a crash may keep it in part."""
        return [Kept.LENGTH] if self.half() in (0, len(self.data)) else list(Kept)[1:]

    def half(self) -> int:
        """Bytes up to the sector boundary nearest below its middle; 0 if it lies within one sector."""
        middle = self.offset + len(self.data) // 2
        return max(0, middle - middle % SECTOR - self.offset)


@dataclass(frozen=True, slots=True)
class Resize:
    """File `inode` cut or extended with zeros to `size`; `grow_only` never cuts (fallocate)."""

    time: int
    inode: int
    size: int
    grow_only: bool = False


@dataclass(frozen=True, slots=True)
class Name:
    """`name` in `directory` stands for `inode`; None: removed."""

    time: int
    directory: int
    name: str
    inode: int | None


@dataclass(frozen=True, slots=True)
class Rename:
    """A name moved, replacing what bore the new name."""

    time: int
    directory: int
    name: str
    old_directory: int
    old_name: str
    inode: int


Change = Write | Resize | Name | Rename
Choice = tuple[Change, Kept]


@dataclass(frozen=True, slots=True)
class Image:
    """What a crash may leave: every folder, and every file with its bytes, by path within the volume."""

    folders: frozenset[str]
    files: dict[str, bytes]
    digest: bytes

    def write_to(self, folder: Path) -> None:
        """Make a folder hold just this; what is there already in folders is kept, for speed."""
        there = _clear(str(folder), "")
        for name in sorted(there - self.folders, reverse=True):
            os.rmdir(folder / name)
        for name in sorted(self.folders - there):
            os.mkdir(folder / name)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


def _clear(root: str, path: str) -> set[str]:
    """Remove all files below a folder; the folders that are left, itself included."""
    folders = {path}
    try:
        entries = os.scandir(os.path.join(root, path))
    except FileNotFoundError:
        return set()
    with entries:
        for entry in entries:
            name = posixpath.join(path, entry.name)
            if entry.is_dir(follow_symlinks=False):
                folders |= _clear(root, name)
            else:
                os.unlink(entry.path)
    return folders


def change_data(data: bytearray, change: Write | Resize, kept: Kept) -> None:
    """Apply one change of a file's data, whole or in part."""
    if isinstance(change, Resize):
        if len(data) < change.size:
            data.extend(bytes(change.size - len(data)))
        elif not change.grow_only:
            del data[change.size :]
        return
    end = change.offset + len(change.data)
    if len(data) < end:
        data.extend(bytes(end - len(data)))
    half = change.half()
    start, stop = {
        Kept.WHOLE: (0, len(change.data)),
        Kept.FIRST_HALF: (0, half),
        Kept.SECOND_HALF: (half, len(change.data)),
        Kept.LENGTH: (0, 0),
    }[kept]
    data[change.offset + start : change.offset + stop] = change.data[start:stop]
