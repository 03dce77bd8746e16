"""What a certificate says of its holder, in one form each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

KINDS = ("fingerprint", "uri", "dns", "subject")
"""What a mapping can be by, the narrowest first."""

MOST_NAMES = 50
"""Alternative names that are looked at."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate; times in milliseconds. `marks` are what it can be found by: (kind, value, mark)."""

    fingerprint: str
    issuer: str
    not_before: int
    not_after: int
    marks: tuple[tuple[str, str, str], ...]


def fingerprint(der: bytes) -> str:
    """SHA-256 of the certificate (hex)."""
    return hashlib.sha256(der).hexdigest()


def of_der(der: bytes) -> Shown:
    """A certificate as TLS has it.

    Raises:
        ValueError: it is malformed.
    """
    from cryptography import x509

    return _shown(x509.load_der_x509_certificate(der))


def of_pem(text: str) -> Shown:
    """A certificate as people have it.

    Raises:
        ValueError: it is malformed.
    """
    from cryptography import x509

    return _shown(x509.load_pem_x509_certificate(text.encode()))


def _shown(certificate: Certificate) -> Shown:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    own, issuer = fingerprint(certificate.public_bytes(Encoding.DER)), certificate.issuer.rfc4514_string()
    names: list[tuple[str, str]] = []
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    else:
        names += [("uri", name) for name in found.get_values_for_type(x509.UniformResourceIdentifier)]
        names += [("dns", name.lower()) for name in found.get_values_for_type(x509.DNSName)]
    if certificate.subject.rdns:
        names.append(("subject", certificate.subject.rfc4514_string()))
    # A name means something only together with who gave it.
    marks = [("fingerprint", own, json.dumps(["fingerprint", own]))]
    marks += [(kind, name, json.dumps([kind, name, issuer])) for kind, name in names[:MOST_NAMES]]
    return Shown(
        fingerprint=own,
        issuer=issuer,
        not_before=int(certificate.not_valid_before_utc.timestamp() * 1000),
        not_after=int(certificate.not_valid_after_utc.timestamp() * 1000),
        marks=tuple(marks),
    )
