"""Hostile archives: refused with a clear line, and nothing is written outside or left behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from gati_client.errors import Conflict, Integrity
from gati_client.pack import tar
from gati_client.pack.extract import Limits, extract
from tests.client.packs import archive, entry, lay, tree

LINK, HARD, FOLDER = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE

HOSTILE: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]] = {
    "up": ([entry("../evil", b"x")], "leads out"),
    "up within": ([entry("a/../../evil", b"x")], "leads out"),
    "up again": ([entry("a/..", b"x")], "leads out"),
    "absolute": ([entry("/tmp/gati-evil", b"x")], "absolute"),
    "drive": ([entry("C:evil", b"x")], "absolute"),
    "backslashes": ([entry("..\\evil", b"x")], "backslash"),
    "escape sequence": ([entry("a\x1b[2Jb", b"x")], "control"),
    "link out": ([entry("a", kind=LINK, linkname="../../etc/passwd")], "leads out"),
    "link to the root": ([entry("a", kind=LINK, linkname="/etc/passwd")], "not within"),
    "link out and back": ([entry("d/a", kind=LINK, linkname="../../in/d/b")], "leads out"),
    "through a link": ([entry("a", kind=LINK, linkname="."), entry("a/b", b"x")], "file and a folder"),
    "link, then a folder": ([entry("a", kind=LINK, linkname="b"), entry("a", kind=FOLDER)], "file and a folder"),
    "folder, then a link": ([entry("a/b", b"x"), entry("a", kind=LINK, linkname="/etc")], "not within"),
    "links on links": (
        [entry("d/s", kind=LINK, linkname=".."), entry("t", kind=LINK, linkname="d/s/..")], "through another",
    ),
    "links on links that some systems see": (
        [entry("d/S", kind=LINK, linkname=".."), entry("t", kind=LINK, linkname="d/s/..")], "through another",
    ),
    "a link onto a file": ([entry("a", b"x"), entry("a", kind=LINK, linkname="b")], "twice"),
    "hard link out": ([entry("a", kind=HARD, linkname="../../etc/passwd")], "leads out"),
    "hard link to the root": ([entry("a", kind=HARD, linkname="/etc/passwd")], "absolute"),
    "hard link to a link": (
        [entry("l", kind=LINK, linkname="x"), entry("a", kind=HARD, linkname="l")], "no earlier file",
    ),
    "hard link to a later one": ([entry("a", kind=HARD, linkname="b"), entry("b", b"x")], "no earlier file"),
    "character device": ([entry("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)], "character device"),
    "block device": ([entry("sda", kind=tarfile.BLKTYPE)], "block device"),
    "pipe": ([entry("pipe", kind=tarfile.FIFOTYPE)], "named pipe"),
    "setuid": ([entry("su", b"x", mode=0o4755)], "setuid"),
    "setgid": ([entry("su", b"x", mode=0o2755)], "setuid"),
    "case": ([entry("a/X", b"1"), entry("a/x", b"2")], "same file on some systems"),
    "case of folders": ([entry("a/x", b"1"), entry("A/y", b"2")], "same file on some systems"),
    "unicode": ([entry("stra\u00dfe", b"1"), entry("strasse", b"2")], "same file on some systems"),
    "unicode forms": ([entry("\u00e9", b"1"), entry("e\u0301", b"2")], "twice"),
    "twice": ([entry("a", b"1"), entry("a", b"2")], "twice"),
    "file and folder": ([entry("a", b"1"), entry("a/b", b"2")], "file and a folder"),
    "folder and file": ([entry("a/b", b"1"), entry("a", b"2")], "cannot be unpacked"),
    "too deep": ([entry("/".join("a" * 65), b"x")], "deeper than"),
    "too long": ([entry("a" * 256, b"x")], "longer than"),
    "a header too large": ([entry("a", b"x", pax_headers={"comment": "x" * 100_000})], "extended header"),
    "a sparse file": ([entry("a", b"x", pax_headers={"GNU.sparse.realsize": "1"})], "sparse"),
    "a negative size": ([entry("a", b"x", pax_headers={"size": "-1"})], "no number"),
    "a folder with content": ([entry("a", b"x", kind=FOLDER)], "with content"),
    "an unknown type": ([entry("a", kind=b"Z")], "unknown type"),
    "no name": ([entry("./", b"x", kind=tarfile.REGTYPE)], "."),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_outside(tmp_path: Path) -> Any:
    """Whatever a test does: outside of the target nothing has come or changed."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/keep").write_text("kept")
    yield
    assert not Path("/tmp/gati-evil").exists()
    assert tree(tmp_path / "outside") == {"keep": b"kept"}
    assert [path.name for path in tmp_path.rglob("*evil*")] == []


USUAL = Limits()


def refused(tmp_path: Path, path: Path, words: str, limits: Limits = USUAL) -> None:
    """It is, and nothing of it is left."""
    target = tmp_path / "work/in"
    with pytest.raises(Integrity) as raised:
        extract(path, target, limits)
    assert words in str(raised.value), str(raised.value)
    assert raised.value.exit_code == 6
    assert [*(tmp_path / "work").iterdir()] == []


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_hostile(tmp_path: Path, name: str, format: int) -> None:
    members, words = HOSTILE[name]
    if format == tarfile.GNU_FORMAT and any(info.pax_headers for info, _ in members):
        pytest.skip("headers that GNU's form has not")
    refused(tmp_path, archive(tmp_path / "a.tgz", *members, format=format), words)


