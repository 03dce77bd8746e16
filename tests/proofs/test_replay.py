"""The replayer itself: small programs that lose data in known ways must be caught, careful ones must pass."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest

from tests.proofs import strace
from tests.proofs.changes import Image, Kept, Write
from tests.proofs.filesystem import Unmodelled, Volume
from tests.proofs.replay import Replay, crashes
from tests.proofs.sizes import required

# What each program starts with. `ack` says on standard output what a reader may from now on rely on: that a
# file has one of these contents, or (None) does not exist.
PRELUDE = """
import json, mmap, os, sys, threading
root = sys.argv[1]
def ack(path, *contents):
    os.write(1, json.dumps([path, contents]).encode())
def sync(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
def put(path, content, *, durable=True):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, content.encode())
    if durable:
        os.fsync(fd)
    os.close(fd)
"""

CAREFUL = {
    "a new file": """
put(root + "/tmp", "v" * 5000)
os.rename(root + "/tmp", root + "/final")
sync(root)
ack("final", "v" * 5000)
""",
    "a new file in a new folder": """
os.mkdir(root + "/a")
put(root + "/a/final", "v")
sync(root + "/a")
sync(root)
ack("a/final", "v")
""",
    "a move between folders": """
os.mkdir(root + "/a"); os.mkdir(root + "/b"); sync(root)
put(root + "/a/tmp", "v")
os.rename(root + "/a/tmp", root + "/b/final")
sync(root + "/b")
ack("b/final", "v")
""",
    "a linked file": """
put(root + "/tmp", "v")
os.link(root + "/tmp", root + "/final")
sync(root)
ack("final", "v")
os.unlink(root + "/tmp")
""",
    "a removed file": """
put(root + "/final", "v")
sync(root)
ack("final", "v")
ack("final", "v", None)
os.unlink(root + "/final")
sync(root)
ack("final", None)
""",
    "space set aside first, written out of order by a thread": """
fd = os.open(root + "/tmp", os.O_WRONLY | os.O_CREAT)
os.posix_fallocate(fd, 0, 8192)
os.pwrite(fd, b"b" * 3000, 3000)
thread = threading.Thread(target=os.pwrite, args=(fd, b"a" * 3000, 0))
thread.start(); thread.join()
os.ftruncate(fd, 6000)
os.fdatasync(fd)
os.rename(root + "/tmp", root + "/final")
sync(root)
ack("final", "a" * 3000 + "b" * 3000)
""",
    "a copy made by the kernel": """
put(root + "/old", "v" * 5000)
source, target = os.open(root + "/old", os.O_RDONLY), os.open(root + "/final", os.O_WRONLY | os.O_CREAT)
assert os.copy_file_range(source, target, 3000) + os.copy_file_range(source, target, 3000) == 5000
os.fsync(target)
sync(root)
ack("final", "v" * 5000)
""",
    "a descriptor inherited by another process": """
fd = os.dup(os.open(root + "/tmp", os.O_WRONLY | os.O_CREAT))
os.write(fd, b"one ")
if os.fork() == 0:
    os.writev(fd, [b"t", b"wo"])
    os._exit(0)
os.wait()
os.fsync(fd)
os.rename(root + "/tmp", root + "/final")
sync(root)
ack("final", "one two")
""",
}

CARELESS = {
    "answers before the sync": """
put(root + "/tmp", "v", durable=False)
os.rename(root + "/tmp", root + "/final")
sync(root)
ack("final", "v")
sync(root + "/final")
""",
    "forgets the folder after a rename": """
put(root + "/tmp", "v")
os.rename(root + "/tmp", root + "/final")
ack("final", "v")
""",
    "syncs the folder before the rename": """
put(root + "/tmp", "v")
sync(root)
os.rename(root + "/tmp", root + "/final")
ack("final", "v")
""",
    "syncs only the folder that the file left": """
os.mkdir(root + "/a"); os.mkdir(root + "/b"); sync(root)
put(root + "/a/tmp", "v")
os.rename(root + "/a/tmp", root + "/b/final")
sync(root + "/a")
ack("b/final", "v")
""",
    "forgets the folder's own folder": """
os.mkdir(root + "/a")
put(root + "/a/final", "v")
sync(root + "/a")
ack("a/final", "v")
""",
    "forgets that a removal needs a sync": """
