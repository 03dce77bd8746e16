"""Clients that push: blobs, manifests and whole artifacts, for `load.drive`."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bench.artifacts import EMPTY, EMPTY_CONFIG, Blob, image_manifest
from bench.load import Address, Client, drive, request

_LAYER_SIZE = 4096


def push_blob(name: str, blob: Blob, headers: str = "") -> Client:
    """POST then PUT. Source: distribution-spec end-4a, end-6."""
    opened = yield request("POST", f"/v2/{name}/blobs/uploads/", headers)
    location = opened.expect(202).location
    target = f"{location}{'&' if '?' in location else '?'}digest={blob.digest}"
    closed = yield request("PUT", target, f"{headers}Content-Type: application/octet-stream\r\n", blob.data)
    closed.expect(201)


def push_manifest(name: str, manifest: Blob, reference: str | None = None, headers: str = "") -> Client:
    """PUT under a tag, or under its digest. Source: distribution-spec end-7a."""
    target = f"/v2/{name}/manifests/{reference or manifest.digest}"
    done = yield request("PUT", target, f"{headers}Content-Type: {manifest.media_type}\r\n", manifest.data)
    done.expect(201)


def push_artifact(name: str, tag: str) -> Client:
    """A whole new artifact: config, layer of 4 KiB, manifest; three times other bytes than all before it."""
    config = Blob.of(b'{"created":"%s"}' % os.urandom(16).hex().encode(), EMPTY_CONFIG)
    layer = Blob.of(os.urandom(_LAYER_SIZE))
    yield from push_blob(name, config)
    yield from push_blob(name, layer)
    yield from push_manifest(name, image_manifest(config, [layer]), tag)


@dataclass(slots=True)
class Journal:
    """When pushes began and ended, in seconds of `time.perf_counter`."""

    latencies: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def noted(self, client: Client) -> Client:
        """The same client, its time noted when it ends."""
        start = time.perf_counter()
        yield from client
        end = time.perf_counter()
        self.latencies.append(end - start)
        self.ends.append(end)


def push_for(address: Address, clients: int, seconds: float, artifact: Callable[[int, int], Client]) -> Journal:
    """Let `clients` push new artifacts, one after another each, until `seconds` are over.

    `artifact(client, count)` gives the client's next one.
    """
    journal = Journal()
    deadline = time.perf_counter() + seconds

    def worker(number: int) -> Client:
        for count in itertools.count():
            if time.perf_counter() >= deadline:
                return
            yield from journal.noted(artifact(number, count))

    drive(address, [worker(number) for number in range(clients)])
    return journal


def push_all(address: Address, work: Iterable[Client], *, clients: int = 16) -> Journal:
    """Let `clients` share the work, in its order."""
    journal = Journal()
    queue = iter(work)

    def worker() -> Client:
        for client in queue:
            yield from journal.noted(client)

    drive(address, [worker() for _ in range(clients)])
    return journal


def push_image(address: Address, name: str, manifest: Blob, tag: str, blobs: Iterable[Blob] = (EMPTY,)) -> None:
    """Store one manifest, and first the blobs that it names."""
    push_all(address, [push_blob(name, blob) for blob in blobs])
    push_all(address, [push_manifest(name, manifest, tag)])
