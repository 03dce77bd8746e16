"""Files on the web, fetched so that nobody can use us to reach what only we can reach.

The host is looked up once; every address must be public or lie in a network that the operator names, and the connection
goes to one that was checked, so a name that changes its address in between gains nothing. No redirects, no proxies,
HTTPS only (but plain HTTP within the operator's networks), bounded in size and time.
"""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TIMEOUT = 5.0
"""Seconds for connecting, and for each read."""

LONGEST = 3 * TIMEOUT
"""Seconds for all of a request."""

_AT_ONCE = 4
"""Threads of a fetcher: one that asks slow servers holds up nobody else's."""


class Lookup(Exception):
    """The outside did not answer, or not usably; the message says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered, whatever its status."""

    status: int
    media_type: str
    body: bytes


class WebFetcher:
    """Fetches. `context` says which certificates are believed (absent: the machine's), `networks` which addresses are
    connected to beside public ones, `longest` how many seconds a request may take."""

    def __init__(
        self, context: ssl.SSLContext | None = None, *, networks: Sequence[Network] = (), longest: float = LONGEST
    ) -> None:
        self._given = context
        self._networks = tuple(networks)
        self._longest = longest
        self._threads: ThreadPoolExecutor | None = None

    @cached_property
    def _context(self) -> ssl.SSLContext:
        # Only when something is fetched: reading the machine's authorities takes 30 ms.
        return self._given or ssl.create_default_context()

    async def fetch(self, url: str, limit: int) -> bytes | None:
        """A file of at most `limit` bytes; None where there is none.

        Raises:
            Lookup: no usable answer, or the URL leads somewhere it must not.
        """
        reply = await self.request("GET", url, limit)
        if reply.status == 404:
            return None
        if reply.status != 200:
            raise Lookup(f"the web server answers {reply.status}; try again later")
        return reply.body

    async def request(
        self, method: str, url: str, limit: int, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        """One request; its answer has at most `limit` bytes. A redirect is an answer like others.

        Raises:
            Lookup: as `fetch`.
        """
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch")
        line = _Line()
        work = asyncio.get_running_loop().run_in_executor(
            self._threads, self._request, method, url, limit, dict(headers or {}), body, line
        )
        try:
            async with asyncio.timeout(self._longest):
                return await work
        except TimeoutError:
            raise Lookup("the web server does not answer in time; try again later") from None
        finally:
            line.cut()

    def _request(
        self, method: str, url: str, limit: int, headers: dict[str, str], body: bytes | None, line: _Line
    ) -> Reply:
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise Lookup("the URL is malformed") from None
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
            raise Lookup("only https:// is fetched")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            address = self._address(parts.hostname, port, plain=parts.scheme == "http")
            tls = self._context if parts.scheme == "https" else None
            connection = _Pinned(parts.hostname, port, address, tls, line)
            try:
                connection.request(method, target, body, {"User-Agent": "gati-registry", **headers})
                with connection.getresponse() as answer:
                    data = answer.read(limit + 1)
            finally:
                connection.close()
        except (OSError, ValueError, http.client.HTTPException):
            raise Lookup("the web server cannot be reached; try again later") from None
        if len(data) > limit:
            raise Lookup(f"the file has more than {limit} bytes")
        return Reply(answer.status, answer.headers.get_content_type(), data)

    def _address(self, host: str, port: int, *, plain: bool) -> str:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        for text in found:
            if self._is_ours(text):
                continue
            if plain:
                raise Lookup("only https:// is fetched")
            if not is_public(text):
                raise Lookup("the host has an address that is not public: it is not fetched")
        return min(found)

    def _is_ours(self, text: str) -> bool:
        address = ipaddress.ip_address(text.partition("%")[0])
        return any(address in network for network in self._networks)


def is_public(text: str) -> bool:
    """Whether an address is one of the internet at large."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            address = inner
    return address.is_global and not address.is_multicast


@dataclass(slots=True)
class _Line:
    """The socket of a request, so that whoever stops waiting for it can end it too."""

    sockets: list[socket.socket] = field(default_factory=list)
    ended: bool = False

    def hold(self, sock: socket.socket) -> None:
        self.sockets.append(sock)
        if self.ended:
            sock.close()

    def cut(self) -> None:
        self.ended = True
        for sock in self.sockets:
            with suppress(OSError):  # it is closed, as it is after every whole answer
                sock.shutdown(socket.SHUT_RDWR)


class _Pinned(http.client.HTTPConnection):
    """Connects to an address that was checked, in the name of the host."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext | None, line: _Line) -> None:
        super().__init__(host, port, timeout=TIMEOUT)
        self._address = address
        self._tls = context
        self._line = line
        if context is not None:
            self.default_port = 443  # the Host header names no port then

    def connect(self) -> None:
        sock = socket.create_connection((self._address, self.port), self.timeout)
        self._line.hold(sock)
        try:
            self.sock = self._tls.wrap_socket(sock, server_hostname=self.host) if self._tls else sock
            self._line.hold(self.sock)
        except BaseException:
            sock.close()
            raise
