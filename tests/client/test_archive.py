"""Packs: the same files are the same bytes, everywhere."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from gati_client.errors import Usage
from gati_client.pack.archive import CHUNK, build
from gati_client.pack.extract import extract
from gati_client.pack.ignore import Ignore
from tests.client.packs import lay, tree

FILES: dict[str, str | bytes] = {
    "gati-module.json": '{"name": "log", "version": "1.0.0"}\n',
    "src/index.js": "export const log = (text) => console.log(text);\n" * 50,
    "src/b/ü.txt": "ä",
    "data.bin": bytes(range(256)) * 64,
    "deep/" + "/".join(["folder-with-a-long-name"] * 12) + "/file.txt": "far down",
}
# What these files are on any machine. A change here is a change of the form: ADR 0030.
DIGEST = "sha256:703069c272a62d20b3bd595affdf5e5fe2769845293309b0c81ff3f88befc7db"
EMPTY = "sha256:1fd9b01700e5fcc1adaa1d234d1a6d21f7048f08fea1062d7f3ed08ff2c1a1d5"


def test_known_digests(tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", FILES)
    (folder / "src/index.js").chmod(0o755)
    packed = build(folder, tmp_path / "out.tgz")
    assert packed.digest == DIGEST
    assert packed.digest == f"sha256:{hashlib.sha256(packed.path.read_bytes()).hexdigest()}"
    assert packed.size == packed.path.stat().st_size
    assert build(lay(tmp_path / "none", {}), tmp_path / "empty.tgz").digest == EMPTY


def test_neither_times_nor_owners_nor_order_count(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    lay(first, FILES)
    lay(second, dict(reversed(FILES.items())))
    for number, path in enumerate(second.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (number * 1000, number * 1000))
    assert build(first, tmp_path / "1.tgz").digest == build(second, tmp_path / "2.tgz").digest


def test_another_process_with_another_locale(tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", FILES)
    code = (
        "import sys, pathlib; from gati_client.pack.archive import build; "
        "print(build(*map(pathlib.Path, sys.argv[1:])).digest)"
    )
    environment = {**os.environ, "LC_ALL": "C", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"}
    run = subprocess.run([sys.executable, "-c", code, str(folder), str(tmp_path / "a")], env=environment, check=True,
                         capture_output=True, text=True, umask=0o077)  # fmt: skip
    assert run.stdout.strip() == build(folder, tmp_path / "b").digest


def test_others_read_it(tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", FILES)
    (folder / "src/index.js").chmod(0o755)
    build(folder, tmp_path / "out.tgz")
    with tarfile.open(tmp_path / "out.tgz") as found:
        names = found.getnames()
        assert names == sorted(names, key=str.encode)
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in found} == {(0, 0, "", "", 0)}
        found.extractall(tmp_path / "python", filter="data")
    assert tree(tmp_path / "python") == tree(folder)
    (tmp_path / "gnu").mkdir()
    subprocess.run(["tar", "xzf", str(tmp_path / "out.tgz"), "-C", str(tmp_path / "gnu")], check=True)
    assert tree(tmp_path / "gnu") == tree(folder)


def test_there_and_back_over_several_chunks(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(CHUNK + 12345)
    folder = lay(tmp_path / "in", {"a": data, "b": b"x" * (2 * CHUNK), "c/d": "", "run.sh": "#!/bin/sh\n"})
    (folder / "run.sh").chmod(0o755)
    packed = build(folder, tmp_path / "out.tgz")
    done = extract(packed.path, tmp_path / "back", digest=packed.digest)
    assert tree(tmp_path / "back") == tree(folder)
    assert done.size == packed.unpacked
    assert (tmp_path / "back/run.sh").stat().st_mode & 0o777 == 0o755
    assert build(tmp_path / "back", tmp_path / "again.tgz").digest == packed.digest


def test_the_name_in_unicode_does_not_depend_on_the_file_system(tmp_path: Path) -> None:
    composed = build(lay(tmp_path / "1", {"\u00e9.txt": "x"}), tmp_path / "1.tgz")
    decomposed = build(lay(tmp_path / "2", {"e\u0301.txt": "x"}), tmp_path / "2.tgz")
    assert composed.digest == decomposed.digest


def test_links(tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", {"a.txt": "a"})
    (folder / "b.txt").symlink_to("a.txt")
    packed = build(folder, tmp_path / "out.tgz")
    assert [(file.name, file.size) for file in packed.files] == [("a.txt", 1), ("b.txt", 1)]
    (tmp_path / "outside").write_text("secret")
    (folder / "c.txt").symlink_to(tmp_path / "outside")
    with pytest.raises(Usage, match=r"c\.txt is a link to something that is no file of this folder"):
        build(folder, tmp_path / "out2.tgz")
    assert not (tmp_path / "out2.tgz").exists()
    assert build(folder, tmp_path / "out3.tgz", ignore=Ignore.defaults(["c.txt"])).digest == packed.digest


@pytest.mark.parametrize("names", [("A.txt", "a.txt"), ("dir/x", "Dir/y"), ("stra\u00dfe", "STRASSE"), ("a\\b", "c")])
def test_names_that_are_not_the_same_everywhere(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(Usage):
        build(lay(tmp_path / "in", dict.fromkeys(names, "x")), tmp_path / "out.tgz")


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", {"a": ""})
    Path(os.fsdecode(bytes(folder) + b"/\xff")).write_text("x")
    with pytest.raises(Usage, match="no UTF-8"):
        build(folder, tmp_path / "out.tgz")


def test_a_pipe(tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", {"a": ""})
    os.mkfifo(folder / "pipe")
    with pytest.raises(Usage, match="neither a file nor a folder"):
        build(folder, tmp_path / "out.tgz")
