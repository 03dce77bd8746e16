"""Accounts whose passwords are the directory's: made at the first login, put out of use when it knows them no more."""

from __future__ import annotations

from gati_extensions.identity import external
from gati_extensions.identity.external import Terms
from gati_extensions.identity.ldap.directory import PROVIDER, Directory
from gati_extensions.identity.parts import Parts
from gati_extensions.identity.store import links
from gati_extensions.identity.store.accounts import AccountRow
from gati_extensions.identity.store.links import Link
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import NOBODY, Caller, Job, Transaction

_PAGE = 500

_ALL_GONE = 10
"""Of more users than that not all go at once: then something is wrong with our sight."""

_SHORTEST = 10
"""Seconds between two looks for who has gone."""


class DirectoryLogins:
    """`hooks.PasswordSource`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._directory = Directory(parts.settings, parts.kernel.log)
        self.lasts = int(parts.settings.ldap_cache * 1000)

    async def login(self, name: str, password: str, address: str) -> AccountRow | None:
        """The account of a name and password; None if they are wrong, or nobody who may have an account here.

        Raises:
            Unavailable: the directory does not say.
        """
        who = await self._directory.login(name, password)
        if who is None:
            return None
        settings, caller = self._parts.settings, Caller(address=address)
        terms = Terms(settings.ldap_create_accounts, settings.ldap_groups)
        try:
            return await self._parts.revision.write(lambda tx: external.admit(self._parts, tx, caller, who, terms))
        except RegistryError as error:
            if error.code not in (Code.DENIED, Code.CONFLICT):
                raise
            self._parts.kernel.log.warning("directory: %s is not let in: %s", who.name[:100], error.message)
            return None

    async def decoy(self, name: str) -> None:
        """Take as long as for a password that is wrong."""
        await self._directory.decoy(name)

    def jobs(self) -> list[Job]:
        """Put out of use whoever has gone."""
        if not self._directory.can_look:
            return []
        return [Job("identity.directory", max(_SHORTEST, self._parts.settings.ldap_cache), self.sweep)]

    async def sweep(self) -> None:
        """Ask about everybody once. A directory that does not answer changes nothing."""
        after = ""
        while True:
            page = await self._parts.kernel.database.read(
                lambda tx, after=after: links.of_provider(tx, PROVIDER, after, _PAGE)  # type: ignore[misc]
            )
            held = [link for link in page if link.suspended_at is None]
            there = await self._directory.present([link.subject for link in held]) if held else frozenset()
            if len(held) > _ALL_GONE and not there:
                self._parts.kernel.log.warning(
                    "directory: it knows none of %s users; nobody is put out of use", len(held)
                )
                return
            for link in held:
                if link.subject not in there:
                    await self._suspend(link)
            if len(page) < _PAGE:
                return
            after = page[-1].id

    async def _suspend(self, link: Link) -> None:
        async def work(tx: Transaction) -> None:
            await external.suspend(self._parts, tx, NOBODY, link)

        await self._parts.revision.write(work)
