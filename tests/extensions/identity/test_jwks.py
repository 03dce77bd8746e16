"""Issuers' keys: which of them count, how long they are believed, how often they are asked for."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gati_extensions.guarded import Lookup
from gati_extensions.identity.jwks import FRESH, PAUSE, STALE, KeySet, SigningKey, parsed
from tests.core.support import FakeClock

pytestmark = pytest.mark.anyio


def jwk(kid: str, **more: Any) -> dict[str, Any]:
    """A key of an elliptic curve, with its private part."""
    key = ec.generate_private_key(ec.SECP256R1())
    return {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key)), "kid": kid, **more}


class Issuer:
    """Where keys are asked for; counts, and fails when it is told to."""

    def __init__(self, *kids: str) -> None:
        self.kids = kids
        self.asked = 0
        self.down = False

    async def __call__(self) -> dict[str, SigningKey]:
        self.asked += 1
        if self.down:
            raise Lookup("the issuer is not there")
        return parsed({"keys": [jwk(kid) for kid in self.kids]})


async def test_an_unknown_key_is_asked_for_but_not_at_anybody_s_pace(clock: FakeClock) -> None:
    keys, issuer = KeySet(clock), Issuer("a")
    assert await keys.find("a", "x", issuer) is not None
    for _ in range(5):
        assert await keys.find("b", "x", issuer) is None
    assert issuer.asked == 1
    issuer.kids = ("b",)
    clock.advance(PAUSE // 1000)
    assert await keys.find("b", "x", issuer) is not None
    assert await keys.find("a", "x", issuer) is None, "what the issuer took back is not believed"
    assert issuer.asked == 2
    assert await keys.find(None, "x", issuer) is not None
    issuer.kids = ("b", "c")
    clock.advance(FRESH // 1000)
    assert await keys.find(None, "x", issuer) is None, "which of both?"
    assert issuer.asked == 3


async def test_an_issuer_that_is_away(clock: FakeClock) -> None:
    """Its keys are believed for a while, and it is not asked at every login."""
    keys, issuer = KeySet(clock), Issuer("a")
    assert await keys.find("a", "x", issuer) is not None
    issuer.down = True
    clock.advance(FRESH // 1000)
    for _ in range(5):
        assert await keys.find("a", "x", issuer) is not None
    assert issuer.asked == 2
    clock.advance((STALE - FRESH) // 1000)
    for _ in range(5):
        with pytest.raises(Lookup, match="not there"):
            await keys.find("a", "x", issuer)
    assert issuer.asked == 3
    issuer.down = False
    clock.advance(PAUSE // 1000)
    assert await keys.find("a", "x", issuer) is not None


async def test_keys_of_another_place_are_not_believed(clock: FakeClock) -> None:
    keys, issuer, other = KeySet(clock), Issuer("a"), Issuer("b")
    assert await keys.find("a", "x", issuer) is not None
    other.down = True
    with pytest.raises(Lookup):
        await keys.find("a", "y", other)
    assert await keys.find("b", "x", issuer) is None


def test_keys_that_count() -> None:
    strong, weak = (rsa.generate_private_key(65537, bits) for bits in (2048, 1024))
    keys = {
        "ec": jwk("ec"),
        "named": jwk("named", alg="ES256"),
        "rsa": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(strong)),
        "ps": {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(strong)), "alg": "PS256"},
        "ed": {
            **json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate())), "alg": "Ed25519",
        },
        "weak": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(weak)),
        "shared": {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode()},
        "sealing": jwk("sealing", use="enc"),
        "other": jwk("other", alg="RS256"),
        "none": jwk("none", alg="none"),
        "broken": {**jwk("broken"), "x": "!"},
        "odd": {"kty": ["RSA"]},
    }  # fmt: skip
    found = parsed({"keys": [{**key, "kid": kid} for kid, key in keys.items()]})
    assert {kid: key.algorithms for kid, key in found.items()} == {
        "ec": ("ES256",),
        "named": ("ES256",),
        "rsa": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        "ps": ("PS256",),
        "ed": ("Ed25519",),
    }
    assert all("d" not in key.parts for key in found.values())
    assert set(parsed({"keys": [{key: value for key, value in jwk("x").items() if key != "kid"}]})) == {"#0"}
    malformed: list[Any] = [None, [], {}, {"keys": {}}, {"keys": [{}] * 101}]
    for document in malformed:
        with pytest.raises(ValueError):
            parsed(document)
