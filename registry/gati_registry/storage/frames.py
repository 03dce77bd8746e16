"""Sealed pieces: what leaves the registry encrypted, each small enough to be held in memory.

A piece is AES-256-GCM over its bytes, with a random nonce in front and its name as associated data: one that was
changed, or put in another's place, does not open. Names are keyed hashes, so that they tell nothing of what they name.

    piece = nonce (12 bytes) | ciphertext | tag (16 bytes)
"""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12

SCRYPT = {"n": 1 << 17, "r": 8, "p": 1}
"""About 128 MiB and half a second for each guess. Source: RFC 7914; OWASP Password Storage Cheat Sheet."""


class Unsealable(Exception):
    """A piece that was not sealed with this key, under this name, as it is."""


class Sealer:
    """Seals and opens with keys derived from one master key of 32 bytes."""

    def __init__(self, master: bytes) -> None:
        if len(master) != KEY_BYTES:
            raise ValueError("the key has another length than 32 bytes")
        self._cipher = AESGCM(_derived(master, b"gati pieces"))
        self._naming = _derived(master, b"gati names")

    def seal(self, data: bytes, name: str) -> bytes:
        """The piece under its name."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, name.encode())

    def open(self, piece: bytes, name: str) -> bytes:
        """What was sealed under the name.

        Raises:
            Unsealable: it is another, or damaged.
        """
        try:
            return self._cipher.decrypt(piece[:NONCE_BYTES], piece[NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError):
            raise Unsealable(name) from None

    def name(self, data: bytes) -> str:
        """40 hexadecimal digits that stand for these bytes and can only be found with the key."""
        return hashlib.blake2b(data, key=self._naming, digest_size=20).hexdigest()


def stretched(passphrase: bytes, salt: bytes) -> bytes:
    """The master key that a passphrase stands for."""
    return hashlib.scrypt(
        passphrase, salt=salt, n=SCRYPT["n"], r=SCRYPT["r"], p=SCRYPT["p"], maxmem=1 << 28, dklen=KEY_BYTES
    )


def _derived(master: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose).derive(master)
