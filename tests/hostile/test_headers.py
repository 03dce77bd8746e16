"""Headers and queries: injected, forged, splitting, nonsensical, and far too many of them."""

from __future__ import annotations

import contextlib
import json
from urllib.parse import quote

import pytest

from tests.hostile.content import (
    ABSENT,
    LARGE,
    OCI_INDEX,
    OCI_MANIFEST,
    SEED,
    SMALL,
    descriptor,
    digest_of,
    encode,
    image,
    start_upload,
)
from tests.hostile.core import core
from tests.hostile.spec import assert_error, problem
from tests.hostile.trace import no_trace
from tests.hostile.wire import Answer, Client, NoAnswer, answers, ask, connect, head
from tests.support.server import RegistryProcess

FORGED = [
    {"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https"},
    {"X-Forwarded-Host": "evil.test:443, registry.test"},
    {"X-Forwarded-Server": "evil.test", "X-Forwarded-Port": "666", "X-Forwarded-Prefix": "/evil"},
    {"Forwarded": 'for=127.0.0.1;host="evil.test";proto=https'},
    {"Forwarded": "host=evil.test", "Via": "1.1 evil.test"},
    {"X-Original-URL": "/evil.test", "X-Rewrite-URL": "/evil.test", "X-Original-Host": "evil.test"},
    {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "evil.test", "X-Host": "evil.test"},
    {"Host": "evil.test"},
    {"Host": "evil.test:99999"},
    {"Host": "evil.test/path"},
    {"Host": "user@evil.test"},
    {"Host": "evil.test#"},
    {"Host": "[::evil]"},
    {"Host": "evil.test\t"},
    {"Host": ""},
]


def everything(client: Client, fields: dict[str, str]) -> list[Answer]:
    """One answer of every kind that holds a URL, or that caches and clients act upon."""
    base = f"/v2/{SEED.repository}"
    found = [
        client.ask("GET", "/v2/", fields),
        client.ask("GET", f"{base}/tags/list?n=0", fields),
        client.ask("GET", "/v2/_catalog?n=1", fields),
        client.ask("GET", f"{base}/manifests/{SEED.tag}", fields),
        client.ask("GET", f"{base}/manifests/absent", fields),
        client.ask("GET", f"{base}/referrers/{SEED.digest}", fields),
        client.ask("POST", f"{base}/blobs/uploads/?digest={ABSENT}", fields, SMALL),
    ]
    started = client.ask("POST", f"{base}/blobs/uploads/", fields)
    if (location := started.header("location")) is not None:
        assert location.startswith(f"{base}/blobs/uploads/")
        found += [started, client.ask("PATCH", location, fields, SMALL), client.ask("DELETE", location, fields)]
    return found


@pytest.mark.parametrize("fields", FORGED, ids=[", ".join(fields) + f" {n}" for n, fields in enumerate(FORGED)])
def test_forged_host_reaches_no_answer(registry: RegistryProcess, fields: dict[str, str]) -> None:
    """Nobody is trusted unless configured: URLs are relative, whatever a client says of itself."""
    with no_trace(registry), Client(registry) as client:
        for answer in everything(client, fields):
            assert answer.status < 500
            text = " ".join(f"{name}: {value}" for name, value in answer.fields) + answer.body.decode("latin-1")
            assert "evil" not in text, text


