"""Requests with a capability: `Authorization: Bearer gcap_…`."""

from __future__ import annotations

from collections import OrderedDict

from gati_extensions.access import store
from gati_extensions.access.capability import (
    PREFIX,
    Capability,
    CapabilityIdentity,
    InvalidCapability,
    Layer,
    fingerprint,
    grants,
    parse,
)
from gati_extensions.access.recent import Recent
from gati_extensions.identity.api import Account, Accounts
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Identity, Kernel, Request, Transaction

REMEMBERED = 2048
"""Tokens whose signatures need no second look."""

NEVER = 2**62

SKEW = 5
"""Seconds that clocks of replicas may differ."""


class CapabilityAuthenticator:
    """`extension.Authenticator`."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._accounts: Accounts = kernel.apis["identity"]
        self._public: bytes | None = None
        self._instance = ""
        self._known: OrderedDict[str, tuple[Capability, tuple[Layer, ...]]] = OrderedDict()
        self._owners: Recent[str, tuple[Account, int] | None] = Recent(kernel.database, REMEMBERED)

    async def authenticate(self, request: Request) -> Identity | None:
        scheme, _, token = (request.header(b"authorization") or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token.startswith(PREFIX):
            return None
        mark = fingerprint(token)
        known = self._known.get(mark)
        if known is None:
            capability = await self.read(token)
            known = self._known[mark] = (capability, capability.layers())
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        capability, layers = known
        self.check_times(capability)
        found = await self._owners.get(mark, lambda: self._kernel.database.read(lambda tx: self._owner(tx, capability)))
        if found is None or found[1] <= self._kernel.clock.now():
            raise RegistryError(Code.UNAUTHORIZED, "the capability was revoked; ask for a new one")
        account = found[0]
        last = capability.blocks[-1]
        return CapabilityIdentity(
            name=account.name,
            admin=account.admin,
            id=account.id,
            kind=account.kind,
            method="capability",
            credential=last.jti,
            grants=grants(capability.blocks),
            verified_at=last.iat * 1000,
            layers=layers,
        )

    async def read(self, token: str) -> Capability:
        """A token whose signatures are right and that was made here.

        Raises:
            RegistryError: UNAUTHORIZED.
        """
        try:
            capability = parse(token, await self._public_key())
        except InvalidCapability as error:
            raise RegistryError(Code.UNAUTHORIZED, f"the capability is not valid: {error}") from None
        first, instance = capability.blocks[0], await self.instance()
        if first.iss != instance or first.aud != instance:
            raise RegistryError(Code.UNAUTHORIZED, "the capability is for another registry")
        return capability

    def check_times(self, capability: Capability) -> None:
        """It is good now.

        Raises:
            RegistryError: UNAUTHORIZED.
        """
        now = self._kernel.clock.now() / 1000
        if now >= capability.expires:
            raise RegistryError(Code.UNAUTHORIZED, "the capability has expired; ask for a new one")
        if now + SKEW < capability.not_before:
            raise RegistryError(Code.UNAUTHORIZED, "the capability is not valid yet")

    async def is_revoked(self, capability: Capability) -> bool:
        """Whether it, or what it was delegated from, was ended, or its owner is gone."""
        found = await self._kernel.database.read(lambda tx: self._owner(tx, capability))
        return found is None or found[1] <= self._kernel.clock.now()

    async def instance(self) -> str:
        """This registry's own name in capabilities."""
        if not self._instance:
            made = fingerprint((await self.private_key()).hex())[:16]
            self._instance = f"urn:gati:registry:{made}"
        return self._instance

    async def private_key(self) -> bytes:
        """The registry's key; made by the first who asks."""
        found = await self._kernel.database.read(store.signing_key)
        if found is None:
            now = self._kernel.clock.now()
            found = await self._kernel.database.write(lambda tx: store.make_signing_key(tx, now))
        return found

    def forget(self) -> None:
        """Something was revoked here."""
        self._owners.forget()

    async def _public_key(self) -> bytes:
        if self._public is None:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

            private = Ed25519PrivateKey.from_private_bytes(await self.private_key())
            self._public = private.public_key().public_bytes_raw()
        return self._public

    async def _owner(self, tx: Transaction, capability: Capability) -> tuple[Account, int] | None:
        """Whose it is, and until when that holds (milliseconds)."""
        if await store.any_revoked(tx, capability.jtis):
            return None
        first = capability.blocks[0]
        account = await self._accounts.get(tx, first.acc or 0)
        if account is None or not account.active or account.epoch != first.epo:
            return None
        # It ends with the key that it came from: a narrow or short-lived one must not make what outlives it.
        until = await self._accounts.ends(tx, first.crd) if first.crd is not None else NEVER
        return account, until
