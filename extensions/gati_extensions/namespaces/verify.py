"""Proofs of who publishes under a name: a token that only the owner of a domain or organization can have put there."""

from __future__ import annotations

import hmac
import re

from gati_extensions.guarded import Lookup
from gati_extensions.namespaces.ports import Fetcher, Resolver
from gati_extensions.namespaces.settings import NamespacesSettings
from gati_extensions.namespaces.store import Proof
from gati_registry.errors import Code, RegistryError

PREFIX = "gati-verification="
MAX_FILE = 4096

_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_ORGANIZATION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38})")


def subject(method: str, text: str) -> str:
    """A domain or organization in its one form.

    Raises:
        RegistryError: INVALID.
    """
    name = text.strip().lower().rstrip(".")
    if method == "dns" and not (len(name) <= 200 and _DOMAIN.fullmatch(name)):
        raise RegistryError(Code.INVALID, "subject: must be a domain such as acme.example")
    if method == "github" and not _ORGANIZATION.fullmatch(name):
        raise RegistryError(Code.INVALID, "subject: must be an organization's name at GitHub")
    return name


class Verifier:
    """Looks for proofs."""

    def __init__(self, resolver: Resolver, fetcher: Fetcher, settings: NamespacesSettings) -> None:
        self._resolver = resolver
        self._fetcher = fetcher
        self._github = settings.github_url.rstrip("/")

    def place(self, proof: Proof) -> str:
        """Where the token is looked for."""
        if proof.method == "dns":
            return f"TXT record of _gati.{proof.subject}"
        return f"{self._github}/{proof.subject}/.github/HEAD/gati-verification.txt"

    async def found(self, proof: Proof) -> bool:
        """Whether the token is there.

        Raises:
            RegistryError: UNAVAILABLE, nobody answers.
        """
        wanted = (PREFIX + proof.token).encode()
        try:
            if proof.method == "dns":
                texts = [text.strip() for text in await self._resolver.texts(f"_gati.{proof.subject}")]
            else:
                data = await self._fetcher.fetch(self.place(proof), MAX_FILE)
                texts = (data or b"").decode("utf-8", "replace").split()
        except Lookup as error:
            raise RegistryError(Code.UNAVAILABLE, str(error), headers={"Retry-After": "30"}) from None
        return any(hmac.compare_digest(text.encode(), wanted) for text in texts)
