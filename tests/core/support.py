"""What the core's tests share: a clock to set, requests straight into the ASGI application, content to push."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from gati_registry.auth.chain import Chain
from gati_registry.auth.open import OpenAuthorizer
from gati_registry.bootstrap import Registry, build
from gati_registry.domain.gc import Policy
from gati_registry.domain.upload import SessionIds
from gati_registry.errors import ClientDisconnected
from gati_registry.http.blobs import BlobEndpoints
from gati_registry.http.exchange import ZEROCOPY
from gati_registry.http.extensions import ExtensionRouter
from gati_registry.http.lists import ListEndpoints
from gati_registry.http.locations import Locations
from gati_registry.http.manifests import ManifestEndpoints
from gati_registry.http.members import Members
from gati_registry.http.memo import MEMO, Memo
from gati_registry.http.registry import RegistryApp, table
from gati_registry.http.uploads import UploadEndpoints
from gati_registry.ports import Authenticator, Authorizer, Clock, Housekeeping, Metadata
from gati_registry.service.blobs import BlobService
from gati_registry.service.lists import ListService
from gati_registry.service.manifests import ManifestService
from gati_registry.service.observers import Observers
from gati_registry.service.uploads import UploadLimits, UploadService
from gati_registry.settings import Blobs, Encryption, Gc, Manifests, Paging, Postgresql, Settings, Uploads
from tests.core.contract_blobs import Store

GRACE, UNDO, READERS, EXPIRY = 1000, 100, 50, 3000
"""The collector's waiting times in these tests, in seconds. What is wrongly condemned goes well within its lease."""

INLINE = 256
"""Bytes up to which a blob is small in these tests; few, so that large ones cost little."""

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


class FakeClock:
    """`ports.Clock` that stands still until it is told."""

    def __init__(self) -> None:
        self.time = time.time_ns() // 1_000_000

    def now(self) -> int:
        return self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += int(seconds * 1000)


