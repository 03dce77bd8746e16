"""Fuzzing: some seconds with the tests, minutes with the proofs."""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.hostile.fuzzer import Worker
from tests.hostile.health import Watch, assert_whole
from tests.hostile.speaker import Failure
from tests.support.server import RegistryProcess, running

WORKERS = 6
GROWTH = 200 * 1024 * 1024
"""Bytes that memory may grow by once every cache has been used: they are bounded, and so is this."""


@pytest.mark.parametrize("kind", ["hypercorn", "uvicorn"])
def test_fuzz(tmp_path: Path, kind: str) -> None:
    fuzz(tmp_path, kind, float(os.environ.get("GATI_PROOF_FUZZ_SECONDS", "20")) / 2)


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", ["hypercorn", "hypercorn with workers", "uvicorn"])
def test_fuzz_for_minutes(tmp_path: Path, kind: str) -> None:
    fuzz(tmp_path, kind, float(os.environ.get("GATI_PROOF_FUZZ_SECONDS", "360")) / 3)


def fuzz(folder: Path, kind: str, seconds: float) -> None:
    """Fuzz one kind of server; afterwards it is healthy, its content whole, its memory bounded."""
    if kind == "uvicorn":
        pytest.importorskip("uvicorn", reason="the extra `fast` is not installed")
    seed = int(os.environ.get("GATI_PROOF_SEED", time.time_ns() % 1_000_000))
    args = ["--open", "--server", kind.partition(" ")[0], *(["--workers", "2"] if "workers" in kind else [])]
    with running(folder / "data", args=args) as server:
        watch = Watch(server)
        workers = [Worker(server, number, seed) for number in range(WORKERS)]
        print(f"\nfuzzing {kind}: GATI_PROOF_SEED={seed}, {WORKERS} clients, {seconds:.0f} s")
        began, stop = time.monotonic(), Event()
        with ThreadPoolExecutor(WORKERS + 1) as threads:
            memory = threads.submit(_watch_memory, server, began + seconds, stop)
            running_workers = [threads.submit(worker.run, began + seconds, stop) for worker in workers]
        took = time.monotonic() - began
        failures = [future.exception() for future in running_workers]
        requests = sum(worker.counts.requests for worker in workers)
        statuses = sum((Counter(worker.counts.statuses) for worker in workers), Counter[int]())
        warm, end = memory.result()
        print(f"  {requests} requests, {requests / took:.0f}/s; statuses {dict(sorted(statuses.items()))}")
        print(f"  memory {warm >> 20} MiB after a quarter, {end >> 20} MiB at the end")
        for number, failure in enumerate(failures):
            if failure is not None:
                raise Failure(f"client {number} of seed {seed}: {failure}") from failure
        watch.check()
        assert end - warm < GROWTH
        assert {200, 201, 202, 204, 206, 400, 404, 405, 416} <= set(statuses)
        data = server.data
        began = time.monotonic()
        server.terminate()
    assert_whole(data)


def _watch_memory(server: RegistryProcess, until: float, stop: Event) -> tuple[int, int]:
    """Resident bytes after a quarter of the time, and the most in its last quarter."""
    seconds = until - time.monotonic()
    stop.wait(seconds / 4)
    warm, most = server.rss(), 0
    stop.wait(seconds / 2)
    while time.monotonic() < until and not stop.is_set():
        most = max(most, server.rss())
        stop.wait(0.5)
    return warm, most
