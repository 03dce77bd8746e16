"""Capabilities: tokens for a few actions on a few resources, which their holders may narrow and hand on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gati_client.models import CapabilityChange, CapabilityItem, CapabilityToken, Delegation, Revocation
from gati_client.spaces.base import Space, part

_PATH = "/v2/_ext/access/capabilities"


class Capabilities(Space):
    """`client.capabilities`: those that the caller issued, and those that they hold."""

    needs = "access"

    async def issue(self, capability: CapabilityChange) -> CapabilityToken:
        """Make one; its token is in the answer and nowhere else."""
        return await self._send("POST", _PATH, CapabilityToken, capability)

    def list(self) -> AsyncIterator[CapabilityItem]:
        """Those that the caller issued, without their tokens."""
        return self._items(CapabilityItem, _PATH)

    async def revoke(self, jti: str) -> None:
        """End one that the caller issued, with all that was delegated from it."""
        await self._do("DELETE", f"{_PATH}/{part(jti)}")

    async def delegate(self, delegation: Delegation) -> CapabilityToken:
        """A narrower one, of one that the caller holds."""
        return await self._send("POST", f"{_PATH}/delegate", CapabilityToken, delegation)

    async def give_up(self, revocation: Revocation) -> None:
        """End one that the caller holds."""
        await self._do("POST", f"{_PATH}/revoke", revocation)
