"""Another registry as a client sees it: content by digest, over HTTP.

Who the operator named gets the credentials, and nobody else: a redirect to another place is followed without them. A
token is asked for where the registry says, with the credentials only if that is at its own host or by HTTPS.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import re
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlencode, urljoin, urlsplit

from gati_registry.errors import Unavailable

TIMEOUT = 60.0
REDIRECTS = 5
CHUNK = 1024 * 1024
MAX_TOKEN = 1024 * 1024

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class Peer:
    """A registry at `http(s)://HOST[:PORT]`; `credentials` are a name and a password."""

    def __init__(self, url: str, credentials: tuple[str, str] | None) -> None:
        self._url = url.rstrip("/")
        self._basic = None
        if credentials is not None:
            self._basic = "Basic " + base64.b64encode(":".join(credentials).encode()).decode()
        self._authorization: dict[str, str] = {}  # by repository

    async def get(self, repository: str, kind: str, digest: str) -> AsyncIterator[bytes]:
        """A blob's or manifest's bytes (`kind` is blobs or manifests), not yet checked.

        Raises:
            FileNotFoundError: the peer does not have it, or not for us.
            Unavailable: it does not answer.
        """
        try:
            answer = await asyncio.to_thread(self._asked, repository, f"/v2/{repository}/{kind}/{digest}")
            try:
                while chunk := await asyncio.to_thread(answer.read, CHUNK):
                    yield chunk
            finally:
                answer.close()
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise Unavailable(f"the peer does not answer ({type(error).__name__})") from None

    def _asked(self, repository: str, path: str) -> http.client.HTTPResponse:
        url = self._url + path
        answer = _open(url, self._authorization.get(repository, self._basic))
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status == 401 and challenge.lower().startswith("bearer "):
            answer.close()
            token = self._authorization[repository] = f"Bearer {self._token(dict(_PARAMETER.findall(challenge)))}"
            answer = _open(url, token)
        if answer.status != 200:
            status = answer.status
            answer.close()
            if status in (401, 403, 404):
                raise FileNotFoundError(path)
            raise Unavailable(f"the peer answers {status}")
        return answer

    def _token(self, challenge: dict[str, str]) -> str:
        realm = challenge.pop("realm", "")
        query = urlencode([(name, value) for name, value in challenge.items() if name in ("service", "scope")])
        trusted = _origin(realm) == _origin(self._url) or urlsplit(realm).scheme == "https"
        answer = _open(f"{realm}{'&' if '?' in realm else '?'}{query}", self._basic if trusted else None)
        try:
            body = json.loads(answer.read(MAX_TOKEN))
            return str(body.get("token") or body["access_token"])
        except (ValueError, KeyError, AttributeError):
            raise FileNotFoundError("token") from None
        finally:
            answer.close()


def _open(url: str, authorization: str | None) -> http.client.HTTPResponse:
    """GET; redirects are followed, to other places without authorization."""
    first = _origin(url)
    for _ in range(REDIRECTS):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unavailable("the peer leads to something that is no URL of HTTP")
        connection = (
            http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=TIMEOUT, context=ssl.create_default_context()
            )
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
        )
        headers = {"Accept": "*/*", "User-Agent": "gati-registry", "Connection": "close"}
        if authorization is not None and _origin(url) == first:
            headers["Authorization"] = authorization
        connection.request("GET", f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}", headers=headers)
        answer = connection.getresponse()
        location = answer.headers.get("Location")
        if answer.status not in (301, 302, 303, 307, 308) or location is None:
            return answer
        answer.close()
        url = urljoin(url, location)
    raise Unavailable("the peer redirects without end")


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
