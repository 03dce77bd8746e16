"""The TLS context of both servers."""

from __future__ import annotations

import ssl

from gati_registry.settings import Settings, SettingsError


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """A server context, or None where `tls.cert` is not set. TLS 1.3 is preferred; ALPN offers what the server speaks.

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
    if settings.tls.client_ca is not None:
        _ask_clients(context, settings)
    return context


def _ask_clients(context: ssl.SSLContext, settings: Settings) -> None:
    """Ask clients for a certificate; whoever shows one that is not good does not get in, needed or not."""
    required = settings.tls.client_auth == "required"
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    # A resumed session is not verified again: whoever's certificate has ended meanwhile would come in by it.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    for name, file in (("tls.client_ca", settings.tls.client_ca), ("tls.client_crl", settings.tls.client_crl)):
        if file is None:
            continue
        try:
            context.load_verify_locations(file)
        except OSError as error:
            reason = error.strerror if not isinstance(error, ssl.SSLError) else (error.reason or "not PEM")
            raise SettingsError(f"{name}: {reason}; name a PEM file ({file})") from None
    if not context.get_ca_certs():
        raise SettingsError(f"tls.client_ca: holds no certificate of an authority ({settings.tls.client_ca})")
    if settings.tls.client_crl is not None:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def client_certificate(tls: ssl.SSLObject | None) -> bytes | None:
    """The certificate (DER) that the client of a connection showed; it was checked in the handshake."""
    # Not asked for, it is not checked: then Python tells of none.
    return tls.getpeercert(binary_form=True) if tls is not None else None


def speaks_http2(settings: Settings) -> bool:
    """Whether HTTP/2 is offered to TLS clients."""
    return settings.http.http2 and settings.server == "hypercorn"


def _no_passphrase() -> str:
    # Without a callback OpenSSL asks on the terminal.
    raise ValueError("encrypted")
