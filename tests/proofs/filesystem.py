"""A model of a file system that keeps nothing but what was synced.

It knows at each moment what is certainly on the disk and what may or may not have reached it. It promises as
little as POSIX does, which is less than ext4 or XFS keep in practice:

- `fsync` and `fdatasync` of a file make its data and size durable, not its name;
- a name (created, linked, renamed, removed) is durable once its directory was synced after it; a rename, once
  the directory of the new name was;
- a rename is atomic: the new name never shows a mixture, the file is never without a name;
- until then each change may be lost or kept on its own, in any combination; a write may be kept in part, by
  sectors, or leave only its length behind;
- `sync_file_range` promises nothing, and `O_DIRECT` writes need a sync like any other.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.proofs.changes import Change, Choice, Image, Kept, Name, Rename, Resize, Write, change_data


class Unmodelled(Exception):
    """The recording holds a call whose effect on files the model does not know."""


@dataclass(slots=True)
class Inode:
    """A file or directory: what is durable, what is current, and the changes in between."""

    is_directory: bool
    data: bytearray = field(default_factory=bytearray)  # durable
    entries: dict[str, int] = field(default_factory=dict)  # durable
    size: int = 0  # current
    names: dict[str, int] = field(default_factory=dict)  # current
    pending: list[Change] = field(default_factory=list)


class Volume:
    """The files below one folder, as a disk may hold them.

    `root` is the folder's real path. What is below it when the recording starts counts as durable. Names that
    end with one of `scratch` are memory shared through a file (SQLite's -shm): never part of an image.
    """

    ROOT = 0

    def __init__(self, root: Path, *, scratch: Sequence[str] = ("-shm",)) -> None:
        self.root = str(root)
        self.scratch = tuple(scratch)
        self.time = 0
        self.inodes: list[Inode] = []
        self._adopt(root)
        self._variants: dict[tuple[object, ...], tuple[bytes, bytes]] = {}
        self._trees: dict[tuple[int, ...], tuple[frozenset[str], list[tuple[str, int]], bytes]] = {}

    def _adopt(self, path: Path) -> int:
        number = len(self.inodes)
        inode = Inode(path.is_dir())
        self.inodes.append(inode)
        if inode.is_directory:
            inode.entries = {child.name: self._adopt(child) for child in path.iterdir()}
            inode.names = dict(inode.entries)
        else:
            inode.data = bytearray(path.read_bytes())
            inode.size = len(inode.data)
        return number

    # Names.

    def holds(self, path: str) -> bool:
        """Whether an absolute path lies within the volume."""
        return f"{path}/".startswith(self.root + "/") and not path.endswith(self.scratch)

    def locate(self, path: str) -> tuple[int, str] | None:
        """The directory and last part of an absolute path; None for a path outside the volume.

        The volume's own folder is part "" of itself.
        """
        path = posixpath.normpath(path)
        if not self.holds(path):
            return None
        if path == self.root:
            return self.ROOT, ""
        *folders, last = path[len(self.root) + 1 :].split("/")
        directory = self.ROOT
        for folder in folders:
            found = self.inodes[directory].names.get(folder)
            if found is None:
                raise Unmodelled(f"{path}: its folder was never made")
            directory = found
        return directory, last

    def lookup(self, path: str) -> int | None:
        """The file or directory that bears this path now."""
        place = self.locate(path)
        if place is None:
            return None
        return self.ROOT if not place[1] else self.inodes[place[0]].names.get(place[1])

    def make(self, directory: int, name: str, *, is_directory: bool) -> int:
        """A new, empty file or directory."""
        self.inodes.append(Inode(is_directory))
        self.name(directory, name, len(self.inodes) - 1)
        return len(self.inodes) - 1

    def name(self, directory: int, name: str, inode: int | None) -> None:
        """Give a name to an inode, or take the name away (None)."""
        owner = self.inodes[directory]
        if inode is None:
            owner.names.pop(name, None)
        else:
            owner.names[name] = inode
        owner.pending.append(Name(self._tick(), directory, name, inode))

    def rename(self, source: tuple[int, str], target: tuple[int, str]) -> None:
        """Move a name; part of the target's directory until that is synced."""
        inode = self.inodes[source[0]].names.pop(source[1])
        self.inodes[target[0]].names[target[1]] = inode
        self.inodes[target[0]].pending.append(Rename(self._tick(), *target, *source, inode))

    # Data.

    def write(self, inode: int, offset: int, data: bytes) -> None:
        """Bytes into a file."""
        file = self.inodes[inode]
        file.size = max(file.size, offset + len(data))
        file.pending.append(Write(self._tick(), inode, offset, data))

    def resize(self, inode: int, size: int, *, grow_only: bool = False) -> None:
        """Cut or extend a file."""
        file = self.inodes[inode]
        file.size = max(file.size, size) if grow_only else size
        file.pending.append(Resize(self._tick(), inode, size, grow_only))

    def content(self, inode: int) -> bytes:
        """What a reader finds in a file now."""
        file = self.inodes[inode]
        data = bytearray(file.data)
        for change in file.pending:
            assert isinstance(change, Write | Resize)
            change_data(data, change, Kept.WHOLE)
        return bytes(data)

    def _tick(self) -> int:
        self.time += 1
        return self.time

    # Durability.

    def sync(self, inode: int, until: int) -> None:
        """Make durable what happened to a file or directory up to a time: the moment its fsync was called."""
        item = self.inodes[inode]
        done = [change for change in item.pending if change.time <= until]
        item.pending = [change for change in item.pending if change.time > until]
        for change in done:
            if isinstance(change, Write | Resize):
                change_data(item.data, change, Kept.WHOLE)
                continue
            self._change_name({n: self.inodes[n].entries for n in self._directories(change)}, change)
            if isinstance(change, Rename):  # what made the old name is over with it
                old = self.inodes[change.old_directory]
                old.pending = [c for c in old.pending if not _gave(c, change.old_name, change.time)]

    def fail(self, inode: int, until: int) -> None:
        """A sync failed: what it should have written is gone, as kernels mark such pages clean.

        Readers still find it until the crash, and later syncs succeed without it.
        """
        item = self.inodes[inode]
        item.pending = [c for c in item.pending if c.time > until or not isinstance(c, Write | Resize)]

    def sync_all(self, until: int) -> None:
        """Make everything up to a time durable, as `sync` and `syncfs` do."""
        for number in range(len(self.inodes)):
            self.sync(number, until)

    @staticmethod
    def _directories(change: Name | Rename) -> set[int]:
        return {change.directory, change.old_directory} if isinstance(change, Rename) else {change.directory}

    @staticmethod
    def _change_name(entries: dict[int, dict[str, int]], change: Name | Rename) -> None:
        names = entries[change.directory]
        if change.inode is None:
            names.pop(change.name, None)
            return
        names[change.name] = change.inode
        if isinstance(change, Rename):
            old = entries[change.old_directory]
            same = (change.directory, change.name) == (change.old_directory, change.old_name)
            if not same and old.get(change.old_name) == change.inode:
                del old[change.old_name]

    def pending(self) -> list[Change]:
        """The changes that a crash now may lose, in the order in which they were made."""
        return sorted((c for inode in self.inodes for c in inode.pending), key=lambda change: change.time)

    def describe(self, change: Change) -> str:
        """One change in words."""
        match change:
            case Write():
                return f"write of {len(change.data)} bytes at {change.offset} of {self._path(change.inode)}"
            case Resize():
                return f"resize of {self._path(change.inode)} to {change.size}"
            case Rename():
                old = f"{self._path(change.old_directory)}/{change.old_name}"
                return f"rename of {old} to {self._path(change.directory)}/{change.name}"
            case Name():
                verb = "removal" if change.inode is None else "name"
                return f"{verb} of {self._path(change.directory)}/{change.name}"

    def _path(self, wanted: int) -> str:
        """A current path of an inode within the volume."""
        for number, inode in enumerate(self.inodes):
            for name, child in inode.names.items():
                if child == wanted:
                    return f"{self._path(number)}/{name}"
        return "" if wanted == self.ROOT else "(removed)"

    # Crashes.

    def image(self, choices: Iterable[Choice]) -> Image:
        """What is on the disk if a crash now keeps of the pending changes just these, in this order."""
        data: dict[int, list[Choice]] = {}
        names: list[Name | Rename] = []
        for change, kept in choices:
            if isinstance(change, Write | Resize):
                data.setdefault(change.inode, []).append((change, kept))
            else:
                names.append(change)
        folders, paths, digest = self._tree(names)
        whole = hashlib.blake2b(digest, digest_size=16)
        files = {}
        for path, number in paths:
            files[path], digest = self._content(number, tuple(data.get(number, ())))
            whole.update(digest)
        return Image(folders, files, whole.digest())

    def _tree(self, changes: list[Name | Rename]) -> tuple[frozenset[str], list[tuple[str, int]], bytes]:
        """Folders and files (path, inode) after these changes of names; and a digest of the paths."""
        key = tuple(change.time for change in changes)
        if key not in self._trees:
            entries: dict[int, dict[str, int]] = {}
            for change in changes:
                for number in self._directories(change):
                    entries.setdefault(number, dict(self.inodes[number].entries))
                self._change_name(entries, change)
            folders, files, queue = [], [], [("", self.ROOT)]
            while queue:
                path, number = queue.pop()
                if not self.inodes[number].is_directory:
                    files.append((path, number))
                    continue
                folders.append(path)
                names = entries.get(number, self.inodes[number].entries)
                queue.extend((posixpath.join(path, name), names[name]) for name in sorted(names))
            listing = "\0".join([*folders, "", *(path for path, _ in files)]).encode()
            self._trees[key] = frozenset(folders), files, hashlib.blake2b(listing, digest_size=16).digest()
        return self._trees[key]

    def _content(self, number: int, choices: tuple[Choice, ...]) -> tuple[bytes, bytes]:
        """A file's bytes after these changes, and their digest."""
        key = (number, *((change.time, kept) for change, kept in choices))
        if key not in self._variants:
            data = bytearray(self.inodes[number].data)
            for change, kept in choices:
                assert isinstance(change, Write | Resize)
                change_data(data, change, kept)
            self._variants[key] = bytes(data), hashlib.blake2b(data, digest_size=16).digest()
        return self._variants[key]

    def settle(self) -> None:
        """Forget what was computed for images of an earlier moment."""
        self._variants.clear()
        self._trees.clear()


def _gave(change: Change, name: str, before: int) -> bool:
    return isinstance(change, Name) and change.name == name and change.time < before
