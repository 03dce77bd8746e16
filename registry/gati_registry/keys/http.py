"""Asking a key server: one JSON request, one JSON answer, off the event loop; what fails in passing is asked again."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gati_registry.errors import Unavailable

TIMEOUT = 10.0
"""Seconds for one answer."""

ATTEMPTS = 3
LONGEST = 1 << 20
"""Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and the document that came with it."""

    status: int
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeyServer:
    """A server by its URL, which has no path. `name` is what people call it; `tls` is used for https."""

    name: str
    url: str
    tls: ssl.SSLContext

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Callable[[bytes], Mapping[str, str]]
    ) -> Answer:
        """Send a document; `headers` are made for its bytes, anew for each attempt.

        Raises:
            Unavailable: there is no answer, or none that makes sense.
        """
        return await asyncio.to_thread(self._ask, method, path, body, headers)

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Callable[[bytes], Mapping[str, str]]
    ) -> Answer:
        data = b"" if body is None else json.dumps(body).encode()
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(0.2 * attempt)
            try:
                answer = self._once(method, path, data, headers(data))
            except (OSError, http.client.HTTPException) as error:
                trouble = type(error).__name__
                continue
            if answer.status < 500:
                return answer
            trouble = f"status {answer.status}"
        raise Unavailable(f"{self.name} does not answer ({trouble})", retry_after=10)

    def _once(self, method: str, path: str, data: bytes, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=self.tls)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        try:
            connection.request(method, path, body=data or None, headers=dict(headers))
            response = connection.getresponse()
            text = response.read(LONGEST)
        finally:
            connection.close()
        try:
            document = json.loads(text) if text else {}
        except ValueError:
            document = {}
        return Answer(response.status, document if isinstance(document, dict) else {})
