"""Who sent a request: passwords and API keys over Basic, keys and tokens over Bearer, keys in X-API-Key, sessions.

What was found out is remembered under a keyed hash of the header (a token's is its own) and holds while no account or
credential changes, so that a request with known credentials costs microseconds.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gati_extensions.identity import grants, secret
from gati_extensions.identity.backoff import Backoff
from gati_extensions.identity.certificates import store as certificates
from gati_extensions.identity.passkeys.ceremony import LOGIN, Passkeys
from gati_extensions.identity.passkeys.model import Proof
from gati_extensions.identity.passwords import ADMIN, Passwords, stored_of_admin
from gati_extensions.identity.publishers import store as publishers
from gati_extensions.identity.publishers.store import Exchanged
from gati_extensions.identity.revision import Revision
from gati_extensions.identity.sessions import Sessions
from gati_extensions.identity.store import accounts, credentials, factors, links, totp
from gati_extensions.identity.store.accounts import AccountRow
from gati_extensions.identity.tokens import Tokens
from gati_extensions.identity.vault import Vault
from gati_registry.domain.access import UNBOUNDED
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Clock, Database, Grant, Identity, Request, Transaction

Note = Callable[[Transaction, str, int], Coroutine[Any, Any, None]]

REMEMBERED = 4096
"""Credentials whose owner is remembered."""

NEVER = 2**62

NOTED = 60_000
"""Milliseconds between two notes of a credential's use."""


