"""Challenges of registries, and the tokens that answer them.

Sources: https://distribution.github.io/distribution/spec/auth/token/ and RFC 9110, 11.6.1.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from gati_client import hosts
from gati_client.answers import Answer, refusal
from gati_client.auth import Credential
from gati_client.errors import Denied, Integrity
from gati_client.quick import httpx

Ask = Callable[[str, "httpx.URL", Mapping[str, str], bytes | None], Awaitable[Answer]]
"""Method, URL, headers and body of a request to a token service; the answer."""

_Parameters = list[tuple[str, str | int | float | bool | None]]
_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')
_SCHEME = re.compile(r"(?:^|,)\s*(Bearer|Basic)(?=\s|,|$)", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_MAX_HEADER = 16 * 1024
_MAX_TOKEN = 64 * 1024
_SHORTEST_SECONDS = 60  # what a token without expires_in lives, by the specification
_WRONG = "Where GATI_TOKEN is set, it comes before what gati login keeps."

_CLIENT = "gati"


class WrongLogin(Denied):
    """The token service does not take the credentials: they are mistyped, have expired or were revoked."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """How a registry wants to be spoken to."""

    scheme: str  # bearer or basic
    realm: str = ""
    service: str = ""
    scopes: tuple[str, ...] = ()


def parse_challenge(header: str) -> Challenge | None:
    """The strongest challenge of a WWW-Authenticate header that we can answer: Bearer before Basic."""
    found: dict[str, Challenge] = {}
    header = header[:_MAX_HEADER]
    # What is quoted may look like a scheme.
    schemes = list(_SCHEME.finditer(_QUOTED.sub(lambda quoted: '"' * len(quoted[0]), header)))
    for place, scheme in enumerate(schemes):
        end = schemes[place + 1].start() if place + 1 < len(schemes) else len(header)
        values = {
            key.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
            for key, quoted, plain in _PARAMETER.findall(header[scheme.end() : end])
        }
        name = scheme[1].lower()
        scopes = tuple(values.get("scope", "").split())
        found.setdefault(name, Challenge(name, values.get("realm", ""), values.get("service", ""), scopes))
    return found.get("bearer") or found.get("basic")


def basic(username: str, password: str) -> str:
    """The header of RFC 7617."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@dataclass(slots=True)
class _Token:
    value: str
    ends: float  # by time.monotonic


class Tokens:
    """The tokens of one registry, one for each set of scopes; fetched once however many requests wait for it."""

    def __init__(self, registry: httpx.URL, ask: Ask, trusted_realms: Sequence[str]) -> None:
        self._registry = registry
        self._ask = ask
        self._trusted = {*trusted_realms, hosts.KNOWN_REALMS.get(registry.host, "")} - {""}
        self._tokens: dict[frozenset[str], _Token] = {}
        self._locks: dict[frozenset[str], asyncio.Lock] = {}

    def has(self, scopes: frozenset[str]) -> bool:
        """Whether a token is kept for them."""
        return scopes in self._tokens

    def forget(self, scopes: frozenset[str], value: str) -> None:
        """A token was refused."""
        held = self._tokens.get(scopes)
        if held is not None and held.value == value:
            del self._tokens[scopes]

    async def get(self, challenge: Challenge, scopes: frozenset[str], credential: Credential | None) -> str:
        """A token for the scopes.

        Raises:
            Denied: the credentials are wrong, or the token service is one that must not see them.
        """
        async with self._locks.setdefault(scopes, asyncio.Lock()):
            held = self._tokens.get(scopes)
            if held is None or held.ends <= time.monotonic():
                held = self._tokens[scopes] = await self._fetch(challenge, scopes, credential)
            return held.value

    async def _fetch(self, challenge: Challenge, scopes: frozenset[str], credential: Credential | None) -> _Token:
        url = self._realm(challenge.realm, with_secret=credential is not None)
        parameters: _Parameters = []
        if challenge.service:
            parameters.append(("service", challenge.service))
        headers = {"Accept": "application/json"}
        if credential is not None and credential.token:
            # A token that the registry itself did not take may be a refresh token, as docker keeps them.
            form: _Parameters = [
                *parameters,
                ("grant_type", "refresh_token"),
                ("refresh_token", credential.token),
            ]
            form += [("client_id", _CLIENT), ("scope", " ".join(sorted(scopes)))]
            body = str(httpx.QueryParams(form)).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            answer = await self._ask("POST", url, headers, body)
        else:
            parameters += [("scope", scope) for scope in sorted(scopes)]
            if credential is not None:
                parameters += [("account", credential.username)]
                headers["Authorization"] = basic(credential.username, credential.password)
            answer = await self._ask("GET", url.copy_merge_params(parameters), headers, None)
        if answer.status != 200:
            # What a server echoes of a request may hold what was sent: only codes and messages of errors are told.
            error = refusal(url.netloc.decode(), "give a token", answer.status, answer.body)
            if credential is not None and answer.status == 401:
                raise WrongLogin(error.message, remedy=_WRONG, code=error.code, status=401) from None
            raise error
        return _read(answer)

    def _realm(self, realm: str, *, with_secret: bool) -> httpx.URL:
        registry = self._registry.netloc.decode()
        url = hosts.joined(self._registry, realm)
        if hosts.origin(url) == hosts.origin(self._registry):
            return url
        hosts.check_elsewhere(self._registry, url)
        trusted = url.netloc.decode() in self._trusted
        if with_secret and not trusted:
            raise Denied(
                f"{registry} asks to send its credentials to another host, {url.netloc.decode()[:200]}; not done",
                remedy="If that is its token service, name it as a trusted realm.",
            )
        return url


def _read(answer: Answer) -> _Token:
    document = answer.json()
    value = document.get("token") or document.get("access_token") if isinstance(document, dict) else None
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or len(value) > _MAX_TOKEN:
        raise Integrity("the token service answered without a token")
    seconds = document.get("expires_in")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < 1e9:
        seconds = _SHORTEST_SECONDS
    return _Token(value, time.monotonic() + seconds - min(10.0, seconds / 4))
