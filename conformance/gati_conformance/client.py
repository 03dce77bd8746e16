"""HTTP as the cases need it: exact bytes, no smoothing over, every exchange kept for the report.

Bodies are the bytes on the wire (a Content-Encoding is not undone). Redirects are followed, as the specification
asks of clients; credentials go only to the registry's own host. A broken connection is the registry's failure and
raises `Failed`.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from gati_conformance.challenge import Credentials, basic, cache_key, parse_challenges
from gati_conformance.config import Config
from gati_conformance.model import Failed

TIMEOUT = 60.0  # seconds for one read or write
EXCERPT = 4096  # bytes of a body kept for reports; source: distribution-spec, conformance/config.go truncateBody
RETRIES_429 = 3
LONGEST_WAIT = 30.0  # seconds; a registry that asks for more gets its 429 reported instead

# What clients that pull any kind of manifest say; a registry may answer 404 to those that say nothing.
ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "*/*",
    )
)

_SECRET_HEADERS = {"authorization", "proxy-authorization", "cookie", "set-cookie"}
_SECRET_FIELDS = re.compile(
    r"(?i)([\"']?\b(?:access_token|refresh_token|id_token|token|password|secret)[\"']?\s*[:=]\s*[\"']?)[^\s\"'&,}]+"
)
_SECRET_QUERY = re.compile(r"(?i)([?&;](?:_?state|token|access_token|sig|signature|x-amz-[a-z-]+|password)=)[^&\s\"]+")


def mask(text: str) -> str:
    """Text with tokens, passwords and signed upload states blotted out."""
    return _SECRET_QUERY.sub(r"\1***", _SECRET_FIELDS.sub(r"\1***", text))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, cut and masked: safe to print."""

    method: str
    url: str
    request_headers: tuple[tuple[str, str], ...]
    request_body: str
    status: int  # 0: no answer came
    headers: tuple[tuple[str, str], ...]
    body: str
    error: str = ""

    def text(self) -> str:
        """As plain text, for reports."""
        lines = [f"> {self.method} {self.url}"]
        lines += [f"> {name}: {value}" for name, value in self.request_headers]
        lines += [f"> {self.request_body}"] if self.request_body else []
        if self.error:
            return "\n".join([*lines, f"! {self.error}"])
        lines += [f"< {self.status}", *(f"< {name}: {value}" for name, value in self.headers)]
        return "\n".join([*lines, self.body] if self.body else lines)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read to its end."""

    method: str
    url: httpx.URL  # of the last request, when redirects were followed
    status: int
    headers: httpx.Headers
    body: bytes
    target: str  # what was asked for, as reports show it

    def __str__(self) -> str:
        return f"{self.method} {self.target}"

    def header(self, name: str) -> str:
        """A header's value, several joined by commas; empty when it is missing."""
        return ", ".join(self.headers.get_list(name))

    def json(self) -> Any:
        """The body as JSON. Raises Failed."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Failed(f"{self}: the body is no JSON ({error})") from error

    @property
    def location(self) -> httpx.URL:
        """The Location header, made absolute. Raises Failed when it is missing or no URL."""
        value = self.headers.get("location", "")
        if not value:
            raise Failed(f"{self}: {self.status} without a Location header")
        try:
            return self.url.join(value)
        except httpx.InvalidURL as error:
            raise Failed(f"{self}: Location {value!r} is no URL ({error})") from error


class Client:
    """Talks to one registry. Usable by several threads; close it."""

    def __init__(self, config: Config, *, keep_alive: bool = True, tls: ssl.SSLContext | bool | None = None) -> None:
        self.config = config
        self.base = httpx.URL(config.url)
        self.exchanges: list[Exchange] = []
        self.throttled: list[Answer] = []  # every 429 seen
        self.warnings: set[tuple[str, ...]] = set()  # the Warning headers of every answer that had some
        self._credentials = Credentials(remember=config.cache_auth)
        # loading the trusted certificates takes longer than many a request: done once, shared with `apart`
        self._tls = (config.tls == "enabled" and ssl.create_default_context()) if tls is None else tls
        self._http = httpx.Client(
            timeout=TIMEOUT,
            verify=self._tls,
            trust_env=False,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=100 if keep_alive else 0),
        )

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def apart(self) -> Client:
        """A client that opens a connection for each request (it may meet another worker); close it too."""
        other = Client(self.config, keep_alive=False, tls=self._tls)
        other.exchanges, other.throttled, other.warnings = self.exchanges, self.throttled, self.warnings
        other._credentials = self._credentials
        return other

    def request(
        self,
        method: str,
        url: str | httpx.URL,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        content: bytes | Iterable[bytes] | None = None,
        target: bytes | None = None,
        authorization: str | None = None,
        follow: bool = True,
    ) -> Answer:
        """Send one request; a 401 is answered with credentials, a 429 by waiting.

        `url` is a path below the registry or an absolute URL. `content` as an iterable (one that can be iterated
        again) goes out chunked, without Content-Length. `target` is sent as the request target byte for byte, so
        that a path the URL library would tidy up arrives as it is. Manifests are asked for with an Accept header
        that names every usual type, unless one is given. `authorization` is sent as given, and then a 401
        is final; empty means anonymous.

        Raises:
            Failed: no whole answer came.
        """
        full = self.base.join(url) if isinstance(url, str) else url
        key = cache_key(method, full.path)
        own = full.host == self.base.host and full.port == self.base.port
        sent = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if method in ("GET", "HEAD") and "/manifests/" in full.path and "accept" not in {n.lower() for n, _ in sent}:
            sent.append(("Accept", ACCEPT))

        def attempt(value: str) -> Answer:
            extra = [("Authorization", value)] if value else []
            return self._send(method, full, [*sent, *extra], content, target, follow)

        if authorization is not None:
            return attempt(authorization)
        answer = attempt(self._credentials.get(key) if own else "")
        for _ in range(RETRIES_429):
            if answer.status != 429 or not 0 <= _retry_after(answer) <= LONGEST_WAIT:
                break
            time.sleep(_retry_after(answer))
            answer = attempt(self._credentials.get(key) if own else "")
        if answer.status == 401 and own and (value := self._answer_challenge(answer)):
            self._credentials.put(key, value)
            answer = attempt(value)
        return answer

    def token(self, realm: str, service: str, scopes: Iterable[str], authorization: str) -> Answer:
        """Ask a token service; scopes are repeated parameters. Source: Docker registry token protocol."""
        parameters = [("service", service)] if service else []
        parameters += [("scope", scope) for scope in scopes]
        url = self.base.join(realm)
        url = url.copy_with(query=urlencode([*url.params.multi_items(), *parameters]).encode())
        headers = [("Authorization", authorization)] if authorization else []
        return self._send("GET", url, headers, None, None, follow=True)

    def _answer_challenge(self, answer: Answer) -> str:
        """An Authorization value for a challenge; empty when there is nothing to answer with."""
        user, password = self.config.username, self.config.password
        login = basic(user, password) if user and password else ""
        for challenge in parse_challenges(answer.header("www-authenticate")):
            if challenge.scheme == "basic" and login:
                return login
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                service = challenge.parameters.get("service", "")
                granted = self.token(challenge.parameters["realm"], service, challenge.scopes, login)
                if granted.status == 200:
                    document = granted.json()
                    value = document.get("access_token") or document.get("token") or ""
                    return f"Bearer {value}" if value else ""
        return ""

    def _send(
        self,
        method: str,
        url: httpx.URL,
        headers: list[tuple[str, str]],
        content: bytes | Iterable[bytes] | None,
        target: bytes | None,
        follow: bool,
    ) -> Answer:
        request = self._http.build_request(
            method, url, headers=headers, content=content, extensions={"target": target} if target else {}
        )
        shown = mask((target or request.url.raw_path).decode("latin-1"))
        try:
            response = self._http.send(request, stream=True, follow_redirects=follow)
            try:
                body = b"".join(response.iter_raw())
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = f"{type(error).__name__}: {error}"
            self.exchanges.append(_exchange(request, content, target, None, b"", reason))
            raise Failed(f"{method} {shown}: no whole answer ({reason})") from error
        answer = Answer(method, response.url, response.status_code, response.headers, body, shown)
        self.exchanges.append(_exchange(request, content, target, response, body, ""))
        if found := tuple(response.headers.get_list("warning")):
            self.warnings.add(found)
        if answer.status == 429:
            self.throttled.append(answer)
        return answer


def _retry_after(answer: Answer) -> float:
    value = answer.header("retry-after")
    return float(value) if value.isdigit() else -1.0


def _exchange(
    request: httpx.Request,
    content: bytes | Iterable[bytes] | None,
    target: bytes | None,
    response: httpx.Response | None,
    body: bytes,
    error: str,
) -> Exchange:
    sent = content if isinstance(content, bytes) else b""
    note = "(chunked body)" if content is not None and not isinstance(content, bytes) else _excerpt(sent)
    url = (
        f"{request.url.scheme}://{request.url.netloc.decode()}{target.decode('latin-1')}"
        if target
        else str(request.url)
    )
    return Exchange(
        method=request.method,
        url=mask(url),
        request_headers=_headers(request.headers),
        request_body=note,
        status=response.status_code if response is not None else 0,
        headers=_headers(response.headers) if response is not None else (),
        body=_excerpt(body),
        error=error,
    )


def _headers(headers: httpx.Headers) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, "***" if name.lower() in _SECRET_HEADERS else mask(value)) for name, value in headers.multi_items()
    )


def _excerpt(body: bytes) -> str:
    if not body:
        return ""
    text = body[:EXCERPT].decode(errors="replace")
    if text.count("\ufffd") > 1 or any(ord(char) < 32 and char not in "\r\n\t" for char in text):
        return f"({len(body)} bytes that are no text)"
    return mask(text) + (f"\n(cut: {len(body)} bytes in all)" if len(body) > EXCERPT else "")
