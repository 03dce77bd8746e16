"""API keys."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gati_client.models import KeyView, MadeKey, NewKey
from gati_client.spaces.base import Space, part

_PATH = "/v2/_ext/identity/keys"


class Keys(Space):
    """`client.keys`: one's own, and those of one's robots."""

    needs = "identity"

    async def create(self, key: NewKey) -> MadeKey:
        """Make one; its secret is in the answer and nowhere else."""
        return await self._send("POST", _PATH, MadeKey, key)

    def list(self, account: str | None = None) -> AsyncIterator[KeyView]:
        """Those of the caller, or of a robot."""
        return self._items(KeyView, _PATH, {"account": account})

    async def revoke(self, key_id: str) -> None:
        """End it at once."""
        await self._do("DELETE", f"{_PATH}/{part(key_id)}")

    async def rotate(self, key_id: str) -> MadeKey:
        """A new secret in its place."""
        return await self._send("POST", f"{_PATH}/{part(key_id)}/rotate", MadeKey)
