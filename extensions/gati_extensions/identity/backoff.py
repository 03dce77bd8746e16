"""Brute force: after some wrong passwords or codes the next tries have to wait, longer each time.

Counted for each account from each address, and for each address; in the database, so that all workers agree.
"""

from __future__ import annotations

import hashlib
import ipaddress

from gati_extensions.identity.settings import IdentitySettings
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Clock, Database, Transaction

LONGEST = 15 * 60_000
"""Milliseconds of the longest wait."""

FORGET = 60 * 60_000
"""Milliseconds after which a series of failures is over."""


class Backoff:
    """Counts failures and makes wait."""

    def __init__(self, database: Database, clock: Clock, settings: IdentitySettings) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings

    async def check(self, name: str, address: str) -> None:
        """Refuse a try that comes too early.

        Raises:
            RegistryError: TOOMANYREQUESTS with Retry-After.
        """
        now = self._clock.now()

        async def work(tx: Transaction) -> int:
            waits = 0
            for mark, _ in self._marks(name, address):
                row = await tx.one("SELECT until FROM identity_attempt WHERE mark = :mark", mark=mark)
                waits = max(waits, row[0] - now if row is not None else 0)
            return waits

        wait = await self._database.read(work)
        if wait > 0:
            seconds = -(-wait // 1000)
            raise RegistryError(
                Code.TOOMANYREQUESTS,
                f"too many wrong tries; wait {seconds} s before the next try",
                headers={"Retry-After": str(seconds)},
            )

    async def failed(self, name: str, address: str) -> None:
        """The password was wrong."""
        now = self._clock.now()

        async def work(tx: Transaction) -> None:
            for mark, free in self._marks(name, address):
                row = await tx.one("SELECT failures, until FROM identity_attempt WHERE mark = :mark", mark=mark)
                failures = 1 + (row[0] if row is not None and row[1] > now - FORGET else 0)
                over = failures - free
                until = now + (min(LONGEST, 1000 * 2 ** min(over, 20)) if over >= 0 else 0)
                await tx.run(
                    "INSERT INTO identity_attempt (mark, failures, until) VALUES (:mark, :failures, :until)"
                    " ON CONFLICT (mark) DO UPDATE SET failures = excluded.failures, until = excluded.until",
                    mark=mark,
                    failures=failures,
                    until=until,
                )

        await self._database.write(work)

    async def succeeded(self, name: str, address: str) -> None:
        """The password was right: the account's series is over; the address's is not, it may try others."""
        mark = self._marks(name, address)[0][0]

        async def known(tx: Transaction) -> bool:
            return await tx.one("SELECT 1 FROM identity_attempt WHERE mark = :mark", mark=mark) is not None

        if await self._database.read(known):
            await self._database.write(lambda tx: tx.run("DELETE FROM identity_attempt WHERE mark = :mark", mark=mark))

    def _marks(self, name: str, address: str) -> list[tuple[str, int]]:
        """(mark, free tries) of the account from the address, and of the address."""
        place = origin(address)
        return [
            (_mark("account", name, place), self._settings.login_tries),
            (_mark("address", place), self._settings.address_tries),
        ]


def _mark(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def origin(address: str) -> str:
    """An address, or of IPv6 the network that one customer has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((found, 64), strict=False))
        found = found.ipv4_mapped  # as a socket for both kinds writes it: one client, not all of them
    return str(found)
