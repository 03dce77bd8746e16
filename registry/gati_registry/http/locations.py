"""URLs that the registry hands out, and how long a name may be under them.

A `Location` is absolute under the configured public URL, or under what a trusted proxy says of the client's request;
else it is a relative reference, which is right whatever stands in front.

Sources: RFC 7239 (Forwarded); RFC 9440 (Client-Cert); distribution-spec, section "Pulling manifests" (length of names).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Sequence

from gati_registry.http.exchange import Exchange

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_FORWARDED = re.compile(r'(?:^|;)\s*(host|proto)\s*=\s*(?:"([^"]*)"|([^;"\s]*))', re.IGNORECASE)

_FORWARDED_FOR = re.compile(r'(?:^|[;,])\s*for\s*=\s*(?:"([^"]*)"|([^;,"\s]*))', re.IGNORECASE)


class Locations:
    """Makes `Location` values."""

    def __init__(self, public_url: str | None, trusted: Sequence[Network], *, client_cert: bool = False) -> None:
        self._public_url = public_url
        self._client_cert = client_cert
        self._trusted = tuple(trusted)
        # Whether there may be proxies whose word counts.
        self.proxied = bool(self._trusted)

    def url(self, exchange: Exchange, path: str) -> bytes:
        """`path` as the client can follow it."""
        return (self.origin(exchange) + path).encode("latin-1")

    def client(self, exchange: Exchange) -> str | None:
        """The client's address as a trusted proxy says it; None where none says anything.

        Of the hops the last one that is no proxy of ours is the client: those before it anybody can make up.
        """
        if not self._trusted or not self._from_proxy(exchange):
            return None
        standard = exchange.header(b"forwarded")
        if standard:
            hops = [found[1] or found[2] for found in _FORWARDED_FOR.finditer(standard)]
        else:
            hops = (exchange.header(b"x-forwarded-for") or "").split(",")
        for hop in reversed(hops):
            address = _address(hop)
            if address is None:
                return None
            if not any(address in network for network in self._trusted):
                return str(address)
        return None

    def certificate(self, exchange: Exchange) -> bytes | None:
        """The client's certificate (DER): that of the connection, or of a proxy that is believed, what it says.

        Source: RFC 9440 section 2.
        """
        if not (self._client_cert and self._from_proxy(exchange)):
            return exchange.certificate
        header = exchange.header(b"client-cert")
        if header is None:
            return None
        try:
            return base64.b64decode(header.strip().removeprefix(":").removesuffix(":"), validate=True)
        except binascii.Error:
            return None

    def origin(self, exchange: Exchange) -> str:
        """Scheme and host as the client sees them; empty where only a relative reference is sure to be right."""
        if self._public_url is not None:
            return self._public_url
        if not self._trusted or not self._from_proxy(exchange):
            return ""
        host, proto = self._forwarded(exchange)
        if host and _HOST.fullmatch(host) and proto in ("http", "https"):
            return f"{proto}://{host}"
        return ""

    def _from_proxy(self, exchange: Exchange) -> bool:
        client = exchange.scope.get("client")
        address = _address(client[0]) if client else None
        return address is not None and any(address in network for network in self._trusted)

    @staticmethod
    def _forwarded(exchange: Exchange) -> tuple[str | None, str | None]:
        # The last hop's word is that of the proxy we trust; earlier ones the client may have made up.
        standard = exchange.header(b"forwarded")
        if standard:
            last = standard.rpartition(",")[2]
            found = {m[1].lower(): m[2] or m[3] for m in _FORWARDED.finditer(last)}
            host, proto = found.get("host"), found.get("proto")
        else:
            host = (exchange.header(b"x-forwarded-host") or "").rpartition(",")[2].strip()
            proto = (exchange.header(b"x-forwarded-proto") or "").rpartition(",")[2].strip()
        return host or exchange.header(b"host"), (proto or exchange.scope.get("scheme", "http")).lower()


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as proxies write it: bare, in brackets, with a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def host_of(exchange: Exchange) -> str:
    """The host that the client addressed, for the limit on names; empty if it is unknown."""
    return exchange.header(b"host") or ""
