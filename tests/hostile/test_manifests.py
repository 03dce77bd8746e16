"""Manifests that are none: broken JSON, broken members, lies about content, too much of everything."""

from __future__ import annotations

import json
from typing import Any

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
    push_blob,
    push_manifest,
)
from tests.hostile.spec import assert_error
from tests.hostile.trace import no_trace
from tests.hostile.wire import ask, ask_raw, chunked, connect, head
from tests.support.server import RegistryProcess

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
LIMIT = 4 * 1024 * 1024
GOOD = encode(image(LARGE)).decode()

BROKEN_JSON = {
    "empty": b"",
    "space": b"  \r\n\t",
    "nul": b"\0",
    "not closed": GOOD.encode()[:-1],
    "closed twice": GOOD.encode() + b"}",
    "two documents": GOOD.encode() * 2,
    "trailing nul": GOOD.encode() + b"\0",
    "trailing comma": GOOD[:-1].encode() + b",}",
    "comment": b"/* */" + GOOD.encode(),
    "single quotes": GOOD.replace('"', "'").encode(),
    "array": b"[" + GOOD.encode() + b"]",
    "string": encode(GOOD),
    "number": b"2",
    "null": b"null",
    "true": b"true",
    "BOM": b"\xef\xbb\xbf" + GOOD.encode(),
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-16 LE": GOOD.encode("utf-16-le"),
    "UTF-32": GOOD.encode("utf-32"),
    "latin-1": GOOD.replace("sha256", "sh\u00e4256").encode("latin-1"),
    "overlong UTF-8": GOOD.encode()[:-1] + b',"a":"\xc0\xaf"}',
    "surrogate in UTF-8": GOOD.encode()[:-1] + b',"a":"\xed\xa0\x80"}',
    "beyond Unicode": GOOD.encode()[:-1] + b',"a":"\xf5\x80\x80\x80"}',
    "raw control character": GOOD.encode()[:-1] + b',"a":"\n"}',
    "bad escape": GOOD.encode()[:-1] + b',"a":"\\x41"}',
    "lone high surrogate": GOOD.encode()[:-1] + b',"annotations":{"a":"\\ud800"}}',
    "lone low surrogate": GOOD.encode()[:-1] + b',"artifactType":"\\udfff"}',
    "surrogate as key": GOOD.encode()[:-1] + b',"annotations":{"\\uDBFF":"a"}}',
    "surrogate in a type": GOOD.replace("application/octet-stream", "a/\\udc00").encode(),
    "NaN": GOOD.encode()[:-1] + b',"a":NaN}',
    "Infinity": GOOD.encode()[:-1] + b',"a":-Infinity}',
    "a million digits": GOOD.encode()[:-1] + b',"a":' + b"9" * 1_000_000 + b"}",
    "deep arrays": GOOD.encode()[:-1] + b',"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": GOOD.encode()[:-1] + b',"a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "deep and not closed": b"[" * 4_000_000,
    "a little too deep": GOOD.encode()[:-1] + b',"a":' + b"[" * 65 + b"]" * 65 + b"}",
    "a key twice": GOOD.encode()[:-1] + b',"schemaVersion":2}',
    "a key twice, escaped": GOOD.encode()[:-1] + b',"schema\\u0056ersion":2}',
    "a key twice, below": GOOD.encode()[:-1] + b',"annotations":{"a":"1","a":"2"}}',
    "config twice": GOOD.encode()[:-1] + b',"config":{}}',
}


def changed(**members: Any) -> bytes:
    """The good manifest with other members; None takes one away."""
    document = json.loads(GOOD)
    document.update(members)
    return encode({key: value for key, value in document.items() if value is not None})


def layer(**members: Any) -> bytes:
    """The good manifest, its layer's descriptor with other members; None takes one away."""
    changes = {**descriptor(LARGE), **members}
    return changed(layers=[{key: value for key, value in changes.items() if value is not None}])


NULL = json.loads("null")
BROKEN_MEMBERS = {
    "schemaVersion absent": changed(schemaVersion=None),
    "schemaVersion 1": changed(schemaVersion=1),
    "schemaVersion 3": changed(schemaVersion=3),
    "schemaVersion 0": changed(schemaVersion=0),
    "schemaVersion -2": changed(schemaVersion=-2),
    "schemaVersion 2.5": changed(schemaVersion=2.5),
    "schemaVersion 2.0": changed(schemaVersion=2.0),
    "schemaVersion text": changed(schemaVersion="2"),
    "schemaVersion true": changed(schemaVersion=True),
    "schemaVersion list": changed(schemaVersion=[2]),
    "schemaVersion huge": GOOD.replace('"schemaVersion":2', '"schemaVersion":1e999').encode(),
    "mediaType number": changed(mediaType=2),
    "mediaType list": changed(mediaType=[OCI_MANIFEST]),
    "mediaType of an index": changed(mediaType=OCI_INDEX),
    "mediaType of docker": changed(mediaType=DOCKER),
    "mediaType none": changed(mediaType="manifest"),
    "mediaType with a line": changed(mediaType=OCI_MANIFEST + "\r\nX-Evil: yes"),
    "config absent": changed(config=None),
    "config text": changed(config=digest_of(SMALL)),
    "config list": changed(config=[descriptor(SMALL)]),
    "config empty": changed(config={}),
    "layers absent": changed(layers=None),
    "layers object": changed(layers=descriptor(LARGE)),
    "layers text": changed(layers="none"),
    "layers of text": changed(layers=[digest_of(LARGE)]),
    "layers of null": changed(layers=[NULL]),
    "layers of lists": changed(layers=[[descriptor(LARGE)]]),
    "manifests text": changed(manifests="none"),
    "blobs object": changed(blobs={}),
    "digest absent": layer(digest=None),
    "digest number": layer(digest=7),
    "digest empty": layer(digest=""),
    "digest short": layer(digest="sha256:abc"),
    "digest upper case": layer(digest=digest_of(LARGE).upper()),
    "digest of md5": layer(digest="md5:" + "0" * 32),
    "digest a path": layer(digest="sha256:../../../../etc/passwd"),
    "digest with a line": layer(digest=digest_of(LARGE) + "\n"),
    "digest with a nul": layer(digest=digest_of(LARGE) + "\0"),
    "size absent": layer(size=None),
    "size negative": layer(size=-1),
    "size float": layer(size=1.5),
    "size whole float": layer(size=float(len(LARGE))),
    "size text": layer(size=str(len(LARGE))),
    "size true": layer(size=True),
    "size list": layer(size=[1]),
    "size beyond 63 bits": layer(size=2**63),
    "size of 4000 digits": layer(size=10**4000),
    "size infinite": layer(size="@").replace(b'"@"', b"1e999"),
    "media type absent": layer(mediaType=None),
    "media type empty": layer(mediaType=""),
    "media type number": layer(mediaType=3),
    "subject text": changed(subject=ABSENT),
    "subject list": changed(subject=[descriptor(SMALL)]),
    "subject empty": changed(subject={}),
    "subject without size": changed(subject={"mediaType": OCI_MANIFEST, "digest": ABSENT}),
    "subject with a bad digest": changed(subject={**descriptor(SMALL), "digest": "sha256:x"}),
    "artifactType number": changed(artifactType=1),
    "artifactType object": changed(artifactType={}),
    "annotations list": changed(annotations=["a"]),
    "annotations text": changed(annotations="a"),
    "annotations of numbers": changed(annotations={"a": 1}),
    "annotations of null": changed(annotations={"a": NULL}),
    "annotations of objects": changed(annotations={"a": {"b": "c"}}),
}

BROKEN_INDEXES = {
    "manifests absent": {"schemaVersion": 2},
    "manifests null": {"schemaVersion": 2, "manifests": None},
    "manifests object": {"schemaVersion": 2, "manifests": {}},
    "manifests of text": {"schemaVersion": 2, "manifests": [ABSENT]},
    "manifests of a bad digest": {"schemaVersion": 2, "manifests": [{**descriptor(SMALL), "digest": "x"}]},
    "schemaVersion absent": {"manifests": []},
    "mediaType of an image": {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "manifests": []},
}


def put(registry: RegistryProcess, data: bytes, media_type: str | None = OCI_MANIFEST, reference: str = "bad") -> Any:
    """Push to the seed's repository."""
    fields = {"Content-Type": media_type} if media_type is not None else {}
    return ask(registry, "PUT", f"/v2/{SEED.repository}/manifests/{reference}", fields, data)


@pytest.mark.parametrize("name", BROKEN_JSON)
def test_broken_json(registry: RegistryProcess, name: str) -> None:
    data = BROKEN_JSON[name]
    with no_trace(registry):
        for media_type in (OCI_MANIFEST, DOCKER, OCI_INDEX, "application/vnd.unknown+json", "application/json", None):
            assert_error(put(registry, data, media_type), 400, "MANIFEST_INVALID")
        assert_error(put(registry, data, reference=digest_of(data)), 400, "MANIFEST_INVALID")


@pytest.mark.parametrize("name", BROKEN_MEMBERS)
def test_broken_members(registry: RegistryProcess, name: str) -> None:
    data = BROKEN_MEMBERS[name]
    with no_trace(registry):
        assert_error(put(registry, data), 400, "MANIFEST_INVALID")
        assert_error(put(registry, data, reference=digest_of(data)), 400, "MANIFEST_INVALID")


@pytest.mark.parametrize("name", BROKEN_INDEXES)
def test_broken_indexes(registry: RegistryProcess, name: str) -> None:
    with no_trace(registry):
        assert_error(put(registry, encode(BROKEN_INDEXES[name]), OCI_INDEX), 400, "MANIFEST_INVALID")


@pytest.mark.parametrize(
    "media_type", ["/", "a", "a/", "/b", "a/b/c", "a b/c", "\u00e9/b", "a/b,c/d", '"a/b"', "*/*", "a/" + "b" * 300]
)
def test_malformed_media_type(registry: RegistryProcess, media_type: str) -> None:
    data = changed(mediaType=None)
    with no_trace(registry):
        assert_error(put(registry, data, media_type), 400, "MANIFEST_INVALID")
        fields = [("Content-Type", OCI_MANIFEST), ("Content-Type", "a/b")]
        answer = ask(registry, "PUT", f"/v2/{SEED.repository}/manifests/bad", fields, data)
        assert_error(answer, 400, "MANIFEST_INVALID")


def test_content_type_against_media_type(registry: RegistryProcess) -> None:
    with no_trace(registry):
        for media_type in (OCI_INDEX, DOCKER, "application/vnd.unknown.v1+json"):
            assert_error(put(registry, GOOD.encode(), media_type), 400, "MANIFEST_INVALID")


@pytest.mark.parametrize("suffix", ["json", "prettyjws"])
def test_docker_schema_1(registry: RegistryProcess, suffix: str) -> None:
    """Refused with a word on what to do, whatever the client calls it."""
    document = encode(
        {"schemaVersion": 1, "name": "x", "tag": "y", "architecture": "amd64", "fsLayers": [], "history": []}
    )
    with no_trace(registry):
        for media_type in (f"application/vnd.docker.distribution.manifest.v1+{suffix}", "application/json", None):
            answer = put(registry, document, media_type)
            assert_error(answer, 400, "MANIFEST_INVALID")
            assert "schema 1" in answer.json()["errors"][0]["message"]


def test_another_digest(registry: RegistryProcess) -> None:
    data = GOOD.encode()
    with no_trace(registry):
        for reference in (ABSENT, digest_of(data[:-1]), digest_of(data + b"\n"), digest_of(data[:-1], "sha512")):
            assert_error(put(registry, data, reference=reference), 400, "DIGEST_INVALID")


def test_content_that_is_not_there(registry: RegistryProcess) -> None:
    """One error for each digest; a manifest gives no access to another repository's blob, whoever names it."""
    stolen = digest_of(SEED.secret)
    document = image(SEED.secret, b"absent 1", b"absent 2", b"absent 1", config=b"absent 3")
    with no_trace(registry):
        answer = put(registry, encode(document))
        assert_error(answer, 400, "MANIFEST_BLOB_UNKNOWN")
        named = [entry["detail"]["digest"] for entry in answer.json()["errors"]]
        wanted = [SEED.secret, b"absent 1", b"absent 2", b"absent 3"]
        assert sorted(named) == sorted(digest_of(blob) for blob in wanted)
        index = {"schemaVersion": 2, "manifests": [{**descriptor(SEED.secret_manifest, OCI_MANIFEST)}]}
        assert_error(put(registry, encode(index), OCI_INDEX), 400, "MANIFEST_BLOB_UNKNOWN")
        for kind, digest in (("blobs", stolen), ("manifests", digest_of(SEED.secret_manifest))):
            for method in ("GET", "HEAD"):
                assert ask(registry, method, f"/v2/{SEED.repository}/{kind}/{digest}").status == 404


def test_references_open_nothing(registry: RegistryProcess) -> None:
    """Neither foreign layers nor subjects, unknown types nor urls give access to bytes of another repository."""
    stolen = {**descriptor(SEED.secret), "urls": [f"/v2/{SEED.other}/blobs/{digest_of(SEED.secret)}"]}
    foreign = {**stolen, "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar"}
    pushes = [
        (encode(image(layers=[foreign])), OCI_MANIFEST),
        (encode(image(subject=descriptor(SEED.secret, OCI_MANIFEST))), OCI_MANIFEST),
        (encode({"anything": stolen}), "application/vnd.unknown.v1+json"),
        (digest_of(SEED.secret).encode(), "application/vnd.unknown.v1"),
    ]
    for data, media_type in pushes:
        assert push_manifest(registry, SEED.repository, "thief", data, media_type).status == 201
        for method in ("GET", "HEAD", "DELETE"):
            answer = ask(registry, method, f"/v2/{SEED.repository}/blobs/{digest_of(SEED.secret)}")
            assert_error(answer, 404, "BLOB_UNKNOWN", method)
        assert ask(registry, "DELETE", f"/v2/{SEED.repository}/manifests/{digest_of(data)}").status == 202


def test_largest_manifest(registry: RegistryProcess) -> None:
    """Four MiB to the byte are taken and come back as they were; one more is 413, announced or not."""
    path = "/v2/seed/large/manifests/v1"
    fields = {"Content-Type": OCI_MANIFEST}
    assert push_blob(registry, "seed/large", SMALL).status == 201
    frame = len(encode(image(annotations={"a": ""})))
    most = encode(image(annotations={"a": "x" * (LIMIT - frame)}))
    assert len(most) == LIMIT
    assert ask(registry, "PUT", path, fields, most).status == 201
    assert ask(registry, "GET", path).body == most
    assert ask(registry, "DELETE", f"/v2/seed/large/manifests/{digest_of(most)}").status == 202
    assert ask(registry, "DELETE", f"/v2/seed/large/blobs/{digest_of(SMALL)}").status == 202
    with no_trace(registry):
        for size in (LIMIT + 1, 3 * LIMIT):
            more = most + b" " * (size - LIMIT)
            assert_error(ask(registry, "PUT", path, fields, more), 413, "SIZE_INVALID")
            raw = head("PUT", path, {**fields, "Transfer-Encoding": "chunked"}) + chunked(*_pieces(more))
            assert_error(ask_raw(registry, raw, "PUT"), 413, "SIZE_INVALID")


def _pieces(data: bytes) -> list[bytes]:
    return [data[start : start + 65536] for start in range(0, len(data), 65536)]


@pytest.mark.parametrize("length", [LIMIT + 1, 2**31, 2**40, 2**63 - 1])
def test_announced_size_alone_is_refused(registry: RegistryProcess, length: int) -> None:
    """The answer comes before the body, so that nobody sends it in vain."""
    with no_trace(registry), connect(registry) as wire:
        wire.send(head("PUT", f"/v2/{SEED.repository}/manifests/v1", {"Content-Length": str(length)}))
        assert_error(wire.answer("PUT"), 413, "SIZE_INVALID")


def test_very_many_descriptors(registry: RegistryProcess) -> None:
    """As many as four MiB hold: refused for what is missing; the answer tells each, once."""
    one = descriptor(b"absent")
    count = (LIMIT - 1000) // (len(encode(one)) + 1)
    same = encode(image(layers=[one] * count))
    with no_trace(registry):
        answer = put(registry, same)
        assert_error(answer, 400, "MANIFEST_BLOB_UNKNOWN")
        assert len(answer.json()["errors"]) == 1
        different = encode(image(layers=[{**one, "digest": f"sha256:{n:064x}"} for n in range(count)]))
        answer = put(registry, different)
        assert_error(answer, 400, "MANIFEST_BLOB_UNKNOWN")
        # More bytes than were sent would make this registry a lever.
        assert len(answer.body) <= LIMIT


def test_very_many_values(registry: RegistryProcess) -> None:
    """Documents that cost much for their size."""
    with no_trace(registry):
        for data in (
            b'{"schemaVersion":2,"a":[' + b",".join([b"{}"] * 300_000) + b"]}",
            b'{"schemaVersion":2,"a":[' + b",".join([b"1"] * 1_000_000) + b"]}",
            b"{" + b",".join(b'"%x":1' % n for n in range(200_000)) + b"}",
        ):
            assert_error(put(registry, data), 400, "MANIFEST_INVALID")


def test_markup_is_never_a_page(registry: RegistryProcess) -> None:
    """A manifest is served with the type it was pushed with; a browser must not run what it holds."""
    page = b"<script>alert(document.domain)</script>"
    path = "/v2/seed/page/manifests/v1"
    for media_type in ("text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript"):
        assert ask(registry, "PUT", path, {"Content-Type": media_type}, page).status == 201
        answer = ask(registry, "GET", path)
        assert (answer.body, answer.header("content-type")) == (page, media_type)
        assert answer.header("x-content-type-options") == "nosniff"
        assert "sandbox" in (answer.header("content-security-policy") or "")
    assert ask(registry, "DELETE", f"/v2/seed/page/manifests/{digest_of(page)}").status == 202
