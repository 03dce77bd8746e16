"""What a member's push of a small artifact costs: the statements of its transactions, read from the wire."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
from pathlib import Path

from bench.wire import relay

from tests.support.postgresql import PostgresServer
from tests.support.server import RegistryProcess

TIMES = 6
"""Pushes; what the cheapest of them cost counts: the first ones prepare statements, and set parts of quotas aside."""

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PASSWORD = "right horse battery"


class _Transactions:
    """Reads what one session sends, and keeps the statements of each transaction that commits, and its round trips.

    Source: PostgreSQL's "Message Formats"; after the start each is a letter and a length that counts itself.
    """

    def __init__(self, kept: list[tuple[list[str], int]]) -> None:
        self._kept = kept
        self._rest = b""
        self._started = False
        self._prepared: dict[bytes, str] = {}
        self._bound = ""
        self._statements: list[str] = []
        self._trips = 0

    def __call__(self, data: bytes) -> None:
        self._rest += data
        while True:
            head = 5 if self._started else 4
            if len(self._rest) < head:
                return
            length = int.from_bytes(self._rest[head - 4 : head]) + head - 4
            if len(self._rest) < length:
                return
            message, self._rest = self._rest[:length], self._rest[length:]
            if self._started:
                self._read(message[:1], message[5:])
            self._started = True

    def _read(self, kind: bytes, body: bytes) -> None:
        if kind == b"P":  # the name of a statement, its text
            name, text, _ = body.split(b"\0", 2)
            self._prepared[name] = " ".join(text.decode().split())
        elif kind == b"B":  # the name of a portal, of the statement
            _, name, _ = body.split(b"\0", 2)
            self._bound = self._prepared[name]
        elif kind in (b"E", b"Q"):
            statement = self._bound if kind == b"E" else body[:-1].decode()
            if statement.startswith("BEGIN"):
                self._statements, self._trips = [], 0
            self._statements.append(statement)
        if kind in (b"S", b"Q"):  # the server answers, and is waited for
            self._trips += 1
            if self._statements and self._statements[-1] == "COMMIT":
                self._kept.append((self._statements, self._trips))
                self._statements = []


class _Member:
    """Somebody who pushes into an organization's repository, over one connection."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._authorization = ""

    def ask(self, method: str, target: str, body: bytes, media_type: str = "application/json") -> bytes:
        """The answer, which is a success."""
        headers = {"Authorization": self._authorization, "Content-Type": media_type}
        self._connection.request(method, target, body, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status == 201, (method, target, answer.status, data)
        return data

    def _basic(self, name: str) -> None:
        self._authorization = f"Basic {base64.b64encode(f'{name}:{PASSWORD}'.encode()).decode()}"

    def enrol(self, name: str, org: str) -> None:
        """Make the account and its organization, and go by a key from now on."""
        self._basic("admin")
        self.ask("POST", "/v2/_ext/identity/users", json.dumps({"name": name, "password": PASSWORD}).encode())
        self._basic(name)
        self.ask("POST", "/v2/_ext/identity/orgs", json.dumps({"name": org}).encode())
        made = self.ask("POST", "/v2/_ext/identity/keys", b'{"name": "push", "scopes": ["read", "publish"]}')
        self._authorization = f"Bearer {json.loads(made)['key']}"

    def push(self, repository: str, tag: str) -> None:
        """A config, a layer and a manifest, all new."""
        config = self._blob(repository, json.dumps({"created": os.urandom(8).hex()}).encode())
        layer = self._blob(repository, os.urandom(4096))
        body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
        self.ask("PUT", f"/v2/{repository}/manifests/{tag}", json.dumps(body).encode(), MANIFEST)

    def _blob(self, repository: str, data: bytes) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data, "application/octet-stream")
        return {"mediaType": "application/octet-stream", "digest": digest, "size": len(data)}


def test_statements_of_a_push(server: PostgresServer, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    kept: list[tuple[list[str], int]] = []

    def reader(_: object) -> _Transactions:  # one for each session
        return _Transactions(kept)

    with server.database() as name, relay(server.port, reader) as (port, _):
        environment = {
            # Not encrypted, nor asked about it: the relay reads what is sent.
            "GATI_METADATA_URL": f"postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=disable&gssencmode=disable",
            "GATI_ADMIN_PASSWORD_FILE": str(tmp_path / "password"),
            "GATI_IDENTITY__SIGNUP": "open",
        }
        registry = RegistryProcess(tmp_path / "data", args=(), env=environment).start()
        try:
            with contextlib.closing(http.client.HTTPConnection(registry.host, timeout=120)) as connection:
                member = _Member(connection)
                member.enrol("bob", "acme")
                for number in range(TIMES):
                    member.push("orgs/acme/app", f"1.0.{number}")
        finally:
            registry.terminate()

    blobs = [one for one in kept if any(text.startswith("INSERT INTO blob ") for text in one[0])]
    manifests = [one for one in kept if any(text.startswith("INSERT INTO manifest ") for text in one[0])]
    assert (len(blobs), len(manifests)) == (2 * TIMES, TIMES)
    for found, most, waited in ((blobs, 8, 6), (manifests, 21, 10)):
        statements = min((statements for statements, _ in found), key=len)
        assert len(statements) <= most, "\n".join(statements)
        assert min(trips for _, trips in found) <= waited, "\n".join(statements)
