"""Malformed names, digests, tags and upload ids; paths that lead elsewhere; methods that nobody knows."""

from __future__ import annotations

import pytest

from tests.hostile.content import ABSENT, OCI_MANIFEST, SEED, SMALL, digest_of, start_upload
from tests.hostile.spec import assert_error
from tests.hostile.trace import no_trace
from tests.hostile.wire import Client, ask, ask_raw
from tests.support.server import RegistryProcess

HEX = digest_of(SMALL).partition(":")[2]

BAD_NAMES = [
    "A/b", "seed/App", "a//b", "/a", "a/", "-a", "a-", ".a", "a.", "_a", "a_", "a..b", "a._b", "a.-b", "a___b",
    "a/./b", "a/../b", "../a", "..", ".", "a/..", "a\\b", "..\\..\\a", "a~b", "a;b", "a:b", "a:5000/b", "a@b", "a*b",
    "a+b", "a!b", "a$b", "a'b", "a'--", 'a"b', "a<b>", "a|b", "a^b", "a`b", "a{b}", "a[b]", "a=b", "a,b", "a(b)",
    "%61", "a%2Fb", "a%2fb", "%2e%2e/b", "..%2f..%2fb", "a%5cb", "a%00b", "a%0d%0aX-Evil:%20yes", "a%20b", "%", "a%",
    "a%zz", "%C3%BC", "%ef%bc%8e", "%c0%ae%c0%ae/b", "a%252fb", "a" * 256, "/".join(["a"] * 200), "a#b",
]  # fmt: skip

BAD_DIGESTS = [
    f"sha256:{HEX[:-1]}", f"sha256:{HEX}0", f"sha256:{HEX.upper()}", f"SHA256:{HEX}", f"Sha256:{HEX}", "sha256:",
    f":{HEX}", "sha256", f"sha256:{'g' * 64}", f"md5:{HEX[:32]}", f"sha1:{HEX[:40]}", f"sha384:{HEX}{HEX[:32]}",
    f"sha512:{HEX}", f"sha256::{HEX}", f"sha256:sha256:{HEX}", f"sha256:{HEX}:", f"blake3:{HEX}", f"sha256+b64:{HEX}",
    f"sha256:{HEX[:-1]}.", f"sha256:{HEX[:32]}:{HEX[:31]}", f"0x{HEX}:", "sha256:..", f"sha256:{HEX}@x",
    f"sha3-256:{HEX}", f"a:{'b' * 4000}",
]  # fmt: skip