@dataclass(frozen=True, slots=True)
class Known:
    """An identity, until when it holds (milliseconds), and the state of things before it was looked up."""

    identity: Identity
    until: int
    mark: bytes | None
    revision: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What a credential that is good may at most be used for, and until when it is (milliseconds)."""

    bounds: tuple[Grant, ...]
    until: int


class PasswordSource(Protocol):
    """Whoever checks the passwords of accounts that have none here. `lasts` is for how many milliseconds it is
    believed about one that was right."""

    lasts: int

    async def login(self, name: str, password: str, address: str) -> AccountRow | None:
        """The account of a name and password; None if they are wrong.

        Raises:
            Unavailable: it does not say.
        """

    async def decoy(self, name: str) -> None:
        """Take as long as for a password that is wrong.

        Raises:
            Unavailable: as `login`.
        """


class Authenticator:
    """`extension.Authenticator` for all credentials of this extension."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        revision: Revision,
        passwords: Passwords,
        backoff: Backoff,
        tokens: Tokens,
        sessions: Sessions,
        vault: Vault,
        *,
        lenient: bool,
    ) -> None:
        self._database = database
        self._clock = clock
        self._revision = revision
        self.passwords = passwords
        self._backoff = backoff
        self._tokens = tokens
        self._sessions = sessions
        self._vault = vault
        self.passkeys = Passkeys(database, clock)
        self._lenient = lenient
        self._secret = os.urandom(32)
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._verified: OrderedDict[str, str] = OrderedDict()
        self._elsewhere: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._noted: OrderedDict[str, int] = OrderedDict()
        self.directory: PasswordSource | None = None
        self._notes: set[asyncio.Task[None]] = set()

    async def authenticate(self, request: Request) -> Identity | None:
        header = request.header(b"authorization")
        if header is None:
            key = request.header(b"x-api-key")
            if key is None:
                return await self._of_session(request)
            header = f"Bearer {key}" if key.startswith((secret.KEY, secret.EXCHANGED)) else ""
        # A password or key stays in no memory of ours; a token may, it ends soon, and hashing it is half of all work.
        mark = header if header.startswith("Bearer ey") else self._hashed(header)
        now = self._clock.now()
        identity = await self.recall(mark, now)
        if identity is None:
            state = self._database.revision(), await self._revision.get()
            found = await self._look_up(header, mark, request, now)
            if found is None:
                if request.header(b"authorization") is None:
                    raise wrong()
                return None
            identity = found[0]
            self.remember(mark, Known(identity, found[1], *state))
        if identity.credential is not None and identity.credential.startswith("k_"):
            self._note(identity.credential, 0, now, credentials.key_used)
        return identity

    def _hashed(self, text: str) -> str:
        return hashlib.blake2b(text.encode(), key=self._secret, digest_size=16).hexdigest()

    async def recall(self, mark: str, now: int) -> Identity | None:
        """What was found out of some credentials, while nothing changed."""
        known = self._known.get(mark)
        if known is None or now >= known.until:
            return None
        if known.mark is not None and known.mark == self._database.revision():
            return known.identity  # nobody committed anything
        if known.revision != await self._revision.get():
            return None
        # The administrator's password is a fact of the core: no number of ours counts its changes.
        found = known.identity
        return None if found.name == ADMIN and found.method == "password" and found.grants is None else found

    def remember(self, mark: str, known: Known) -> None:
        """Keep what was found out; `mark` stands for the credentials."""
        self._known[mark] = known
        self._known.move_to_end(mark)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _look_up(self, header: str, mark: str, request: Request, now: int) -> tuple[Identity, int] | None:
        scheme, _, value = header.partition(" ")
        scheme, value = scheme.lower(), value.strip()
        if scheme == "bearer":
            if value.startswith(secret.EXCHANGED):
                return await self._of_exchanged(value)
            return await (self.of_key(value) if value.startswith(secret.KEY) else self._of_token(value))
        basic = _basic(value) if scheme == "basic" else None
        if basic is None:
            return None
        name, password = basic
        if password.startswith(secret.KEY):
            return await self.of_key(password, name)
        if password.startswith(secret.EXCHANGED):
            return await self._of_exchanged(password, name)
        account = await self.of_password(name, password, request.address, mark=mark)
        until = self._elsewhere[mark][1] if mark in self._elsewhere else NEVER
        return (_identity(account, "password", verified_at=now), until) if account is not None else None

    # --- passwords ----------------------------------------------------------------------------------------------

    async def of_password(
        self,
        name: str,
        password: str,
        address: str,
        *,
        mark: str | None = None,
        code: str | None = None,
        passkey: Proof | None = None,
        purpose: tuple[str, str] = (LOGIN, ""),
        first: bool = False,
    ) -> AccountRow | None:
        """The account of a name and password; None for a name that has none.

        `mark` stands for credentials that may be remembered, `code` is a one-time password or a recovery code,
        `passkey` answers a challenge of that purpose and session; with `first` the password alone is looked at.

        Raises:
            RegistryError: UNAUTHORIZED, or TOOMANYREQUESTS where too many were wrong.
        """

        async def work(tx: Transaction) -> tuple[AccountRow | None, str | None, bool, bool]:
            account = await accounts.find(tx, name)
            if account is None or account.kind != "user":
                return None, None, False, account is None
            stored = await stored_of_admin(tx) if account.name == ADMIN else account.password
            elsewhere = self.directory is not None and await links.has(tx, account.id, "ldap")
            return account, stored, await factors.is_on(tx, account.id), elsewhere

        if "\0" in name or len(name) > 255 or len(password) > 1024:
            return None
        account, stored, second, elsewhere = await self._database.read(work)
        if elsewhere and self.directory is not None:
            found = await self._of_directory(self.directory, name, password, address, mark)
            if first:
                return found
            if await self._database.read(lambda tx: factors.is_on(tx, found.id)):
                await self.second_factor(found, address, code, passkey, purpose)
            await self._backoff.succeeded(name, address)
            return found
        if self._lenient and stored is None:
            return None  # an open registry is sent leftovers of other logins, and keeps no secret of who is there
        remembered = self._is_verified(mark, stored)
        if not remembered:
            try:
                await self._backoff.check(name, address)
                # Requests that come at once with the same credentials wait for the first of them.
                right = await self.passwords.verify(
                    password,
                    stored,
                    lambda: self._is_verified(mark, stored),
                    lambda: self._backoff.check(name, address),
                    lambda: self._backoff.failed(name, address),
                )
            except RegistryError:
                if self._lenient:
                    return None
                raise
            if not right or account is None or stored is None or not account.active:
                if right:
                    await self._backoff.failed(name, address)
                if self.directory is not None:
                    await self.directory.decoy(name)
                if stored is None:
                    return None
                raise wrong()
            if mark is not None:
                self._verified[mark] = stored
                if len(self._verified) > REMEMBERED:
                    self._verified.popitem(last=False)
        assert account is not None
        assert stored is not None
        if not account.active:
            raise wrong()
        if first:
            return account  # nothing has succeeded yet that would end a series of wrong codes
        if second:
            await self.second_factor(account, address, code, passkey, purpose)
        if not remembered:
            await self._backoff.succeeded(name, address)
        return account

    async def _of_directory(
        self, directory: PasswordSource, name: str, password: str, address: str, mark: str | None
    ) -> AccountRow:
        """The account of a name whose password is the directory's, or nobody's; a second factor is not looked at."""
        now, known = self._clock.now(), self._elsewhere.get(mark or "")
        account = None
        if known is not None and now < known[1]:
            account_id = known[0]
            account = await self._database.read(lambda tx: accounts.get(tx, account_id))
        if account is None:
            await self._backoff.check(name, address)
            await self.passwords.verify(password, None)  # as long as for a password that is kept here
            account = await directory.login(name, password, address)
            if account is None:
                await self._backoff.failed(name, address)
                raise wrong()
            if mark is not None:
                self._elsewhere[mark] = account.id, now + directory.lasts
                if len(self._elsewhere) > REMEMBERED:
                    self._elsewhere.popitem(last=False)
        if not account.active:
            raise wrong()
        return account

    def _is_verified(self, mark: str | None, stored: str | None) -> bool:
        return mark is not None and stored is not None and self._verified.get(mark) == stored

    async def second_factor(
        self,
        account: AccountRow,
        address: str,
        code: str | None,
        passkey: Proof | None = None,
        purpose: tuple[str, str] = (LOGIN, ""),
    ) -> None:
        """Spend a code or a challenge of the account's second factor.

        Raises:
            RegistryError: UNAUTHORIZED.
        """
        if passkey is not None:
            await self._backoff.check(account.name, address)
            if not await self.passkeys.proven(account, *purpose, passkey):
                await self._backoff.failed(account.name, address)
                raise RegistryError(Code.UNAUTHORIZED, "the passkey does not answer the challenge; begin again")
            return
        if code is None:
            raise RegistryError(
                Code.UNAUTHORIZED, "this account has a second factor: log in with an API key, or in the browser"
            )
        await self._backoff.check(account.name, address)  # also whoever has a session may try only so many
        now = self._clock.now()
        if not await self._revision.write(lambda tx: totp.spend(tx, self._vault, account.id, code, now)):
            await self._backoff.failed(account.name, address)
            raise RegistryError(Code.UNAUTHORIZED, "the code is wrong or was used before; wait for the next one")

    # --- keys ---------------------------------------------------------------------------------------------------

    async def of_key(self, text: str, name: str | None = None) -> tuple[Identity, int]:
        """Who an API key belongs to, and until when it is good; with `name`, what was given as its owner's.

        Raises:
            RegistryError: UNAUTHORIZED.
        """
        if not secret.is_well_formed(text, secret.KEY):
            raise wrong()
        hashed = secret.hashed(text)

        async def work(tx: Transaction) -> tuple[credentials.Key, AccountRow] | None:
            key = await credentials.find_key(tx, hashed)
            account = await accounts.get(tx, key.account_id) if key is not None else None
            return (key, account) if key is not None and account is not None else None

        found = await self._database.read(work)
        if found is None or not found[1].active or not found[0].alive(self._clock.now()):
            raise wrong()
        key, account = found
        if name is not None and name not in (account.name, "gati"):
            raise wrong()
        identity = _identity(
            account,
            "api-key",
            credential=key.id,
            bounds=grants.of_key(key.scopes, key.path),
            verified_at=key.created_at,
        )
        return identity, key.expires_at or NEVER

    async def _of_exchanged(self, text: str, name: str | None = None) -> tuple[Identity, int]:
        """In whose name a build's token acts, and until when; both as `of_key`."""
        if not secret.is_well_formed(text, secret.EXCHANGED):
            raise wrong()
        hashed = secret.hashed(text)

        async def work(tx: Transaction) -> tuple[Exchanged, AccountRow] | None:
            found = await publishers.find_exchanged(tx, hashed)
            account = await accounts.get(tx, found.publisher.account_id) if found is not None else None
            return (found, account) if found is not None and account is not None else None

        found = await self._database.read(work)
        if found is None or not found[1].active or self._clock.now() >= found[0].expires_at:
            raise wrong()
        exchanged, account = found
        if name is not None and name not in (account.name, "gati"):
            raise wrong()
        return identity_of_exchanged(exchanged, account), exchanged.expires_at

    def _note(self, credential: str, since: int, now: int, write: Note) -> None:
        """Note a credential's use, but not each."""
        if now - self._noted.get(credential, since) < NOTED:
            return
        self._noted[credential] = now
        self._noted.move_to_end(credential)
        if len(self._noted) > REMEMBERED:
            self._noted.popitem(last=False)
        self._aside(lambda: self._database.write(lambda tx: write(tx, credential, now)))

    def _aside(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something that nobody waits for and whose failure matters to nobody."""

        async def run() -> None:
            try:
                await work()
            except RegistryError:
                return

        task = asyncio.create_task(run())
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    # --- tokens -------------------------------------------------------------------------------------------------

    async def _of_token(self, token: str) -> tuple[Identity, int] | None:
        claims = await self._tokens.verify(token)
        if claims is None:
            return None
        if claims.account_id is None:
            return Identity(grants=claims.bounds, reach=UNBOUNDED), claims.expires_at
        account_id, now = claims.account_id, self._clock.now()

        async def work(tx: Transaction) -> tuple[AccountRow | None, Standing | None]:
            return await accounts.get(tx, account_id), await self.standing(tx, claims.credential, now)

        account, standing = await self._database.read(work)
        if account is None or not account.active or account.epoch != claims.epoch or standing is None:
            raise RegistryError(Code.UNAUTHORIZED, "the token was revoked; log in again")
        identity = _identity(
            account, claims.method, credential=claims.credential, bounds=claims.bounds, verified_at=claims.verified_at
        )
        return replace(identity, reach=standing.bounds), min(claims.expires_at, standing.until)

    async def standing(self, tx: Transaction, credential: str | None, now: int) -> Standing | None:
        """How a key, refresh token or session stands, by its id; a password has none. None: it has ended."""
        if credential is None:
            return Standing(UNBOUNDED, NEVER)
        kind = credential.partition("_")[0]
        if kind == "k":
            key = await credentials.get_key(tx, credential)
            if key is not None and key.alive(now):
                return Standing(grants.of_key(key.scopes, key.path), key.expires_at or NEVER)
        elif kind == "r":
            refresh = await credentials.get_refresh(tx, credential)
            return await self.standing(tx, refresh.key_id, now) if refresh is not None else None
        elif kind == "c":
            return await _standing_of_certificate(tx, credential)
        elif kind == "x":
            exchanged = await publishers.get_exchanged(tx, credential)
            if exchanged is not None and now < exchanged.expires_at:
                return Standing(bounds_of_exchanged(exchanged), exchanged.expires_at)
        elif kind == "s":
            session = await credentials.get_session(tx, credential)
            if session is not None and self._sessions.lasts(session, now):
                return Standing(UNBOUNDED, self._sessions.until(session))
        return None

    # --- sessions -----------------------------------------------------------------------------------------------

    async def _of_session(self, request: Request) -> Identity | None:
        cookie = self._sessions.cookie(request)
        if cookie is None:
            return None
        mark = self._hashed(cookie)
        now = self._clock.now()
        identity = await self.recall(mark, now)
        if identity is None:
            state = self._database.revision(), await self._revision.get()
            found = await self._sessions.find(cookie, now)
            if found is None:
                return None  # it has ended: as if there were none
            session, account = found
            identity = _identity(account, "session", credential=session.id, verified_at=session.created_at)
            self.remember(mark, Known(identity, self._sessions.until(session), *state))
        self._sessions.guard(request, cookie)
        if identity.credential is not None:
            self._note(identity.credential, identity.verified_at, now, credentials.session_seen)
        return identity


def wrong() -> RegistryError:
    """One answer for all that is wrong with credentials: it tells nothing of who is there."""
    return RegistryError(Code.UNAUTHORIZED, "the credentials are wrong; log in again")


async def _standing_of_certificate(tx: Transaction, credential: str) -> Standing | None:
    mapping_id, _, fingerprint = credential.partition(".")
    mapping = await certificates.get(tx, mapping_id)
    if mapping is None or await certificates.is_revoked(tx, fingerprint):
        return None
    return Standing(grants.of_key(mapping.scopes, mapping.path), NEVER)


def bounds_of_exchanged(exchanged: Exchanged) -> tuple[Grant, ...]:
    """One repository, and what a build may do there."""
    return grants.of_token(
        [{"type": "repository", "name": exchanged.publisher.repository, "actions": exchanged.actions}]
    )


def identity_of_exchanged(exchanged: Exchanged, account: AccountRow) -> Identity:
    """Who a build is."""
    return _identity(
        account,
        "trusted-publisher",
        credential=exchanged.id,
        bounds=bounds_of_exchanged(exchanged),
        verified_at=exchanged.created_at,
    )


def _identity(
    account: AccountRow,
    method: str,
    *,
    verified_at: int,
    credential: str | None = None,
    bounds: tuple[Grant, ...] | None = None,
) -> Identity:
    return Identity(
        name=account.name,
        admin=account.admin,
        id=account.id,
        kind=account.kind,
        method=method,
        credential=credential,
        grants=bounds,
        verified_at=verified_at,
    )


def _basic(encoded: str) -> tuple[str, str] | None:
    """User and password (RFC 7617)."""
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None
