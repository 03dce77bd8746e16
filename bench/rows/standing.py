"""What a server costs by standing there: start-up with much stored, memory."""

from __future__ import annotations

import functools
import math
import statistics
import time
from pathlib import Path

from bench.artifacts import Blob, empty_index, noise
from bench.load import Client
from bench.model import MIB, Metric, Row, Scale, Target, Values
from bench.processes import memory, peak_memory
from bench.push import push_all, push_artifact, push_blob, push_for, push_manifest
from bench.stacks import Server

_STARTS = 3
_BATCH = 1_000  # manifests in a repository, pushed before looking at the clock again
_LAYER_PART = 128  # of the big blob's size: 8 MiB of 1 GiB
_SETTLE_SECONDS = 1


def _stored_home(server: Server) -> Path:
    """The folder of the data to start on; our own variants store alike and share it."""
    stack = server.stack
    return server.home.parent / f"stored-{stack.kind if stack.kind == 'ours' else stack.name}"


def _push_stored(number: int) -> Client:
    return push_manifest(f"bench/stored/r{number // _BATCH}", empty_index(str(number)), f"v{number}")


def _seed(server: Server, count: int, seconds: float) -> int:
    """Push manifests by HTTP until there are `count` or the seconds are over; how many there are."""
    deadline = time.perf_counter() + seconds
    done = 0
    while done < count and time.perf_counter() < deadline:
        numbers = range(done, min(count, done + _BATCH))
        push_all(server.address, [_push_stored(number) for number in numbers], clients=64)
        done = numbers.stop
    return done


def _prepare_start(server: Server, scale: Scale) -> None:
    home = _stored_home(server)
    if (home / "count").exists():
        return
    filled = Server(server.stack, home)
    filled.start()
    try:
        patience = math.inf if server.stack.kind == "ours" else scale.seeding
        count = _seed(filled, scale.stored, patience)
    finally:
        filled.stop()
    (home / "count").write_text(str(count))


def _start(server: Server, _scale: Scale, round_: int) -> Values:
    home = _stored_home(server)
    empty = server.home.parent / f"{server.stack.name}-empty-{round_}"
    return {
        "seconds": _median_start(server, home),
        "empty": _median_start(server, empty),
        "stored": int((home / "count").read_text()),
    }


def _median_start(server: Server, home: Path) -> float:
    times = []
    for _ in range(_STARTS):
        fresh = Server(server.stack, home)
        times.append(fresh.start())
        fresh.stop()
    return statistics.median(times)


START = Row(
    "start",
    "From starting the process to its first answer to GET /v2/, with manifests of earlier pushes in place and "
    "with none. They are pushed by HTTP over 64 connections: an index and a tag each, 1,000 a repository; a "
    "peer that takes longer than `seeding` seconds over that starts with as many as it got to.",
    (
        Metric("seconds", "start-up", "s", "less", (Target(1.0, None),)),
        Metric("stored", "manifests stored then", "", "more"),
        Metric("empty", "start-up with nothing stored", "s", "less"),
    ),
    _start,
    _prepare_start,
)


def _memory(server: Server, scale: Scale, round_: int) -> Values:
    fresh = Server(server.stack, server.home.parent / f"{server.stack.name}-memory-{round_}")
    fresh.start()
    try:
        time.sleep(_SETTLE_SECONDS)
        idle = memory(fresh.pid)
        with peak_memory(fresh.pid) as small:
            push_for(
                fresh.address,
                scale.clients,
                scale.pushing,
                lambda client, count: push_artifact(f"bench/client-{client}", f"v{count}"),
            )
        layers = [_push_layer(client, scale.blob // _LAYER_PART) for client in range(scale.clients)]
        with peak_memory(fresh.pid) as large:
            push_all(fresh.address, layers, clients=scale.clients)
    finally:
        fresh.stop()
    return {
        "idle": idle.largest / MIB,
        "idle-sum": idle.total / MIB,
        "pushing": small[0].largest / MIB,
        "pushing-sum": small[0].total / MIB,
        "layers": large[0].largest / MIB,
        "layers-sum": large[0].total / MIB,
    }


@functools.cache
def _layer(size: int) -> bytes:
    return noise(1, size)


def _push_layer(client: int, size: int) -> Client:
    return push_blob(f"bench/client-{client}", Blob.of(b"%016d" % client + _layer(size)))


MEMORY = Row(
    "memory",
    "Resident memory of a server just started, and its peak while 64 clients push: small artifacts, then a "
    "layer each of a 128th of the big blob (8 MiB of 1 GiB). A worker's is that of the largest process; the "
    "sum counts pages that processes share once for each.",
    (
        Metric("idle", "a worker, idle", "MiB", "less", (Target(90, None),)),
        Metric("idle-sum", "all processes, idle", "MiB", "less"),
        Metric("pushing", "a worker, 64 clients pushing", "MiB", "less", (Target(160, None),)),
        Metric("pushing-sum", "all processes, 64 clients pushing", "MiB", "less"),
        Metric("layers", "a worker, 64 clients pushing layers", "MiB", "less", (Target(160, None),)),
        Metric("layers-sum", "all processes, 64 clients pushing layers", "MiB", "less"),
    ),
    _memory,
)
