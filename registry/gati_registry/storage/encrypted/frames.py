"""The format of encrypted bytes: frames that can be opened one by one.

    frame = nonce (12 bytes, random) | ciphertext | tag (16 bytes)

AES-256-GCM. All frames of a blob hold as many plain bytes but the last, which holds the rest. The key belongs to one
blob alone and so tells it from others; a frame's number is in its associated data, and the blob's size in that of the
wrapped key. So frames of another blob, in another place, missing or cut off do not open.

A nonce is random and not counted: bytes that were never acknowledged are written again, with other content under the
same number. At 2^32 frames of one key, 256 TiB, two nonces are the same with a probability of 2^-33.
Source: NIST SP 800-38D, section 8.2.2.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gati_registry.errors import Code, RegistryError

FRAME = 64 * 1024
"""Plain bytes of a frame: what the smallest range costs to read."""

KEY = 32
NONCE = 12
OVERHEAD = NONCE + 16
"""Bytes that a frame is larger than its content."""


class Damaged(RegistryError):
    """Encrypted bytes that are not what was written. Nothing of them is given out."""

    def __init__(self) -> None:
        super().__init__(Code.UNKNOWN, "the blob's bytes are damaged; run `gati-registry verify`, and push it again")


class Frames:
    """Seals and opens the frames of one blob. Thread-safe."""

    __slots__ = ("_cipher", "frame", "key", "sealed")

    def __init__(self, key: bytes, frame: int = FRAME) -> None:
        self.key = key
        self.frame = frame
        self.sealed = frame + OVERHEAD
        self._cipher = AESGCM(key)

    def sealed_size(self, size: int) -> int:
        """Bytes of all frames of `size` plain ones."""
        return sealed_size(size, self.frame)

    def seal(self, first: int, data: bytes | bytearray | memoryview) -> bytes:
        """Frames of these bytes, which begin with frame `first`; only the last may hold less than a frame."""
        view, encrypt = memoryview(data), self._cipher.encrypt
        count = -(-len(view) // self.frame)
        nonces = os.urandom(NONCE * count)
        pieces: list[bytes] = []
        for index in range(count):
            nonce = nonces[index * NONCE : (index + 1) * NONCE]
            part = view[index * self.frame : (index + 1) * self.frame]
            pieces += (nonce, encrypt(nonce, part, _context(first + index)))
        return b"".join(pieces)

    def open(self, first: int, sealed: bytes | bytearray | memoryview) -> bytes:
        """The plain bytes of whole frames, of which the first is number `first`.

        Raises:
            Damaged: one is not what was sealed with this key under its number.
        """
        view, decrypt = memoryview(sealed), self._cipher.decrypt
        pieces = []
        try:
            for index, start in enumerate(range(0, len(view), self.sealed)):
                frame = view[start : start + self.sealed]
                pieces.append(decrypt(frame[:NONCE], frame[NONCE:], _context(first + index)))
        except (InvalidTag, ValueError):
            raise Damaged from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def sealed_size(size: int, frame: int) -> int:
    """Bytes of all frames of `size` plain ones."""
    whole, rest = divmod(size, frame)
    return whole * (frame + OVERHEAD) + (rest + OVERHEAD if rest else 0)


def new_key() -> bytes:
    """32 bytes of chance."""
    return os.urandom(KEY)


def wrap(key: bytes, content: bytes, context: str) -> bytes:
    """Seal a few bytes, a key above all, with a key; `context` is needed again to open them."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, content, context.encode())


def unwrap(key: bytes, wrapped: bytes, context: str) -> bytes:
    """What was sealed.

    Raises:
        Damaged: it was changed, or sealed with another key or for something else.
    """
    try:
        return AESGCM(key).decrypt(wrapped[:NONCE], wrapped[NONCE:], context.encode())
    except (InvalidTag, ValueError):
        raise Damaged from None


def _context(number: int) -> bytes:
    return b"gati frame %d" % number
