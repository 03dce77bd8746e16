"""Small writes of one turn of the event loop leave in one system call.

Servers write an answer's head and its body one after the other. uvloop sends each at once, and a send on a busy
machine costs more than everything else that a small GET does.
"""

from __future__ import annotations

import asyncio
from typing import Any

SMALL = 16 * 1024
"""Bytes up to which a write may wait for the next one; larger ones leave at once, with what waits before them."""


class GatheringTransport:
    """An asyncio transport whose small writes are held to the end of the loop's turn."""

    def __init__(self, transport: asyncio.WriteTransport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send, or hold until the turn's end; nothing on a closed connection, where uvloop would raise."""
        if self._transport.is_closing():
            self._held.clear()
        elif len(data) < SMALL:
            if not self._held:
                self._loop.call_soon(self.flush)
            self._held.append(data)
        elif self._held:
            self._held.append(data)
            held, self._held = self._held, []
            self._transport.writelines(held)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            held, self._held = self._held, []
            if not self._transport.is_closing():
                self._transport.write(b"".join(held))

    def close(self) -> None:
        """Send what is held, then close."""
        self.flush()
        self._transport.close()

    def write_eof(self) -> None:
        """Send what is held, then end our side."""
        self.flush()
        self._transport.write_eof()
