"""A software authenticator and the browser in front of it: makes passkeys and signs challenges, also wrongly.

Source: Web Authentication Level 2, sections 6.1 (authenticator data), 6.5 (attestation), 5.8.1 (client data).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import struct
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORIGIN = "http://registry.test"


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The reverse."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One credential. `present` is whether somebody touches it; `site` and `origin` are None for the right ones."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    count: int = 0
    counts: bool = True
    present: bool = True
    origin: str = ORIGIN
    site: str | None = None
    handle: bytes | None = None

    def create(self, options: dict[str, Any], attestation: str = "none", **client: Any) -> dict[str, Any]:
        """`navigator.credentials.create()`, as JSON."""
        self.handle = unb64(options["user"]["id"])
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
        attested = bytes(16) + struct.pack("!H", len(self.credential_id)) + self.credential_id + cose
        data = self._data(options["rp"]["id"], 0x40) + attested
        said = self._client("webauthn.create", options, client)
        statement: dict[str, Any] = {}
        if attestation == "packed":
            statement = {"alg": -7, "sig": self._sign(data, said)}
        elif attestation == "forged":
            attestation, statement = "packed", {"alg": -7, "sig": self._sign(data, b"something else")}
        made = cbor2.dumps({"fmt": attestation, "attStmt": statement, "authData": data})
        return self._credential({"attestationObject": b64(made), "clientDataJSON": b64(said)})

    def get(self, options: dict[str, Any], **client: Any) -> dict[str, Any]:
        """`navigator.credentials.get()`, as JSON."""
        data = self._data(options["rpId"], 0)
        said = self._client("webauthn.get", options, client)
        answer = {
            "authenticatorData": b64(data),
            "clientDataJSON": b64(said),
            "signature": b64(self._sign(data, said)),
            "userHandle": b64(self.handle) if self.handle is not None else None,
        }
        return self._credential(answer)

    def _data(self, site: str, flags: int) -> bytes:
        self.count += self.counts
        digest = hashlib.sha256((self.site or site).encode()).digest()
        return digest + bytes([flags | self.present]) + struct.pack("!I", self.count)

    def _client(self, kind: str, options: dict[str, Any], more: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps({**said, **more}).encode()

    def _sign(self, data: bytes, said: bytes) -> bytes:
        return self.key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        name = b64(self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}
