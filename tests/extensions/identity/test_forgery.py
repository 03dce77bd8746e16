"""Tokens that nobody issued."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gati_extensions.identity.vault import Vault
from tests.core.support import FakeClock
from tests.extensions.identity.support import Site, claims_of, prepared, worker

pytestmark = pytest.mark.anyio

OWN = "repository:users/alice/app:pull"


@dataclass(frozen=True, slots=True)
class Genuine:
    """A token that was issued, in its parts, and the key that signed it."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    key: Ed25519PrivateKey


Forge = Callable[[Genuine], str]


def encode(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes = b"") -> str:
    """A token, whatever is in it."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def with_public_key_as_secret(it: Genuine) -> str:
    """Key confusion: HS256 under the public key, which everybody knows."""
    public = it.key.public_key()
    secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    unsigned = encode({**it.header, "alg": "HS256"}, it.claims).rstrip(".")
    signature = hmac.digest(secret, unsigned.encode(), hashlib.sha256)
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def signed(key: Ed25519PrivateKey, claims: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    """A token signed by a key."""
    return jwt.encode(dict(claims), key, algorithm="EdDSA", headers=dict(header))


FORGERIES: dict[str, Forge] = {
    "alg none": lambda it: encode({**it.header, "alg": "none"}, it.claims),
    "alg None": lambda it: encode({**it.header, "alg": "None"}, it.claims),
    "no alg": lambda it: encode({"kid": it.header["kid"]}, it.claims),
    "no signature": lambda it: encode(it.header, it.claims),
    "HS256 with the public key": with_public_key_as_secret,
    "another key under our kid": lambda it: signed(Ed25519PrivateKey.generate(), it.claims, it.header),
    "another key under its own kid": lambda it: signed(
        Ed25519PrivateKey.generate(), it.claims, {"kid": "0123456789abcdef"}
    ),
    "its own key in the header": lambda it: signed(
        other := Ed25519PrivateKey.generate(),
        it.claims,
        {
            **it.header,
            "jwk": {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": base64.urlsafe_b64encode(other.public_key().public_bytes_raw()).decode(),
            },
        },
    ),
    "kid is a path": lambda it: signed(it.key, it.claims, {"kid": "../../../dev/null"}),
    "kid is SQL": lambda it: signed(it.key, it.claims, {"kid": "' OR 1=1 --"}),
    "critical header": lambda it: signed(it.key, it.claims, {**it.header, "crit": ["x"], "x": 1}),
    # Signed by the right key, but not what we would have signed.
    "another issuer": lambda it: signed(it.key, {**it.claims, "iss": "urn:gati:registry:other"}, it.header),
    "another audience": lambda it: signed(it.key, {**it.claims, "aud": ["registry.test"]}, it.header),
    "expired": lambda it: signed(it.key, {**it.claims, "exp": it.claims["iat"] - 1}, it.header),
    "not yet": lambda it: signed(it.key, {**it.claims, "nbf": it.claims["iat"] + 60}, it.header),
    "no expiry": lambda it: signed(it.key, {k: v for k, v in it.claims.items() if k != "exp"}, it.header),
    "expiry is text": lambda it: signed(it.key, {**it.claims, "exp": "never"}, it.header),
    "another epoch": lambda it: signed(it.key, {**it.claims, "epo": 7}, it.header),
    "no such account": lambda it: signed(it.key, {**it.claims, "acc": 999}, it.header),
    "no such credential": lambda it: signed(it.key, {**it.claims, "crd": "k_00"}, it.header),
    "access is no list": lambda it: signed(it.key, {**it.claims, "access": 1}, it.header),
    "access is of another form": lambda it: signed(it.key, {**it.claims, "access": [{"x": 1}]}, it.header),
    "an unknown action": lambda it: signed(
        it.key, {**it.claims, "access": [{"type": "repository", "name": "a", "actions": ["own"]}]}, it.header
    ),
}


async def signing_key(site: Site) -> tuple[str, Ed25519PrivateKey]:
    """The key that signs, as only the database and the key beside it tell."""
    row = await site.registry.metadata.read(lambda tx: tx.one("SELECT kid, private FROM identity_signing_key"))
    assert row is not None
    pem = Vault(None, site.registry.settings.data).open(row[1], f"identity_signing_key:{row[0]}")
    assert pem is not None
    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return row[0], key


@pytest.mark.parametrize("name", FORGERIES)
async def test_it_is_refused(site: Site, name: str) -> None:
    await site.nobody.sign_up("alice")
    good = (await site.user("alice").token(OWN))["token"]
    assert (await site.bearer(good).get("/v2/")).status == 200
    kid, key = await signing_key(site)
    header, claims = jwt.get_unverified_header(good), claims_of(good)
    assert header == {"alg": "EdDSA", "kid": kid, "typ": "JWT"}
    assert (await site.bearer(signed(key, claims, {"kid": kid})).get("/v2/")).status == 200  # the means are right
    answer = await site.bearer(FORGERIES[name](Genuine(header, claims, key))).get("/v2/")
    assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_a_tampered_token_is_refused(site: Site, part: int) -> None:
    await site.nobody.sign_up("alice")
    token = (await site.user("alice").token(OWN))["token"]
    parts = token.split(".")
    middle = len(parts[part]) // 2
    parts[part] = parts[part][:middle] + ("A" if parts[part][middle] != "A" else "B") + parts[part][middle + 1 :]
    assert (await site.bearer(".".join(parts)).get("/v2/")).status == 401


async def test_wider_claims_are_refused(site: Site) -> None:
    """A user who rewrites the claims of a token, its signature kept."""
    await site.nobody.sign_up("alice")
    head, _, signature = (await site.user("alice").token(OWN))["token"].split(".")
    claims = claims_of(f"{head}.{_}.{signature}") | {"sub": "admin", "acc": 1}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    assert (await site.bearer(f"{head}.{body}.{signature}").get("/v2/")).status == 401


@pytest.mark.parametrize("token", ["", "x", "..", "a.b.c", "." * 1000, "e30.e30.e30", "x" * 20_000, "\xff.\xfe.\xfd"])
async def test_no_token_at_all_is_refused(site: Site, token: str) -> None:
    assert (await site.bearer(token).get("/v2/")).status == 401


async def test_a_token_of_another_registry_is_refused(site: Site, folder: Any, clock: FakeClock) -> None:
    """Even of one with the same accounts."""
    (folder / "other").mkdir()
    await site.nobody.sign_up("alice")
    async with worker(await prepared(folder / "other", signup="open"), clock) as other:
        await other.nobody.sign_up("alice")
        token = (await other.user("alice").token(OWN))["token"]
        assert (await other.bearer(token).get("/v2/")).status == 200
    assert (await site.bearer(token).get("/v2/")).status == 401


async def test_keys_are_rotated(site: Site, folder: Any, clock: FakeClock) -> None:
    """What was signed before stays good, in every worker; what is signed now is signed by the new key."""
    await site.nobody.sign_up("alice")
    async with worker(site.registry.settings, clock) as another:
        old = (await site.user("alice").token(OWN))["token"]
        job = next(job for job in site.registry.extensions.all("jobs") if job.name == "identity.signing-key")
        await job.run()
        assert jwt.get_unverified_header((await another.user("alice").token(OWN))["token"]) == (
            jwt.get_unverified_header(old)
        )
        clock.advance(91 * 86400)
        await job.run()
        clock.advance(-91 * 86400)
        new = (await another.user("alice").token(OWN))["token"]
        assert jwt.get_unverified_header(new)["kid"] != jwt.get_unverified_header(old)["kid"]
        for app in (site, another):
            assert [(await app.bearer(token).get("/v2/")).status for token in (old, new)] == [200, 200]
        published = (await site.nobody.get("jwks")).json()["keys"]
        assert {key["kid"] for key in published} == {jwt.get_unverified_header(token)["kid"] for token in (old, new)}
        assert all("d" not in key for key in published)
        verified = jwt.decode(
            new,
            jwt.PyJWK(next(key for key in published if key["kid"] == jwt.get_unverified_header(new)["kid"])),
            algorithms=["EdDSA"],
            audience="registry.test",
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
        assert verified["sub"] == "alice"
