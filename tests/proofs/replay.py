"""Play recorded system calls into the model of the disk, and stop where a crash would be worth looking at."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.proofs import strace
from tests.proofs.changes import Choice, Image, Kept, Write
from tests.proofs.filesystem import Unmodelled, Volume
from tests.proofs.strace import Call, Phase

_SYNCS = ("fsync", "fdatasync", "sync", "syncfs")
_WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2")
_CHANNEL = re.compile(r"^(TCP|UNIX|pipe)\b")


@dataclass(slots=True)
class _Open:
    """An open file description: shared by the descriptors made from it by dup and fork."""

    inode: int
    append: bool
    readable: bool
    position: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes that a program hands to a socket or pipe; `channel` as strace names it."""

    channel: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment at which the power may go: bytes are about to leave (`sent`), or a sync is about to return."""

    sent: Sent | None


class Replay:
    """Brings the volume to each moment in turn.

    Raises `Unmodelled` on a call it does not understand, so that a gap in the model fails the proof and does
    not weaken it.
    """

    def __init__(self, volume: Volume, trace: Path) -> None:
        self.volume = volume
        self._events = list(strace.read(trace))
        self._makers = strace.makers(self._events)
        self._tables: dict[int, dict[int, _Open]] = {}
        self._barriers: dict[int, int] = {}

    def moments(self) -> Iterator[Moment]:
        """Each moment, with the volume as it is then; the last one is the end of the recording."""
        for phase, call in self._events:
            if phase == "enter":
                sent = _sent(call)
                if sent is not None:
                    yield Moment(sent)
            elif call.name in _SYNCS and call.result == 0 and self.volume.pending():
                yield Moment(None)
            self._apply(phase, call)
        yield Moment(None)

    def _table(self, thread: int) -> dict[int, _Open]:
        if thread not in self._tables:
            maker, shared = self._makers.get(thread, (None, False))
            parent = self._table(maker) if maker is not None else {}
            self._tables[thread] = parent if shared else dict(parent)
        return self._tables[thread]

    def _apply(self, phase: Phase, call: Call) -> None:
        if phase == "enter":
            if call.name in _SYNCS:  # it covers what was done before it was called, not what is done while it runs
                self._barriers[call.thread] = self.volume.time
            return
        if call.name in strace.PROCESS_CALLS:
            if call.result is not None and call.result > 0:
                self._table(call.result)
            return
        if call.result is None or (call.result < 0 and call.name not in _SYNCS):
            return
        handler = _HANDLERS.get(call.name)
        if handler is not None:
            handler(self, call)
        elif self._touches(call):
            raise Unmodelled(f"{call.name}({call.words[:200]})")

    def _touches(self, call: Call) -> bool:
        """Whether a call names a path of the volume, or cannot be told apart from one that does."""
        index = 0
        while (descriptor := call.descriptor(index)) is not None:
            if self.volume.holds(descriptor.target):
                return True
            index += 1
        if call.name in strace.SEND_CALLS:
            return False
        paths = [text.decode(errors="replace") for text in call.strings]
        return any(self.volume.holds(path) for path in paths) or call.name in ("io_uring_setup", "io_submit")

    def _file(self, call: Call, index: int = 0) -> _Open | None:
        """What the index-th descriptor of a call is open on, if that is in the volume."""
        descriptor = call.descriptor(index)
        if descriptor is None or descriptor.number is None or not self.volume.holds(descriptor.target):
            return None
        found = self._table(call.thread).get(descriptor.number)
        if found is None and descriptor.number > 2:  # standard streams were opened before the recording
            raise Unmodelled(f"descriptor {descriptor.number} on {descriptor.target} was not seen opened")
        return found

    def _path(self, call: Call, index: int) -> str:
        """The index-th path argument, made absolute by its own directory descriptor if need be."""
        path = call.strings[index].decode(errors="surrogateescape")
        if path.startswith("/"):
            return path
        base = call.descriptor(index)
        if base is None:
            raise Unmodelled(f"{call.name} of the relative path {path!r}")
        return f"{base.target}/{path}" if path else base.target

    # One method for each kind of call.

    def _openat(self, call: Call) -> None:
        place = self.volume.locate(path := self._path(call, 0))
        if place is None:
            return
        assert call.result is not None
        flags = set(call.numbers()[0].split("|"))
        if flags & {"O_TMPFILE", "O_SYNC", "O_DSYNC"}:
            raise Unmodelled(f"open of {path} with {flags}")
        inode = self.volume.lookup(path)
        if inode is None:
            if "O_CREAT" not in flags:
                raise Unmodelled(f"open of {path}, which the model does not have")
            inode = self.volume.make(*place, is_directory=False)
        if "O_TRUNC" in flags and self.volume.inodes[inode].size:
            self.volume.resize(inode, 0)
        self._table(call.thread)[call.result] = _Open(inode, "O_APPEND" in flags, "O_RDWR" in flags)

    def _write(self, call: Call) -> None:
        file = self._file(call)
        if file is None or not call.result:
            return
        data = b"".join(call.strings)[: call.result]
        numbers = call.numbers()
        if call.name == "pwritev2" and numbers[-1] != "0":
            raise Unmodelled(f"pwritev2 with {numbers[-1]}")
        if call.name.startswith("p") and not (call.name == "pwritev2" and numbers[-2] == "-1"):
            self.volume.write(file.inode, int(numbers[-2 if call.name == "pwritev2" else -1]), data)
            return
        if file.append:
            file.position = self.volume.inodes[file.inode].size
        elif file.readable:  # reads move the position too, and are not recorded
            raise Unmodelled(f"{call.name} at the position of a file that is open for reading too")
        self.volume.write(file.inode, file.position, data)
        file.position += len(data)

    def _copy_file_range(self, call: Call) -> None:
        source, target = self._file(call), self._file(call, 1)
        if source is None or target is None or call.words.count("NULL") != 2:
            raise Unmodelled(f"copy_file_range({call.words})")
        if source.readable or target.readable:  # of one opened for reading only, no read before is assumed
            raise Unmodelled("copy_file_range at a position that reads may have moved")
        assert call.result is not None
        data = self.volume.content(source.inode)[source.position : source.position + call.result]
        self.volume.write(target.inode, target.position, data)
        source.position += len(data)
        target.position += len(data)

    def _lseek(self, call: Call) -> None:
        file = self._file(call)
        if file is not None and call.result is not None:
            file.position = call.result

    def _ftruncate(self, call: Call) -> None:
        file = self._file(call)
        if file is not None:
            self.volume.resize(file.inode, int(call.numbers()[-1]))

    def _truncate(self, call: Call) -> None:
        inode = self.volume.lookup(self._path(call, 0))
        if inode is not None:
            self.volume.resize(inode, int(call.numbers()[-1]))

    def _fallocate(self, call: Call) -> None:
        file = self._file(call)
        if file is None:
            return
        mode, offset, length = call.numbers()
        if mode == "0":
            self.volume.resize(file.inode, int(offset) + int(length), grow_only=True)
        elif mode != "FALLOC_FL_KEEP_SIZE":
            raise Unmodelled(f"fallocate with {mode}")

    def _sync(self, call: Call) -> None:
        until = self._barriers.pop(call.thread)
        file = self._file(call)
        if call.name in ("sync", "syncfs"):
            if call.result != 0:
                raise Unmodelled(f"{call.name} failed")
            self.volume.sync_all(until)
        elif file is not None and call.result == 0:
            self.volume.sync(file.inode, until)
        elif file is not None:
            self.volume.fail(file.inode, until)

    def _nothing(self, call: Call) -> None:
        """sync_file_range starts writing back and promises nothing; msync: `_mmap` let no file through."""

    def _mmap(self, call: Call) -> None:
        if "MAP_SHARED" in call.words and "PROT_WRITE" in call.words and self._touches(call):
            raise Unmodelled(f"writes by shared memory: mmap({call.words})")

    def _rename(self, call: Call) -> None:
        source, target = (self.volume.locate(self._path(call, index)) for index in (0, 1))
        if source is None and target is None:
            return
        if source is None or target is None or "RENAME_EXCHANGE" in call.words:
            raise Unmodelled(f"rename({call.strings!r})")
        self.volume.rename(source, target)

    def _link(self, call: Call) -> None:
        inode = self.volume.lookup(self._path(call, 0))
        target = self.volume.locate(self._path(call, 1))
        if inode is None and target is None:
            return
        if inode is None or target is None:
            raise Unmodelled(f"link({call.strings!r})")
        self.volume.name(*target, inode)

    def _unlink(self, call: Call) -> None:
        place = self.volume.locate(self._path(call, 0))
        if place is not None:
            self.volume.name(*place, None)

    def _mkdir(self, call: Call) -> None:
        place = self.volume.locate(self._path(call, 0))
        if place is not None:
            self.volume.make(*place, is_directory=True)

    def _dup(self, call: Call) -> None:
        file = self._file(call)
        if file is not None and call.result is not None:
            self._table(call.thread)[call.result] = file

    def _fcntl(self, call: Call) -> None:
        if "F_DUPFD" in call.words:
            self._dup(call)


_HANDLERS: dict[str, Callable[[Replay, Call], None]] = {
    "openat": Replay._openat,
    **dict.fromkeys(_WRITES, Replay._write),
    **dict.fromkeys(_SYNCS, Replay._sync),
    "copy_file_range": Replay._copy_file_range,
    "lseek": Replay._lseek,
    "ftruncate": Replay._ftruncate,
    "truncate": Replay._truncate,
    "fallocate": Replay._fallocate,
    **dict.fromkeys(("sync_file_range", "msync"), Replay._nothing),
    "mmap": Replay._mmap,
    **dict.fromkeys(("rename", "renameat", "renameat2"), Replay._rename),
    **dict.fromkeys(("link", "linkat"), Replay._link),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), Replay._unlink),
    **dict.fromkeys(("mkdir", "mkdirat"), Replay._mkdir),
    **dict.fromkeys(("dup", "dup2", "dup3"), Replay._dup),
    "fcntl": Replay._fcntl,
}


def _sent(call: Call) -> Sent | None:
    if call.name not in (*_WRITES, *strace.SEND_CALLS):
        return None
    descriptor = call.descriptor()
    if descriptor is None or not _CHANNEL.match(descriptor.target):
        return None
    return Sent(descriptor.target, b"".join(call.strings))


@dataclass(frozen=True, slots=True)
class Crash:
    """What a crash leaves, and which changes it lost, wholly or in part."""

    image: Image
    lost: list[str]


def crashes(volume: Volume, *, subsets: int, chance: random.Random, most: int = 0) -> Iterator[Crash]:
    """What a crash at this moment may leave: the possible images, each once.

    All prefixes of the changes not yet synced, with the last one whole or in part; all of them but one, and
    all with one in part; and `subsets` random choices among them. With `most`, only so many of these, at random.
    """
    volume.settle()
    pending = volume.pending()
    seen: set[bytes] = set()
    plans = list(_plans([(change, Kept.WHOLE) for change in pending], subsets, chance))
    for choices in chance.sample(plans, most) if 0 < most < len(plans) else plans:
        image = volume.image(choices)
        if image.digest not in seen:
            seen.add(image.digest)
            kept = dict(choices)
            lost = [(change, kept.get(change)) for change in pending if kept.get(change) is not Kept.WHOLE]
            yield Crash(image, [f"{volume.describe(change)} ({way.value if way else 'lost'})" for change, way in lost])


def _plans(whole: list[Choice], subsets: int, chance: random.Random) -> Iterator[list[Choice]]:
    for index in range(len(whole) + 1):
        yield whole[:index]
    for index, (change, _) in enumerate(whole):
        yield whole[:index] + whole[index + 1 :]
        for kept in change.ways() if isinstance(change, Write) else ():
            yield [*whole[:index], (change, kept)]
            yield [*whole[:index], (change, kept), *whole[index + 1 :]]
    for _ in range(subsets if len(whole) > 1 else 0):
        yield list(_some(whole, chance))


def _some(whole: Iterable[Choice], chance: random.Random) -> Iterator[Choice]:
    for change, _ in whole:
        if chance.random() < 0.5:
            ways = [Kept.WHOLE, *change.ways()] if isinstance(change, Write) else [Kept.WHOLE]
            yield change, chance.choice(ways)
