"""The TLS context of both servers."""

from __future__ import annotations

import ssl

from gati_registry.settings import Settings, SettingsError


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """A server context, or None where `tls.cert` is not set. ALPN offers what the server speaks.

    Raises:
        SettingsError: the files cannot be read or do not belong together.
    """
    cert, key = settings.tls.cert, settings.tls.key
    if cert is None or key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if settings.tls.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    # Forward secrecy and authenticated encryption only; RFC 9113 §9.2.2 forbids the rest for HTTP/2. OpenSSL keeps
    # TLS 1.3's own suites apart.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["h2", "http/1.1"] if speaks_http2(settings) else ["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=_no_passphrase)
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror if not isinstance(error, ssl.SSLError) else (error.reason or "not PEM")
        raise SettingsError(
            f"tls.cert, tls.key: {reason}; name a PEM certificate and its key ({cert}, {key})"
        ) from None
    except ValueError:
        raise SettingsError("tls.key: is encrypted; name a key without a passphrase") from None
    return context


def speaks_http2(settings: Settings) -> bool:
    """Whether HTTP/2 is offered to TLS clients."""
    return settings.http.http2 and settings.server == "hypercorn"


def _no_passphrase() -> str:
    # Without a callback OpenSSL asks on the terminal.
    raise ValueError("encrypted")
