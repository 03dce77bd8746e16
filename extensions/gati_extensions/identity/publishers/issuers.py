"""The keys of issuers, by OpenID Connect Discovery; fetched with guard and kept for a while (`jwks`).

Only issuers that a publisher names are ever asked.

Source: OpenID Connect Discovery 1.0 sections 3 and 4.
"""

from __future__ import annotations

import json
import ssl
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from gati_extensions.guarded import Lookup, WebFetcher
from gati_extensions.identity import jwks
from gati_extensions.identity.jwks import KeySet, SigningKey
from gati_extensions.identity.settings import IdentitySettings
from gati_registry.extension import Clock

MOST_BYTES, MOST_ISSUERS = 256 * 1024, 256


class Issuers:
    """Finds keys."""

    def __init__(self, fetcher: Callable[[], WebFetcher], clock: Clock) -> None:
        self._make = fetcher
        self._fetcher: WebFetcher | None = None
        self._clock = clock
        self._kept: OrderedDict[str, KeySet] = OrderedDict()

    async def key(self, issuer: str, kid: str) -> SigningKey | None:
        """The issuer's key of an id; None if it has none.

        Raises:
            Lookup: the issuer's keys cannot be had.
        """
        keys = self._kept.setdefault(issuer, KeySet(self._clock))
        self._kept.move_to_end(issuer)
        if len(self._kept) > MOST_ISSUERS:
            self._kept.popitem(last=False)
        return await keys.find(kid, issuer, lambda: self._fetch(issuer))

    async def check(self, issuer: str) -> None:
        """The issuer is there and has usable keys.

        Raises:
            Lookup: it is not.
        """
        if not await self._fetch(issuer):
            raise Lookup("the issuer has no key that is usable")

    async def _fetch(self, issuer: str) -> dict[str, SigningKey]:
        document = await self._json(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != issuer:
            raise Lookup("the issuer calls itself by another name")
        address = document.get("jwks_uri")
        if not isinstance(address, str):
            raise Lookup("the issuer does not say where its keys are")
        try:
            return jwks.parsed(await self._json(address))
        except ValueError:
            raise Lookup("the issuer's keys are malformed") from None

    async def _json(self, url: str) -> dict[str, Any]:
        self._fetcher = self._fetcher or self._make()  # reading the authorities takes a while: not at the start
        data = await self._fetcher.fetch(url, MOST_BYTES)
        if data is None:
            raise Lookup("the issuer is not there")
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            raise Lookup("the issuer's answer is malformed") from None
        if not isinstance(document, dict):
            raise Lookup("the issuer's answer is malformed")
        return document


def fetcher(settings: IdentitySettings) -> WebFetcher:
    """What fetches from issuers.

    Raises:
        Lookup: the file of authorities cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=settings.issuer_ca)
    except OSError as error:
        raise Lookup(f"identity.issuer_ca cannot be used ({type(error).__name__})") from None
    return WebFetcher(context, networks=settings.allowed_networks)


def checked_issuer(text: str) -> str:
    """An issuer's URL as tokens write it.

    Raises:
        ValueError: it is malformed.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("must be a URL such as https://token.actions.githubusercontent.com") from None
    plain = text.isascii() and text.isprintable() and not set(text) & set(' \\"<>?#@')
    if parts.scheme != "https" or not parts.hostname or port == 0 or not plain:
        raise ValueError("must be a URL such as https://token.actions.githubusercontent.com")
    return text
