"""A closed registry: nobody learns anything, whatever they send as credentials, and no secret reaches the log."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import pytest

from tests.hostile.content import ABSENT, LARGE, OCI_MANIFEST, SMALL, digest_of, encode, image
from tests.hostile.core import core
from tests.hostile.health import Watch
from tests.hostile.spec import assert_error
from tests.hostile.trace import no_trace
from tests.hostile.wire import Answer, Client, ask, ask_raw
from tests.support.server import RegistryProcess, wait_for

PASSWORD = "correct-horse-battery-staple"
MANIFEST = encode(image(LARGE))
ENDPOINTS = [
    ("GET", ""), ("HEAD", ""), ("GET", "_catalog"), ("GET", "_catalog?n=1"), ("GET", "_oci/ext/discover"),
    ("GET", "{name}/_oci/ext/discover"), ("GET", "{name}/tags/list"), ("GET", "{name}/manifests/v1"),
    ("HEAD", "{name}/manifests/v1"), ("PUT", "{name}/manifests/v1"), ("DELETE", "{name}/manifests/v1"),
    ("GET", f"{{name}}/manifests/{digest_of(MANIFEST)}"), ("DELETE", f"{{name}}/manifests/{digest_of(MANIFEST)}"),
    ("GET", f"{{name}}/blobs/{digest_of(LARGE)}"), ("HEAD", f"{{name}}/blobs/{digest_of(LARGE)}"),
    ("DELETE", f"{{name}}/blobs/{digest_of(LARGE)}"),
    ("POST", "{name}/blobs/uploads/"), ("POST", "{name}/blobs/uploads"),
    ("POST", f"{{name}}/blobs/uploads/?digest={digest_of(SMALL)}"),
    ("POST", f"{{name}}/blobs/uploads/?mount={digest_of(LARGE)}&from=closed/app"),
    ("POST", f"{{name}}/blobs/uploads/?mount={digest_of(LARGE)}"), ("GET", "{name}/blobs/uploads/1"),
    ("PATCH", "{name}/blobs/uploads/1"), ("PUT", f"{{name}}/blobs/uploads/1?digest={ABSENT}"),
    ("DELETE", "{name}/blobs/uploads/1"), ("GET", f"{{name}}/referrers/{digest_of(MANIFEST)}"),
    ("GET", f"{{name}}/referrers/{ABSENT}?artifactType=a/b"),
]  # fmt: skip


def basic(user: str, password: str) -> dict[str, str]:
    """An Authorization header."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


ADMIN = basic("admin", PASSWORD)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A registry with one repository, closed to the anonymous."""
    folder = tmp_path_factory.mktemp("closed")
    secret = folder / "password"
    secret.write_text(PASSWORD + "\n")
    with core(folder / "data", args=(), env={"GATI_ADMIN_PASSWORD_FILE": str(secret)}) as server:
        for blob in (SMALL, LARGE):
            target = f"/v2/closed/app/blobs/uploads/?digest={digest_of(blob)}"
            assert ask(server, "POST", target, ADMIN, blob).status == 201
        fields = {**ADMIN, "Content-Type": OCI_MANIFEST}
        assert ask(server, "PUT", "/v2/closed/app/manifests/v1", fields, MANIFEST).status == 201
        yield server


@pytest.fixture
def closed(shared: RegistryProcess) -> Iterator[RegistryProcess]:
    """The closed registry, watched for one test."""
    watch = Watch(shared)
    yield shared
    watch.check()


def assert_challenged(answer: Answer, method: str = "GET") -> None:
    """401 in the specification's form, and a word on how to log in."""
    assert_error(answer, 401, "UNAUTHORIZED", method)
    challenge = answer.header("www-authenticate") or ""
    assert re.match(r'(Basic|Bearer) realm="[^"]+"', challenge), challenge


def body_of(method: str) -> bytes:
    """What a request of this method would carry."""
    return SMALL if method in ("PUT", "POST", "PATCH") else b""


