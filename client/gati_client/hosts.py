"""Addresses of registries, and which other addresses they may send us to."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from gati_client.errors import Denied, Integrity, Usage
from gati_client.quick import httpx

_DOCKER_HUB = {"docker.io", "index.docker.io", "registry-1.docker.io"}

# Registries whose token service is known to live at another host: credentials for the one are meant for the other.
# https://docs.docker.com/reference/api/registry/auth/, https://docs.gitlab.com/administration/packages/container_registry/
KNOWN_REALMS = {"registry-1.docker.io": "auth.docker.io", "registry.gitlab.com": "gitlab.com"}


_PLAIN = re.compile(r"(?:(https?)://)?([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::([1-9][0-9]{0,4}))?/?")
_PLAIN_TARGET = re.compile(r"/[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a registry is; `name` is its host, and its port unless that is the scheme's own."""

    scheme: str
    host: str
    port: int
    name: str

    @classmethod
    def parse(cls, text: str, *, insecure: bool = False) -> Origin:
        """As `registry_url`, and without httpx where the text is a plain one."""
        plain = _PLAIN.fullmatch(text.strip())
        if plain is not None and plain[2] not in _DOCKER_HUB and _usual(plain[2]):
            near = loopback(plain[2]) or insecure
            scheme = plain[1] or ("http" if near else "https")
            usual = 443 if scheme == "https" else 80
            port = int(plain[3] or usual)
            if (scheme == "https" or near) and port < 65536:
                return cls(scheme, plain[2], port, plain[2] if port == usual else f"{plain[2]}:{port}")
        url = registry_url(text, insecure=insecure)
        return cls(*origin(url), url.netloc.decode())

    def target(self, reference: str, what: str, at: str = "/") -> str:
        """Path and query of an address that may only be of the registry itself; `at`: where it was found.

        Raises:
            Integrity: it is of somebody else.
        """
        path = reference.removeprefix(f"{self.scheme}://{self.name}")
        if not path.startswith("//") and _PLAIN_TARGET.fullmatch(path):
            return path
        return same_origin(httpx.URL(f"{self.scheme}://{self.name}{at}"), reference, what).raw_path.decode()


def _usual(host: str) -> bool:
    """Whether a host of letters, digits, dots and dashes means the same to everybody: not so 127.1."""
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return not host.rpartition(".")[2][0].isdigit()


def loopback(host: str) -> bool:
    """Whether a host is this machine by its very name."""
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _internal(host: str) -> bool:
    """Whether a host is an address that strangers have no reason to send us to."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return loopback(host)
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_link_local or mapped.is_private or mapped.is_unspecified)


def registry_url(text: str, *, insecure: bool = False) -> httpx.URL:
    """The address of a registry: `host`, `host:port` or a URL. Without a scheme, loopback means http, all else https.

    Raises:
        Usage: it is no address, or plain http beyond this machine without `insecure`.
    """
    written = text.strip().rstrip("/")
    try:
        url = httpx.URL(written if "://" in written else f"https://{written}")
    except (httpx.InvalidURL, TypeError):
        url = httpx.URL()
    wrong = not url.host or url.path not in ("", "/") or url.query or url.userinfo or len(written.split()) != 1
    if url.scheme not in ("http", "https") or wrong:
        raise Usage(f"{text[:200]!r} is no address of a registry", remedy="Write HOST, HOST:PORT or https://HOST.")
    if "://" not in written and (loopback(url.host) or insecure):
        url = url.copy_with(scheme="http")
    if url.scheme == "http" and not loopback(url.host) and not insecure:
        raise Usage(
            f"{written} is plain http, which anybody between could read and change",
            remedy="Write https://, or allow it (insecure) where the network is yours.",
        )
    return url.copy_with(host="registry-1.docker.io") if url.host in _DOCKER_HUB else url


def origin(url: httpx.URL) -> tuple[str, str, int]:
    """Scheme, host and port."""
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def joined(base: httpx.URL, reference: str) -> httpx.URL:
    """A reference that a server gave, made absolute.

    Raises:
        Integrity: it is none.
    """
    try:
        return base.join(reference)
    except (httpx.InvalidURL, ValueError, TypeError):
        raise Integrity(f"{base.host} gave an address that is none: {reference[:100]!r}") from None


def same_origin(base: httpx.URL, reference: str, what: str) -> httpx.URL:
    """An address that may only be of the registry itself.

    Raises:
        Integrity: it is of somebody else.
    """
    url = joined(base, reference)
    if origin(url) != origin(base):
        raise Integrity(
            f"{base.netloc.decode()} names another host for {what}: {url.netloc.decode()[:200]}; not followed"
        )
    return url


def check_elsewhere(base: httpx.URL, url: httpx.URL) -> None:
    """Whether content may be fetched from `url` because `base` says so (a redirect). Credentials never go along.

    Raises:
        Denied: it may not: another scheme than https, or a stranger who points into our own network.
    """
    if origin(url) == origin(base):
        return
    place = url.netloc.decode()[:200]
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise Denied(f"{base.netloc.decode()} redirects to {str(url)[:100]!r}, which is no address to fetch from")
    if url.scheme == "http" and base.scheme == "https":
        raise Denied(f"{base.netloc.decode()} redirects from https to plain http at {place}; not followed")
    if _internal(url.host) and not _internal(base.host):
        raise Denied(f"{base.netloc.decode()} redirects into a private network, to {place}; not followed")
