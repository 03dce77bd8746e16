"""Signatures over a package's bytes: by ECDSA (as `cosign sign-blob` writes them), Ed25519 or RSA, against a named key.

A signature proves nothing without a key that somebody trusts for another reason: the caller names it. A certificate
within a bundle is not believed here.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from gati_registry.errors import Code, RegistryError

MAX_SIGNATURE = 64 * 1024
MAX_KEY = 16 * 1024

Status = Literal["valid", "invalid", "unknown", "absent"]
Key = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


def key_of(pem: bytes) -> Key:
    """A public key in PEM.

    Raises:
        RegistryError: INVALID.
    """
    try:
        key = serialization.load_pem_public_key(pem) if len(pem) <= MAX_KEY else None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 8192:
        return key
    raise RegistryError(Code.INVALID, "key: must be a public key in PEM: ECDSA, Ed25519 or RSA of 2048 bits and more")


def verify(key: Key, signature: bytes, content: bytes) -> bool:
    """Whether the key's owner signed exactly this content."""
    raw = _raw(signature)
    if raw is None:
        return False
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(raw, content, ec.ECDSA(hashes.SHA384() if key.curve.key_size == 384 else hashes.SHA256()))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(raw, content)
        else:
            key.verify(raw, content, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _raw(signature: bytes) -> bytes | None:
    """The signature proper: as it is, in Base64, or from a Sigstore bundle's `messageSignature`."""
    text = signature.strip()
    if text.startswith(b"{"):
        try:
            document = json.loads(text)
            found = document.get("messageSignature", {}).get("signature") or document.get("base64Signature")
            text = found.encode("ascii")
        except (ValueError, AttributeError, RecursionError):
            return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return signature
