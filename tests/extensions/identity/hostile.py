"""Issuers that lie, each in one way, and a GitHub that does not: small servers of the tests' own.

An issuer's way of lying is the first part of its path. The code that a browser brings back tells it what to put into
the token: `nonce~challenge`, as the real ones would have kept it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.extensions.identity.providers import CLIENT, SECRET

Reply = tuple[int, Any, dict[str, str]]
"""Status, document, headers."""

KEY, STRANGERS_KEY = (rsa.generate_private_key(65537, 2048) for _ in range(2))


def encoded(data: bytes) -> str:
    """base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(key: rsa.RSAPrivateKey, **more: str) -> dict[str, str]:
    """A public key."""
    numbers = key.public_key().public_numbers()
    return {
        "kty": "RSA",
        "n": encoded(numbers.n.to_bytes(256, "big")),
        "e": encoded(numbers.e.to_bytes(3, "big")),
        "use": "sig",
        **more,
    }


def by_hand(header: Mapping[str, Any], claims: Mapping[str, Any], secret: bytes | None) -> str:
    """A token that no library would make."""
    text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), 'sha256')) if secret is not None else ''}"


PEM = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def token(way: str, issuer: str, nonce: str, *, kid: str = "k1", key: rsa.RSAPrivateKey = KEY) -> str:
    """An identity token, wrong in this way."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": issuer, "aud": CLIENT, "sub": f"sub-{way}", "exp": now + 300, "iat": now, "nonce": nonce,
        "preferred_username": way,
    }  # fmt: skip
    changes: dict[str, dict[str, Any]] = {
        "wrong-nonce": {"nonce": "n" * 43},
        "no-nonce": {"nonce": None},
        "other-issuer": {"iss": issuer.replace("other-issuer", "good")},
        "other-audience": {"aud": "somebody-else"},
        "more-audiences": {"aud": [CLIENT, "somebody-else"]},
        "other-party": {"azp": "somebody-else"},
        "expired": {"exp": now - 3600, "iat": now - 7200},
        "endless": {"exp": None},
        "not-yet": {"iat": now + 3600, "nbf": now + 3600},
        "nobody": {"sub": None},
        "number": {"sub": 17},
        "wrong-access-token": {"at_hash": "x" * 22},
        "workspace": {"hd": "corp.example"},
        "consumer": {"email": "alice@corp.example", "email_verified": True},
        "weak": {"acr": "password"},
        "strong": {"acr": "two-factors"},
        "unverified": {"email": "alice@corp.example", "email_verified": False},
        "nested": {"realm_access": {"roles": ["engineering"]}},
    }
    for name, value in changes.get(way, {}).items():
        if value is None:
            del claims[name]
        else:
            claims[name] = value
    if way == "none":
        return by_hand({"alg": "none", "kid": kid}, claims, None)
    if way == "public-key-as-secret":
        return by_hand({"alg": "HS256", "kid": kid}, claims, PEM)
    if way == "client-secret-as-key":
        return by_hand({"alg": "HS256", "kid": kid}, claims, SECRET.encode())
    if way == "strangers-key":
        key = STRANGERS_KEY
    header: dict[str, Any] = {"kid": kid, "x5c": ["a long chain " * 50]}
    if way == "key-in-header":
        key, header = STRANGERS_KEY, {"kid": kid, "jwk": jwk(STRANGERS_KEY)}
    if way == "unknown-kid":
        header = {"kid": "nobody's"}
    if way == "critical":
        header["crit"] = ["exp"]
    signed = jwt.encode(claims, key, algorithm="RS256", headers=header)
    if way == "cut":
        return signed[:-10]
    return signed


REFUSED = (
    "wrong-nonce", "no-nonce", "other-issuer", "other-audience", "more-audiences", "other-party", "expired", "endless",
    "not-yet", "nobody", "number", "wrong-access-token", "none", "public-key-as-secret", "client-secret-as-key",
    "strangers-key", "key-in-header", "unknown-kid", "critical", "cut", "no-token", "huge-token", "other-userinfo",
)  # fmt: skip
"""Ways whose tokens prove nothing."""

UNUSABLE = (
    "redirected", "other-name", "no-json", "a-list", "huge", "private-keys", "link-local-keys", "file-keys",
    "redirected-keys", "redirected-token", "many-keys",
)  # fmt: skip
"""Ways in which one cannot even be asked."""


class Issuers:
    """The server's state: what was asked of it, by path."""

    def __init__(self, port: int, trap: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.trap = f"http://127.0.0.1:{trap}/"
        self.asked: Counter[str] = Counter()
        self.keys = [jwk(KEY, kid="k1"), {"kty": "oct", "kid": "shared", "k": encoded(PEM)}]
        self.signs: tuple[str, rsa.RSAPrivateKey] = ("k1", KEY)

    def answer(self, path: str, form: Mapping[str, str]) -> Reply:
        """Status, document, headers."""
        self.asked[path] += 1
        _, way, *rest = path.split("/")
        issuer, what = f"{self.url}/{way}", "/".join(rest)
        if what == ".well-known/openid-configuration":
            return self._discovery(way, issuer)
        if what == "keys":
            if way == "redirected-keys":
                return 302, {}, {"Location": self.trap}
            keys = self.keys * 60 if way == "many-keys" else self.keys
            return 200, {"keys": keys}, {}
        if what == "token":
            return self._token(way, issuer, form)
        if what == "userinfo":
            return 200, {"sub": "somebody-else", "email": "alice@corp.example", "email_verified": True}, {}
        return 404, {}, {}

    def _discovery(self, way: str, issuer: str) -> Reply:
        if way == "redirected":
            return 302, {}, {"Location": self.trap}
        if way == "no-json":
            return 200, b"<html>", {}
        if way == "a-list":
            return 200, [], {}
        if way == "huge":
            return 200, b"[" + b" " * 2_000_000, {}
        document = {
            "issuer": issuer if way != "other-name" else f"{self.url}/good",
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token" if way != "redirected-token" else f"{issuer}/nowhere",
            "jwks_uri": {
                "private-keys": "http://10.255.255.1/keys",
                "link-local-keys": "https://169.254.169.254/latest/meta-data",
                "file-keys": "file:///etc/passwd",
            }.get(way, f"{issuer}/keys"),
        }
        if way == "other-userinfo":
            document["userinfo_endpoint"] = f"{issuer}/userinfo"
        return 200, document, {}

    def _token(self, way: str, issuer: str, form: Mapping[str, str]) -> Reply:
        nonce, _, challenge = form["code"].partition("~")
        if encoded(hashlib.sha256(form["code_verifier"].encode()).digest()) != challenge:
            return 400, {"error": "invalid_grant"}, {}
        answer = {"access_token": "at", "token_type": "Bearer"}
        if way == "huge-token":
            answer["id_token"] = "e" * 100_000
        elif way != "no-token":
            kid, key = self.signs
            answer["id_token"] = token(way, issuer, nonce, kid=kid, key=key)
        return 200, answer, {}


@contextlib.contextmanager
def running_issuers() -> Iterator[Issuers]:
    """The server, and another one to which nobody must be led: what comes there is counted as `trap`."""
    with _serving() as (front, serve_front), _serving() as (trap, serve_trap):
        issuers = Issuers(front, trap)

        def front_door(_: str, path: str, __: object, form: Mapping[str, str], ___: object) -> Reply:
            return issuers.answer(path, form)

        def trapped(*_: object) -> Reply:
            issuers.asked["trap"] += 1
            return 200, {}, {}

        serve_front(front_door)
        serve_trap(trapped)
        yield issuers


class GitHub:
    """What GitHub documents of its OAuth and REST endpoints (of an Enterprise Server: below /api/v3)."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.user: dict[str, Any] = {
            "id": 583231,
            "login": "Octo-Cat",
            "name": "The Octocat",
            "email": "public@x.example",
        }
        self.emails: list[dict[str, Any]] = [
            {"email": "other@x.example", "primary": False, "verified": True},
            {"email": "octo@x.example", "primary": True, "verified": True},
        ]
        self.orgs: list[dict[str, Any]] = [{"login": f"org-{number}"} for number in range(120)]
        self.teams: list[dict[str, Any]] = [{"slug": "core", "organization": {"login": "org-3"}}]
        self._codes: dict[str, dict[str, str]] = {}
        self._tokens: dict[str, str] = {}

    def answer(
        self, method: str, path: str, query: Mapping[str, str], form: Mapping[str, str], headers: Mapping[str, str]
    ) -> Reply:
        """Status, document, headers."""
        if path == "/login/oauth/authorize":
            assert query["client_id"] == CLIENT
            code = f"code-{len(self._codes)}"
            self._codes[code] = dict(query)
            return 302, b"", {"Location": f"{query['redirect_uri']}?code={code}&state={query['state']}"}
        if path == "/login/oauth/access_token":
            return 200, self._exchange(form), {}
        scope = self._tokens.get(headers.get("Authorization", "").removeprefix("Bearer "))
        if scope is None or "User-Agent" not in headers:
            return 401, {"message": "Requires authentication"}, {}
        found, needs = {
            "/api/v3/user": (self.user, "read:user"),
            "/api/v3/user/emails": (self.emails, "user:email"),
            "/api/v3/user/orgs": (self.orgs, "read:org"),
            "/api/v3/user/teams": (self.teams, "read:org"),
        }[path]
        if needs not in scope.split():
            return 403, {"message": "Resource not accessible"}, {}
        if isinstance(found, list):
            size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
            found = found[(page - 1) * size : page * size]
        return 200, found, {}

    def _exchange(self, form: Mapping[str, str]) -> dict[str, str]:
        asked = self._codes.pop(form["code"], None)
        if asked is None:
            return {"error": "bad_verification_code", "error_description": "The code is incorrect or expired."}
        if (form["client_id"], form["client_secret"]) != (CLIENT, SECRET):
            return {"error": "incorrect_client_credentials"}
        if form["redirect_uri"] != asked["redirect_uri"]:
            return {"error": "redirect_uri_mismatch"}
        if encoded(hashlib.sha256(form["code_verifier"].encode()).digest()) != asked["code_challenge"]:
            return {"error": "bad_verification_code"}
        made = f"gho_{len(self._tokens)}"
        self._tokens[made] = asked["scope"]
        return {"access_token": made, "token_type": "bearer", "scope": asked["scope"].replace(" ", ",")}


@contextlib.contextmanager
def running_github() -> Iterator[GitHub]:
    """The server."""
    with _serving() as (port, serve):
        github = GitHub(port)
        serve(github.answer)
        yield github


@contextlib.contextmanager
def _serving() -> Iterator[tuple[int, Any]]:
    """A web server's port, and what sets its behaviour."""
    behaviour: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.reply({name: values[0] for name, values in parse_qs(body).items()})

        def reply(self, form: dict[str, str]) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if "Authorization" in self.headers and self.headers["Authorization"].startswith("Basic "):
                assert "client_secret" not in form
            if parts.path.startswith("/slow/"):
                self.drip()
                return
            status, document, headers = behaviour[0](self.command, parts.path, query, form, dict(self.headers))
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(data)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)

        def drip(self) -> None:
            """A byte now and then: always alive, never done."""
            with contextlib.suppress(OSError):
                self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n[")
                while True:
                    time.sleep(0.5)
                    self.wfile.write(b" ")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], behaviour.append
    finally:
        server.shutdown()
        server.server_close()