def test_trusted_proxy_cannot_be_made_to_lie(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Behind a trusted proxy its own word counts, the last; what is no host is not handed on."""
    env = {"GATI_PROXY__TRUSTED": "127.0.0.0/8"}
    with core(tmp_path_factory.mktemp("proxy") / "data", env=env) as server:
        for fields, expected in (
            ({"X-Forwarded-Host": "evil.test, good.test", "X-Forwarded-Proto": "https"}, "https://good.test/v2/"),
            ({"Forwarded": "host=evil.test;proto=http, host=good.test;proto=https"}, "https://good.test/v2/"),
            ({"X-Forwarded-Host": "good.test/evil"}, "/v2/"),
            ({"X-Forwarded-Host": "evil@good.test"}, "/v2/"),
            ({"X-Forwarded-Host": 'good.test"><script>'}, "/v2/"),
            ({"X-Forwarded-Host": "good.test", "X-Forwarded-Proto": "javascript"}, "/v2/"),
            ({"Forwarded": 'host="good.test\\";proto=https'}, "/v2/"),
            ({"X-Forwarded-Host": "h" * 5000}, "/v2/"),
        ):
            location = ask(server, "POST", "/v2/a/blobs/uploads/", fields).header("location")
            assert location is not None
            assert location.startswith(expected), (fields, location)


def test_the_log_names_the_client_behind_a_trusted_proxy(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The last hop that is no proxy of ours: what a client writes before it, it may have made up."""
    cases = {
        "a": ({"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}, "203.0.113.9"),
        "b": ({"X-Forwarded-For": "6.6.6.6, 203.0.113.9, 127.0.0.5"}, "203.0.113.9"),
        "c": ({"Forwarded": 'for=6.6.6.6, for="[2001:db8::1]:4711";proto=https'}, "2001:db8::1"),
        "d": ({"X-Forwarded-For": "203.0.113.9:1234"}, "203.0.113.9"),
        "e": ({"X-Forwarded-For": 'nonsense"}'}, "127.0.0.1"),
        "f": ({"X-Forwarded-For": "203.0.113.9, unknown"}, "127.0.0.1"),
        "g": ({}, "127.0.0.1"),
    }
    for trusted in ("127.0.0.0/8", "10.0.0.0/8"):
        data = tmp_path_factory.mktemp("proxy") / "data"
        with core(data, env={"GATI_PROXY__TRUSTED": trusted}) as server:
            for name, (fields, _) in cases.items():
                ask(server, "GET", f"/v2/{name}/tags/list", fields)
        lines = [json.loads(line) for line in server.stderr().splitlines() if '"/v2/' in line]
        logged = {line["path"].split("/")[2]: line["client"] for line in lines}
        assert logged == {
            name: expected if trusted == "127.0.0.0/8" else "127.0.0.1" for name, (_, expected) in cases.items()
        }


SPLITTING = [
    "%0d%0aX-Evil:%20yes",
    "%0aX-Evil:%20yes",
    "%0d",
    "%E5%98%8A%E5%98%8DX-Evil:%20yes",
    "%00",
    "%c4%8d%c4%8aX-Evil:%20yes",
]


@pytest.mark.parametrize("evil", SPLITTING)
def test_answers_cannot_be_split(registry: RegistryProcess, evil: str) -> None:
    """Line ends in whatever an answer may echo: names, tags, digests, cursors, types."""
    base = f"/v2/{SEED.repository}"
    targets = [
        ("GET", f"/v2/{evil}/tags/list"),
        ("GET", f"{base}/manifests/{evil}"),
        ("GET", f"{base}/blobs/sha256:{evil}"),
        ("GET", f"{base}/referrers/{ABSENT}?artifactType={evil}"),
        ("GET", f"{base}/referrers/{ABSENT}?last={evil}"),
        ("GET", f"{base}/tags/list?n=1&last={evil}"),
        ("GET", f"{base}/tags/list?n={evil}"),
        ("GET", f"/v2/_catalog?n=1&last={evil}"),
        ("POST", f"{base}/blobs/uploads/?digest={evil}"),
        ("POST", f"{base}/blobs/uploads/?digest-algorithm={evil}"),
        ("PUT", f"{base}/manifests/{SEED.digest}?tag={evil}"),
    ]
    with no_trace(registry), Client(registry) as client:
        for method, target in targets:
            answer = client.ask(method, target, {"X-Request-ID": f"a{evil}"})
            assert answer.status < 500
            assert not answer.headers("x-evil")
            assert {"x-request-id"} >= {name for name, value in answer.fields if "evil" in value.lower()} - {"link"}


@pytest.mark.parametrize("kind", ["Content-Type", "X-Request-ID", "Range", "Host", "Content-Range", "Digest", "Accept"])
def test_line_ends_in_request_headers(registry: RegistryProcess, kind: str) -> None:
    """They end the header, as ever: what follows is a header of the request and never one of the answer."""
    for end in ("\r\n", "\n", "\r"):
        with no_trace(registry), connect(registry) as wire:
            value = f"application/json{end}X-Evil: yes"
            wire.send(
                head("PUT", f"/v2/{SEED.repository}/manifests/x", {kind: value, "Connection": "close"}, b"{}") + b"{}"
            )
            for answer in answers(wire):
                assert 400 <= answer.status < 500
                assert not answer.headers("x-evil")


def test_media_types_that_split_headers(registry: RegistryProcess) -> None:
    """A manifest's type becomes the answer's Content-Type: so nothing but a media type is taken for one."""
    for evil in ("a/b\r\nX-Evil: yes", "a/b\nX-Evil: yes", "a/b\0", "a/b c", "a/\u0142", "a/b\u2028c", "a/b\tc"):
        data = encode({"schemaVersion": 2, "mediaType": evil, "config": descriptor(SMALL), "layers": []})
        with no_trace(registry):
            for fields in ({}, {"Content-Type": "application/json"}):
                answer = ask(registry, "PUT", f"/v2/{SEED.repository}/manifests/x", fields, data)
                assert_error(answer, 400, "MANIFEST_INVALID")


def test_artifact_types_are_quoted_everywhere(registry: RegistryProcess) -> None:
    """Referrers carry what a pusher wrote, and a filter what a reader wrote: as JSON text and as an encoded link."""
    evil = 'a/b"></script><a href="\\\u0142'
    lines = evil + "\r\nX-Evil: yes\0\u2028"
    data = encode(image(artifactType=evil, subject=descriptor(SMALL, OCI_MANIFEST), annotations={lines: lines}))
    path = "/v2/seed/types"
    assert ask(registry, "POST", f"{path}/blobs/uploads/?mount={digest_of(SMALL)}&from={SEED.repository}").status == 201
    assert ask(registry, "PUT", f"{path}/manifests/x", {"Content-Type": OCI_MANIFEST}, data).status == 201
    for query in ("", f"?artifactType={quote(evil)}"):
        answer = ask(registry, "GET", f"{path}/referrers/{digest_of(SMALL)}{query}")
        assert answer.header("content-type") == OCI_INDEX
        assert not answer.headers("x-evil")
        (entry,) = answer.json()["manifests"]
        assert (entry["artifactType"], entry["annotations"]) == (evil, {lines: lines})
    assert ask(registry, "DELETE", f"{path}/manifests/{digest_of(data)}").status == 202
    assert ask(registry, "DELETE", f"{path}/blobs/{digest_of(SMALL)}").status == 202


ACCEPTS = [
    "",
    ",",
    ";",
    "/",
    "*",
    "*/*;q=9",
    "text/html",
    "a/b;q=-1",
    "\u00e9",
    "x" * 20_000,
    "*/*," * 5000,
    OCI_INDEX,
    '"',
    "a/b;q=" + "9" * 99,
]


@pytest.mark.parametrize(
    "header", ["Accept", "Accept-Encoding", "Accept-Language", "Accept-Charset", "TE", "Cookie", "Pragma"]
)
def test_nonsense_is_no_business_of_ours(registry: RegistryProcess, header: str) -> None:
    """Stored bytes have one form; headers that ask for another change nothing."""
    with no_trace(registry), Client(registry) as client:
        for value in ACCEPTS:
            for target, body in (
                (f"/v2/{SEED.repository}/manifests/{SEED.tag}", SEED.manifest),
                (f"/v2/{SEED.repository}/blobs/{digest_of(LARGE)}", LARGE),
            ):
                answer = client.ask("GET", target, {header: value})
                assert (answer.status, answer.body) == (200, body)
                assert answer.header("content-encoding") is None


def test_header_flood(registry: RegistryProcess) -> None:
    """Thousands of small ones are read; more than 64 KiB in all is 431; the connection need not survive it."""
    with no_trace(registry):
        assert ask(registry, "GET", "/v2/", {f"X-{n}": "y" for n in range(3000)}).status == 200
        for fields in ({f"X-{n}": "y" * 20 for n in range(4000)}, {"X": "y" * 70_000}, {"y" * 70_000: "X"}):
            assert ask(registry, "GET", "/v2/", fields).status == 431
        with connect(registry) as wire:
            wire.send(b"GET /v2/ HTTP/1.1\r\n")
            wire.socket.settimeout(5)
            try:
                for _ in range(2000):  # 20 MB of one head
                    wire.socket.sendall(b"X: " + b"y" * 10_000 + b"\r\n")
            except OSError:
                pass
            with contextlib.suppress(NoAnswer):  # reset by what was still on its way
                assert wire.answer().status == 431
        assert ask(registry, "GET", "/v2/").status == 200


@pytest.mark.parametrize("size", [65_400, 65_536, 66_000, 200_000])
def test_head_around_its_limit(registry: RegistryProcess, size: int) -> None:
    """Refused or answered, for GET and HEAD alike; never broken off."""
    for method in ("GET", "HEAD"):
        answer = ask(registry, method, "/v2/", {"X": "y" * size})
        assert answer.status in (200, 431)


@pytest.mark.parametrize(
    "query",
    [
        "%ff", "%c0%af", "n=%80", "a=%ed%a0%80", "%", "%zz=1", "&&&&", "=", "==", ";;", "a[]=1&a[b]=2", "%00=%00", "n",
        "?",
        "n=1&" + "&".join(f"a{n}=1" for n in range(500)),
        "x=1&" * 1500, "&" * 4000, "n=1;last=2", "+" * 1000, "n=%31",
    ],
)  # fmt: skip
def test_queries_that_are_none(registry: RegistryProcess, query: str) -> None:
    """Unknown parameters are ignored; what cannot be read is an error of the specification."""
    with no_trace(registry), Client(registry) as client:
        for target in (f"/v2/{SEED.repository}/tags/list", "/v2/_catalog", f"/v2/{SEED.repository}/referrers/{ABSENT}"):
            answer = client.ask("GET", f"{target}?{query}")
            assert answer.status in (200, 400), answer
            assert answer.status == 200 or problem(answer) is None
        answer = client.ask("GET", f"/v2/{SEED.repository}/manifests/{SEED.tag}?{query}")
        assert (answer.status, answer.body) == (200, SEED.manifest)


@pytest.mark.parametrize(
    "n", ["-1", "+1", "1.0", "1e3", "abc", "0x10", "%201", "%20", "%D9%A3", "%C2%B2", "1,2", "null", "1%00", "--"]
)
def test_page_sizes_that_are_none(registry: RegistryProcess, n: str) -> None:
    with no_trace(registry), Client(registry) as client:
        for target in (f"/v2/{SEED.repository}/tags/list", "/v2/_catalog"):
            assert_error(client.ask("GET", f"{target}?n={n}"), 400, "UNSUPPORTED")


@pytest.mark.parametrize(
    "n", ["1" + "0" * 30, "9" * 4000, "0" * 4000 + "1", "18446744073709551616", "9223372036854775808"]
)
def test_page_sizes_beyond_all_measure(registry: RegistryProcess, n: str) -> None:
    with no_trace(registry), Client(registry) as client:
        answer = client.ask("GET", f"/v2/{SEED.repository}/tags/list?n={n}")
        assert (answer.status, answer.json()["tags"]) == (200, [SEED.tag])
        answer = client.ask("GET", f"/v2/_catalog?n={n}")
        assert (answer.status, answer.json()["repositories"][0]) == (200, SEED.repository)


@pytest.mark.parametrize(
    "last", ["%00", "%ff", "%f4%8f%bf%bf", "z" * 7000, "'--", "..", "v1%00", "\\", "%2e%2e%2f", "V1", "*"]
)
def test_cursors_that_are_none(registry: RegistryProcess, last: str) -> None:
    """A cursor need not exist; it only says after what to go on."""
    with no_trace(registry), Client(registry) as client:
        for target in (f"/v2/{SEED.repository}/tags/list", "/v2/_catalog", f"/v2/{SEED.repository}/referrers/{ABSENT}"):
            answer = client.ask("GET", f"{target}?last={last}")
            assert answer.status == (400 if last == "%ff" else 200), answer


def test_tag_parameters_beyond_all_measure(registry: RegistryProcess) -> None:
    """All or none of them, and not thousands: 414."""
    for count, tag in ((101, "tag=t{}"), (1300, "tag=a"), (10_000, "tag=t{}")):
        query = "&".join(tag.format(n) for n in range(count))
        with no_trace(registry):
            target = f"/v2/{SEED.repository}/manifests/{SEED.digest}?{query}"
            answer = ask(registry, "PUT", target, {"Content-Type": OCI_MANIFEST}, SEED.manifest)
            assert_error(answer, 414, "UNSUPPORTED")


def test_override_headers_override_nothing(registry: RegistryProcess) -> None:
    overrides = {
        "X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "DELETE", "X-Method-Override": "DELETE"
    }  # fmt: skip
    with no_trace(registry):
        path = f"/v2/{SEED.repository}/manifests/{SEED.tag}"
        assert ask(registry, "GET", path, overrides).body == SEED.manifest
        assert_error(ask(registry, "POST", f"{path}?_method=DELETE", overrides), 405, "UNSUPPORTED")
        session = start_upload(registry, SEED.repository)
        assert ask(registry, "GET", session, overrides).status == 204
        assert ask(registry, "DELETE", session).status == 204
