"""What the environment says of connections: proxies, and the authorities that are trusted."""

from __future__ import annotations

import os
import ssl

from gati_client.errors import Usage


def proxied() -> bool:
    """Whether the environment names a proxy."""
    from urllib.request import getproxies

    return bool({"http", "https", "all"} & set(getproxies()))


def authorities() -> ssl.SSLContext:
    """Whom to trust: SSL_CERT_FILE or SSL_CERT_DIR, else what the machine trusts, else what came with httpx.

    Raises:
        Usage: SSL_CERT_FILE holds no certificate.
    """
    context = ssl.create_default_context()  # OpenSSL reads the two variables itself, and says nothing if it cannot
    named = os.environ.get("SSL_CERT_FILE")
    if named and not context.cert_store_stats()["x509"]:
        raise Usage(f"SSL_CERT_FILE: {named} holds no certificate that can be read",
                    remedy="name a file of PEM certificates, or unset it")  # fmt: skip
    paths = ssl.get_default_verify_paths()
    if not any(path and os.path.exists(path) for path in (paths.cafile, paths.capath)):
        import certifi

        context.load_verify_locations(certifi.where())
    return context