put(root + "/final", "v")
sync(root)
os.unlink(root + "/final")
ack("final", None)
""",
    "writes on after the sync": """
fd = os.open(root + "/final", os.O_WRONLY | os.O_CREAT)
os.write(fd, b"v")
os.fsync(fd)
sync(root)
os.write(fd, b"w")
ack("final", "vw")
""",
    "trusts sync_file_range": """
import ctypes
put(root + "/tmp", "v", durable=False)
fd = os.open(root + "/tmp", os.O_WRONLY)
assert ctypes.CDLL(None).sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), 7) == 0
os.rename(root + "/tmp", root + "/final")
sync(root)
ack("final", "v")
""",
}

# Programs that show a half-written file under its final name, and are only caught by looking between answers.
HALF_WRITTEN = {
    "renames before the sync": """
put(root + "/tmp", "v" * 5000, durable=False)
os.rename(root + "/tmp", root + "/final")
sync(root + "/final")
sync(root)
""",
    "writes under the final name": """
put(root + "/final", "v" * 5000)
sync(root)
""",
    "sets space aside under the final name": """
fd = os.open(root + "/final", os.O_WRONLY | os.O_CREAT)
os.posix_fallocate(fd, 0, 5000)
sync(root)
os.pwrite(fd, b"v" * 5000, 0)
os.fsync(fd)
""",
}


def record(tmp_path: Path, program: str, prelude: str = PRELUDE, faults: Sequence[str] = ()) -> Replay:
    """Run a program on an empty folder under strace, with its further options."""
    required("strace")
    root = tmp_path / "volume"
    root.mkdir()
    volume = Volume(root)
    trace = tmp_path / "trace"
    subprocess.run(
        [*strace.command(trace), *faults, sys.executable, "-c", prelude + program, str(root)],
        stdout=subprocess.PIPE,
        check=True,
    )
    return Replay(volume, trace)


def broken_promises(replay: Replay, whole: str | None = None) -> list[str]:
    """What the crash images lack of what was acknowledged, or show of `final` that is not `whole`."""
    promised: dict[str, list[str | None]] = {}
    broken = []
    for moment in replay.moments():
        if moment.sent is not None:
            path, contents = json.loads(moment.sent.data)
            promised[path] = contents
        for crash in crashes(replay.volume, subsets=20, chance=random.Random(1)):
            found = {path: data.decode() for path, data in crash.image.files.items()}
            broken += [f"{path}: {found.get(path)!r}" for path in promised if found.get(path) not in promised[path]]
            if whole is not None and found.get("final", whole) != whole:
                broken.append(f"half-written: {found['final']!r}")
    return broken


@pytest.mark.parametrize("program", CAREFUL.values(), ids=CAREFUL)
def test_a_careful_program_keeps_its_promises(tmp_path: Path, program: str) -> None:
    replay = record(tmp_path, program)
    assert broken_promises(replay) == []
    assert replay.volume.time > 0  # there was something to lose


@pytest.mark.parametrize("program", CARELESS.values(), ids=CARELESS)
def test_a_careless_program_is_caught(tmp_path: Path, program: str) -> None:
    assert broken_promises(record(tmp_path, program))


def test_a_file_renamed_after_its_sync_is_never_seen_half_written(tmp_path: Path) -> None:
    assert broken_promises(record(tmp_path, CAREFUL["a new file"]), whole="v" * 5000) == []


@pytest.mark.parametrize("program", HALF_WRITTEN.values(), ids=HALF_WRITTEN)
def test_a_half_written_file_is_caught(tmp_path: Path, program: str) -> None:
    assert broken_promises(record(tmp_path, program), whole="v" * 5000)


RETRY = """
fd = os.open(root + "/tmp", os.O_WRONLY | os.O_CREAT)
os.write(fd, b"v")
try:
    os.fsync(fd)
    raise SystemExit("the sync did not fail")
except OSError:
    AGAIN
    os.fsync(fd)
