"""Power loss: whatever an answer acknowledged is on the disk when the power goes, and nothing half-written.

The server runs under strace while clients push. The recording is played into a model of the disk
(filesystem.py), and at each answer and each sync every image that a power cut could leave is made, opened by the
application and read. So too while the disk fails now and then.
"""

from __future__ import annotations

import hashlib
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proofs.filesystem import Volume
from tests.proofs.inprocess import opened
from tests.proofs.journal import sha256
from tests.proofs.powercut import check, record, scratch
from tests.proofs.pusher import KIB, Content, Pusher, Sizes
from tests.proofs.replay import Replay, crashes
from tests.proofs.sizes import required, size
from tests.support.server import RegistryProcess

CLIENTS = 3
STEPS = size("POWER_STEPS", 6)  # operations of each client in each life of the server: twelve thousand images
LARGE = 2500 * KIB, 5000 * KIB
FIRST_STARTS = size("POWER_STARTS", 4)  # images tried at each moment of the first start

# Options of strace; each thread counts its own calls. Names of the first start are not hit.
FAULTS = {
    "syncs fail": "inject=fsync,fdatasync:error=EIO:when=20+4",
    "writes fail": "inject=pwrite64,pwritev,pwritev2:error=EIO:when=20+9",
    "the disk is full": "inject=pwrite64,pwritev,pwritev2,fallocate:error=ENOSPC:when=20+9",
    "new names fail": "inject=link,linkat,rename,renameat,renameat2:error=EIO:when=1+2",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryProcess]:
    """Not yet started; its data folder does not exist yet."""
    required("strace")
    volume = tmp_path.resolve() / "volume"
    volume.mkdir()
    server = RegistryProcess(volume / "data")
    server.stderr_path = tmp_path / "stderr"
    yield server
    server.kill()


@pytest.fixture
def chance() -> random.Random:
    """Decides all that is random; another GATI_PROOF_SEED makes other runs."""
    return random.Random(size("SEED", 1))


@pytest.fixture
def pushers(server: RegistryProcess, chance: random.Random) -> Iterator[list[Pusher]]:
    """Clients, each with its own repositories; some of what they push is the same."""
    common = [Content(number, length) for number, length in enumerate((2 * KIB, 100 * KIB))]
    sizes = Sizes(small=(2, 8 * KIB), large=(64 * KIB + 1, 300 * KIB))
    made = [Pusher(server.host, f"c{n}", random.Random(chance.random()), sizes, common=common) for n in range(CLIENTS)]
    yield made
    for pusher in made:
        pusher.close()


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("workers", [1, 3])
def test_power_loss_loses_nothing_that_was_acknowledged(
    server: RegistryProcess, pushers: list[Pusher], chance: random.Random, tmp_path: Path, workers: int
) -> None:
    server.args += ["--workers", str(workers)]
    volume = Volume(server.data.parent)
    first, second = tmp_path / "trace1", tmp_path / "trace2"
    record(server, first, lambda pusher: pusher.work(STEPS), pushers, stop=signal.SIGTERM)
    record(server, second, lambda pusher: pusher.work(STEPS), pushers, stop=signal.SIGKILL)
    print(f"\npower loss, {workers} workers: {check(volume, [first, second], pushers, chance)}, 0 lost")


@pytest.mark.proof
@pytest.mark.timeout(7200)
def test_power_loss_during_large_uploads_loses_nothing(
    server: RegistryProcess, pushers: list[Pusher], chance: random.Random, tmp_path: Path
) -> None:
    volume = Volume(server.data.parent)
    for pusher in pushers:  # written past the page cache, in several blocks and an unaligned rest
        pusher.common, pusher.sizes = [], Sizes(small=LARGE, large=LARGE)

    def work(pusher: Pusher) -> None:
        pusher.push_at_once()
        pusher.push_in_chunks()
        pusher.push_as_stream()
        pusher.begin_upload()

    record(server, tmp_path / "trace", work, pushers[:2], stop=signal.SIGTERM)
    print(f"\npower loss, large: {check(volume, [tmp_path / 'trace'], pushers[:2], chance)}, 0 lost")


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("fault", FAULTS)
def test_power_loss_after_disk_errors_loses_nothing(
    server: RegistryProcess, pushers: list[Pusher], chance: random.Random, tmp_path: Path, fault: str
) -> None:
    volume = Volume(server.data.parent)
    first, second = tmp_path / "trace1", tmp_path / "trace2"
    record(server, first, lambda pusher: pusher.work(3), pushers, stop=signal.SIGTERM)

    steps = max(STEPS, 8)  # the faults begin after some calls
    failed = record(
        server, second, lambda p: p.work_with_faults(steps), pushers, stop=signal.SIGKILL, faults=["-e", FAULTS[fault]]
    )
    assert sum(failed) > 0
    server.wrapper = []
    server.start()
    for pusher in pushers:
        pusher.check(set(pusher.journal.confirmed))
    assert server.terminate() == 0
    report = check(volume, [first, second], pushers, chance)
    print(f"\npower loss, {fault}: {sum(failed)} failed requests, {report}, 0 lost")


def one_for_each_folder() -> Iterator[bytes]:
    """Blobs too large for the database, whose digests begin with every possible byte."""
    start, missing, number = bytes(64 * KIB + 1), set(range(256)), 0
    state = hashlib.sha256(start)
    while missing:
        number += 1
        digest = state.copy()
        digest.update(number.to_bytes(8, "big"))
        if digest.digest()[0] in missing:
            missing.remove(digest.digest()[0])
            yield start + number.to_bytes(8, "big")


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_a_crash_during_the_first_start_does_no_harm(
    server: RegistryProcess, chance: random.Random, tmp_path: Path
) -> None:
    volume, trace, starts, blobs = Volume(server.data.parent), tmp_path / "trace", 0, list(one_for_each_folder())
    record(server, trace, Pusher.close, [Pusher(server.host, "c", chance)], stop=signal.SIGTERM)
    with scratch() as folder:
        for _ in Replay(volume, trace).moments():
            for crash in crashes(volume, subsets=2, chance=chance, most=FIRST_STARTS):
                starts += 1
                crash.image.write_to(folder)
                with opened(folder / "data") as client:
                    for blob in blobs:
                        path = f"/v2/proof/first/blobs/uploads/?digest={sha256(blob)}"
                        answer = client.request("POST", path, blob)
                        assert answer.status == 201, (answer, crash.lost)
    print(f"\nfirst start: {starts} images of the disk, {len(blobs)} blobs pushed to each")