class AgedHousekeeping:
    """`ports.Housekeeping` whose files age by a clock of the tests; the file system's own cannot be set."""

    def __init__(self, inner: Housekeeping, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock

    def _shifted(self, older_than: int) -> int:
        return older_than - (self._clock.now() - time.time_ns() // 1_000_000)

    def strays(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        return self._inner.strays(older_than=self._shifted(older_than))

    def staged(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        return self._inner.staged(older_than=self._shifted(older_than))

    async def quarantine(self, stored_name: str) -> None:
        await self._inner.quarantine(stored_name)


# --- requests ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names in lower case, values of repeated ones in a list."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    lists: Mapping[str, list[str]]

    @property
    def codes(self) -> list[str]:
        """The error codes of the body."""
        return [error["code"] for error in json.loads(self.body)["errors"]]

    def json(self) -> Any:
        """The body as a JSON document."""
        return json.loads(self.body)


_memos: WeakKeyDictionary[RegistryApp, dict[tuple[object, ...], Memo]] = WeakKeyDictionary()


class Call:
    """A request under way, whose body is fed piece by piece."""

    def __init__(self, app: RegistryApp, method: str, target: str, headers: Mapping[str, str] | None = None) -> None:
        path, _, query = target.partition("?")
        self._scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(key.lower().encode(), value.encode("latin-1")) for key, value in (headers or {}).items()],
            "client": ("127.0.0.1", 1),
            "scheme": "http",
            "extensions": {ZEROCOPY: {}},
        }
        # As our HTTP/1.1 does it: requests with the same head share what follows from it and what was decided.
        shared = _memos.setdefault(app, {})
        self._scope[MEMO] = shared.setdefault((method, target, *self._scope["headers"]), Memo())
        self._fed: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._hungry = asyncio.Event()
        self._sent: list[Mapping[str, Any]] = []
        self._room = sys.maxsize
        self.from_files = 0  # bytes of the answer that a server could leave to the kernel
        self.task = asyncio.ensure_future(app(self._scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._fed.empty():
            self._hungry.set()
        return await self._fed.get()

    async def _send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == ZEROCOPY:
            body = os.pread(message["file"].fileno(), message["count"], message["offset"])
            assert len(body) == message["count"]
            self.from_files += len(body)
            message = {"type": "http.response.body", "body": body, "more_body": message["more_body"]}
        self._sent.append(message)
        self._room -= len(message.get("body", b""))
        if self._room < 0:
            raise ClientDisconnected

    def feed(self, chunk: bytes, *, more: bool = True) -> None:
        """The next piece of the body."""
        self._hungry.clear()
        self._fed.put_nowait({"type": "http.request", "body": chunk, "more_body": more})

    def disconnect(self) -> None:
        """The client is gone."""
        self._fed.put_nowait({"type": "http.disconnect"})

    async def breaks_off(self, after: int) -> None:
        """Take so many bytes of the answer, then be gone; return when the application has given up."""
        self._room = after
        await self.task

    async def taken(self) -> None:
        """Return when the application asks for more than it was fed, or has ended."""
        hungry = asyncio.ensure_future(self._hungry.wait())
        await asyncio.wait({hungry, self.task}, return_when=asyncio.FIRST_COMPLETED)
        hungry.cancel()

    async def finished(self) -> bool:
        """Wait for the end; whether there was an answer."""
        await self.task
        return bool(self._sent)

    async def answer(self) -> Answer:
        """Wait for the answer."""
        await self.task
        start, *parts = self._sent
        headers: dict[str, list[str]] = {}
        for key, value in start["headers"]:
            headers.setdefault(key.decode(), []).append(value.decode("latin-1"))
        body = b"".join(bytes(part.get("body", b"")) for part in parts)
        return Answer(start["status"], {key: values[0] for key, values in headers.items()}, body, headers)


class Client:
    """Sends requests to an application."""

    def __init__(self, app: RegistryApp, headers: Mapping[str, str] | None = None) -> None:
        self.app = app
        self.headers = dict(headers or {})

    def begin(self, method: str, target: str, headers: Mapping[str, str] | None = None) -> Call:
        """A request whose body is fed by the caller."""
        return Call(self.app, method, target, {**self.headers, **(headers or {})})

    async def request(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A whole request; `Content-Length` is added."""
        call = self.begin(method, target, {"Content-Length": str(len(body)), **(headers or {})})
        call.feed(body, more=False)
        return await call.answer()

    async def get(self, target: str, **headers: str) -> Answer:
        """GET."""
        return await self.request("GET", target, headers=headers)

    async def push_blob(self, repository: str, data: bytes, digest: str | None = None) -> Answer:
        """A blob in one request."""
        return await self.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest or sha256(data)}", data)

    async def push_manifest(self, repository: str, reference: str, data: bytes, media_type: str = IMAGE) -> Answer:
        """A manifest under a tag or digest."""
        return await self.request("PUT", f"/v2/{repository}/manifests/{reference}", data, {"Content-Type": media_type})

    async def start_upload(self, repository: str, query: str = "") -> str:
        """A session's location."""
        answer = await self.request("POST", f"/v2/{repository}/blobs/uploads/{query}")
        assert answer.status == 202, answer
        return answer.headers["location"]


# --- a registry -------------------------------------------------------------------------------------------------


def _embedded(data: Path) -> str | None:
    return None


_database_of: Callable[[Path], str | None] = _embedded
_encryption = Encryption()


@contextlib.contextmanager
def databases(url_of: Callable[[Path], str]) -> Iterator[None]:
    """Within the block, registries of these tests have the databases that this function names for their folders."""
    global _database_of
    _database_of = url_of
    try:
        yield
    finally:
        _database_of = _embedded


@contextlib.contextmanager
def encrypting(settings: Encryption) -> Iterator[None]:
    """Within the block, registries of these tests encrypt."""
    global _encryption
    _encryption = settings
    try:
        yield
    finally:
        _encryption = Encryption()


def configure(
    data: Path, *, open: bool = True, page: int = 1000, sparse: bool = False, max_open: int = 0, max_blob: int = 0
) -> Settings:
    """Settings with short waiting times and a low limit for small blobs: the core alone, without extensions."""
    return Settings(
        data=data,
        extensions=(),
        metadata_url=_database_of(data),
        open=open,
        postgresql=Postgresql(pool_wait=60, unit_timeout=60),  # on a busy machine, with many at once
        blobs=Blobs(inline_bytes=INLINE, max_bytes=max_blob),
        gc=Gc(grace=GRACE, undo=UNDO, readers=READERS),
        uploads=Uploads(expiry=EXPIRY, max_open=max_open),
        manifests=Manifests(sparse=sparse),
        paging=Paging(max_items=page),
        encryption=_encryption,
    )


def registry(
    data: Path, clock: Clock | None = None, settings: Settings | None = None
) -> AbstractAsyncContextManager[Registry]:
    """A registry on a data folder, open to everyone unless `settings` say otherwise."""
    return build(settings or configure(data), clock=clock)


POLICY = Policy(GRACE * 1000, UNDO * 1000, READERS * 1000, EXPIRY * 1000)
"""The same waiting times for a collector that a test builds itself."""


def _uncounted(metric: str) -> None:
    pass


def assemble(
    metadata: Metadata,
    blobs: Store,
    clock: Clock,
    *,
    authenticator: Authenticator | None = None,
    authorizer: Authorizer | None = None,
    page: int = 1000,
    key: bytes = b"of an application by itself",
) -> RegistryApp:
    """The application over adapters of the tests' choice; upload sessions are those of all that share its key."""
    decides = authorizer or OpenAuthorizer()
    locations, members = Locations(None, ()), Members(decides)
    endpoints = table(
        BlobEndpoints(BlobService(metadata, blobs, clock, POLICY.grace), members),
        UploadEndpoints(
            UploadService(metadata, blobs, clock, UploadLimits(INLINE, 0, 0), SessionIds(key, POLICY.uploads)),
            locations,
            decides,
            members,
            _uncounted,
        ),
        ManifestEndpoints(
            ManifestService(metadata, clock, sparse=False), locations, members, max_bytes=4 * 1024 * 1024, max_tags=100
        ),
        ListEndpoints(ListService(metadata, page), decides, members, page_size=page),
    )
    return RegistryApp(
        endpoints, ExtensionRouter(), authenticator or Chain([], lenient=True), decides, Observers(), locations
    )


# --- content ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder, in memory where that is possible: these tests build many registries and test no disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="gati-", dir=memory if memory.is_dir() else None, ignore_cleanup_errors=True
    ) as path:
        yield Path(path)


def sha256(data: bytes) -> str:
    """The digest, by hashlib alone."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha512(data: bytes) -> str:
    """The digest, by hashlib alone."""
    return "sha512:" + hashlib.sha512(data).hexdigest()


def descriptor(data: bytes, media_type: str = LAYER) -> dict[str, Any]:
    """A descriptor of some bytes."""
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


def image(config: bytes, *layers: bytes, **fields: Any) -> bytes:
    """An image manifest."""
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(layer) for layer in layers],
        **fields,
    }
    return json.dumps(document).encode()


def index(*manifests: bytes, media_type: str = IMAGE, **fields: Any) -> bytes:
    """An image index."""
    entries = [descriptor(manifest, media_type) for manifest in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries, **fields}).encode()


def files(folder: Path) -> set[str]:
    """Paths of all files below a folder, relative to it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
