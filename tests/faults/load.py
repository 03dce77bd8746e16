"""Clients that push, move tags, upload in chunks and read, each request through another replica, and keep books."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import httpx

from tests.clients.registry import MANIFEST, digest_of
from tests.faults.history import Look, Move, Register
from tests.support.server import wait_for

CHUNK = 96 * 1024
"""Bytes of a blob, and of a chunk: more than is kept inside the database."""

PATIENCE = 120
"""Seconds in which an answer comes, whatever is broken; and in which all is well again after it was mended."""

CONFIG = b"{}"


@dataclass(slots=True)
class Books:
    """What the clients were told. `broken` requests got no answer: their server had been killed."""

    registers: list[Register] = field(default_factory=list)
    blobs: list[tuple[str, str]] = field(default_factory=list)  # acknowledged: repository and digest
    manifests: list[tuple[str, bytes]] = field(default_factory=list)
    refused: int = 0
    broken: int = 0
    resumed: int = 0
    odd: list[str] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        """All that may not be lost."""
        return len(self.blobs) + len(self.manifests)

    def __str__(self) -> str:
        looks = sum(len(register.looks) for register in self.registers)
        return (
            f"{len(self.blobs)} blobs and {len(self.manifests)} manifests acknowledged, {looks} reads of tags,"
            f" {self.refused} refused by 503, {self.broken} without an answer, {self.resumed} uploads resumed"
        )


class Load:
    """Clients of these replicas, from `start` to `finish`."""

    def __init__(self, urls: Sequence[str], auth: tuple[str, str] | None = None) -> None:
        self._urls = list(urls)
        self._auth = auth
        self._finished = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.books = Books()

    def start(self, *, writers: int = 3, readers: int = 2, uploaders: int = 2) -> None:
        """Begin, in repositories of their own."""
        mark = f"load-{secrets.token_hex(4)}"
        for number in range(writers):
            register = Register(f"{mark}/writer-{number}")
            self.books.registers.append(register)
            self._begin(partial(self._write, register=register))
        for _ in range(readers):
            self._begin(self._read)
        for number in range(uploaders):
            self._begin(partial(self._upload, name=f"{mark}/uploader-{number}"))

    def _begin(self, work: Callable[[Client], None]) -> None:
        def run() -> None:
            with Client(self, self._urls, self._auth) as client:
                try:
                    work(client)
                except Exception as error:  # seen by who asks for the books
                    self.odd(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()

    def more(self, count: int = 30) -> None:
        """Wait until so much more is acknowledged, and nothing odd happened."""
        enough = self.books.acknowledged + count
        wait_for(lambda: self.books.odd or self.books.acknowledged >= enough, timeout=PATIENCE)
        assert self.books.odd == []

    def refusals(self, count: int = 10) -> None:
        """Wait until so many more requests were refused."""
        enough = self.books.refused + count
        wait_for(lambda: self.books.odd or self.books.refused >= enough, timeout=PATIENCE)
        assert self.books.odd == []

    def finish(self) -> Books:
        """Let them end what they are at; what they were told."""
        self._finished.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a request gets no answer"
        return self.books

    # --- for its clients ----------------------------------------------------------------------------------------

    def odd(self, what: str) -> None:
        """Something that may not be."""
        with self._lock:
            self.books.odd.append(what)

    def count(self, what: str) -> None:
        """One more `refused`, `broken` or `resumed`."""
        with self._lock:
            setattr(self.books, what, getattr(self.books, what) + 1)

    def _turns(self) -> Iterator[int]:
        return itertools.takewhile(lambda _: not self._finished.is_set(), itertools.count(1))

    def _write(self, client: Client, register: Register) -> None:
        """Push a blob and a manifest of it, and move the tag there."""
        name = register.name
        for turn in self._turns():
            config = client.push(name, CONFIG)
            layer = client.push(name, os.urandom(CHUNK)) if config else None
            if config is None or layer is None:
                continue
            self.books.blobs.append((name, layer))
            manifest = json.dumps(
                {
                    "schemaVersion": 2,
                    "mediaType": MANIFEST,
                    "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
                    "layers": [{"mediaType": "application/octet-stream", "digest": layer, "size": CHUNK}],
                    "annotations": {"turn": str(turn)},
                }
            ).encode()
            began = time.monotonic()
            answer = client.ask("PUT", f"/v2/{name}/manifests/v", manifest, {"Content-Type": MANIFEST}, expected={201})
            register.add(Move(turn, began, time.monotonic(), acknowledged=answer is not None))
            if answer is not None:
                self.books.manifests.append((name, manifest))

    def _read(self, client: Client) -> None:
        """Look where the tags are."""
        for _ in self._turns():
            register = random.choice(self.books.registers)
            began = time.monotonic()
            found = client.tagged(register.name)
            if found is not None:
                register.add(Look(found, began, time.monotonic()))
            time.sleep(0.01)

    def _upload(self, client: Client, name: str) -> None:
        """Upload in chunks, going on where one broke off."""
        for _ in self._turns():
            data = os.urandom(3 * CHUNK)
            digest = digest_of(data)
            begun = client.ask("POST", f"/v2/{name}/blobs/uploads/", expected={202})
            if begun is None:
                continue
            location = httpx.URL(begun.headers["location"]).raw_path.decode()
            if client.upload(name, location, data, digest):
                self.books.blobs.append((name, digest))


class Client:
    """One of them: a connection to each replica, used in turn."""

    def __init__(self, load: Load, urls: Sequence[str], auth: tuple[str, str] | None) -> None:
        self._load = load
        # An answer later than this is as good as none: it breaks the promise that all waiting is bounded.
        self._clients = [httpx.Client(base_url=url, auth=auth, timeout=60, trust_env=False) for url in urls]
        self._turn = itertools.cycle(random.sample(self._clients, len(self._clients)))
        self._refusal = "none"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        expected: set[int],
    ) -> httpx.Response | None:
        """An answer with an expected status; None for a clean refusal, or where there is none."""
        try:
            answer = next(self._turn).request(method, path, content=body, headers=headers)
        except httpx.TimeoutException:
            self._load.odd(f"{method} {path}: no answer in time")
            return None
        except httpx.TransportError:
            self._load.count("broken")
            time.sleep(0.05)
            return None
        if answer.status_code in expected:
            return answer
        if answer.status_code == 503 and int(answer.headers.get("retry-after", 0)) > 0:
            self._load.count("refused")
            self._refusal = f"{method}: {answer.text}"
            time.sleep(0.05)
            return None
        self._load.odd(f"{method} {path}: {answer.status_code} {answer.text}")
        return None

    def push(self, name: str, data: bytes) -> str | None:
        """The digest of a blob that was acknowledged."""
        digest = digest_of(data)
        headers = {"Content-Type": "application/octet-stream"}
        path = f"/v2/{name}/blobs/uploads/?digest={digest}"
        return digest if self.ask("POST", path, data, headers, expected={201}) is not None else None

    def tagged(self, name: str) -> int | None:
        """Where the tag is; 0: nowhere; None: that was not to be learnt."""
        answer = self.ask("GET", f"/v2/{name}/manifests/v", headers={"Accept": MANIFEST}, expected={200, 404})
        if answer is None:
            return None
        return int(answer.json()["annotations"]["turn"]) if answer.status_code == 200 else 0

    def upload(self, name: str, location: str, data: bytes, digest: str) -> bool:
        """Send what is missing until all is there; False if that was never begun."""
        acknowledged, disturbed = 0, False
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            piece = data[acknowledged : acknowledged + CHUNK]
            if piece:
                headers = {"Content-Range": f"{acknowledged}-{acknowledged + len(piece) - 1}"}
                answer = self.ask("PATCH", location, piece, headers, expected={202})
            else:
                answer = self.ask("PUT", f"{location}?digest={digest}", expected={201})
                if answer is not None:
                    if disturbed:
                        self._load.count("resumed")
                    return True
            if answer is not None:
                location = httpx.URL(answer.headers["location"]).raw_path.decode()
                acknowledged += len(piece)
                continue
            disturbed = True
            state = self.ask("GET", location, expected={204, 404})
            if state is None:
                continue
            if state.status_code == 204:
                reached = int(state.headers["range"].removeprefix("0-")) + 1 if "range" in state.headers else 0
                if state.headers.get("range") == "0-0":
                    reached = 0
                if reached < acknowledged:
                    self._load.odd(f"{location}: {acknowledged} were acknowledged, {reached} are there")
                    return False
                acknowledged = reached
            elif acknowledged == len(data):  # the PUT was done, its answer got lost
                there = self.ask("HEAD", f"/v2/{name}/blobs/{digest}", expected={200, 404})
                if there is not None and there.status_code == 200:
                    self._load.count("resumed")
                    return True
                if there is not None:
                    self._load.odd(f"{location}: neither the session nor its blob is there")
                    return False
            else:
                self._load.odd(f"{location}: the session is gone after {acknowledged} bytes")
                return False
        self._load.odd(f"{location}: not to be finished; the last refusal: {self._refusal}")
        return False


def check(books: Books, urls: Sequence[str], auth: tuple[str, str] | None = None) -> None:
    """After the heal: all that was acknowledged is there, through every replica, and tags are where they were seen."""
    assert not books.odd, "\n".join(books.odd)
    assert books.acknowledged > 0
    last: list[dict[str, int]] = []
    for url in urls:
        with httpx.Client(base_url=url, auth=auth, timeout=60, trust_env=False) as client:
            last.append({})
            for register in books.registers:
                began = time.monotonic()
                answer = client.get(f"/v2/{register.name}/manifests/v", headers={"Accept": MANIFEST})
                assert answer.status_code == 200, answer.text
                value = int(answer.json()["annotations"]["turn"])
                last[-1][register.name] = value
                register.add(Look(value, began, time.monotonic()))
    assert all(found == last[0] for found in last), last
    for register in books.registers:
        assert register.problems() == []
        assert register.looks
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=u, auth=auth, timeout=60, trust_env=False)) for u in urls]
        turn = itertools.cycle(clients)
        for name, manifest in books.manifests:
            answer = next(turn).get(f"/v2/{name}/manifests/{digest_of(manifest)}", headers={"Accept": MANIFEST})
            assert (answer.status_code, answer.content) == (200, manifest), answer.text
        for name, digest in books.blobs:
            answer = next(turn).get(f"/v2/{name}/blobs/{digest}")
            assert answer.status_code == 200, f"{name} {digest}: {answer.text}"
            assert f"sha256:{hashlib.sha256(answer.content).hexdigest()}" == digest


def ready(url: str) -> bool:
    """Whether a replica says that it is."""
    try:
        return httpx.get(f"{url}/readyz", timeout=30, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
