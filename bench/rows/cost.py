"""What operations cost past one machine: statements and round trips to PostgreSQL, requests to S3."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator

from bench.artifacts import EMPTY, IMAGE_MANIFEST, Blob, image_manifest
from bench.backends import CREDENTIALS, blobs_url, database_url
from bench.load import Client
from bench.model import MIB, Metric, Row, Scale, Values
from bench.push import push_all, push_blob, push_manifest
from bench.stacks import Gati, Server, Shared, Unsupported
from bench.wire import Counts, HttpRequests, PostgresMessages, relay

_NAME = "bench/cost"
_TIMES = 10
"""Each is done as often, after as many times unmeasured: sessions have prepared their statements by then."""


class _Requests:
    """What is measured, in one repository."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._layers: list[Blob] = []
        self._manifests: list[Blob] = []

    def blob(self, size: int) -> None:
        layer = Blob.of(os.urandom(size))
        self._layers.append(layer)
        self._push(push_blob(_NAME, layer))

    def manifest(self) -> None:
        made = image_manifest(EMPTY, self._layers[-1:], annotations={"turn": str(len(self._manifests))})
        self._manifests.append(made)
        self._push(push_manifest(_NAME, made, f"v{len(self._manifests)}"))

    def ask(self, method: str, target: str) -> None:
        status, _ = self._server.ask(method, f"/v2/{_NAME}/{target}", {"Accept": IMAGE_MANIFEST})
        if status != 200:
            raise RuntimeError(f"{method} {target}: {status}")

    def _push(self, client: Client) -> None:
        push_all(self._server.address, [client], clients=1)

    def operations(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """By the keys of the metrics, in an order in which each finds what it needs."""
        self.blob(len(EMPTY.data))
        self._push(push_blob(_NAME, EMPTY))
        turn = itertools.count()
        yield "blob-small", lambda: self.blob(4096)
        yield "blob-large", lambda: self.blob(MIB)
        yield "manifest", self.manifest
        yield "head", lambda: self.ask("HEAD", f"manifests/v{1 + next(turn) % _TIMES}")
        yield "get-tag", lambda: self.ask("GET", f"manifests/v{1 + next(turn) % _TIMES}")
        yield "get-digest", lambda: self.ask("GET", f"manifests/{self._manifests[next(turn) % _TIMES].digest}")
        yield "get-blob", lambda: self.ask("GET", f"blobs/{self._layers[-1].digest}")
        yield "tags", lambda: self.ask("GET", "tags/list")


def _measure(server: Server, _scale: Scale, round_: int) -> Values:
    stack = server.stack
    if not (isinstance(stack, Shared) and stack.s3 and stack.replicas == 1):
        raise Unsupported("not counted")
    home = server.home.parent / f"cost-{round_}"
    with contextlib.ExitStack() as exits:
        ports = exits.enter_context(stack.backends(home / "backends"))
        database, of_database = exits.enter_context(relay(ports[0], PostgresMessages))
        objects, of_store = exits.enter_context(relay(ports[1], HttpRequests))
        environment = {
            **CREDENTIALS,
            "GATI_METADATA_URL": database_url(database),
            "GATI_BLOBS_URL": blobs_url(objects),
        }
        registry = Server(Gati("hypercorn", 1, environment=environment), home)
        registry.start()
        exits.callback(registry.stop)
        return _count(registry, of_database, of_store)


def _count(registry: Server, of_database: Counts, of_store: Counts) -> Values:
    values: Values = {}
    for key, operation in _Requests(registry).operations():
        for _ in range(_TIMES):
            operation()
        turns = []
        for _ in range(_TIMES):
            before = of_database.statements, of_database.trips, of_store.trips
            operation()
            after = of_database.statements, of_database.trips, of_store.trips
            turns.append([last - first for first, last in zip(before, after, strict=True)])
        for word, counted in zip(("statements", "trips", "s3"), zip(*turns, strict=True), strict=True):
            values[f"{key}-{word}"] = min(counted)
    return values


_WORDS = {
    "blob-small": "push of a blob of 4 KiB",
    "blob-large": "push of a blob of 1 MiB",
    "manifest": "push of a manifest under a tag",
    "head": "HEAD by tag",
    "get-tag": "GET by tag",
    "get-digest": "GET by digest",
    "get-blob": "GET of a blob of 1 MiB",
    "tags": "list of tags",
}
COST = Row(
    "cost",
    "Statements and round trips on the wire to PostgreSQL and requests to S3, counted by relays: the least of "
    f"{_TIMES} times each, which is without what is done in the background. A push of a blob is POST and PUT.",
    tuple(
        Metric(f"{key}-{word}", f"{words}: {what}", "", "less")
        for key, words in _WORDS.items()
        for word, what in (("statements", "statements"), ("trips", "round trips"), ("s3", "requests to S3"))
    ),
    _measure,
    apart=True,
)
