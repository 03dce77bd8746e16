"""Limits of rates: a token bucket for each user, key and address, in each worker."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from gati_extensions.access.settings import AccessSettings
from gati_registry.domain.access import Access, Action, Decision, Identity
from gati_registry.errors import Code
from gati_registry.extension import Refusal, Request

REMEMBERED = 50_000
"""Buckets that are kept; the one unused longest makes room, as if it were full."""


class Buckets:
    """Buckets of one kind: `rate` per second, at most `burst` at once."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()  # level, and when

    def take(self, name: str) -> float:
        """Take one; 0.0, or the seconds until there is one again."""
        now = self._clock()
        level, then = self._kept.pop(name, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._rate)
        enough = level >= 1.0
        self._kept[name] = (level - 1.0 if enough else level, now)
        if len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)
        return 0.0 if enough else (1.0 - level) / self._rate


class Rates:
    """An admission."""

    def __init__(self, settings: AccessSettings, clock: Callable[[], float] = time.monotonic) -> None:
        def made(rate: float) -> Buckets | None:
            return Buckets(rate, rate * settings.burst, clock) if rate else None

        self._users, self._keys, self._addresses = (
            made(rate) for rate in (settings.user_rate, settings.key_rate, settings.address_rate)
        )
        self.wanted = any((self._users, self._keys, self._addresses))

    async def __call__(
        self, request: Request, identity: Identity, access: Access, decision: Decision
    ) -> Refusal | None:
        if access.action is Action.OPERATE and identity.admin:
            return None  # whoever is to mend it gets in
        asked: list[tuple[Buckets | None, str, str]] = []
        if identity.name is None:
            asked.append((self._addresses, network(request.address), "address"))
        else:
            asked.append((self._users, identity.name, "user"))
            if identity.credential is not None:
                asked.append((self._keys, identity.credential, "key"))
        for buckets, name, what in asked:
            if buckets is not None and (wait := buckets.take(name)):
                return Refusal(
                    Code.TOOMANYREQUESTS,
                    f"too many requests from this {what}; slow down",
                    detail={"limit": what},
                    headers={"Retry-After": str(math.ceil(wait))},
                )
        return None


def network(address: str) -> str:
    """What counts as one address: of IPv6 a whole /64, as that is what one household gets."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 6 and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return address
