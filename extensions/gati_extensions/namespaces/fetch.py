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
from urllib.parse import urlsplit

from gati_extensions.namespaces.ports import Lookup

TIMEOUT = 5.0
"""Seconds for connecting, and for each read."""


class WebFetcher:
    """`ports.Fetcher`. `context` says which certificates are believed; absent: the machine's."""

    def __init__(self, context: ssl.SSLContext | None = None, *, private: bool = False) -> None:
        self._context = context or ssl.create_default_context()
        self._private = private

    async def fetch(self, url: str, limit: int) -> bytes | None:
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
            try:
                connection.request("GET", parts.path or "/", headers={"User-Agent": "gati-registry"})
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
            if not (self._private or is_public(text)):
                raise Lookup("the host has an address that is not public: it is not fetched")
        return min(found)


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
