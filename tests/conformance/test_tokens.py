"""The cases about tokens, tried on a small token service in front of an open registry: sound, and with faults."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

import pytest

from gati_conformance.challenge import Challenge, basic, parse_challenges
from gati_conformance.model import Status
from tests.conformance.faulty import Asked, Fault, Forward, Reply, proxy
from tests.conformance.running import check, told
from tests.support.server import RegistryProcess

USER, PASSWORD = "alice", "correct horse"
SECRET = b"a key of the tests"
ACTIONS = {"GET": "pull", "HEAD": "pull", "POST": "push", "PUT": "push", "PATCH": "push", "DELETE": "delete"}
CREDENTIALS = {"OCI_USERNAME": USER, "OCI_PASSWORD": PASSWORD}


@dataclass(frozen=True, slots=True)
class Service:
    """A token service; every field is a fault that it can have."""

    any_password: bool = False
    any_signature: bool = False
    any_scope: bool = False
    names_scope: bool = True
    absolute_realm: bool = True
    lifetime: int = 300
    anonymous_sees_absence: bool = False
    basic_on_api: bool = True

    def __call__(self, asked: Asked, forward: Forward) -> Reply:
        """Answer for the token service, refuse, or forward."""
        if asked.target.startswith("/token"):
            return self._token(asked)
        if not asked.target.startswith("/v2/"):
            return forward(asked)
        scheme, _, value = asked.header("authorization").partition(" ")
        anonymous = replace(asked, headers=tuple(pair for pair in asked.headers if pair[0].lower() != "authorization"))
        if scheme == "Basic" and self.basic_on_api and self._knows(asked.header("authorization")):
            return forward(anonymous)
        if scheme == "Bearer" and self._allows(value, self._scope(asked)):
            return forward(anonymous)
        if self.anonymous_sees_absence and not scheme and forward(anonymous).status == 404:
            return _error(404, "NAME_UNKNOWN")
        return self._challenge(asked)

    def _knows(self, authorization: str) -> bool:
        return self.any_password or authorization == basic(USER, PASSWORD)

    def _scope(self, asked: Asked) -> str:
        path = urlsplit(asked.target).path
        for mark in ("/blobs/", "/manifests/", "/tags/list", "/referrers/"):
            if mark in path:
                return f"repository:{path.removeprefix('/v2/').rpartition(mark)[0]}:{ACTIONS[asked.method]}"
        return ""

    def _challenge(self, asked: Asked) -> Reply:
        realm = f"http://{asked.header('host')}/token" if self.absolute_realm else "/token"
        scope = f',scope="{self._scope(asked)}"' if self.names_scope and self._scope(asked) else ""
        value = f'Bearer realm="{realm}",service="tests"{scope}'
        return _error(401, "UNAUTHORIZED").having("WWW-Authenticate", value)

    def _token(self, asked: Asked) -> Reply:
        if not self._knows(asked.header("authorization")):
            return _error(401, "UNAUTHORIZED")
        query = parse_qs(urlsplit(asked.target).query)
        payload = base64.urlsafe_b64encode(json.dumps(query.get("scope", [])).encode()).decode().rstrip("=")
        document = {"token": f"{payload}.{_sign(payload)}", "expires_in": self.lifetime}
        return _json(200, document | {"issued_at": "2026-01-01T00:00:00Z"})

    def _allows(self, token: str, scope: str) -> bool:
        payload, _, signature = token.partition(".")
        if not self.any_signature and not hmac.compare_digest(signature.encode(), _sign(payload).encode()):
            return False
        if self.any_scope or not scope:
            return True
        granted = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        name, _, action = scope.rpartition(":")
        return any(item.rpartition(":")[0] == name and action in item.rpartition(":")[2].split(",") for item in granted)


def _sign(payload: str) -> str:
    return hmac.new(SECRET, payload.encode(), hashlib.sha256).hexdigest()


def _json(status: int, document: object) -> Reply:
    return Reply(status, (("Content-Type", "application/json"),)).saying(json.dumps(document).encode())


def _error(status: int, code: str) -> Reply:
    return _json(status, {"errors": [{"code": code, "message": "a message"}]})


def test_a_sound_token_service_passes(registry: RegistryProcess) -> None:
    """All cases about credentials, and a push and a pull through tokens, mounts included."""
    with proxy(registry.host, Service()) as host:
        finished = check(host, "auth", "image", "mounts/from", "concurrency/many-tags", **CREDENTIALS)
    bad = [result for result in finished.results if result.status is not Status.PASS]
    assert not bad, told(bad)


@pytest.mark.parametrize(
    ("service", "case"),
    [
        (Service(any_password=True), "auth/wrong-password"),
        (Service(any_signature=True), "auth/token-tampered"),
        (Service(any_scope=True), "auth/token-too-narrow"),
        (Service(names_scope=False), "auth/challenge-scope"),
        (Service(absolute_realm=False), "auth/challenge"),
        (Service(lifetime=10), "auth/token-answer"),
        (Service(anonymous_sees_absence=True), "auth/absent-like-private"),
        (Service(basic_on_api=False), "auth/login-basic"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_of_the_token_service_is_found(registry: RegistryProcess, service: Service, case: str) -> None:
    with proxy(registry.host, service) as host:
        finished = check(host, case, **CREDENTIALS)
    assert [result.status for result in finished.results] == [Status.FAIL], told(finished.results)


def test_an_open_registry_skips_with_the_reason(registry: RegistryProcess) -> None:
    finished = check(registry.host, "auth", **CREDENTIALS)
    assert {result.status for result in finished.results} == {Status.SKIP}
    reasons = {"anonymous callers get 200 on /v2/: nothing asks for the credentials", "the repository is public"}
    assert {result.reason for result in finished.results} == reasons
    assert not finished.passed


def _open_door(asked: Asked, forward: Forward) -> Reply:
    """Asks for a password on /v2/ and nowhere else."""
    if asked.target == "/v2/" and asked.header("authorization") != basic(USER, PASSWORD):
        return _error(401, "UNAUTHORIZED").having("WWW-Authenticate", 'Basic realm="tests"')
    return forward(asked)


def _unreadable(asked: Asked, forward: Forward) -> Reply:
    """Challenges without a body."""
    reply = _open_door(asked, forward)
    return reply.saying(b"") if reply.status == 401 else reply


@pytest.mark.parametrize(
    ("fault", "cases"),
    [
        (_open_door, ["auth/anonymous-push", "auth/large-body"]),
        (_unreadable, ["auth/challenge"]),
    ],
)
def test_a_fault_of_basic_authentication_is_found(registry: RegistryProcess, fault: Fault, cases: list[str]) -> None:
    with proxy(registry.host, fault) as host:
        finished = check(host, *cases, **CREDENTIALS)
    assert {result.status for result in finished.results} == {Status.FAIL}, told(finished.results)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="a, b"', [Challenge("basic", {"realm": "a, b"})]),
        (
            'Bearer realm="https://h/token",service="s",scope="repository:a/b:pull,push repository:c:pull"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://h/token",
                        "service": "s",
                        "scope": "repository:a/b:pull,push repository:c:pull",
                    },
                )
            ],
        ),
        (
            'Basic realm=plain, Bearer realm="say \\"hi\\"" , error=x',
            [Challenge("basic", {"realm": "plain"}), Challenge("bearer", {"realm": 'say "hi"', "error": "x"})],
        ),
        ("", []),
    ],
)
def test_challenges_are_read(header: str, expected: list[Challenge]) -> None:
    assert parse_challenges(header) == expected


def test_scopes_of_one_value_are_divided() -> None:
    (challenge,) = parse_challenges('Bearer realm="r",scope="repository:a:pull repository:b:push"')
    assert challenge.scopes == ["repository:a:pull", "repository:b:push"]
