"""What the servers ask of the application that they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gati_registry.http.exchange import Receive, Scope, Send
from gati_registry.settings import Settings


class Application(Protocol):
    """An ASGI application that can be told to wind down."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def drain(self) -> None:
        """SIGTERM came: answer `/readyz` with 503 and tell HTTP/1.1 clients to close after their answer."""


ApplicationFactory = Callable[[Settings], Application]
