"""What the registry reads of a manifest; and that nothing a client sends as one brings it down."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gati_registry.domain.manifest import MAX_DEPTH, Manifest, parse
from gati_registry.domain.referrers import encode
from gati_registry.errors import Code, RegistryError
from gati_registry.values import mediatype
from gati_registry.values.digest import Digest
from tests.core.support import IMAGE, INDEX, Client, descriptor, image, index, sha256, sha512

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
SUBJECT = {"mediaType": IMAGE, "digest": sha256(b"subject"), "size": 7}


def read(document: Any, content_type: str | None = IMAGE) -> Manifest:
    """Parse a document as a client would send it."""
    return parse(json.dumps(document).encode(), content_type)


def refused(data: bytes, content_type: str | None = None) -> RegistryError:
    """The refusal, which is a MANIFEST_INVALID with a JSON body of bounded size."""
    with pytest.raises(RegistryError) as caught:
        parse(data, content_type)
    assert (caught.value.code, caught.value.status) == (Code.MANIFEST_INVALID, 400)
    assert len(json.loads(caught.value.body())["errors"]) == 1
    assert len(caught.value.body()) < 8192
    return caught.value


# --- anything at all --------------------------------------------------------------------------------------------

surrogates = st.text(st.characters(codec=None), max_size=3)
fields = st.sampled_from(
    [
        "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "blobs", "subject",
        "annotations", "digest", "size", "fsLayers", "platform", "urls",
    ]
)  # fmt: skip
texts = st.one_of(
    surrogates,
    st.sampled_from([IMAGE, INDEX, DOCKER_MANIFEST, DOCKER_LIST, "application/x+json", "", sha256(b""), sha512(b"")]),
)
leaves = st.one_of(
    st.none(), st.booleans(), st.sampled_from([1, 2, 2.0, 0, -1, 2**63 - 1, 2**63, 10**400]), st.floats(), texts
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(fields, surrogates), inner, max_size=6)
    ),
    max_leaves=20,
)
descriptors = st.fixed_dictionaries(
    {},
    optional={
        "mediaType": texts,
        "digest": st.one_of(st.just(sha256(b"x")), st.just(sha512(b"y")), texts),
        "size": leaves,
        "annotations": values,
    },
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "schemaVersion": st.sampled_from([2, 1, "2", 2.0, None]),
        "mediaType": texts,
        "artifactType": st.one_of(texts, values),
        "config": st.one_of(descriptors, values),
        "layers": st.one_of(st.lists(descriptors, max_size=3), values),
        "manifests": st.one_of(st.lists(descriptors, max_size=3), values),
        "subject": st.one_of(descriptors, values),
        "annotations": st.one_of(st.dictionaries(surrogates, surrogates, max_size=3), values),
    },
)
content_types = st.one_of(
    st.none(), st.text(max_size=20), st.sampled_from([IMAGE, INDEX, DOCKER_LIST, "application/json", "a/b+json", "a/b"])
)


def survives(data: bytes, content_type: str | None) -> None:
    """It is read or refused; what was read can be stored and listed."""
    try:
        manifest = parse(data, content_type)
    except RegistryError as error:
        assert error.status == 400  # noqa: PT017 - most content is no error
        json.loads(error.body())
        return
    assert mediatype.parse_media_type(manifest.media_type) == manifest.media_type
    manifest.media_type.encode("ascii")  # it becomes a header
    (manifest.artifact_type or "").encode()  # it becomes a column
    listed = encode(manifest.descriptor(Digest.of(data), len(data)))
    assert json.loads(listed.encode())["annotations" if manifest.annotations else "digest"]
    assert set(manifest.required) <= set(manifest.references)
    assert all(Digest.parse(digest) for digest in manifest.references)


@given(st.one_of(documents, values), content_types)
@example({"mediaType": IMAGE, "annotations": {"a": "\ud800"}, "artifactType": "\udfff"}, None)
@example({"schemaVersion": 2, "config": descriptor(b"", "\ud800/x"), "layers": []}, IMAGE)
@example({"schemaVersion": True, "manifests": [], "subject": None}, INDEX)
@settings(max_examples=300)
def test_any_json_is_read_or_refused(document: Any, content_type: str | None) -> None:
    survives(json.dumps(document).encode(), content_type)


@given(st.binary(max_size=60), content_types)
@example(b"", None)
@example(b"\xef\xbb\xbf{}", IMAGE)
@example(b'{"a":1}{', IMAGE)
@example(b"\xff\xfe{\x00}\x00", IMAGE)
def test_any_bytes_are_read_or_refused(data: bytes, content_type: str | None) -> None:
    survives(data, content_type)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b'{"schemaVersion":2,"size":' + b"9" * 5000 + b"}",
        b'{"schemaVersion":NaN}',
        b'{"schemaVersion":-Infinity}',
        b'{"mediaType":"a/b","mediaType":"a/b"}',
        b'{"layers":[{"size":1,"size":2}]}',
        b'{"a":"\xff"}',
        b"[]",
        b"null",
        b"2",
        b'"text"',
        b"{",
    ],
    ids=lambda data: data[:20].decode("latin-1") + f" ({len(data)})",
)
def test_what_is_no_sane_json_object_is_refused(data: bytes) -> None:
    refused(data, IMAGE)
    refused(data)


def test_nesting_up_to_the_limit_is_taken() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH - 1):
        deep = {"a": deep}
    assert read(deep, "application/x+json").media_type == "application/x+json"


# --- what it says -----------------------------------------------------------------------------------------------


def test_an_image_keeps_what_it_names_and_lists_by_its_config_type() -> None:
    found = parse(image(b"config", b"one", b"two", b"one", annotations={"k": "v"}), IMAGE)
    assert found.references == (sha256(b"config"), sha256(b"one"), sha256(b"two"))
    assert found.required == found.references
    assert found.artifact_type == "application/vnd.oci.image.config.v1+json"
    assert found.annotations == {"k": "v"}
    assert found.subject is None
    assert parse(image(b"c", artifactType="a/b", subject=SUBJECT), IMAGE).artifact_type == "a/b"


def test_an_index_without_an_artifact_type_lists_without_one() -> None:
    found = parse(index(b"one", subject=SUBJECT), INDEX)
    assert found.artifact_type is None
    assert found.subject == SUBJECT["digest"]
    assert found.references == (sha256(b"one"),)
    assert parse(index(artifactType="a/b"), INDEX).artifact_type == "a/b"


def test_a_subject_is_no_reference_and_a_foreign_layer_is_not_required() -> None:
    foreign = descriptor(b"foreign", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    document = json.loads(image(b"config", subject=SUBJECT))
    document["layers"] = [foreign]
    found = read(document)
    assert found.required == (sha256(b"config"),)
    assert found.references == (sha256(b"config"), sha256(b"foreign"))


def test_a_manifest_of_an_unknown_type_is_read_where_it_has_the_usual_form() -> None:
    odd = {"config": 3, "layers": [descriptor(b"x"), {"digest": "md5:1"}, None], "blobs": "no", "manifests": [[]]}
    found = read(odd, "application/x+json")
    assert found.references == (sha256(b"x"),)
    assert found.artifact_type is None
    plain = parse(b"\x00not json", "application/x")
    assert (plain.media_type, plain.references) == ("application/x", ())


@pytest.mark.parametrize(
    ("data", "content_type", "expected"),
    [
        (image(b"c"), None, IMAGE),
        (image(b"c"), "application/json", IMAGE),
        (image(b"c"), f"{IMAGE}; charset=utf-8", IMAGE),
        (b'{"schemaVersion":2,"manifests":[]}', None, INDEX),
        (json.dumps({"schemaVersion": 2, "config": descriptor(b""), "layers": []}).encode(), "text/plain", IMAGE),
        (b'{"mediaType":"a/b+json"}', None, "a/b+json"),
        (b'{"mediaType":""}', "a/b+json", "a/b+json"),
    ],
)
def test_the_type_is_the_header_s_else_the_document_s_else_the_form_s(
    data: bytes, content_type: str | None, expected: str
) -> None:
    assert parse(data, content_type).media_type == expected


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"schemaVersion": 1}, "/schemaVersion"),
        ({"config": None}, "/config"),
        ({"layers": None}, "/layers"),
        ({"layers": [3]}, "/layers/0"),
        ({"layers": [{**descriptor(b""), "digest": "sha256:x"}]}, "/layers/0/digest"),
        ({"layers": [{**descriptor(b""), "size": -1}]}, "/layers/0/size"),
        ({"layers": [{**descriptor(b""), "size": True}]}, "/layers/0/size"),
        ({"layers": [{**descriptor(b""), "size": 2**63}]}, "/layers/0/size"),
        ({"config": {**descriptor(b""), "mediaType": ""}}, "/config/mediaType"),
        ({"manifests": {}}, "/manifests"),
        ({"subject": "x"}, "/subject"),
        ({"subject": {**SUBJECT, "digest": "md5:abc"}}, "/subject/digest"),
        ({"artifactType": 3}, "/artifactType"),
        ({"artifactType": "\ud800"}, "/artifactType"),
        ({"artifactType": "a\x00b"}, "/artifactType"),
        ({"annotations": []}, "/annotations"),
        ({"annotations": {"a/b~c": 3}}, "/annotations/a~1b~0c"),
        ({"mediaType": INDEX}, "/mediaType"),
        ({"mediaType": 3}, "/mediaType"),
    ],
)
def test_a_refusal_points_at_the_field(document: dict[str, Any], pointer: str) -> None:
    whole = {**json.loads(image(b"config")), **document}
    assert refused(json.dumps(whole).encode(), IMAGE).detail == {"pointer": pointer}


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b'{"schemaVersion":1,"fsLayers":[]}', None),
        (b"{}", "application/vnd.docker.distribution.manifest.v1+json"),
        (b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ],
)
def test_schema_1_is_refused_with_the_way_out(data: bytes, content_type: str | None) -> None:
    assert "schema 2" in refused(data, content_type).message


# --- through the doors ------------------------------------------------------------------------------------------

odd_texts = st.text(st.one_of(st.characters(codec=None), st.sampled_from('\x00\ud800\udfff\u2028"\\é')), max_size=8)


@pytest.mark.anyio
async def test_odd_annotations_come_back_as_referrers_exactly_or_are_refused(client: Client) -> None:
    @given(st.dictionaries(odd_texts, odd_texts, min_size=1, max_size=3), st.one_of(st.none(), odd_texts))
    @example({"\ud800": "\udfff"}, None)
    @example({"a": "b"}, "\ud800")
    @settings(max_examples=60, deadline=None)
    def push(annotations: dict[str, str], artifact_type: str | None) -> None:
        fields = {"artifactType": artifact_type} if artifact_type is not None else {}
        data = index(subject=SUBJECT, annotations=annotations, **fields)
        pushed.append((data, annotations, artifact_type))

    pushed: list[tuple[bytes, dict[str, str], str | None]] = []
    push()
    taken = 0
    for data, asked, artifact_type in pushed:
        answer = await client.push_manifest("odd/texts", sha256(data), data, INDEX)
        if answer.status == 400:
            assert answer.codes == ["MANIFEST_INVALID"]
            continue
        assert answer.status == 201, (answer, data)
        taken += 1
        entries = {
            entry["digest"]: entry
            for entry in (await client.get(f"/v2/odd/texts/referrers/{SUBJECT['digest']}")).json()["manifests"]
        }
        assert entries[sha256(data)]["annotations"] == asked
        assert entries[sha256(data)].get("artifactType") == (artifact_type or None)
        stored = await client.get(f"/v2/odd/texts/manifests/{sha256(data)}")
        assert (stored.body, stored.headers["content-type"]) == (data, INDEX)
    assert taken