def test_bombs(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "bomb.tgz", entry("zeros", bytes(100 * 1024 * 1024)))
    assert bomb.stat().st_size < 200_000
    refused(tmp_path, bomb, "no honest archive")
    plain = archive(tmp_path / "plain.tar", entry("a", bytes(1000)), entry("b", bytes(1000)), packed=False)
    refused(tmp_path, plain, "at most 1999", Limits(total=1999))
    refused(tmp_path, plain, "999 of one file", Limits(file=999))
    linked = archive(
        tmp_path / "l.tgz", entry("a", bytes(1000)), *(entry(f"l{n}", kind=HARD, linkname="a") for n in range(9))
    )
    refused(tmp_path, linked, "at most 5000", Limits(total=5000))
    refused(tmp_path, linked, "no honest archive", Limits(free=15_000, ratio=1))
    deep = archive(tmp_path / "deep.tgz", *(entry(f"{n}/" + "a/" * 30 + "f") for n in range(4)))
    refused(tmp_path, deep, "more than 100", Limits(members=100))
    refused(
        tmp_path,
        archive(tmp_path / "many.tgz", *(entry(f"f{n}") for n in range(101))),
        "more than 100",
        Limits(members=100),
    )


def test_a_size_that_is_a_lie(tmp_path: Path) -> None:
    """What it says it holds is more than anybody has; it holds nothing."""
    block = tar.header("a", 2**40, executable=False)
    (tmp_path / "a.tar").write_bytes(block + bytes(1024))
    refused(tmp_path, tmp_path / "a.tar", "brings it to")
    (tmp_path / "b.tar").write_bytes(tar.header("a", 4096, executable=False) + bytes(1024))
    refused(tmp_path, tmp_path / "b.tar", "middle of a file")


def test_extended_headers_without_end(tmp_path: Path) -> None:
    record = b"30 comment=aaaaaaaaaaaaaaaaaa\n"
    block = tar._ustar(b"PaxHeader", len(record), b"x", 0o644) + record.ljust(512, b"\0")
    (tmp_path / "a.tar").write_bytes(block * 9 + tar.header("a", 0, executable=False) + bytes(1024))
    refused(tmp_path, tmp_path / "a.tar", "eight extended headers")
    (tmp_path / "b.tar").write_bytes(block + bytes(1024))
    refused(tmp_path, tmp_path / "b.tar", "after an extended header")
    for bad in (b"9999 a=b\n", b"0 a=b\n", b"x a=b\n", b"7 path=\n", b"5 a=b\n", b"30 path=../evil"):
        block = tar._ustar(b"PaxHeader", len(bad), b"x", 0o644) + bad.ljust(512, b"\0")
        (tmp_path / "c.tar").write_bytes(block + tar.header("a", 0, executable=False) + bytes(1024))
        refused(tmp_path, tmp_path / "c.tar", "malformed")


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.compress, bytes])
def test_damaged(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    """Cut or changed anywhere: refused, or the same files."""
    raw = archive(tmp_path / "raw.tar", entry("a", b"a" * 700), entry("d/b", b"b" * 900), packed=False).read_bytes()
    data, chance = packed(raw), random.Random(3)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    for number in range(120):
        damaged = bytearray(data)
        if number % 2:
            del damaged[chance.randrange(len(data)) :]
        else:
            damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        (tmp_path / "a").write_bytes(damaged)
        with pytest.raises(Integrity):
            extract(tmp_path / "a", tmp_path / "work/in", digest=digest)
        assert [*(tmp_path / "work").iterdir()] == []
        try:
            extract(tmp_path / "a", tmp_path / "work/in")
        except Integrity:
            assert [*(tmp_path / "work").iterdir()] == []
        shutil.rmtree(tmp_path / "work")


def test_other_programs_archives(tmp_path: Path) -> None:
    """GNU tar's, with long names, links and zstd; hard links become files of their own."""
    long = "/".join(["a-folder-with-a-name"] * 10) + "/" + "f" * 120
    folder = lay(tmp_path / "from", {"a.txt": "a", long: "far", "bin/run": "#!/bin/sh\n", "e\u0301.txt": "é"})
    (folder / "bin/run").chmod(0o775)
    os.link(folder / "a.txt", folder / "b.txt")
    (folder / "bin/link").symlink_to("../a.txt")
    for form in ("gnu", "pax", "ustar", "v7", "oldgnu"):
        out = tmp_path / f"{form}.tgz"
        run = subprocess.run(["tar", f"--format={form}", "-czf", str(out), "-C", str(folder), "."], capture_output=True)
        if run.returncode:
            continue  # names too long for the form
        extract(out, tmp_path / form)
        found = tree(tmp_path / form)
        assert found["a.txt"] == found["b.txt"] == found["bin/link"] == b"a"
        assert found[long] == b"far"
        assert (tmp_path / form / "bin/run").stat().st_mode & 0o777 == 0o755
        assert (tmp_path / form / "b.txt").stat().st_nlink == 1
        (tmp_path / "z").write_bytes(zstandard.compress(gzip.decompress(out.read_bytes())))
        extract(tmp_path / "z", tmp_path / f"{form}-zstd")
        assert tree(tmp_path / f"{form}-zstd") == found
    assert (tmp_path / "gnu").exists()
    assert (tmp_path / "pax").exists()


def test_a_target_that_is_there(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tgz", entry("a", b"x"))
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    for name in ("there", "link"):
        with pytest.raises(Conflict):
            extract(path, tmp_path / name)


def test_what_follows_the_end_is_not_looked_at(tmp_path: Path) -> None:
    raw = archive(tmp_path / "a.tar", entry("a", b"x"), packed=False).read_bytes()
    path = tmp_path / "b.tgz"
    path.write_bytes(gzip.compress(raw) + zlib.compress(b"trailing"))
    extract(path, tmp_path / "in")
    assert tree(tmp_path / "in") == {"a": b"x"}
    assert io.BytesIO(raw).read(1) == b"a"
