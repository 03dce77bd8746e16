"""Browsers' sessions: a cookie that scripts cannot read, a row that can be ended, and a guard against forged requests.

An unsafe request with the cookie needs the session's token in X-CSRF-Token, which another site cannot read, and has to
come from our own pages as browsers tell (Sec-Fetch-Site, else Origin).

Source: OWASP cheat sheets on session management and cross-site request forgery.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from gati_extensions.identity import secret
from gati_extensions.identity.settings import IdentitySettings
from gati_extensions.identity.store import accounts, credentials
from gati_extensions.identity.store.accounts import AccountRow
from gati_extensions.identity.store.credentials import Session
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Database, Request, Transaction

COOKIE = "gati_session"
SECURE_COOKIE = "__Host-gati_session"
"""Browsers take this prefix only over https, without a domain and for the whole site."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Sessions:
    """Reads cookies and guards requests."""

    def __init__(self, database: Database, settings: IdentitySettings) -> None:
        self._database = database
        self._idle = settings.session_idle * 1000
        self._longest = settings.session_max * 1000

    def cookie(self, request: Request) -> str | None:
        """The session's secret, if the request holds one."""
        header = request.header(b"cookie")
        if header is None:
            return None
        # HTTP/2 may send several cookie headers, which are joined by commas instead of semicolons.
        parts = [part.strip().partition("=") for part in header.replace(",", ";").split(";")]
        # Another host of our domain can plant the plain name beside the other one, not that one.
        for wanted in (SECURE_COOKIE, COOKIE):
            for name, _, value in parts:
                if name == wanted and secret.is_well_formed(value, secret.SESSION):
                    return value
        return None

    async def find(self, cookie: str, now: int) -> tuple[Session, AccountRow] | None:
        """The session of a secret and its owner; None if it has ended."""
        hashed = secret.hashed(cookie)

        async def work(tx: Transaction) -> tuple[Session, AccountRow] | None:
            session = await credentials.find_session(tx, hashed)
            account = await accounts.get(tx, session.account_id) if session is not None else None
            return (session, account) if session is not None and account is not None else None

        found = await self._database.read(work)
        if found is None or not found[1].active or found[0].epoch != found[1].epoch or not self.lasts(found[0], now):
            return None
        return found

    def until(self, session: Session) -> int:
        """When it ends if it is not used."""
        return min(session.seen_at + self._idle, session.created_at + self._longest)

    def lasts(self, session: Session, now: int) -> bool:
        """Whether it has not ended by time."""
        return now < self.until(session)

    def guard(self, request: Request, cookie: str) -> None:
        """Refuse an unsafe request that our own pages did not send.

        Raises:
            RegistryError: DENIED.
        """
        if request.method in SAFE:
            return
        if not hmac.compare_digest((request.header(b"x-csrf-token") or "").encode(), csrf_token(cookie).encode()):
            raise RegistryError(
                Code.DENIED, "send the session's token in X-CSRF-Token; GET /v2/_ext/identity/me tells it"
            )
        if not is_same_origin(request):
            raise RegistryError(Code.DENIED, "the request comes from another site")

    def set_cookie(self, value: str, *, secure: bool) -> str:
        """The header that gives a browser its session, or takes it away with an empty value."""
        age = f"Max-Age={self._longest // 1000 if value else 0}"
        name = SECURE_COOKIE if secure else COOKIE
        return f"{name}={value}; Path=/; {age}; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"


def csrf_token(cookie: str) -> str:
    """The token that goes with a session; it does not tell the session's secret."""
    return hashlib.sha256(f"csrf:{cookie}".encode()).hexdigest()[:40]


def is_same_origin(request: Request) -> bool:
    """Whether a browser's request comes from our own pages."""
    site, origin = request.header(b"sec-fetch-site"), request.header(b"origin")
    if site is not None:
        return site == "same-origin"
    if origin is None:
        return False
    return origin == request.origin or urlsplit(origin).netloc == request.header(b"host")
