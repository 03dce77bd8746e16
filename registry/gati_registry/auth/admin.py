"""The administrator's password: the only way in until an identity extension offers others.

The password is stored as scrypt. Checking it costs tens of milliseconds, once for each worker and credential: what
was verified is remembered as a keyed hash, as long as the stored password stays the same.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
from collections import OrderedDict
from collections.abc import Sequence

from gati_registry.domain.access import EVERYTHING, NOTHING, Access, Action, Decision, Identity, Visible
from gati_registry.errors import Code, RegistryError
from gati_registry.ports import Metadata, Request, Transaction

ADMIN = "admin"
FACT = "admin_password"
MIN_LENGTH = 8

_N, _R, _P = 2**15, 8, 1
"""scrypt's cost: 32 MiB and about 60 ms (OWASP password storage cheat sheet, 2023: N=2^15, r=8, p=3 or alike)."""

_REMEMBERED = 1024


def hash_password(password: str) -> str:
    """A salted scrypt hash in text form."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${_scrypt(password, salt, _N, _R, _P).hex()}"


def verify_password(password: str, stored: str) -> bool:
    """Whether the password fits the hash; takes the same time either way."""
    _, n, r, p, salt, expected = stored.split("$")
    found = _scrypt(password, bytes.fromhex(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, bytes.fromhex(expected))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


async def ensure_admin(metadata: Metadata, given: str | None) -> str | None:
    """At the first start store the administrator's password; returns it if it had to be made up.

    Raises:
        ValueError: the given password is too short.
    """
    if await metadata.read(lambda tx: tx.leases.get_fact(FACT)) is not None:
        return None
    if given is not None and len(given) < MIN_LENGTH:
        raise ValueError(f"the administrator's password must have at least {MIN_LENGTH} characters")
    password = given or secrets.token_urlsafe(18)
    hashed = hash_password(password)

    async def work(tx: Transaction) -> bool:
        if await tx.leases.get_fact(FACT) is not None:
            return False
        await tx.leases.set_fact(FACT, hashed)
        return True

    stored = await metadata.write(work)
    return password if stored and given is None else None


class AdminAuthenticator:
    """`ports.Authenticator` for Basic credentials of the administrator."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._key = os.urandom(32)
        self._verified: OrderedDict[bytes, str] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()  # scrypt takes memory and a core: guesses queue up

    async def authenticate(self, request: Request) -> Identity | None:
        authorization = request.header(b"authorization") or ""
        credentials = _basic(authorization)
        if credentials is None or not hmac.compare_digest(credentials[0].encode(), ADMIN.encode()):
            return None
        stored = await self._metadata.read(lambda tx: tx.leases.get_fact(FACT))
        if stored is None:
            return None
        mark = hmac.digest(self._key, authorization.encode(), "sha256")
        if self._verified.get(mark) != stored:
            async with self._one_at_a_time:
                right = await asyncio.to_thread(verify_password, credentials[1], stored)
            if not right:
                raise RegistryError(Code.UNAUTHORIZED, "the credentials are wrong; log in again")
            self._verified[mark] = stored
            while len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)
        return Identity(ADMIN, admin=True, kind="user", method="password")


class AdminAuthorizer:
    """`ports.Authorizer`: the administrator may do everything, nobody else anything."""

    async def decide(self, identity: Identity, access: Access) -> Decision:
        if identity.admin or access.action is Action.PUBLIC:
            return Decision.ALLOW
        return Decision.CHALLENGE if identity.name is None else Decision.DENY

    def steady(self, identity: Identity, access: Access) -> bool:
        return True

    async def visible(self, identity: Identity) -> Visible:
        return EVERYTHING if identity.admin else NOTHING

    def challenge(self, accesses: Sequence[Access], request: Request) -> str:
        return 'Basic realm="gati", charset="UTF-8"'


def _basic(header: str) -> tuple[str, str] | None:
    """User and password of a Basic header (RFC 7617)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:  # no base64, not ASCII, not UTF-8
        return None
    return (user, password) if colon else None
