"""Digests, names, tags, references and media types, each against an oracle written without the registry's patterns."""

from __future__ import annotations

import hashlib
import json
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gati_registry.errors import Code, RegistryError
from gati_registry.values.digest import ALGORITHMS, Digest, parse_algorithm
from gati_registry.values.mediatype import is_distributable, parse_media_type
from gati_registry.values.reference import MAX_NAME, RepositoryName, Tag, parse_reference

LOWER = string.ascii_lowercase + string.digits
HEX = string.digits + "abcdef"


def refusal(error: RegistryError, code: Code) -> None:
    """It is a 400 of this code, whose body is JSON and of bounded size whatever was sent."""
    assert (error.code, error.status) == (code, 400)
    body = error.body()
    assert json.loads(body)["errors"][0]["code"] == code.name
    assert len(body) < 4096


# --- digests ----------------------------------------------------------------------------------------------------


def is_digest(text: str) -> bool:
    """The oracle."""
    algorithm, colon, encoded = text.partition(":")
    length = {"sha256": 64, "sha512": 128}.get(algorithm, -1)
    return colon == ":" and len(encoded) == length and all(letter in HEX for letter in encoded)


near_digests = st.builds(
    lambda algorithm, colon, encoded, tail: algorithm + colon + encoded + tail,
    st.sampled_from(["sha256", "sha512", "SHA256", "sha384", "md5", "sha-256", "", "sha256 "]),
    st.sampled_from([":", "::", "", " :"]),
    st.one_of(
        st.integers(0, 2**512).flatmap(lambda n: st.sampled_from([f"{n % 2**256:064x}", f"{n:0128x}", f"{n:X}"])),
        st.text(HEX + "gG", min_size=63, max_size=65),
    ),
    st.sampled_from(["", "\n", " ", "0", "\x00"]),
)


@given(st.one_of(st.text(), near_digests))
@example("sha256:" + "0" * 64)
@example("sha256:" + "٠" * 64)
def test_a_digest_is_taken_exactly_when_it_is_one(text: str) -> None:
    if is_digest(text):
        digest = Digest.parse(text)
        assert digest == text
        assert f"{digest.algorithm}:{digest.encoded}" == text
        return
    with pytest.raises(RegistryError) as caught:
        Digest.parse(text)
    refusal(caught.value, Code.DIGEST_INVALID)


@given(st.binary(max_size=300), st.sampled_from(sorted(ALGORITHMS)))
def test_a_digest_of_bytes_is_what_hashlib_says(data: bytes, algorithm: str) -> None:
    digest = Digest.of(data, algorithm)
    assert digest.encoded == hashlib.new(algorithm, data).hexdigest()
    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "not supported"),
        ("sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564", "not supported"),
        ("sha256:abc", "malformed"),
        ("sha256:" + "A" * 64, "malformed"),
    ],
)
def test_a_refused_digest_is_told_whether_its_form_or_its_algorithm_is_the_trouble(text: str, hint: str) -> None:
    with pytest.raises(RegistryError, match=hint):
        Digest.parse(text)


@given(st.text())
@example("sha256")
def test_only_supported_algorithms_are_announced(text: str) -> None:
    if text in ("sha256", "sha512"):
        assert parse_algorithm(text) == text
        return
    with pytest.raises(RegistryError) as caught:
        parse_algorithm(text)
    refusal(caught.value, Code.DIGEST_INVALID)


# --- names ------------------------------------------------------------------------------------------------------


def is_part(part: str) -> bool:
    """The oracle: walk the separators; each stands between letters or digits, and is one of the allowed."""
    runs: list[tuple[bool, str]] = []
    for letter in part:
        plain = letter in LOWER
        if runs and runs[-1][0] == plain:
            runs[-1] = (plain, runs[-1][1] + letter)
        else:
            runs.append((plain, letter))
    if not runs or not runs[0][0] or not runs[-1][0]:
        return False
    return all(plain or run in (".", "_", "__") or set(run) == {"-"} for plain, run in runs)


def is_name(text: str) -> bool:
    """The oracle."""
    return all(is_part(part) for part in text.split("/"))


