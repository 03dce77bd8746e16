"""Whose password a directory takes, and what it says of them; who is in it no more.

A check of a password is one connection: our own bind, the search for the user, their groups, the bind as the user. For
a name that nobody has, a bind that must fail takes the place of the user's, so that the answer takes as many steps.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from gati_extensions.identity.external import External
from gati_extensions.identity.federation.settings import read_secret
from gati_extensions.identity.ldap import filters
from gati_extensions.identity.ldap.client import (
    BASE,
    REFUSALS,
    SUBTREE,
    SUCCESS,
    Address,
    Connection,
    DirectoryError,
    Entry,
    connected,
)
from gati_extensions.identity.ldap.filters import Filter, escaped_dn
from gati_extensions.identity.ldap.settings import LdapSettings
from gati_registry.errors import Unavailable

PROVIDER = ISSUER = "ldap"
"""There is one directory: its users keep their accounts when it moves to another address."""

MOST_GROUPS = 1000

BATCH = 100
"""Users that are asked about at once."""

RETRY = 10
"""Seconds after which to try again while the directory does not answer."""


class Directory:
    """Questions to the directory."""

    def __init__(self, settings: LdapSettings, log: logging.Logger) -> None:
        self._settings = settings
        self._log = log
        self._address = _address(settings)
        path = settings.ldap_password_file
        self._password = read_secret(path) if path is not None else ""
        self._user, self._group = Filter.parse(settings.ldap_filter), Filter.parse(settings.ldap_group_filter)
        self._free = asyncio.Semaphore(settings.ldap_connections)
        self._attributes = [
            settings.ldap_id_attribute,
            settings.ldap_name_attribute,
            settings.ldap_email_attribute,
            settings.ldap_display_attribute,
            "memberOf",
        ]

    @property
    def can_look(self) -> bool:
        """Whether users can be looked for without their passwords."""
        return bool(self._settings.ldap_base)

    async def login(self, name: str, password: str) -> External | None:
        """Who a name and password belong to; None if they are wrong.

        Raises:
            Unavailable: the directory does not say.
        """
        async with self._asking() as connection:
            if self._settings.ldap_user_dn:
                return await self._by_template(connection, name, password)
            await self._bind_ourselves(connection)
            entry = await self._find(connection, self._settings.ldap_base, SUBTREE, name)
            groups = await self._groups(connection, entry, name) if entry is not None else frozenset[str]()
            if not await self._proven(connection, entry.dn if entry is not None else None, password):
                return None
            return self._external(entry, groups) if entry is not None else None

    async def decoy(self, name: str) -> None:
        """Ask as if for a password that is wrong.

        Raises:
            Unavailable: as `login`.
        """
        async with self._asking() as connection:
            if not self._settings.ldap_user_dn:
                await self._bind_ourselves(connection)
                await self._find(connection, self._settings.ldap_base, SUBTREE, name)
                await self._groups(connection, None, name)
            await self._proven(connection, None, "")

    async def present(self, subjects: Sequence[str]) -> frozenset[str]:
        """Those who are still there, and whom the settings' filter finds.

        Raises:
            Unavailable: the directory does not say.
        """
        attribute = self._settings.ldap_id_attribute
        found: set[str] = set()
        async with self._asking() as connection:
            await self._bind_ourselves(connection)
            for start in range(0, len(subjects), BATCH):
                some = subjects[start : start + BATCH]
                wanted = filters.both(
                    self._user.encode({"name": None, "dn": None}),
                    filters.any_of(attribute, [_raw(subject) for subject in some]),
                )
                entries = await connection.search(self._settings.ldap_base, SUBTREE, wanted, [attribute], 2 * BATCH)
                if entries is None:
                    raise DirectoryError(f"several users have one {attribute}; see identity.ldap_id_attribute")
                found |= {_subject(entry, attribute) for entry in entries}
        return frozenset(found)

    # --- steps --------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Connection]:
        """A connection of the few; all waiting included it lasts no longer than the settings say."""
        try:
            async with asyncio.timeout(self._settings.ldap_timeout), self._free, connected(self._address) as connection:
                yield connection
        except (DirectoryError, TimeoutError) as error:
            why = str(error) or f"no answer within {self._settings.ldap_timeout:g} s"
            self._log.warning("directory %s: %s", self._settings.ldap_url, why)
            raise Unavailable("the directory does not answer; try again", retry_after=RETRY) from None

    async def _bind_ourselves(self, connection: Connection) -> None:
        dn = self._settings.ldap_bind_dn
        if dn and (code := await connection.bind(dn, self._password)) != SUCCESS:
            raise DirectoryError(f"it refuses identity.ldap_bind_dn with {code}")

    async def _proven(self, connection: Connection, dn: str | None, password: str) -> bool:
        """Whether the password is that of the entry; without one it takes a bind too, and is not."""
        if dn is None:
            dn = f"cn={secrets.token_hex(8)}" + (f",{self._settings.ldap_base}" if self._settings.ldap_base else "")
            await connection.bind(dn, secrets.token_hex(8))
            return False
        code = await connection.bind(dn, password)
        if code not in REFUSALS and code != SUCCESS:
            raise DirectoryError(f"a bind is answered with {code}")
        return code == SUCCESS

    async def _by_template(self, connection: Connection, name: str, password: str) -> External | None:
        dn = self._settings.ldap_user_dn.replace("{name}", escaped_dn(name))
        if not await self._proven(connection, dn, password):
            return None
        entry = await self._find(connection, dn, BASE, name)
        if entry is None:
            return None
        return self._external(entry, await self._groups(connection, entry, name))

    async def _find(self, connection: Connection, base: str, scope: int, name: str) -> Entry | None:
        """The user of a name: exactly one, or nobody."""
        wanted = self._user.encode({"name": name.encode(), "dn": b""})
        found = await connection.search(base, scope, wanted, self._attributes, 1)
        if found is None:
            self._log.warning("directory: identity.ldap_filter finds several users of one name")
        return found[0] if found else None

    async def _groups(self, connection: Connection, entry: Entry | None, name: str) -> frozenset[str]:
        """Names of the user's groups that the settings give a meaning to."""
        settings = self._settings
        if not settings.ldap_groups:
            return frozenset()
        if not settings.ldap_group_base:
            held = _texts(entry.attributes.get("memberof", ())) if entry is not None else []
            return self._known(held)
        values = {"name": name.encode(), "dn": entry.dn.encode() if entry is not None else b"cn=nobody"}
        attribute = settings.ldap_group_attribute
        found = await connection.search(
            settings.ldap_group_base, SUBTREE, self._group.encode(values), [attribute], MOST_GROUPS
        )
        if found is None:
            raise DirectoryError(f"a user is in more than {MOST_GROUPS} groups; narrow identity.ldap_group_filter")
        return self._known(text for group in found for text in (group.dn, group.text(attribute)))

    def _known(self, groups: Iterable[str]) -> frozenset[str]:
        held = {group.lower() for group in groups}
        return frozenset(group for group in self._settings.ldap_groups if group.lower() in held)

    def _external(self, entry: Entry, groups: frozenset[str]) -> External:
        settings = self._settings
        subject = _subject(entry, settings.ldap_id_attribute)
        if not subject:
            raise DirectoryError(
                f"a user has no attribute {settings.ldap_id_attribute}; see identity.ldap_id_attribute"
            )
        email = entry.text(settings.ldap_email_attribute)
        return External(
            provider=PROVIDER,
            issuer=ISSUER,
            subject=subject,
            name=entry.text(settings.ldap_name_attribute) or entry.dn,
            email=email if "@" in email and email.isprintable() and len(email) <= 254 else None,
            display=entry.text(settings.ldap_display_attribute),
            groups=groups,
        )


def _address(settings: LdapSettings) -> Address:
    parts = urlsplit(settings.ldap_url)
    secure = parts.scheme == "ldaps"
    tls = None
    if secure or settings.ldap_start_tls:
        tls = ssl.create_default_context(cafile=settings.ldap_ca_file)
    return Address(parts.hostname or "", parts.port or (636 if secure else 389), tls, not secure and tls is not None)


def _subject(entry: Entry, attribute: str) -> str:
    """What stays the same of an entry, as text; empty if it has none."""
    for value in entry.attributes.get(attribute.lower(), ())[:1]:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return f"hex:{value.hex()}"
        return text if text.isprintable() and not text.startswith("hex:") else f"hex:{value.hex()}"
    return ""


def _raw(subject: str) -> bytes:
    """The value that a subject was made of."""
    return bytes.fromhex(subject[4:]) if subject.startswith("hex:") else subject.encode()


def _texts(values: Iterable[bytes]) -> list[str]:
    return [value.decode(errors="replace") for value in values]
