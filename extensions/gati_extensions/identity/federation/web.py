"""What is asked of providers: JSON, through the guarded fetch."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from gati_extensions.guarded import Lookup, WebFetcher
from gati_registry.errors import Code, RegistryError, Unavailable

MOST = 256 * 1024
"""Bytes of an answer."""

RETRY = 10
"""Seconds after which to ask again for what did not answer."""


class Web:
    """Questions to one provider."""

    def __init__(self, fetcher: WebFetcher, provider: str, log: logging.Logger) -> None:
        self._fetcher = fetcher
        self._provider = provider
        self._log = log

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        """A document.

        Raises:
            RegistryError: UNAVAILABLE, there is no usable answer.
        """
        status, document = await self._ask("GET", url, headers or {}, None)
        if status != 200:
            raise self.down(f"answers {status}")
        return document

    async def post(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Any:
        """What a form is answered with, refusals included.

        Raises:
            RegistryError: UNAVAILABLE.
        """
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        status, document = await self._ask("POST", url, {**kind, **(headers or {})}, urlencode(fields).encode())
        if status not in (200, 400, 401) or not isinstance(document, dict):
            raise self.down(f"answers {status} to a code")
        return document

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> tuple[int, Any]:
        try:
            reply = await self._fetcher.request(
                method, url, MOST, headers={"Accept": "application/json", **headers}, body=body
            )
            return reply.status, json.loads(reply.body)
        except Lookup as error:
            raise self.down(str(error)) from None
        except (ValueError, RecursionError):
            raise self.down("does not answer with JSON") from None

    def down(self, why: str) -> RegistryError:
        """It cannot be asked; the operator is told why."""
        self._log.warning("provider %s: %s", self._provider, why)
        return Unavailable(f"the provider {self._provider} gives no usable answer; try again", retry_after=RETRY)

    def refused(self, why: str) -> RegistryError:
        """What it said proves nothing; the operator is told why."""
        self._log.warning("provider %s: login refused: %s", self._provider, why)
        return RegistryError(Code.UNAUTHORIZED, f"the login was refused: {why}; begin again")


def text_of(document: Any, name: str) -> str:
    """A text in a document; empty if it is none, or has what no text on a line has."""
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, str) and found.isprintable() else ""
