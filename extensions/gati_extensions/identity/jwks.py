"""Keys that issuers sign with: kept for a while, and asked for again when an unknown one turns up, but not at
anybody's pace.

Sources: RFC 7517 (JWK); RFC 8725 section 3.1 (algorithms); OpenID Connect Core section 10.1.1 (rotation).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gati_extensions.guarded import Lookup
from gati_registry.errors import RegistryError
from gati_registry.extension import Clock

FRESH = 10 * 60_000
"""Milliseconds for which keys are believed without asking again."""

STALE = 60 * 60_000
"""Milliseconds for which they are believed while the issuer cannot be reached."""

PAUSE = 10_000
"""Milliseconds between two questions to one issuer."""

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

_PUBLIC = ("kty", "crv", "n", "e", "x", "y")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key, as `cryptography` has it and by its JWK's public parts, and the algorithms that it is for."""

    key: Any
    parts: Mapping[str, str]
    algorithms: tuple[str, ...]


Ask = Callable[[], Awaitable[Mapping[str, SigningKey]]]


class KeySet:
    """The keys of one issuer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: Mapping[str, SigningKey] = {}
        self._source: str | None = None
        self._fetched_at = 0
        self._asked: str | None = None
        self._asked_at = 0
        self._failure: Lookup | RegistryError | None = None
        self._turn = asyncio.Lock()

    async def find(self, kid: str | None, source: str, ask: Ask) -> SigningKey | None:
        """A key by its id; without an id, the only one.

        Args:
            source: where the keys are; those of another place are not believed.
            ask: gets them from there.

        Raises:
            Lookup, RegistryError: as `ask`, while no keys are believed.
        """
        if self._due(kid, source):
            async with self._turn:
                if self._due(kid, source):
                    await self._ask(source, ask)
        believed = source == self._source and self._clock.now() - self._fetched_at < STALE
        if self._failure is not None and not believed:
            raise self._failure.with_traceback(None)
        return self._find(kid) if believed else None

    def _due(self, kid: str | None, source: str) -> bool:
        now = self._clock.now()
        if source != self._asked:
            return True
        return now - self._asked_at >= PAUSE and (self._find(kid) is None or now - self._fetched_at >= FRESH)

    def _find(self, kid: str | None) -> SigningKey | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    async def _ask(self, source: str, ask: Ask) -> None:
        self._asked, self._asked_at = source, self._clock.now()
        try:
            self._keys = await ask()
        except (Lookup, RegistryError) as error:
            self._failure = error
            return
        self._source, self._fetched_at, self._failure = source, self._asked_at, None


def parsed(document: Any) -> dict[str, SigningKey]:
    """The keys of a key set that sign, by their ids.

    Raises:
        ValueError: it is no key set.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise ValueError("its keys are malformed")
    return dict(found for number, jwk in enumerate(listed) if (found := _usable(jwk, number)) is not None)


def _usable(jwk: Any, number: int) -> tuple[str, SigningKey] | None:
    """A key that signs, with its id or, without one, its place; None for one of another kind, or too weak."""
    import jwt

    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    kid, kind = jwk.get("kid", f"#{number}"), str(jwk.get("kty"))
    algorithms = possible = _ALGORITHMS.get((kind, str(jwk.get("crv", ""))), ())
    if isinstance(named := jwk.get("alg"), str):
        algorithms = tuple(algorithm for algorithm in possible if algorithm == named)
    if not algorithms or not isinstance(kid, str):
        return None
    # Of the parts only the public ones: a private or symmetric key is none that verifies.
    parts = {name: jwk[name] for name in _PUBLIC if isinstance(jwk.get(name), str)}
    try:
        key = jwt.PyJWK(parts, possible[0]).key
    except (jwt.InvalidKeyError, jwt.PyJWKError, ValueError, TypeError, KeyError):
        return None
    if kind == "RSA" and key.key_size < _SHORTEST_RSA:
        return None
    return kid, SigningKey(key, parts, algorithms)
