"""Passwords: hashed slowly, one at a time in each worker, off the event loop.

The administrator's is a fact of the core (scrypt), so that it works with and without this extension.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Transaction

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

SHORTEST, LONGEST = 8, 1024

ADMIN = "admin"
FACT = "admin_password"

_MEMORY, _TIME, _LANES = 19 * 1024, 2, 1
"""argon2id with 19 MiB, two passes (OWASP password storage cheat sheet)."""

_SCRYPT = (2**15, 8, 1)

MOST_WAITING = 200
"""Logins that wait for their turn; whoever comes later is told to try again."""


class Passwords:
    """Hashes and verifies."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._most_waiting = most_waiting
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0
        self._hasher: PasswordHasher | None = None
        self._nobody = ""
        self.verified = 0
        """Verifications so far, those of unknown users included."""

    async def hash(self, password: str) -> str:
        """What is stored of a password.

        Raises:
            RegistryError: TOOMANYREQUESTS.
        """
        return await self._one_at_a_time(lambda: self._argon2().hash(password))

    async def hash_of_admin(self, password: str) -> str:
        """What is stored of the administrator's password, in the core's form."""
        return await self._one_at_a_time(lambda: _scrypt_text(password))

    async def verify(
        self,
        password: str,
        stored: str | None,
        known: Callable[[], bool] = lambda: False,
        check: Callable[[], Awaitable[None]] | None = None,
        failed: Callable[[], Awaitable[None]] | None = None,
    ) -> bool:
        """Whether the password fits; without a stored one it takes as long and does not.

        `known` is asked when its turn has come: whether another request has found out meanwhile that it does. Then
        `check` is: guesses that wait in line together are to feel what became of those before them, which `failed`
        notes.

        Raises:
            RegistryError: TOOMANYREQUESTS, and what `check` raises.
        """
        async with self._in_turn():
            if known():
                return True
            if check is not None:
                await check()
            right = await asyncio.to_thread(self._verify, password, stored)
            if not right and failed is not None:
                await failed()
            return right

    async def _one_at_a_time(self, work: Callable[[], T]) -> T:
        async with self._in_turn():
            return await asyncio.to_thread(work)

    @contextlib.asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        if self._waiting >= self._most_waiting:
            message = "too many logins at once; try again"
            raise RegistryError(Code.TOOMANYREQUESTS, message, headers={"Retry-After": "2"})
        self._waiting += 1
        try:
            async with self._turn:
                yield
        finally:
            self._waiting -= 1

    def _verify(self, password: str, stored: str | None) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        self.verified += 1
        if stored is not None and stored.startswith("scrypt$"):
            return _verify_scrypt(password, stored)
        hasher = self._argon2()
        self._nobody = self._nobody or hasher.hash(secrets.token_urlsafe(24))
        try:
            return hasher.verify(stored or self._nobody, password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    def _argon2(self) -> PasswordHasher:
        if self._hasher is None:
            from argon2 import PasswordHasher

            self._hasher = PasswordHasher(time_cost=_TIME, memory_cost=_MEMORY, parallelism=_LANES)
        return self._hasher


async def stored_of_admin(tx: Transaction) -> str | None:
    """The administrator's stored password."""
    return await tx.leases.get_fact(FACT)


async def set_admin(tx: Transaction, hashed: str) -> None:
    """Replace it."""
    await tx.leases.set_fact(FACT, hashed)


def _scrypt_text(password: str) -> str:
    salt = secrets.token_bytes(16)
    n, r, p = _SCRYPT
    return f"scrypt${n}${r}${p}${salt.hex()}${_scrypt(password, salt, n, r, p).hex()}"


def _verify_scrypt(password: str, stored: str) -> bool:
    _, n, r, p, salt, expected = stored.split("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt), int(n), int(r), int(p)), bytes.fromhex(expected))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)
