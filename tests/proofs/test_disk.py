"""A full disk and damaged files: clean errors, nothing lost, nothing wrong served."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proofs.journal import Answer, Key, look, sha256
from tests.proofs.pusher import KIB, Pusher, Sizes
from tests.proofs.sizes import available, required
from tests.proofs.verify import verify
from tests.support.server import RegistryProcess, running

MIB = KIB * KIB
DISK = 64 * MIB


def make_disk(folder: Path, kind: str) -> str | None:
    """Mount a small disk; why that is not possible here."""
    if os.geteuid() != 0:
        return "only root may mount a small disk"
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if kind == "ext4":
        image = folder.with_suffix(".img")
        with image.open("wb") as file:
            file.truncate(DISK)
        subprocess.run([required("mkfs.ext4"), "-q", "-m", "0", str(image)], check=True)
        command = ["mount", "-o", "loop", str(image), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stderr if done.returncode else None


@pytest.fixture(params=["ext4", "tmpfs"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, of DISK bytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    problem = make_disk(folder, request.param)
    available(None if problem else str(folder), f"no small disk: {problem}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """The disk has no byte left, within."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for block in (MIB, 4 * KIB, 512):
            with contextlib.suppress(OSError):
                while file.write(bytes(block)) == block:
                    pass
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def client(server: RegistryProcess, chance: random.Random | None = None) -> Iterator[Pusher]:
    """One client; closed at the end."""
    sizes = Sizes(large=(64 * KIB + 1, 400 * KIB))
    with contextlib.closing(Pusher(server.host, "c", chance or random.Random(1), sizes=sizes)) as pusher:
        yield pusher


def refused(answer: Answer) -> bool:
    """Whether it is an error of the specification that blames the server."""
    if not 500 <= answer.status < 600:
        return False
    errors = json.loads(answer.text)["errors"]
    assert all(error["code"] and error["message"] for error in errors)
    return bool(errors)


def push(pusher: Pusher, data: bytes, *, streamed: bool = False) -> Answer:
    """POST, PATCH (without a length, if streamed), PUT; the first answer that is no success, or the last."""
    opened = pusher.request("POST", "/v2/proof/full/blobs/uploads/", headers={"Content-Length": "0"})
    if opened.status != 202:
        return opened
    location = opened.headers["location"]
    body = (data[at : at + 64 * KIB] for at in range(0, len(data), 64 * KIB)) if streamed else data
    sent = pusher.request("PATCH", location, body=body)
    if sent.status != 202:
        return sent
    mark = "&" if "?" in location else "?"
    return pusher.request("PUT", f"{location}{mark}digest={sha256(data)}", headers={"Content-Length": "0"})


def everything(pusher: Pusher) -> None:
    """All that was acknowledged is there and exact."""
    pusher.check(set(pusher.journal.confirmed))


@pytest.mark.proof
def test_a_full_disk_is_refused_cleanly_and_survived(small_disk: Path) -> None:
    chance = random.Random(1)
    answers = 0
    with running(small_disk / "data") as server, client(server, chance) as pusher:
        pusher.work(40)
        everything(pusher)
        # Too large for what is left, announced and not.
        for streamed in (False, True):
            assert refused(push(pusher, chance.randbytes(DISK), streamed=streamed))
            everything(pusher)
            answers += 1
        with full(small_disk):
            for length in (100, 200 * KIB, 3 * MIB) * 3:  # the database and files
                assert refused(push(pusher, chance.randbytes(length)))
                answers += 1
            manifest = b'{"schemaVersion": 2, "mediaType": "%s", "manifests": []}' % b"x/y"
            put = pusher.request(
                "PUT",
                "/v2/proof/full/manifests/t",
                body=manifest + b" " * 100_000,
                headers={"Content-Type": "x/y"},
            )
            assert refused(put)
            everything(pusher)
        for length in (100, 3 * MIB):
            assert push(pusher, chance.randbytes(length)).status == 201
        pusher.work(20)
        everything(pusher)
        assert server.terminate() == 0
        pusher.close()  # its connection ended with the server
        server.start()
        everything(pusher)
    assert verify(small_disk / "data")[0] == 0
    print(f"\nfull disk: {answers + 1} clean refusals, {len(pusher.journal.confirmed)} things kept, 0 lost")


def holding(data: Path, content: bytes) -> list[Path]:
    """The files below a folder that hold these bytes."""
    return [path for path in data.rglob("*") if path.is_file() and content in path.read_bytes()]


def flip(path: Path, content: bytes) -> None:
    """Change one bit in the middle of the place where a file holds these bytes."""
    offset = path.read_bytes().index(content) + len(content) // 2
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def cut(path: Path, content: bytes) -> None:
    """Lose the last third of a file."""
    os.truncate(path, len(content) * 2 // 3)


def blank(path: Path, content: bytes) -> None:
    """Zeros where the bytes were."""
    path.write_bytes(bytes(len(content)))


def lose(path: Path, content: bytes) -> None:
    """The file is gone."""
    path.unlink()


SMALL, LARGE = random.Random(2).randbytes(2000), random.Random(3).randbytes(300 * KIB)
OTHER = random.Random(4).randbytes(300 * KIB)
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [],
        "annotations": {"a": "b" * 200},
    }
).encode()


@pytest.mark.proof
@pytest.mark.parametrize(
    ("content", "damage"),
    [(LARGE, flip), (LARGE, cut), (LARGE, blank), (LARGE, lose), (SMALL, flip), (INDEX, flip)],
    ids=[
        "bit in a file",
        "short file",
        "blank file",
        "lost file",
        "bit of a small blob",
        "bit of a manifest",
    ],
)
def test_damage_is_reported_and_never_served(
    tmp_path: Path, content: bytes, damage: Callable[[Path, bytes], None]
) -> None:
    data, repository = tmp_path / "data", "proof/damage"
    is_manifest = content == INDEX
    key = Key("manifest" if is_manifest else "blob", repository, sha256(content))
    other = Key("blob", repository, sha256(OTHER))

    def store(pusher: Pusher, what: bytes) -> Answer:
        if what == INDEX:
            path, headers = (
                f"/v2/{repository}/manifests/tag",
                {"Content-Type": INDEX_TYPE},
            )
            return pusher.request("PUT", path, body=what, headers=headers)
        return pusher.request("POST", f"/v2/{repository}/blobs/uploads/?digest={sha256(what)}", body=what)

    with running(data) as server, client(server) as pusher:
        assert [store(pusher, what).status for what in (content, OTHER)] == [201, 201]
        sound = look(pusher.ask, key)
        assert sound is not None
    assert verify(data)[0] == 0
    (place,) = holding(data, content)
    damage(place, content)

    code, report = verify(data)
    assert code != 0
    assert key.name in report
    if damage in (flip, cut):  # set aside, not deleted
        assert holding(data, content[: len(content) // 2])
    with running(data) as server, client(server) as pusher:
        paths = [f"/v2/{repository}/{key.kind}s/{key.name}"]
        paths += [f"/v2/{repository}/manifests/tag"] if is_manifest else []
        for path in paths:
            for method in ("GET", "HEAD"):
                assert pusher.request(method, path).status in (404, 500, 503)
        assert look(pusher.ask, other) == "stored"
        assert store(pusher, content).status == 201  # the cure
        assert look(pusher.ask, key) == sound
    assert verify(data)[0] == 0
    print(f"\n{damage.__name__} in a {key.kind} of {len(content)} bytes: reported, set aside, not served, cured")
