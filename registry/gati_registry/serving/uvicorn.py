"""uvicorn (extra `fast`) on one listening socket: HTTP/1.1 only, a third of Hypercorn's CPU for a small request."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gati_registry.http.edge import GONE
from gati_registry.serving.application import Application
from gati_registry.serving.gathering import GatheringTransport
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
        http=_protocol(settings),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=math.ceil(settings.http.keep_alive),
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


def _protocol(settings: Settings) -> type[HttpToolsProtocol]:
    """uvicorn's protocol with limits on a request's head: it has none, neither in size nor in time."""
    longest, patience = settings.http.max_header_bytes, settings.http.keep_alive

    class Protocol(HttpToolsProtocol):
        head_bytes = 0
        head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(GatheringTransport(transport, self.loop))  # type: ignore[arg-type]
            self._expect_head()

        def data_received(self, data: bytes) -> None:
            if self.head_timer is not None:
                self.head_bytes += len(data)
            super().data_received(data)
            if self.head_timer is not None and self.head_bytes > longest:
                self.transport.close()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self.head_timer is None:
                self._expect_head()

        def on_headers_complete(self) -> None:
            self._head_came()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_came()
            if self.cycle is not None and not self.cycle.response_complete:
                self.cycle.scope[GONE] = True  # type: ignore[literal-required]
            super().connection_lost(exc)

        def _expect_head(self) -> None:
            self.head_bytes = 0
            self.head_timer = self.loop.call_later(patience, self.transport.close)

        def _head_came(self) -> None:
            if self.head_timer is not None:
                self.head_timer.cancel()
                self.head_timer = None

    return Protocol
