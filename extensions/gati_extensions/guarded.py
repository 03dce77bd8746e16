"""Files on the web, fetched so that nobody can use us to reach what only we can reach.

The host is looked up once; every address must be public, and the connection goes to one that was checked, so a name
that changes its address in between gains nothing. No redirects, no proxies, HTTPS only, bounded in size and time.
"""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TIMEOUT = 5.0
"""Seconds for connecting, and for each read."""


class Lookup(Exception):
    """The outside did not answer, or not usably; the message says why."""


class WebFetcher:
    """Fetches. `context` says which certificates are believed (absent: the machine's), `networks` which addresses are
    connected to beside public ones."""

    def __init__(self, context: ssl.SSLContext | None = None, *, networks: Sequence[Network] = ()) -> None:
        self._context = context or ssl.create_default_context()
        self._networks = tuple(networks)

    async def fetch(self, url: str, limit: int) -> bytes | None:
        """A file of at most `limit` bytes; None where there is none.

        Raises:
            Lookup: no usable answer, or the URL leads somewhere it must not.
        """
        try:
            async with asyncio.timeout(3 * TIMEOUT):
                return await asyncio.to_thread(self._fetch, url, limit)
        except TimeoutError:
            raise Lookup("the web server does not answer in time; try again later") from None

    def _fetch(self, url: str, limit: int) -> bytes | None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None:
            raise Lookup("only https:// is fetched")
        try:
            port = parts.port or 443
            address = self._address(parts.hostname, port)
            connection = _Pinned(parts.hostname, port, address, self._context)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            try:
                connection.request("GET", target, headers={"User-Agent": "gati-registry"})
                answer = connection.getresponse()
                if answer.status == 404:
                    return None
                if answer.status != 200:
                    raise Lookup(f"the web server answers {answer.status}; try again later")
                data = answer.read(limit + 1)
            finally:
                connection.close()
        except (OSError, ValueError, http.client.HTTPException):
            raise Lookup("the web server cannot be reached; try again later") from None
        if len(data) > limit:
            raise Lookup(f"the file has more than {limit} bytes")
        return data

    def _address(self, host: str, port: int) -> str:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        for text in found:
            if not (is_public(text) or self._is_ours(text)):
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


class _Pinned(http.client.HTTPSConnection):
    """Connects to an address that was checked, in the name of the host."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=TIMEOUT, context=context)
        self._address = address
        self._tls = context

    def connect(self) -> None:
        sock = socket.create_connection((self._address, self.port), self.timeout)
        try:
            self.sock = self._tls.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise
