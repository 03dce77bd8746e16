"""A master key in the transit engine of Vault or OpenBao, which never gives it away.

Source: https://developer.hashicorp.com/vault/api-docs/secret/transit
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gati_registry.errors import Unavailable
from gati_registry.keys.http import KeyServer
from gati_registry.ports import Wrapped

DRIVER = "vault:"
_CIPHERTEXT = re.compile(r"vault:v(?P<version>[0-9]+):[A-Za-z0-9+/=]+")


class VaultMasterKey:
    """`ports.MasterKey` by a named key of a transit engine. Versions are its own: `vault:KEY:v3`.

    The token is read anew for each request, so an agent may replace it.
    """

    def __init__(self, server: KeyServer, mount: str, key: str, token: Path) -> None:
        self._server = server
        self._mount = mount
        self._key = key
        self._token = token

    async def current(self) -> str:
        data = await self._ask("GET", f"keys/{self._key}", None)
        return f"{DRIVER}{self._key}:v{data['latest_version']}"

    async def wrap(self, key: bytes, context: str) -> Wrapped:
        body = {"plaintext": _text(key), "associated_data": _text(context.encode())}
        data = await self._ask("POST", f"encrypt/{self._key}", body)
        ciphertext = str(data["ciphertext"])
        match = _CIPHERTEXT.fullmatch(ciphertext)
        if match is None:
            raise self._nonsense()
        return Wrapped(f"{DRIVER}{self._key}:v{match['version']}", ciphertext.encode())

    async def unwrap(self, wrapped: Wrapped, context: str) -> bytes:
        name = wrapped.master.removeprefix(DRIVER).rpartition(":")[0]
        body = {"ciphertext": wrapped.data.decode("ascii", "replace"), "associated_data": _text(context.encode())}
        data = await self._ask("POST", f"decrypt/{name}", body)
        try:
            key = base64.b64decode(str(data["plaintext"]), validate=True)
        except binascii.Error:
            raise self._nonsense() from None
        if len(key) != 32:
            raise self._nonsense()
        return key

    async def rotate(self) -> str:
        await self._ask("POST", f"keys/{self._key}/rotate", {})
        return await self.current()

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
        try:
            token = self._token.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            raise Unavailable(f"encryption.vault_token_file: {self._token} cannot be read") from None

        headers = {"X-Vault-Token": token, "Content-Type": "application/json"}
        answer = await self._server.ask(method, f"/v1/{self._mount}/{path}", body, lambda _: headers)
        if answer.status == 403:
            raise Unavailable(
                f"Vault refuses the token in {self._token}, or it may not use the transit key {self._key}",
                retry_after=30,
            )
        if answer.status == 404:
            raise Unavailable(f"Vault has no transit key {self._key} at {self._mount}/; make it, or name another one")
        if answer.status == 400:
            raise Unavailable(
                f"Vault's transit key {self._key} is not the one that wrapped the registry's keys, or an old version "
                "of it was removed"
            )
        data = answer.document.get("data")
        if answer.status == 204 and method == "POST":
            return {}
        if answer.status != 200 or not isinstance(data, dict):
            raise self._nonsense()
        return _Fields(data, self._nonsense())

    @staticmethod
    def _nonsense() -> Unavailable:
        return Unavailable("Vault's answer makes no sense; check encryption.vault_url")


class _Fields(dict[str, Any]):
    """An answer's fields; one that is missing is the server's fault."""

    def __init__(self, data: Mapping[str, Any], missing: Unavailable) -> None:
        super().__init__(data)
        self._missing = missing

    def __missing__(self, name: str) -> Any:
        raise self._missing


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
