"""Namespaces' keys over time: another master key, and the end of a namespace's key.

Crash points: between any two steps of `rewrap` some keys are wrapped by the old master key and some by the new one,
which both open; run it again. Between those of `destroy` some blobs are lost and the key is still there; run it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from gati_registry.ports import Clock, MasterKey, Metadata, NamespaceKey, Transaction, Wrapped

BATCH = 200
"""Rows a transaction touches: short enough to let pushes through."""


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """The master key in use, and how many namespaces' keys each master key wraps."""

    current: str
    wrapped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Destroyed:
    """How many blobs lost a namespace's key, and how many of them can be read no more."""

    blobs: int
    lost: int


class KeyService:
    """Use cases of `gati-registry keys`. `metadata` is the database itself, without encryption around it."""

    def __init__(self, metadata: Metadata, master: MasterKey, clock: Clock) -> None:
        self._metadata = metadata
        self._master = master
        self._clock = clock

    async def status(self) -> KeyStatus:
        """What wraps what."""
        counts: Counter[str] = Counter()
        after = 0
        while keys := await self._metadata.scan(lambda tx: tx.keys.page(after, BATCH)):  # noqa: B023 - awaited here
            counts.update(key.master for key in keys)
            after = keys[-1].id
        return KeyStatus(await self._master.current(), counts)

    async def rotate(self) -> str:
        """Make a new master key; its id. It wraps from now on, and nothing yet: see `rewrap`."""
        return await self._master.rotate()

    async def rewrap(self) -> int:
        """Wrap all keys that another master key wraps with the current one; how many. Blobs are not touched."""
        current, done, after = await self._master.current(), 0, 0
        while keys := await self._metadata.scan(lambda tx: tx.keys.page(after, BATCH)):  # noqa: B023 - awaited here
            for key in keys:
                done += key.master != current and await self._rewrapped(key)
            after = keys[-1].id
        return done

    async def _rewrapped(self, key: NamespaceKey) -> bool:
        plain = await self._master.unwrap(Wrapped(key.master, key.wrapped), key.namespace)
        again = await self._master.wrap(plain, key.namespace)
        return await self._metadata.write(lambda tx: tx.keys.rewrap(key, again.master, again.data))

    async def destroy(self, namespace: str) -> Destroyed | None:
        """Destroy a namespace's key, for good; None where it has none.

        Blobs that no other namespace links can be read no more: they count as damaged until they are pushed again,
        with a new key. Those that were stored without encryption stay as they are.
        """
        key = await self._metadata.scan(lambda tx: tx.keys.live(namespace))
        if key is None:
            return None
        blobs, lost, ended = 0, 0, False

        async def step(tx: Transaction) -> tuple[int, int, bool]:
            now = self._clock.now()
            await tx.keys.hold(key)
            found, gone = await tx.keys.shred(key, BATCH, now)
            if found < BATCH:
                await tx.keys.destroy(key, now)
            return found, gone, found < BATCH

        while not ended:
            found, gone, ended = await self._metadata.write(step)
            blobs, lost = blobs + found, lost + gone
        return Destroyed(blobs, lost)
