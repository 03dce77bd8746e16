"""The application on a data folder in this process: started and stopped in milliseconds, and asked directly."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gati_registry.app import create_app
from gati_registry.settings import Gc, Log, Settings
from tests.proofs.journal import Answer


class InProcess:
    """One ASGI application, between its startup and its shutdown."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: Any) -> None:
        self._loop, self._app = loop, app
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
        self._lifespan = loop.create_task(app(scope, self._to_app.get, self._from_app.put))

    def turn(self, phase: str) -> None:
        """Startup or shutdown."""
        self._to_app.put_nowait({"type": f"lifespan.{phase}"})
        answered = self._loop.create_task(self._from_app.get())
        waiting = asyncio.wait([self._lifespan, answered], return_when=asyncio.FIRST_COMPLETED)
        self._loop.run_until_complete(waiting)
        if not answered.done():
            answered.cancel()
            self._lifespan.result()  # raises what went wrong
        assert answered.result()["type"] == f"lifespan.{phase}.complete", answered.result()

    def ask(self, path: str) -> Answer:
        """GET; see journal.look."""
        return self.request("GET", path)

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """One request and its whole answer."""
        return self._loop.run_until_complete(self._request(method, path, body))

    async def _request(self, method: str, path: str, body: bytes) -> Answer:
        plain, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": plain,
            "raw_path": plain.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1"), (b"content-length", str(len(body)).encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        incoming = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return incoming.pop(0) if incoming else await asyncio.Future()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start = next(message for message in sent if message["type"] == "http.response.start")
        data = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], headers, len(data), hashlib.sha256(data).hexdigest(), data)


@contextlib.contextmanager
def opened(data: Path) -> Iterator[InProcess]:
    """The application on a data folder, open to all, without background jobs."""
    settings = Settings(data=data, open=True, gc=Gc(interval=0), log=Log(level="error", reads=False))
    with asyncio.Runner() as runner:
        client = InProcess(runner.get_loop(), create_app(settings))
        client.turn("startup")
        try:
            yield client
        finally:
            client.turn("shutdown")
