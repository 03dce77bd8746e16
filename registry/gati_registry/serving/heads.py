"""Heads of requests that were parsed a moment ago.

Parsing and the look-ups that follow from a head are most of what a small GET costs, and clients repeat themselves byte
for byte. A head stays as long as it comes at least once in `AGE` seconds and not much longer: it may hold credentials.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

from gati_registry.http.memo import MEMO, Memo
from gati_registry.serving.framing import Head, parse_head

AGE = 1.0
"""Seconds after which a head that did not come again is forgotten, give or take as many."""

LONGEST = 2048
"""Bytes of a head that is kept; longer ones are rare and would take room."""

MOST = 512
"""Heads that are kept of each period of `AGE` seconds."""

_ASGI = {"spec_version": "2.1", "version": "3.0"}


class Known:
    """A head, and what the ASGI scopes of its requests have in common."""

    __slots__ = ("head", "scope")

    def __init__(self, head: Head) -> None:
        self.head = head
        path, _, query = head.target.partition(b"?")
        text = path.decode("ascii")
        self.scope: dict[str, Any] = {
            "type": "http",
            "http_version": head.version,
            "asgi": _ASGI,
            "method": head.method,
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": head.headers,
            MEMO: Memo(),
        }


class Heads:
    """Heads by their bytes, those of the current period and of the one before."""

    __slots__ = ("_earlier", "_now", "_waiting")

    def __init__(self) -> None:
        self._now: dict[bytes, Known] = {}
        self._earlier: dict[bytes, Known] = {}
        self._waiting = False  # for the period's end

    def parse(self, data: bytes) -> Known:
        """The head of these bytes, up to and with its empty line.

        Raises:
            Malformed: see `parse_head`.
        """
        known = self._now.get(data)
        if known is None:
            known = self._earlier.pop(data, None) or Known(parse_head(data))
            # Of a request that changes something there is seldom a second one.
            if not known.head.length and len(data) <= LONGEST:
                if len(self._now) >= MOST:
                    self._earlier, self._now = self._now, {}
                self._now[data] = known
                if not self._waiting:
                    self._waiting = True
                    asyncio.get_running_loop().call_later(AGE, self._turn)
        return known

    def _turn(self) -> None:
        self._earlier, self._now = self._now, {}
        self._waiting = bool(self._earlier)
        if self._waiting:
            asyncio.get_running_loop().call_later(AGE, self._turn)
