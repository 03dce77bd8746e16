"""An issuer's keys, kept for a while and asked for again when an unknown one turns up, but not at anybody's pace.

Sources: RFC 7517; RFC 8725 section 3.1; OpenID Connect Core section 10.1.1.
"""

from __future__ import annotations

import asyncio
from typing import Any

from gati_extensions.identity.federation.web import Web
from gati_registry.extension import Clock

FRESH = 60 * 60_000
"""Milliseconds for which keys are believed without asking again."""

PAUSE = 10_000
"""Milliseconds between two questions."""

MOST_KEYS = 100

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ALGORITHMS = {
    ("RSA", ""): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
}
"""By kind of key alone: a secret that is shared, or none at all, signs nothing here."""

_SHORTEST_RSA = 2048

_PUBLIC = ("kty", "crv", "n", "e", "x", "y", "kid")


class Keys:
    """The keys of one issuer."""

    def __init__(self, web: Web, clock: Clock) -> None:
        self._web = web
        self._clock = clock
        self._keys: dict[str, tuple[Any, tuple[str, ...]]] = {}
        self._url = ""
        self._asked_at = -FRESH
        self._turn = asyncio.Lock()

    async def find(self, url: str, kid: str | None) -> tuple[Any, tuple[str, ...]] | None:
        """A key with the algorithms that it is for; without an id, the only one.

        Raises:
            RegistryError: UNAVAILABLE.
        """
        found = self._find(url, kid)
        if found is None or self._clock.now() - self._asked_at >= FRESH:
            async with self._turn:
                if url != self._url or self._clock.now() - self._asked_at >= PAUSE:
                    await self._ask(url)
            found = self._find(url, kid)
        return found

    def _find(self, url: str, kid: str | None) -> tuple[Any, tuple[str, ...]] | None:
        if url != self._url:
            return None
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    async def _ask(self, url: str) -> None:
        document = await self._web.get(url)
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list) or len(listed) > MOST_KEYS:
            raise self._web.down("its keys are malformed")
        self._keys = dict(found for number, jwk in enumerate(listed) if (found := _usable(jwk, number)))
        self._url, self._asked_at = url, self._clock.now()


def _usable(jwk: Any, number: int) -> tuple[str, tuple[Any, tuple[str, ...]]] | None:
    """A key that signs, by its id; None for one of another kind."""
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry, RSAKey

    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    kid = jwk.get("kid", f"#{number}")
    algorithms = _ALGORITHMS.get((str(jwk.get("kty")), str(jwk.get("crv", ""))), ())
    if isinstance(named := jwk.get("alg"), str):
        algorithms = tuple(algorithm for algorithm in algorithms if algorithm == named)
    if not algorithms or not isinstance(kid, str):
        return None
    try:
        # Of the parts only the public ones.
        key = JWKRegistry.import_key({name: jwk[name] for name in _PUBLIC if isinstance(jwk.get(name), str)})
        if isinstance(key, RSAKey) and key.public_key.key_size < _SHORTEST_RSA:
            return None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return kid, (key, algorithms)