os.rename(root + "/tmp", root + "/final")
sync(root)
ack("final", "v")
"""


@pytest.mark.parametrize(("again", "lost"), [("pass", True), ('os.pwrite(fd, b"v", 0)', False)])
def test_a_failed_sync_loses_what_is_not_written_again(tmp_path: Path, again: str, lost: bool) -> None:
    faults = ["-e", "inject=fsync:error=EIO:when=1"]
    replay = record(tmp_path, RETRY.replace("AGAIN", again), faults=faults)
    assert bool(broken_promises(replay)) is lost


DATABASE = """
import os, sys, apsw
db = apsw.Connection(sys.argv[1] + "/db")
db.pragma("journal_mode", "wal")
db.pragma("synchronous", "LEVEL")
db.pragma("wal_autocheckpoint", 4)
db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, filler)")
for n in range(12):
    db.execute("INSERT INTO t VALUES (?, zeroblob(3000))", (n,))
    os.write(1, b"%d" % n)
"""


def lost_rows(replay: Replay, scratch: Path) -> int:
    """How many crash images of the database lack an acknowledged row; SQLite opens and checks each."""
    acknowledged, lost = -1, 0
    for moment in replay.moments():
        if moment.sent is not None:
            acknowledged = int(moment.sent.data)
        for crash in crashes(replay.volume, subsets=5, chance=random.Random(1)):
            rows = _rows(crash.image, scratch)
            lost += not set(range(acknowledged + 1)) <= rows
    assert acknowledged == 11
    return lost


def _rows(image: Image, scratch: Path) -> set[int]:
    image.write_to(scratch)
    database = apsw.Connection(str(scratch / "db"))
    try:
        assert database.pragma("integrity_check") == "ok"
        return {n for (n,) in database.execute("SELECT n FROM t")}
    except apsw.SQLError:  # no such table: lost, or not made yet
        return set()
    finally:
        database.close()
        shutil.rmtree(scratch)


def test_sqlite_with_full_synchronisation_loses_nothing(tmp_path: Path) -> None:
    replay = record(tmp_path, DATABASE.replace("LEVEL", "FULL"), prelude="")
    assert lost_rows(replay, tmp_path / "image") == 0


def test_sqlite_with_normal_synchronisation_is_caught(tmp_path: Path) -> None:
    replay = record(tmp_path, DATABASE.replace("LEVEL", "NORMAL"), prelude="")
    assert lost_rows(replay, tmp_path / "image") > 0


@pytest.mark.parametrize(
    "program",
    [
        'put(root + "/f", "v" * 4096); fd = os.open(root + "/f", os.O_RDWR); mmap.mmap(fd, 4096)[:1] = b"w"',
        'put(root + "/f", "v"); os.symlink("f", root + "/g")',
        'fd = os.open(root + "/f", os.O_RDWR | os.O_CREAT); os.read(fd, 1); os.write(fd, b"v")',
        'fd = os.open(root + "/f", os.O_WRONLY | os.O_CREAT | os.O_DSYNC); os.write(fd, b"v")',
    ],
    ids=["shared memory", "symbolic link", "position moved by reads", "synchronous writes"],
)
def test_what_the_model_does_not_know_is_refused(tmp_path: Path, program: str) -> None:
    with pytest.raises(Unmodelled):
        broken_promises(record(tmp_path, program))


def test_a_write_tears_at_sectors(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    file = volume.make(Volume.ROOT, "f", is_directory=False)
    volume.write(file, 100, b"x" * 2000)
    name, write = volume.pending()
    assert isinstance(write, Write)
    assert write.half() == 1024 - 100
    torn = {
        kept: volume.image([(name, Kept.WHOLE), (write, kept)]).files["f"].replace(b"\0", b".") for kept in write.ways()
    }
    assert torn == {
        Kept.FIRST_HALF: b"." * 100 + b"x" * 924 + b"." * 1076,
        Kept.SECOND_HALF: b"." * 1024 + b"x" * 1076,
        Kept.LENGTH: b"." * 2100,
    }
    volume.write(file, 512, b"y" * 512)  # one sector
    last = volume.pending()[-1]
    assert isinstance(last, Write)
    assert last.ways() == [Kept.LENGTH]


def test_an_image_is_laid_out_as_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "empty").mkdir(parents=True)
    (tmp_path / "a" / "f").write_bytes(b"v")
    target = tmp_path / "image"
    image = Volume(tmp_path).image([])
    image.write_to(target)
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == [
        "a",
        os.path.join("a", "empty"),
        "a/f",
    ]
    assert (target / "a" / "f").read_bytes() == b"v"
