"""Vault's transit engine as far as the registry asks for it: real AES-256-GCM, versions, tokens, its own answers.

Source: https://developer.hashicorp.com/vault/api-docs/secret/transit
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "hvs.only-for-tests"
_PATH = re.compile(r"/v1/transit/(?P<action>encrypt|decrypt|keys)/(?P<key>[a-z-]+)(?P<rotate>/rotate)?")


class Transit:
    """The engine with its named keys, each a list of versions from 1 on."""

    def __init__(self) -> None:
        self.keys: dict[str, list[bytes]] = {"gati-registry": [os.urandom(32)]}
        self.oldest = 1  # min_decryption_version
        self.failures = 0  # requests that still get 503, as from a sealed or standby server
        self.requests: list[str] = []
        self.url = ""

    def answer(self, method: str, path: str, token: str | None, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and document."""
        self.requests.append(path)
        if self.failures:
            self.failures -= 1
            return 503, {"errors": ["Vault is sealed"]}
        if token != TOKEN:
            return 403, {"errors": ["permission denied"]}
        match = _PATH.fullmatch(path)
        if match is None or (method, match["action"]) not in {
            ("GET", "keys"),
            ("POST", "keys"),
            ("POST", "encrypt"),
            ("POST", "decrypt"),
        }:
            return 404, {"errors": []}
        versions = self.keys.get(match["key"])
        if versions is None:
            return (400 if match["action"] == "decrypt" else 404), {"errors": ["encryption key not found"]}
        if match["action"] == "keys":
            if match["rotate"]:
                versions.append(os.urandom(32))
            return 200, {"data": {"name": match["key"], "type": "aes256-gcm96", "latest_version": len(versions)}}
        associated = base64.b64decode(body.get("associated_data", ""))
        if match["action"] == "encrypt":
            nonce = os.urandom(12)
            sealed = nonce + AESGCM(versions[-1]).encrypt(nonce, base64.b64decode(body["plaintext"]), associated)
            text = f"vault:v{len(versions)}:{base64.b64encode(sealed).decode()}"
            return 200, {"data": {"ciphertext": text, "key_version": len(versions)}}
        _, version, text = body["ciphertext"].split(":")
        number = int(version.removeprefix("v"))
        sealed = base64.b64decode(text)
        if not self.oldest <= number <= len(versions):
            return 400, {"errors": ["ciphertext or signature version is disallowed by policy (too old)"]}
        try:
            plain = AESGCM(versions[number - 1]).decrypt(sealed[:12], sealed[12:], associated)
        except InvalidTag:
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}


@contextlib.contextmanager
def running_transit() -> Iterator[Transit]:
    """A server for the length of a `with` block."""
    engine = Transit()

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        def do_GET(self) -> None:
            """Look at a key."""
            self._serve({})

        def do_POST(self) -> None:
            """All else."""
            self._serve(json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}"))

        def _serve(self, body: dict[str, Any]) -> None:
            status, document = engine.answer(self.command, self.path, self.headers.get("X-Vault-Token"), body)
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        engine.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield engine
        finally:
            server.shutdown()
