"""uvicorn (extra `fast`) on one listening socket: HTTP/1.1 only, without Hypercorn's memory for HTTP/2.

Its own protocols have no limits on a request's head, neither in size nor in time; `http11` speaks on both servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from gati_registry.serving.application import Application
from gati_registry.serving.http11 import Http11, Worker
from gati_registry.serving.listener import BACKLOG
from gati_registry.serving.tls import tls_context
from gati_registry.settings import Settings


async def run(
    app: Application, settings: Settings, listener: socket.socket, until_stopped: Callable[[], Awaitable[None]]
) -> None:
    """Serve; when `until_stopped` returns, finish what runs within `shutdown.grace` and return.

    `until_stopped` is first awaited when connections are accepted.

    Raises:
        RuntimeError: the application did not start.
    """
    config = uvicorn.Config(
        app,
        http=_protocol(app, settings),  # type: ignore[arg-type]  # any factory of asyncio protocols will do
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=math.ceil(settings.shutdown.grace),
    )
    config.load()
    config.ssl = tls_context(settings)
    server = _Server(config, until_stopped)
    try:
        await server.serve(sockets=[listener])
    except SystemExit:  # uvicorn's way to say that the lifespan failed; the reason is in the log
        raise RuntimeError("the application did not start") from None


class _Server(uvicorn.Server):
    """Stops when `until_stopped` returns instead of on signals of its own."""

    def __init__(self, config: uvicorn.Config, until_stopped: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._until_stopped = until_stopped
        self._stopper: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The worker has its own handlers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._stopper = asyncio.create_task(self._stop())

    async def _stop(self) -> None:
        await self._until_stopped()
        self.should_exit = True


def _protocol(app: Application, settings: Settings) -> Callable[..., Http11]:
    """Our HTTP/1.1, as uvicorn makes and ends its connections."""
    worker: Worker | None = None

    class Protocol(Http11):
        def shutdown(self) -> None:
            """Close as soon as nothing runs."""
            self.worker.draining = True
            self.close_if_idle()

    def make(*, server_state: ServerState, app_state: dict[str, Any], **_: object) -> Protocol:
        nonlocal worker
        if worker is None:
            worker = Worker(
                app=app,
                state=app_state,
                patience=settings.http.keep_alive,
                longest_head=settings.http.max_header_bytes,
                answer_headers=lambda: server_state.default_headers,
                connections=server_state.connections,  # type: ignore[arg-type]
                tasks=server_state.tasks,
            )
        return Protocol(worker, asyncio.get_running_loop())

    return make