BAD_TAGS = [
    ".a", "-a", "..", ".", "-", "a" * 129, "a+b", "a@b", "a!b", "a~b", "a*", "a;b", "a'b", 'a"b', "a\\b", "a,b", "a=b",
    "<script>", "a|b", "a#b", "$(id)", "`id`", "a&b",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_malformed_name(registry: RegistryProcess, name: str) -> None:
    digest = digest_of(SMALL)
    requests = [
        ("GET", f"/v2/{name}/manifests/latest"),
        ("HEAD", f"/v2/{name}/manifests/latest"),
        ("PUT", f"/v2/{name}/manifests/latest"),
        ("DELETE", f"/v2/{name}/manifests/latest"),
        ("GET", f"/v2/{name}/blobs/{digest}"),
        ("HEAD", f"/v2/{name}/blobs/{digest}"),
        ("DELETE", f"/v2/{name}/blobs/{digest}"),
        ("POST", f"/v2/{name}/blobs/uploads/"),
        ("POST", f"/v2/{name}/blobs/uploads/?digest={digest}"),
        ("POST", f"/v2/{name}/blobs/uploads/?mount={digest}&from={SEED.repository}"),
        ("PATCH", f"/v2/{name}/blobs/uploads/1"),
        ("GET", f"/v2/{name}/tags/list"),
        ("GET", f"/v2/{name}/referrers/{digest}"),
        ("GET", f"/v2/{name}/_oci/ext/discover"),
    ]
    with no_trace(registry), Client(registry) as client:
        for method, target in requests:
            body = SMALL if method in ("PUT", "POST", "PATCH") else b""
            assert_error(client.ask(method, target, body=body), 400, "NAME_INVALID", method)


def test_longest_name_counts_the_host(registry: RegistryProcess) -> None:
    """Host, `/` and name together have 255 characters at most."""
    host, name = "registry.test", "a" * (255 - len("registry.test/"))
    for length, status, code in ((0, 404, "NAME_UNKNOWN"), (1, 400, "NAME_INVALID")):
        answer = ask(registry, "GET", f"/v2/{name}{'a' * length}/tags/list", {"Host": host})
        assert_error(answer, status, code)
    answer = ask(registry, "GET", "/v2/a/tags/list", {"Host": "h" * 300})
    assert_error(answer, 400, "NAME_INVALID")


@pytest.mark.parametrize("digest", BAD_DIGESTS)
def test_malformed_digest(registry: RegistryProcess, digest: str) -> None:
    base = f"/v2/{SEED.repository}"
    with no_trace(registry), Client(registry) as client:
        session = start_upload(registry, SEED.repository)
        requests = [
            ("GET", f"{base}/blobs/{digest}"),
            ("HEAD", f"{base}/blobs/{digest}"),
            ("DELETE", f"{base}/blobs/{digest}"),
            ("GET", f"{base}/referrers/{digest}"),
            ("POST", f"{base}/blobs/uploads/?digest={digest}"),
            ("POST", f"{base}/blobs/uploads/?mount={digest}"),
            ("POST", f"{base}/blobs/uploads/?mount={digest}&from={SEED.other}"),
            ("PUT", f"{session}?digest={digest}"),
        ]
        if ":" in digest:  # without, it is a tag
            requests += [(method, f"{base}/manifests/{digest}") for method in ("GET", "HEAD", "PUT", "DELETE")]
        for method, target in requests:
            body = SMALL if method in ("PUT", "POST") else b""
            assert_error(client.ask(method, target, body=body), 400, "DIGEST_INVALID", method)
        assert ask(registry, "DELETE", session).status == 204


@pytest.mark.parametrize(
    "algorithm", ["md5", "SHA256", "sha-256", "sha256:", "sha1", "../x", "%00", "%ff%fe", "s" * 500]
)
def test_unknown_digest_algorithm(registry: RegistryProcess, algorithm: str) -> None:
    with no_trace(registry):
        answer = ask(registry, "POST", f"/v2/{SEED.repository}/blobs/uploads/?digest-algorithm={algorithm}")
        assert_error(answer, 400, "UNSUPPORTED" if algorithm == "%ff%fe" else "DIGEST_INVALID")


@pytest.mark.parametrize("tag", BAD_TAGS)
def test_malformed_tag(registry: RegistryProcess, tag: str) -> None:
    path = f"/v2/{SEED.repository}/manifests/"
    with no_trace(registry):
        for method in ("GET", "HEAD", "DELETE"):
            assert_error(ask(registry, method, path + tag), 400, "MANIFEST_INVALID", method)
        answer = ask(registry, "PUT", path + tag, {"Content-Type": OCI_MANIFEST}, SEED.manifest)
        assert_error(answer, 400, "MANIFEST_INVALID")


@pytest.mark.parametrize(
    "tag", [*(tag for tag in BAD_TAGS if not {*"#&;+"} & {*tag}), "", "a%0d%0ab", "a%00", "%c3%a9", "a:b"]
)
def test_one_malformed_tag_parameter_refuses_all(registry: RegistryProcess, tag: str) -> None:
    target = f"/v2/{SEED.repository}/manifests/{SEED.digest}?tag=fine&tag={tag}&tag=fine2"
    with no_trace(registry):
        answer = ask(registry, "PUT", target, {"Content-Type": OCI_MANIFEST}, SEED.manifest)
        assert_error(answer, 400, "MANIFEST_INVALID")


@pytest.mark.parametrize(
    "upload",
    ["1", "x" * 64, "x" * 65, "x" * 4000, "..", ".", "%3a", "00000000-0000-0000-0000-000000000000", "a'--", "*"],
)
def test_unknown_upload(registry: RegistryProcess, upload: str) -> None:
    target = f"/v2/{SEED.repository}/blobs/uploads/{upload}"
    with no_trace(registry):
        for method, query, body in (
            ("GET", "", b""),
            ("PATCH", "", SMALL),
            ("PUT", f"?digest={digest_of(SMALL)}", SMALL),
            ("DELETE", "", b""),
        ):
            assert_error(ask(registry, method, target + query, body=body), 404, "BLOB_UPLOAD_UNKNOWN", method)


def test_upload_of_another_repository(registry: RegistryProcess) -> None:
    """An upload's id opens nothing under another repository's name, nor outside of its own."""
    with no_trace(registry):
        session = start_upload(registry, SEED.other)
        assert ask(registry, "PATCH", session, body=b"mine").status == 202
        foreign = session.replace(SEED.other, SEED.repository)
        for method, query in (("GET", ""), ("PATCH", ""), ("PUT", f"?digest={digest_of(b'mine')}"), ("DELETE", "")):
            body = b"!" if method in ("PATCH", "PUT") else b""
            assert_error(ask(registry, method, foreign + query, body=body), 404, "BLOB_UPLOAD_UNKNOWN", method)
        state = ask(registry, "GET", session)
        assert (state.status, state.header("range")) == (204, "0-3")
        assert ask(registry, "DELETE", session).status == 204


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/v2/../etc/passwd", 404, "UNSUPPORTED"),
        ("/v2/%2e%2e/%2e%2e/etc/passwd", 400, "NAME_INVALID"),
        ("/v2/..%2f..%2fetc%2fpasswd", 400, "NAME_INVALID"),
        ("/v2//", 404, "UNSUPPORTED"),
        ("/v2//blobs/uploads/", 400, "NAME_INVALID"),
        ("/v2/manifests/latest", 400, "NAME_INVALID"),
        ("/v2/tags/list", 400, "NAME_INVALID"),
        ("/v2/_oci/ext/discover/", 404, "UNSUPPORTED"),
        ("/v2/_oci/tags/list", 400, "NAME_INVALID"),
        ("/v2/_catalog/", 404, "UNSUPPORTED"),
        ("/v2/_catalog%3Fn=1", 400, "NAME_INVALID"),
        ("/v2/seed/app", 404, "UNSUPPORTED"),
        ("/v2/seed/app/", 404, "UNSUPPORTED"),
        ("/v2/seed/app/manifests/", 404, "UNSUPPORTED"),
        ("/v2/seed/app/manifests/v1/", 404, "UNSUPPORTED"),
        ("/v2/seed/app/manifests/a/b", 404, "UNSUPPORTED"),
        ("/v2/seed/app/manifests/v1%2f", 400, "NAME_INVALID"),
        ("/v2/seed/app/manifests/%2e%2e", 400, "NAME_INVALID"),
        ("/v2/seed/app/blobs/", 404, "UNSUPPORTED"),
        ("/v2/seed/app/tags/", 404, "UNSUPPORTED"),
        ("/v2/seed/app/tags/list/", 404, "UNSUPPORTED"),
        ("/v2/seed%2Fapp/tags/list", 400, "NAME_INVALID"),
        ("/v2/seed/app/tags/lis%74", 400, "NAME_INVALID"),
        ("/%762/seed/app/tags/list", 404, "UNSUPPORTED"),
        ("/v2%2fseed/app/tags/list", 404, "UNSUPPORTED"),
        ("//v2/seed/app/tags/list", 404, "UNSUPPORTED"),
        ("/./v2/", 404, "UNSUPPORTED"),
        ("/x/../v2/", 404, "UNSUPPORTED"),
        ("/v2x", 404, "UNSUPPORTED"),
        ("/V2/", 404, "UNSUPPORTED"),
        ("/v1/", 404, "UNSUPPORTED"),
        ("/etc/passwd", 404, "UNSUPPORTED"),
        ("/livez/../v2/", 404, "UNSUPPORTED"),
    ],
)  # fmt: skip
def test_paths_that_are_none(registry: RegistryProcess, target: str, status: int, code: str) -> None:
    with no_trace(registry):
        assert_error(ask(registry, "GET", target), status, code)


