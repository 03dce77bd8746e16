"""Record a server under strace while clients push, and read what a power cut at any moment would leave of it."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from tests.proofs import strace
from tests.proofs.changes import Image
from tests.proofs.filesystem import Volume
from tests.proofs.inprocess import InProcess, opened
from tests.proofs.journal import Journal, Key, Value, look, sha256
from tests.proofs.pusher import Exchange, Pusher
from tests.proofs.replay import Replay, Sent, crashes
from tests.proofs.sizes import size
from tests.support.server import RegistryProcess

SUBSETS = size("POWER_SUBSETS", 20)  # random choices among the changes that a crash may lose, at each moment
MOST = size("POWER_IMAGES", 0)  # images at each moment; 0: all
T = TypeVar("T")
_PEER = re.compile(r"->127\.0\.0\.1:(\d+)\]")


@dataclass(slots=True)
class Timeline:
    """What each client knows to be acknowledged, answer by answer."""

    pushers: list[Pusher]
    journals: list[Journal] = field(default_factory=list)
    answers: int = 0
    _position: list[int] = field(default_factory=list)
    _seen: dict[int, int] = field(default_factory=dict)  # answers sent to each port

    def __post_init__(self) -> None:
        self.journals = [Journal() for _ in self.pushers]
        self._position = [0 for _ in self.pushers]
        self._show()

    def _next(self, client: int) -> Exchange | None:
        exchanges = self.pushers[client].exchanges
        return exchanges[self._position[client]] if self._position[client] < len(exchanges) else None

    def _show(self) -> None:
        for client, journal in enumerate(self.journals):
            following = self._next(client)
            journal.begin(following.change if following else {})

    def mistakes(self, seen: Mapping[Key, Value]) -> list[str]:
        """How what is there differs from what must or may be there now."""
        return [
            mistake
            for journal in self.journals
            for mistake in journal.mistakes({key: seen[key] for key in {*journal.confirmed, *journal.under_way}})
        ]

    def sent(self, sent: Sent) -> bool:
        """Bytes are leaving. If they begin an answer, what it acknowledges counts from now on."""
        peer = _PEER.search(sent.channel)
        if peer is None or not re.match(rb"HTTP/1\.1 [2-5]", sent.data):
            return False
        port = int(peer[1])
        self._seen[port] = self._seen.get(port, 0) + 1
        for client, journal in enumerate(self.journals):
            following = self._next(client)
            if following is not None and (following.port, following.ordinal) == (port, self._seen[port]):
                if following.failed:
                    journal.doubt()
                else:
                    journal.confirm()
                self._position[client] += 1
                self.answers += 1
        self._show()
        return True

    @property
    def done(self) -> bool:
        """Whether every answer that a client got was seen to leave."""
        return all(self._next(client) is None for client in range(len(self.pushers)))


class Reader:
    """Opens images of the data folder with the application itself, in this process."""

    def __init__(self, pushers: Sequence[Pusher], folder: Path) -> None:
        self._keys = {key for pusher in pushers for exchange in pusher.exchanges for key in exchange.change}
        self._contents = {key: content for pusher in pushers for key, content in pusher.contents.items()}
        self._known: dict[bytes, Mapping[Key, Value]] = {}
        self._folder = folder

    def __len__(self) -> int:
        """How many different images it has read."""
        return len(self._known)

    def read(self, image: Image) -> Mapping[Key, Value]:
        """What the registry serves from an image, under every key that any client ever used."""
        if image.digest not in self._known:
            image.write_to(self._folder)
            with opened(self._folder / "data") as client:
                self._known[image.digest] = self._look(client)
        return self._known[image.digest]

    def _look(self, client: InProcess) -> Mapping[Key, Value]:
        seen = {key: look(client.ask, key) for key in self._keys}
        for key, offset in seen.items():  # what an upload acknowledged counts only if it can be completed
            if key.kind == "upload" and isinstance(offset, int):
                data = self._contents[key].data()
                mark = "&" if "?" in key.name else "?"
                answer = client.request("PUT", f"{key.name}{mark}digest={sha256(data)}", data[offset:])
                assert answer.status == 201, f"{key} at {offset}: {answer}"
                blob = Key("blob", key.repository, sha256(data))
                assert look(client.ask, blob) == "stored", f"{key} at {offset}"
        return seen


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for images, in memory where there is such a place: they are many and short-lived."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def record(
    server: RegistryProcess,
    trace: Path,
    work: Callable[[Pusher], T],
    pushers: Sequence[Pusher],
    *,
    stop: int,
    faults: Sequence[str] = (),
) -> list[T]:
    """One life of the server under strace, with all clients at work at once, ended by a signal.

    `faults` are further options for strace (`-e inject=…`). Returns what `work` did for each client.
    """
    server.wrapper = [*strace.command(trace), *faults]
    server.start(timeout=120)
    try:
        with ThreadPoolExecutor(len(pushers)) as threads:
            results = list(threads.map(work, pushers))
        for pusher in pushers:
            pusher.close()
        assert server.process is not None
        family = server.pids()[1:]  # the first is strace itself, which ends with the last of them
        for pid in family if stop == signal.SIGKILL else family[:1]:
            os.kill(pid, stop)
        server.process.wait(60)
        return results
    finally:
        server.kill()


def check(volume: Volume, traces: Sequence[Path], pushers: Sequence[Pusher], chance: random.Random) -> str:
    """Read every image that a power cut could have left since the first answer; how many there were.

    Fails the test on the first that lacks something acknowledged or serves something half-written.
    """
    images = 0
    with scratch() as folder:
        timeline, reader = Timeline(list(pushers)), Reader(pushers, folder)
        for moment in (moment for trace in traces for moment in Replay(volume, trace).moments()):
            if moment.sent is not None and not timeline.sent(moment.sent):
                continue
            if not timeline.answers:
                continue
            for crash in crashes(volume, subsets=SUBSETS, chance=chance, most=MOST):
                images += 1
                try:
                    mistakes = timeline.mistakes(reader.read(crash.image))
                except AssertionError as error:  # served, but not whole and exact
                    mistakes = [str(error)]
                if mistakes:
                    pytest.fail("\n".join([*mistakes, "when the crash lost:", *crash.lost]))
    assert timeline.done
    return f"{timeline.answers} answers, {images} images of the disk ({len(reader)} different)"
