"""Pseudonyms and what is sealed for them.

A person's row holds a random key. The pseudonym is an HMAC of name and account under that key, so that a row cannot be
given another name unnoticed; and personal data in leaves are sealed with it, so that taking name and key out of the row
erases them wherever they are, and leaves every hash as it was.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
from dataclasses import dataclass
from typing import Any

from gati_extensions.identity.api import Account, Accounts
from gati_registry.extension import Transaction

MARK = "~"
"""Begins a pseudonym; no name does."""

KEY = 16
_NONCE = 12

NO_NAME = ""
"""The name of the row whose key seals what anonymous callers leave behind."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody behind a pseudonym. An erased one has neither name nor key; account 0 is none that was ever known."""

    id: str
    account_id: int | None
    name: str | None
    key: bytes | None

    @property
    def sound(self) -> bool:
        """Whether the row's name is that under which the pseudonym was made."""
        if self.key is None or self.name is None:
            return self.key is None and self.name is None and self.account_id is None
        return hmac.compare_digest(self.id, pseudonym(self.key, self.name, self.account_id or 0))


def pseudonym(key: bytes, name: str, account_id: int) -> str:
    """What stands for a person in leaves."""
    return MARK + hmac.digest(key, f"{account_id}:{name}".encode(), "sha256").hex()[:32]


def seal(person: Person, value: Any, about: str) -> bytes | None:
    """A JSON value that only the person's key opens; None if the key is gone. `about` is bound to it."""
    if person.key is None:
        return None
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE)
    text = json.dumps(value).encode()
    return nonce + AESGCM(person.key).encrypt(nonce, text, about.encode())


def unseal(key: bytes | None, sealed: bytes, about: str) -> Any:
    """The value; None if the key is gone or is not the one."""
    if key is None:
        return None
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return json.loads(AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode()))
    except InvalidTag:
        return None


def encoded(sealed: bytes | None) -> str | None:
    """As a leaf holds it."""
    return None if sealed is None else base64.b64encode(sealed).decode()


class Missing(LookupError):
    """A person has no row yet."""


class Persons:
    """The persons of one transaction, each looked up once. Without `make`, one without a row is `Missing`."""

    def __init__(self, tx: Transaction, accounts: Accounts, now: int, *, make: bool = True) -> None:
        self._tx = tx
        self._accounts = accounts
        self._now = now
        self._make = make
        self._known: dict[tuple[str, int | None], Person] = {}
        self._found: dict[str, Account | None] = {}
        self._origins: dict[tuple[str, ...], bytes | None] = {}

    async def actor(self, name: str | None, account_id: int | None) -> Person:
        """Who acts; the anonymous row for nobody."""
        if name is None:
            return await self._person(NO_NAME, 0)
        if account_id is None:
            account = await self._account(name)
            account_id = account.id if account else 0
        return await self._person(name, account_id)

    def origin(self, actor: Person, address: str, agent: str, credential: str | None) -> bytes | None:
        """Where a request came from, sealed for its actor; once for all that came from there."""
        key = (actor.id, address, agent, credential or "")
        if key not in self._origins:
            found = {"ip": address, "user_agent": agent, "credential": credential}
            kept = {name: value for name, value in found.items() if value}
            self._origins[key] = seal(actor, kept, actor.id) if kept else None
        return self._origins[key]

    async def named(self, name: str) -> Person | None:
        """The person whose name this is, if it is one's: of a user, or of one who was."""
        account = await self._account(name)
        if account is not None:
            return await self._person(name, account.id) if account.kind == "user" else None
        # The account is gone, its name may still be that of somebody.
        row = await self._tx.one(
            "SELECT id, account_id, name, key FROM audit_person WHERE name = :name ORDER BY created_at DESC LIMIT 1",
            name=name,
        )
        return Person(*row) if row else None

    async def numbered(self, account_id: int) -> Person | None:
        """The user with this number."""
        account = await self._accounts.get(self._tx, account_id)
        return await self._person(account.name, account.id) if account and account.kind == "user" else None

    async def former(self, name: str) -> Person:
        """Somebody who has no account any more and of whom nothing was known."""
        return await self._person(name, 0)

    async def path(self, path: str) -> str:
        """A path of names, with a pseudonym for the user whose it is."""
        first, _, rest = path.partition("/")
        if first != "users" or not rest:
            return path
        name, slash, below = rest.partition("/")
        person = await self.named(name)
        return path if person is None else f"users/{person.id}{slash}{below}"

    async def _account(self, name: str) -> Account | None:
        if name not in self._found:
            self._found[name] = await self._accounts.find(self._tx, name)
        return self._found[name]

    async def _person(self, name: str, account_id: int) -> Person:
        known = self._known.get((name, account_id))
        if known is None:
            known = self._known[name, account_id] = await self._stored(name, account_id)
        return known

    async def _stored(self, name: str, account_id: int) -> Person:
        found = await self._row(name, account_id)
        if found is None:
            if not self._make:
                raise Missing
            key = os.urandom(KEY)
            await self._tx.run(
                "INSERT INTO audit_person (id, account_id, name, key, created_at)"
                " VALUES (:id, :account_id, :name, :key, :now) ON CONFLICT (name, account_id) DO NOTHING",
                id=pseudonym(key, name, account_id),
                account_id=account_id,
                name=name,
                key=key,
                now=self._now,
            )
            found = await self._row(name, account_id)
        assert found is not None
        return found

    async def _row(self, name: str, account_id: int) -> Person | None:
        row = await self._tx.one(
            "SELECT id, account_id, name, key FROM audit_person WHERE name = :name AND account_id = :account_id",
            name=name,
            account_id=account_id,
        )
        return Person(*row) if row else None
