"""A login on its way: one cookie binds it to the browser that began it.

All that the provider is told follows from the cookie's secret, so nothing is stored here: the state of the request
commits to the whole cookie (provider, where to go afterwards, until when), the nonce and the PKCE verifier to the
secret. Whoever lacks the cookie can neither finish the login nor have it finished in another browser. To link an
identity the cookie also proves the session that it began in.

Sources: RFC 6749 section 10.12, RFC 7636, OpenID Connect Core section 3.1.2.1, RFC 9700 section 4.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from dataclasses import dataclass

COOKIE = "gati_login"
SECURE_COOKIE = "__Host-gati_login"
"""Browsers take this prefix only over https: no neighbour of ours can plant it."""

LASTS = 15 * 60_000
"""Milliseconds to log in at the provider."""

_LONGEST = 3000

_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]{0,1000}")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was begun. `proof` is empty, or proves the session that an identity is to be linked in."""

    secret: str
    provider: str
    until: int
    return_to: str
    name: str = ""
    proof: str = ""

    @classmethod
    def begin(cls, provider: str, now: int, return_to: str, name: str = "", session: str | None = None) -> Attempt:
        """A new one; `session` is the secret of the session in which an identity is to be linked."""
        made = secrets.token_urlsafe(32)
        proof = _derived("link", made, session) if session is not None else ""
        return cls(made, provider, now + LASTS, return_to, name, proof)

    @property
    def value(self) -> str:
        """As the cookie holds it."""
        fields = [self.secret, self.provider, self.until, self.return_to, self.name, self.proof]
        return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()

    @classmethod
    def parse(cls, text: str) -> Attempt | None:
        """What a cookie holds; None if it is none of ours."""
        if len(text) > _LONGEST:
            return None
        try:
            fields = json.loads(base64.urlsafe_b64decode(text))
        except (ValueError, RecursionError):
            return None
        kinds = [str, str, int, str, str, str]
        if not isinstance(fields, list) or [type(item) for item in fields] != kinds or not is_local(fields[3]):
            return None
        return cls(*fields)

    @property
    def state(self) -> str:
        """What comes back with the code."""
        return _derived("state", self.value)

    @property
    def nonce(self) -> str:
        """What the identity token has to hold."""
        return _derived("nonce", self.secret)

    @property
    def verifier(self) -> str:
        """What the code is exchanged with."""
        return _derived("verifier", self.secret)

    def is_of_session(self, session: str) -> bool:
        """Whether it was begun in this session, to link an identity."""
        return secrets.compare_digest(self.proof, _derived("link", self.secret, session))


def is_local(path: str) -> bool:
    """Whether a browser that is sent there stays with us."""
    return _LOCAL.fullmatch(path) is not None


def cookie(value: str, *, secure: bool) -> str:
    """The header that gives a browser the cookie, or takes it away with an empty value."""
    age = LASTS // 1000 if value else 0
    name = SECURE_COOKIE if secure else COOKIE
    return f"{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"


def of_cookies(header: str | None, *, secure: bool) -> Attempt | None:
    """The attempt that a request's cookies hold. Over https no other name will do: that one a neighbour could plant."""
    wanted = SECURE_COOKIE if secure else COOKIE
    for part in (header or "").replace(",", ";").split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return Attempt.parse(value)
    return None


def _derived(purpose: str, *parts: str) -> str:
    digest = hashlib.sha256("\0".join((purpose, *parts)).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
