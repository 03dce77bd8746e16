"""Hashes of passwords that are checked at once.

A hash names its own cost, and the servers' take tens of milliseconds: more than most tests, which log in all the time.
"""

from __future__ import annotations

import hashlib
import os

from argon2 import PasswordHasher

from gati_registry.auth.admin import FACT
from gati_registry.bootstrap import Registry
from gati_registry.ports import Transaction


async def lighten(registry: Registry, admin: str, users: str | None = None) -> None:
    """Store the administrator's password, and the one that all users have, in this way."""
    salt = os.urandom(16)
    digest = hashlib.scrypt(admin.encode(), salt=salt, n=16, r=8, p=1, dklen=32)
    text = f"scrypt$16$8$1${salt.hex()}${digest.hex()}"

    async def work(tx: Transaction) -> None:
        await tx.leases.set_fact(FACT, text)
        if users is not None:
            hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(users)
            await tx.run("UPDATE identity_account SET password = :hashed WHERE password IS NOT NULL", hashed=hashed)

    await registry.metadata.write(work)
