"""The keys of issuers, by OpenID Connect Discovery; fetched with guard and kept for a while.

Only issuers that a publisher names are ever asked, and an unknown key id makes us ask again at most every few seconds.

Sources: OpenID Connect Discovery 1.0 sections 3 and 4; RFC 7517 (JWK), RFC 8725 section 3.1 (algorithms).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from gati_extensions.guarded import Lookup, WebFetcher
from gati_extensions.identity.settings import IdentitySettings
from gati_registry.extension import Clock

FRESH = 10 * 60_000
"""Milliseconds for which keys are believed without asking again."""

STALE = 60 * 60_000
"""Milliseconds for which they are believed while the issuer cannot be reached."""

PAUSE = 10_000
"""Milliseconds between two questions to one issuer."""

MOST_BYTES, MOST_KEYS, MOST_ISSUERS = 256 * 1024, 100, 256

SHORTEST_RSA = 2048

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
_PUBLIC = ("kty", "crv", "n", "e", "x", "y")


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public key and the algorithms that it may be used with."""

    key: Any
    algorithms: tuple[str, ...]


@dataclass(slots=True)
class _Kept:
    """An issuer's keys; times are 0 before the first. `turn` is whose it is to ask."""

    keys: dict[str, IssuerKey] = field(default_factory=dict)
    fetched_at: int = 0
    asked_at: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Issuers:
    """Finds keys."""

    def __init__(self, fetcher: Callable[[], WebFetcher], clock: Clock) -> None:
        self._make = fetcher
        self._fetcher: WebFetcher | None = None
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def key(self, issuer: str, kid: str) -> IssuerKey | None:
        """The issuer's key of an id; None if it has none.

        Raises:
            Lookup: the issuer's keys cannot be had.
        """
        now = self._clock.now()
        kept = self._kept.setdefault(issuer, _Kept())
        self._kept.move_to_end(issuer)
        if len(self._kept) > MOST_ISSUERS:
            self._kept.popitem(last=False)
        if kid not in kept.keys or now - kept.fetched_at >= FRESH:
            async with kept.turn:
                await self._ask(issuer, kid, kept, now)
        if now - kept.fetched_at >= STALE:
            raise Lookup("they cannot be had; try again later")
        return kept.keys.get(kid)

    async def check(self, issuer: str) -> None:
        """The issuer is there and has usable keys.

        Raises:
            Lookup: it is not.
        """
        if not await self._fetch(issuer):
            raise Lookup("the issuer has no key that is usable")

    async def _ask(self, issuer: str, kid: str, kept: _Kept, now: int) -> None:
        if now - kept.asked_at < PAUSE or (kid in kept.keys and now - kept.fetched_at < FRESH):
            return
        kept.asked_at = now
        with contextlib.suppress(Lookup):  # what was had before is good for a while
            kept.keys, kept.fetched_at = await self._fetch(issuer), now

    async def _fetch(self, issuer: str) -> dict[str, IssuerKey]:
        document = await self._json(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != issuer:
            raise Lookup("the issuer calls itself by another name")
        address = document.get("jwks_uri")
        if not isinstance(address, str):
            raise Lookup("the issuer does not say where its keys are")
        found = (await self._json(address)).get("keys")
        if not isinstance(found, list) or len(found) > MOST_KEYS:
            raise Lookup("the issuer's keys are malformed")
        return dict(entry for jwk in found if (entry := usable(jwk)) is not None)

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


def usable(jwk: Any) -> tuple[str, IssuerKey] | None:
    """A key that signs, with its id; None for one of another kind, or too weak."""
    import jwt

    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or jwk.get("use", "sig") != "sig":
        return None
    kind, curve = str(jwk.get("kty")), str(jwk.get("crv"))
    algorithms: tuple[str, ...] = _RSA if kind == "RSA" else _CURVES.get((kind, curve), ())
    if isinstance(named := jwk.get("alg"), str):
        algorithms = tuple(algorithm for algorithm in algorithms if algorithm == named)
    if not algorithms:
        return None
    try:
        # Of the parts only the public ones: a private or symmetric key is none that verifies.
        key = jwt.PyJWK({name: jwk[name] for name in _PUBLIC if name in jwk}, algorithms[0]).key
    except (jwt.InvalidKeyError, jwt.PyJWKError, ValueError, TypeError, KeyError):
        return None
    if kind == "RSA" and key.key_size < SHORTEST_RSA:
        return None
    return jwk["kid"], IssuerKey(key, algorithms)


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