def test_anonymous_gets_a_challenge_everywhere(closed: RegistryProcess) -> None:
    with no_trace(closed), Client(closed) as client:
        for method, path in ENDPOINTS:
            target = f"/v2/{path.format(name='closed/app')}"
            assert_challenged(client.ask(method, target, body=body_of(method)), method)


def without_traces(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer without what differs between any two."""
    return answer.status, [field for field in answer.fields if field[0] not in ("x-request-id", "date")], answer.body


@pytest.mark.parametrize("credentials", ["none", "wrong", "malformed"])
def test_private_and_absent_look_the_same(closed: RegistryProcess, credentials: str) -> None:
    fields = {"none": {}, "wrong": basic("admin", "wrong"), "malformed": {"Authorization": "Basic %"}}[credentials]
    with no_trace(closed), Client(closed) as client:
        for method, path in ENDPOINTS:
            if "{name}" in path and (credentials == "none" or "tags" in path or "blobs/sha" in path):
                found, missing = (
                    client.ask(method, f"/v2/{path.format(name=name)}", fields, body_of(method))
                    for name in ("closed/app", "never/was")
                )
                assert without_traces(found) == without_traces(missing)
                assert_challenged(found, method)


def encoded(text: str) -> str:
    """Basic credentials of any text."""
    return "Basic " + base64.b64encode(text.encode("latin-1")).decode()


RIGHT = ADMIN["Authorization"]
MALFORMED = [
    "", " ", "Basic", "Basic ", "Basic  ", "Basic \t", "Basic %%%", "Basic =", "Basic YQ", "Basic YWRtaW4=",
    "Basic Og==", "Basic \u00e9\u00e9\u00e9\u00e9", "Basic YWRtaW46", "basic", "Basic,Basic",
    "Basic " + "QUFB" * 15_000, "Bearer", "Bearer ", "Bearer a.b.c", "Bearer " + "x" * 50_000, "Digest a=b",
    "Negotiate abc", "NTLM abc", "Token x",
    encoded("\xff\xfe:\xfd"), encoded("admin:a\0b"), encoded(f"admin\0:{PASSWORD}"), encoded(f"ADMIN:{PASSWORD}"),
    encoded(f"admin:{PASSWORD} "), encoded(f" admin:{PASSWORD}"), encoded(f"admin:{PASSWORD}"[:-1]),
    encoded(f"admin:{PASSWORD}\n"), encoded(":" * 1000), encoded("admin:\xff\xff\xff").replace("/", "_"),
    f"Basic admin:{PASSWORD}", f"admin:{PASSWORD}", RIGHT + ", Basic Og==", RIGHT.replace("Basic ", "Basic"),
    RIGHT + "!", "!" + RIGHT,
]  # fmt: skip


@pytest.mark.parametrize("value", MALFORMED, ids=[f"{n} {value[:20]!r}" for n, value in enumerate(MALFORMED)])
def test_malformed_credentials(closed: RegistryProcess, value: str) -> None:
    with no_trace(closed):
        assert_challenged(ask(closed, "GET", "/v2/closed/app/manifests/v1", {"Authorization": value}))
        assert_challenged(ask(closed, "GET", "/v2/", {"Authorization": value}))


def test_credentials_that_no_header_holds(closed: RegistryProcess) -> None:
    """Refused before anybody looks at them."""
    with no_trace(closed):
        for value in (b"Basic \0", b"\x7f", b"Basic a\rb", b"Basic \x01" + b"\0" * 100):
            data = b"GET /v2/ HTTP/1.1\r\nHost: a\r\nAuthorization: " + value + b"\r\n\r\n"
            assert ask_raw(closed, data).status in (400, 401)


def test_credentials_twice(closed: RegistryProcess) -> None:
    """Two headers are none: a proxy and we could believe different ones."""
    wrong = ("Authorization", basic("admin", "wrong")["Authorization"])
    right = ("Authorization", ADMIN["Authorization"])
    with no_trace(closed):
        for fields in ([right, wrong], [wrong, right], [right, right], [right, ("Authorization", "")]):
            answer = ask(closed, "GET", "/v2/closed/app/manifests/v1", fields)
            assert answer.status in (400, 401), (fields, answer)


def test_the_administrator_comes_in(closed: RegistryProcess) -> None:
    for fields in (ADMIN, {"Authorization": ADMIN["Authorization"].replace("Basic", "bAsIc")}):
        answer = ask(closed, "GET", "/v2/closed/app/manifests/v1", fields)
        assert (answer.status, answer.body) == (200, MANIFEST)


def test_credentials_elsewhere_are_none(closed: RegistryProcess) -> None:
    """In the query, in the URL, in a cookie, in another header."""
    with no_trace(closed):
        for target, fields in (
            (f"/v2/?access_token={PASSWORD}", {}),
            (f"/v2/?token={PASSWORD}", {}),
            (f"http://admin:{PASSWORD}@registry.test/v2/", {}),
            ("/v2/", {"Cookie": f"token={PASSWORD}"}),
            ("/v2/", {"Proxy-Authorization": ADMIN["Authorization"]}),
            ("/v2/", {"X-Forwarded-User": "admin", "X-Remote-User": "admin", "X-Authenticated-User": "admin"}),
            ("/v2/", {"X-Forwarded-For": "127.0.0.1", "X-Original-URL": "/livez"}),
        ):
            assert ask(closed, "GET", target, fields).status in (400, 401)


def test_guessing_does_not_lock_the_owner_out(closed: RegistryProcess) -> None:
    """Two hundred wrong passwords at once; who has logged in before is answered meanwhile."""
    assert ask(closed, "GET", "/v2/", ADMIN).status == 200
    guessers = [Client(closed) for _ in range(20)]
    with no_trace(closed):
        for number in range(3):
            for guesser in guessers[number::7]:
                assert_challenged(guesser.ask("GET", "/v2/", basic("admin", f"guess {number}")))
            assert ask(closed, "GET", "/v2/", ADMIN).status == 200
    for guesser in guessers:
        guesser.__exit__()


def test_no_secret_reaches_the_log(closed: RegistryProcess) -> None:
    """Passwords and tokens, right or wrong, in every place where clients put them, also in those that are refused."""
    secrets = [PASSWORD, ADMIN["Authorization"].partition(" ")[2], "s3cr3t-guess", "tok3n-in-query", "tok3n-in-header"]
    secrets.append(basic("admin", "s3cr3t-guess")["Authorization"].partition(" ")[2])
    for fields in (
        ADMIN,
        basic("admin", "s3cr3t-guess"),
        {"Authorization": "Bearer tok3n-in-header"},
        {"Cookie": "a=tok3n-in-header"},
    ):
        for target in (
            "closed/app/tags/list",
            "closed/app/nothing",
            "?token=tok3n-in-query",
            "_catalog?n=1&access_token=tok3n-in-query",
            "closed/app/manifests/absent?refresh_token=tok3n-in-query&password=tok3n-in-query",
            "BAD/tags/list?Token=tok3n-in-query",
        ):
            ask(closed, "GET", f"/v2/{target}", {**fields, "User-Agent": "marked"})
    ask(closed, "GET", "/v2/?token=tok3n-in-query" + "x" * 9000, ADMIN)
    ask(closed, "PUT", "/v2/closed/app/manifests/v1?access_token=tok3n-in-query", ADMIN, b"{")
    ask(closed, "GET", "/livez?token=tok3n-in-query", ADMIN)
    ask(closed, "GET", "/v2/last-of-all/tags/list", ADMIN)
    wait_for(lambda: "last-of-all" in closed.stderr())
    log = closed.stderr()
    assert "marked" in log
    for secret in secrets:
        assert secret not in log, [line for line in log.splitlines() if secret in line][:3]
