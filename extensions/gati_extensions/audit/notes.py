"""Checkpoints: the size and root of the tree, signed.

    gati.audit/1f0c…                    the log's name
    1742                                leaves
    q6Tz…=                              root

    — gati.audit/1f0c… 5fMX…=           key's short hash and Ed25519 signature over the lines above the empty one

Source: C2SP tlog-checkpoint, signed-note.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ED25519 = b"\x01"
"""The algorithm's number in keys and their hashes (signed-note)."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says. `root` is the hash."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, note: str) -> Checkpoint:
        """What a note says, whoever signed it.

        Raises:
            ValueError: it is malformed.
        """
        text, empty, _ = note.partition("\n\n")
        lines = text.split("\n")
        if not empty or len(lines) < 3 or not (lines[1].isascii() and lines[1].isdigit()):
            raise ValueError("this is no checkpoint")
        return cls(lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True))

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A log's key; `name` is the log's."""

    name: str
    public: bytes

    @property
    def short(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """The key of its text form (signed-note's verifier key).

        Raises:
            ValueError: it is malformed.
        """
        name, short, encoded = text.split("+", 2)
        data = base64.b64decode(encoded, validate=True)
        found = cls(name, data[1:])
        if data[:1] != _ED25519 or found.short.hex() != short:
            raise ValueError("this is no Ed25519 verifier key")
        return found

    def __str__(self) -> str:
        return f"{self.name}+{self.short.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def verify(self, note: str) -> Checkpoint:
        """What a note says, if this key signed it.

        Raises:
            ValueError: it is malformed, or not signed by this key.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        found = Checkpoint.parse(note)
        text, _, signatures = note.partition("\n\n")
        for line in signatures.splitlines():
            parts = line.split(" ")
            if len(parts) != 3 or parts[:2] != ["—", self.name]:
                continue
            try:
                signature = base64.b64decode(parts[2], validate=True)
                if signature[:4] == self.short:
                    Ed25519PublicKey.from_public_bytes(self.public).verify(signature[4:], f"{text}\n".encode())
                    return found
            except (binascii.Error, InvalidSignature):
                raise ValueError(f"the signature of {self.name} is wrong") from None
        raise ValueError(f"there is no signature of {self.name}")


class Signer:
    """A log's private key."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(name, key.public_key().public_bytes_raw())

    @classmethod
    def from_bytes(cls, name: str, private: bytes) -> Signer:
        """A signer of the raw private key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(name, Ed25519PrivateKey.from_private_bytes(private))

    def sign(self, size: int, root: bytes) -> str:
        """The checkpoint of a tree, as a signed note."""
        text = Checkpoint(self.public.name, size, root).text()
        signature = base64.b64encode(self.public.short + self._key.sign(text.encode())).decode()
        return f"{text}\n— {self.public.name} {signature}\n"


def make_key() -> bytes:
    """A new raw private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes_raw()