@pytest.mark.parametrize(
    "target",
    [
        "/v2/seed/\u00e4pp/tags/list", "/v2/seed/app/manifests/v\u00e9", "/v2/ seed/app/tags/list",
        "/v2/seed/app/tags/list x",
        "/v2/seed/app\0/tags/list", "/v2/seed/app\x7f/tags/list", "/v2/seed/app\t/tags/list",
    ],
)  # fmt: skip
def test_bytes_that_no_target_has(registry: RegistryProcess, target: str) -> None:
    """Refused before the application: the answer has no body to speak of, and the connection ends."""
    with no_trace(registry):
        answer = ask_raw(registry, f"GET {target} HTTP/1.1\r\nHost: registry.test\r\n\r\n".encode())
        assert answer.status == 400
        assert answer.closes


@pytest.mark.parametrize("length", [8_192, 9_000, 60_000])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_target_too_long(registry: RegistryProcess, method: str, length: int) -> None:
    path = f"/v2/{SEED.repository}/manifests/"
    with no_trace(registry):
        for target in (path + "a" * (length - len(path)), f"{path}v1?{'q' * (length - len(path) - 2)}"):
            assert_error(ask(registry, method, target), 414, "UNSUPPORTED", method)


def test_longest_target_is_read(registry: RegistryProcess) -> None:
    path = f"/v2/{SEED.repository}/manifests/{SEED.tag}?"
    assert ask(registry, "GET", path + "q" * (8_000 - len(path))).status == 200


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "FOO", "OPTIONS", "PROPFIND", "M-SEARCH", "X" * 60])
def test_unknown_method(registry: RegistryProcess, method: str) -> None:
    paths = [
        "", "_catalog", "_oci/ext/discover", "seed/app/tags/list", "seed/app/manifests/v1", f"seed/app/blobs/{ABSENT}",
        "seed/app/blobs/uploads/", "seed/app/blobs/uploads/1", f"seed/app/referrers/{ABSENT}",
    ]  # fmt: skip
    with no_trace(registry):
        for path in paths:
            answer = ask(registry, method, f"/v2/{path}")
            assert_error(answer, 405, "UNSUPPORTED")
            assert set((answer.header("allow") or "").split(", ")) <= {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ""), ("DELETE", "_catalog"), ("PUT", "seed/app/tags/list"), ("POST", "seed/app/manifests/v1"),
        ("PATCH", "seed/app/manifests/v1"), ("PUT", f"seed/app/blobs/{ABSENT}"), ("GET", "seed/app/blobs/uploads/"),
        ("DELETE", "seed/app/blobs/uploads/"), ("POST", "seed/app/blobs/uploads/1"),
        ("HEAD", "seed/app/blobs/uploads/1"),
        ("DELETE", f"seed/app/referrers/{ABSENT}"),
    ],
)  # fmt: skip
def test_method_of_another_resource(registry: RegistryProcess, method: str, path: str) -> None:
    with no_trace(registry):
        answer = ask(registry, method, f"/v2/{path}")
        assert_error(answer, 405, "UNSUPPORTED", method)
        assert method not in (answer.header("allow") or method).split(", ")
