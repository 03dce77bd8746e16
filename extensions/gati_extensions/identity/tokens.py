"""Tokens of the token service: JWTs signed with Ed25519, by keys that the database holds and that are replaced by age.

A token says who its owner is and what it may at most be used for; whether the owner still may, is decided with each
request. `iss` and the second `aud` name this registry's database, so a token is good on all of its replicas and
nowhere else.

Sources: RFC 7519 (JWT), RFC 8037 (EdDSA), distribution's token specification (the claim `access`).
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gati_extensions.identity import grants
from gati_extensions.identity.revision import Revision
from gati_extensions.identity.store import credentials
from gati_extensions.identity.vault import Vault, signing_key
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Clock, Database, Grant, Identity, Transaction

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "EdDSA"
INSTANCE = "identity_instance"

SKEW = 5
"""Seconds that the clocks of replicas may differ."""

_KID = re.compile(r"[0-9a-f]{16}")

LONGEST = 16 * 1024
"""Characters of a token; longer ones are not looked at."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key of ours; `private` signs, if it is the newest."""

    kid: str
    private: Ed25519PrivateKey
    public: Ed25519PublicKey
    created_at: int
    retired_at: int | None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token of ours says, its signature checked. `account_id` is None for an anonymous caller's."""

    account_id: int | None
    epoch: int
    method: str
    credential: str | None
    verified_at: int
    expires_at: int
    bounds: tuple[Grant, ...]


class Tokens:
    """Signs and verifies."""

    def __init__(self, database: Database, revision: Revision, clock: Clock, vault: Vault, ttl: int) -> None:
        self._database = database
        self._vault = vault
        self._revision = revision
        self._clock = clock
        self.ttl = ttl
        self._kept: tuple[int, dict[str, SigningKey]] | None = None
        self._instance = ""

    async def issuer(self) -> str:
        """This registry's own name in tokens."""
        if not self._instance:
            made = secrets.token_hex(8)
            fact = await self._database.write(lambda tx: tx.leases.ensure_fact(INSTANCE, made))
            self._instance = f"urn:gati:registry:{fact}"
        return self._instance

    async def issue(
        self, identity: Identity, epoch: int, service: str, access: Sequence[Mapping[str, Any]]
    ) -> tuple[str, int]:
        """A token for some access that the identity was found to have; and the time of issue (seconds)."""
        import jwt

        key, issuer = await self._signing(), await self.issuer()
        now = self._clock.now() // 1000
        claims: dict[str, Any] = {
            "iss": issuer,
            "aud": [service, issuer],
            "sub": identity.name or "",
            "iat": now,
            "nbf": now,
            "exp": now + self.ttl,
            "jti": secrets.token_urlsafe(12),
            "access": access,
        }
        if identity.name is not None:
            claims |= {"acc": identity.id, "epo": epoch, "mth": identity.method, "ver": identity.verified_at}
            if identity.credential is not None:
                claims["crd"] = identity.credential
        return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers={"kid": key.kid}), now

    async def verify(self, token: str) -> Claims | None:
        """What a token says; None if no key of ours is named in it.

        Raises:
            RegistryError: UNAUTHORIZED, it names one of ours and is not good.
        """
        import jwt

        if len(token) > LONGEST or token.count(".") != 2:
            return None
        try:
            kid = jwt.get_unverified_header(token).get("kid")
        except jwt.InvalidTokenError:
            return None
        key = await self._find(kid) if isinstance(kid, str) else None
        if key is None:
            return None
        issuer = await self.issuer()
        try:
            # The one algorithm of the key, whatever the header says; times are compared with our own clock.
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[ALGORITHM],
                audience=issuer,
                issuer=issuer,
                options={
                    "require": ["iss", "aud", "sub", "exp", "nbf", "jti", "access"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            return self._claims(claims)
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            raise RegistryError(Code.UNAUTHORIZED, "the token is not valid; get a new one") from None

    def _claims(self, claims: Mapping[str, Any]) -> Claims:
        now = self._clock.now() / 1000
        if now >= claims["exp"]:
            raise RegistryError(Code.UNAUTHORIZED, "the token has expired; get a new one")
        if now + SKEW < claims["nbf"]:
            raise RegistryError(Code.UNAUTHORIZED, "the token is not valid yet; check this machine's clock")
        named = claims["sub"] != ""
        return Claims(
            account_id=int(claims["acc"]) if named else None,
            epoch=int(claims["epo"]) if named else 0,
            method=str(claims["mth"]) if named else "",
            credential=claims.get("crd"),
            verified_at=int(claims["ver"]) if named else 0,
            expires_at=int(claims["exp"] * 1000),
            bounds=grants.of_token(claims["access"]),
        )

    # --- keys ---------------------------------------------------------------------------------------------------

    async def published(self) -> list[dict[str, str]]:
        """The public keys as JSON Web Keys (RFC 7517)."""
        from base64 import urlsafe_b64encode

        return [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "alg": ALGORITHM,
                "use": "sig",
                "kid": key.kid,
                "x": urlsafe_b64encode(key.public.public_bytes_raw()).rstrip(b"=").decode(),
            }
            for key in (await self._keys()).values()
        ]

    async def rotate(self, older_than: int = 0, *, revoke: bool = False) -> str | None:
        """Sign with a new key, if the present one was made `older_than` milliseconds ago; its id.

        Tokens signed before stay good until they end by themselves; with `revoke` they end now, on other replicas
        within a second.
        """
        kid, pem = await asyncio.to_thread(_generate)
        sealed = await asyncio.to_thread(self._vault.seal, pem, signing_key(kid))
        now = self._clock.now()

        async def work(tx: Transaction) -> bool:
            newest = next(iter(await credentials.signing_keys(tx)), None)
            if newest is not None and older_than and newest[2] > now - older_than:
                return False
            await credentials.add_signing_key(tx, kid, sealed, now)
            if revoke:
                await credentials.drop_signing_keys(tx, but=kid)
            return True

        return kid if await self._revision.write(work) else None

    async def prepare(self) -> None:
        """Make the first key; where there is one, not even cryptography is loaded."""
        if not await self._database.read(credentials.signing_keys):
            await self._signing()

    async def _signing(self) -> SigningKey:
        for _ in range(2):
            for key in (await self._keys()).values():
                if key.retired_at is None:
                    return key
            await self.rotate(older_than=self._clock.now())  # nothing is as old: only where there is none
        raise AssertionError("there is a key now")

    async def _find(self, kid: str) -> SigningKey | None:
        known = (await self._keys()).get(kid)
        if known is None and _KID.fullmatch(kid):
            # Another replica may have made it since we looked: its tokens are good at once.
            rows = await self._database.read(credentials.signing_keys)
            known = next((key for row in rows if row[0] == kid and (key := self._load(*row)) is not None), None)
        return known

    async def _keys(self) -> dict[str, SigningKey]:
        number = await self._revision.get()
        if self._kept is None or self._kept[0] != number:
            rows = await self._database.read(credentials.signing_keys)
            self._kept = (number, {row[0]: key for row in rows if (key := self._load(*row)) is not None})
        return self._kept[1]

    def _load(self, kid: str, sealed: str, created_at: int, retired_at: int | None) -> SigningKey | None:
        """A key as it is stored; None where it was sealed with a key that is not here."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        pem = self._vault.open(sealed, signing_key(kid))
        if pem is None:
            return None
        private = load_pem_private_key(pem.encode(), None)
        assert isinstance(private, Ed25519PrivateKey)
        return SigningKey(kid, private, private.public_key(), created_at, retired_at)


def _generate() -> tuple[str, str]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secrets.token_hex(8), pem.decode()
