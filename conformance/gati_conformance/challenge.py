"""Answering a registry's 401: reading challenges, fetching tokens, remembering what worked.

Source: RFC 9110 section 11.6.1 (WWW-Authenticate), the token protocol of Docker's registry as clients speak it.
"""

from __future__ import annotations

import base64
import re
import threading
from dataclasses import dataclass

_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]*)(?:\s+|$)")
_PARAMETER = re.compile(r"\s*,?\s*([A-Za-z0-9_-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"]+))")
_REPOSITORY = re.compile(
    r"^/v2/(.+)/(?:blobs/uploads(?:/[^/]*)?|blobs/[^/]+|manifests/[^/]+|tags/list|referrers/[^/]+)$"
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a WWW-Authenticate header; `scheme` and the parameters' names are in lower case."""

    scheme: str
    parameters: dict[str, str]

    @property
    def scopes(self) -> list[str]:
        """The scopes asked for; one value may hold several, divided by spaces."""
        return self.parameters.get("scope", "").split()


def parse_challenges(header: str) -> list[Challenge]:
    """All challenges of one header value, in order; what cannot be read ends the list."""
    challenges: list[Challenge] = []
    position = 0
    while match := _SCHEME.match(header, position):
        position = match.end()
        parameters: dict[str, str] = {}
        while found := _PARAMETER.match(header, position):
            quoted, bare = found.group(2), found.group(3)
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
            parameters[found.group(1).lower()] = value
            position = found.end()
        challenges.append(Challenge(match.group(1).lower(), parameters))
    return challenges


def basic(username: str, password: str) -> str:
    """The Authorization value of RFC 7617."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def cache_key(method: str, path: str) -> tuple[str, str]:
    """What an Authorization value is good for again: a repository (or the path) and a kind of access."""
    match = _REPOSITORY.match(path)
    kind = {"GET": "pull", "HEAD": "pull", "POST": "push", "PATCH": "push", "PUT": "push"}.get(method, method)
    return (match.group(1) if match else path, kind)


class Credentials:
    """Authorization values by what they are good for; safe for several threads."""

    def __init__(self, *, remember: bool) -> None:
        self._remember = remember
        self._values: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str]) -> str:
        """The value that worked before; empty when there is none."""
        with self._lock:
            return self._values.get(key, "")

    def put(self, key: tuple[str, str], value: str) -> None:
        """Keep a value, unless OCI_CACHE_AUTH is off."""
        if self._remember:
            with self._lock:
                self._values[key] = value
