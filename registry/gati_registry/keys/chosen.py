"""Several master keys, one of which wraps: the others unwrap what they wrapped, until `keys rewrap` is through."""

from __future__ import annotations

from collections.abc import Mapping

from gati_registry.errors import Unavailable
from gati_registry.ports import MasterKey, Wrapped


class ChosenMasterKey:
    """`ports.MasterKey` by driver; `masters` are known by what their ids begin with."""

    def __init__(self, driver: str, masters: Mapping[str, MasterKey]) -> None:
        self._chosen = masters[driver]
        self._masters = masters

    async def current(self) -> str:
        return await self._chosen.current()

    async def wrap(self, key: bytes, context: str) -> Wrapped:
        return await self._chosen.wrap(key, context)

    async def unwrap(self, wrapped: Wrapped, context: str) -> bytes:
        driver = wrapped.master.partition(":")[0]
        master = self._masters.get(driver)
        if master is None:
            raise Unavailable(
                f"the registry's keys are wrapped by {wrapped.master}; leave the settings encryption.{driver}… in place"
                " until `gati-registry keys rewrap` is through"
            )
        return await master.unwrap(wrapped, context)

    async def rotate(self) -> str:
        return await self._chosen.rotate()
