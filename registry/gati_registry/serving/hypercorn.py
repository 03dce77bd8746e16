"""Hypercorn 0.18 on one listening socket: HTTP/1.1, and HTTP/2 over TLS.

What of Hypercorn does not hold for a registry is replaced in `hypercorn_parts`; here is its configuration.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any
from wsgiref.handlers import format_date_time

from hypercorn.asyncio import serve
from hypercorn.config import Config

from gati_registry.serving.application import Application
from gati_registry.serving.hypercorn_parts import install
from gati_registry.serving.listener import BACKLOG
from gati_registry.serving.tls import speaks_http2, tls_context
from gati_registry.settings import Settings

logger = logging.getLogger(__name__)

NEVER = 2**31
# Storage may be migrated before the first answer; that takes as long as it takes (seconds).
STARTUP_TIMEOUT = 24 * 3600
HANDSHAKE_TIMEOUT = 30
HTTP2_STREAMS = 100


async def run(
    app: Application, settings: Settings, listener: socket.socket, until_stopped: Callable[[], Awaitable[None]]
) -> None:
    """Serve; when `until_stopped` returns, finish what runs within `shutdown.grace` and return.

    `until_stopped` is first awaited when connections are accepted.
    """
    install()
    config = _Config(settings, tls_context(settings))
    # Hypercorn makes its own socket object of the number and closes it.
    config.bind = [f"fd://{listener.detach()}"]
    await serve(app, config, shutdown_trigger=until_stopped, mode="asgi")  # type: ignore[arg-type]


class _Log:
    """Hypercorn's words in our logs; the access log is written by `http.edge`."""

    def __init__(self, _config: Config) -> None:
        self._logger = logging.getLogger("hypercorn")

    async def access(self, *_: Any) -> None:
        return

    async def debug(self, message: str, *arguments: Any, **options: Any) -> None:
        self._logger.debug(message, *arguments, **options)

    async def info(self, message: str, *arguments: Any, **options: Any) -> None:
        self._logger.debug(message, *arguments, **options)

    async def warning(self, message: str, *arguments: Any, **options: Any) -> None:
        self._logger.warning(message, *arguments, **options)

    async def error(self, message: str, *arguments: Any, **options: Any) -> None:
        self._logger.error(message, *arguments, **options)

    async def exception(self, message: str, *arguments: Any, **options: Any) -> None:
        self._logger.exception(message, *arguments, **options)


class _Config(Config):
    logger_class = _Log  # type: ignore[assignment]

    def __init__(self, settings: Settings, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._second = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self.backlog = BACKLOG
        self.graceful_timeout = settings.shutdown.grace
        self.startup_timeout = STARTUP_TIMEOUT
        self.keep_alive_timeout = settings.http.keep_alive
        self.keep_alive_max_requests = NEVER
        self.ssl_handshake_timeout = HANDSHAKE_TIMEOUT
        # `http11` checks the size of a head that has not ended yet; `http.edge` checks the exact one.
        self.h11_max_incomplete_size = settings.http.max_header_bytes
        self.h2_max_header_list_size = settings.http.max_header_bytes
        self.h2_max_concurrent_streams = HTTP2_STREAMS
        self.alpn_protocols = ["h2", "http/1.1"] if speaks_http2(settings) else ["http/1.1"]

    @property
    def ssl_enabled(self) -> bool:
        return self._tls is not None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self._tls

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """Only `Date`, formatted once a second; not which server this is."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._headers = [(b"date", format_date_time(now).encode("ascii"))]
        return self._headers