near_names = st.text(LOWER[:2] + LOWER[-1] + "._-/A \n", min_size=1, max_size=12)


@given(st.one_of(st.text(), near_names))
@example("a" * MAX_NAME)
@example("a\n")
@example("manifests/blobs/uploads/tags")
@example("a---b.c__d/e")
def test_a_name_is_taken_exactly_when_it_is_one(text: str) -> None:
    if is_name(text) and len(text) <= MAX_NAME:
        assert RepositoryName.parse(text) == text
        return
    with pytest.raises(RegistryError) as caught:
        RepositoryName.parse(text)
    refusal(caught.value, Code.NAME_INVALID)


@given(st.integers(1, 400), st.integers(0, 400))
@example(255, 0)
@example(250, 4)
@example(251, 4)
def test_host_and_name_together_fit_what_clients_can_address(length: int, host: int) -> None:
    fits = length + (host + 1 if host else 0) <= 255
    try:
        RepositoryName.parse("a" * length, host="h" * host)
    except RegistryError as error:
        assert not fits
        refusal(error, Code.NAME_INVALID)
    else:
        assert fits


# --- tags and references ----------------------------------------------------------------------------------------


def is_tag(text: str) -> bool:
    """The oracle."""
    word = string.ascii_letters + string.digits + "_"
    return 1 <= len(text) <= 128 and text[0] in word and all(letter in word + ".-" for letter in text)


@given(st.one_of(st.text(), st.text("aZ9_.-: \n", max_size=5), st.integers(120, 140).map(lambda n: "t" * n)))
@example("latest\n")
@example("é")
def test_a_tag_is_taken_exactly_when_it_is_one(text: str) -> None:
    if is_tag(text):
        assert Tag.parse(text) == text
        return
    with pytest.raises(RegistryError) as caught:
        Tag.parse(text)
    refusal(caught.value, Code.MANIFEST_INVALID)


@given(st.one_of(st.text(), near_digests, st.text("aZ9_.-:", max_size=5)))
def test_a_reference_with_a_colon_is_a_digest_and_any_other_a_tag(text: str) -> None:
    try:
        found = parse_reference(text)
    except RegistryError as error:
        assert not is_digest(text)
        assert not is_tag(text)
        refusal(error, Code.DIGEST_INVALID if ":" in text else Code.MANIFEST_INVALID)
    else:
        assert isinstance(found, Digest) == is_digest(text)
        assert isinstance(found, Tag) == is_tag(text)


# --- media types ------------------------------------------------------------------------------------------------


def is_restricted_name(text: str) -> bool:
    """The oracle: RFC 6838 section 4.2."""
    letters = string.ascii_letters + string.digits
    return 1 <= len(text) <= 127 and text[0] in letters and all(letter in letters + "!#$&-^_.+" for letter in text)


near_types = st.builds(
    lambda kind, slash, name, rest: kind + slash + name + rest,
    st.text("ax+.-", max_size=4),
    st.sampled_from(["/", "//", ""]),
    st.text("ax+.-!#$&^_*", max_size=5),
    st.sampled_from(["", " ", "; charset=utf-8", ";x", ", a/b"]),
)


@given(st.one_of(st.text(), near_types))
@example("a/" + "b" * 128)
@example("application/vnd.oci.image.manifest.v1+json")
def test_a_media_type_is_taken_exactly_when_it_is_one_and_loses_its_parameters(text: str) -> None:
    essence = text.split(";")[0].strip()
    kind, slash, name = essence.partition("/")
    if slash and is_restricted_name(kind) and is_restricted_name(name):
        assert parse_media_type(text) == essence
        return
    with pytest.raises(RegistryError) as caught:
        parse_media_type(text)
    refusal(caught.value, Code.MANIFEST_INVALID)


@pytest.mark.parametrize(
    ("media_type", "pushed"),
    [
        ("application/vnd.oci.image.layer.v1.tar+gzip", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", False),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", True),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", False),
    ],
)
def test_foreign_layers_are_those_that_nobody_pushes(media_type: str, pushed: bool) -> None:
    assert is_distributable(media_type) is pushed
