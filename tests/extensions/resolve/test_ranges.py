"""Ranges, held against node-semver's own documented behaviour."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gati_extensions.kinds.api import Version, parse_version
from gati_extensions.resolve.ranges import BadRange, parse

# (range, admitted, not admitted). Source: node-semver's README and its test/fixtures/range-include.js and -exclude.js.
CASES = [
    ("1.0.0 - 2.0.0", ["1.2.3", "2.0.0"], ["2.2.3", "2.0.0-rc.1", "1.0.0-rc.1"]),
    ("1.2.3 - 2", ["2.9.9", "1.2.3"], ["3.0.0", "1.2.2"]),
    ("1.2 - 3.4", ["1.2.0", "3.4.9"], ["3.5.0", "1.1.9"]),
    ("^1.2.3", ["1.2.3", "1.9.0"], ["2.0.0", "2.0.0-alpha", "1.2.3-beta", "1.9.0-beta"]),
    ("^1.2.3-beta.2", ["1.2.3-beta.4", "1.2.3", "1.8.1"], ["1.2.3-beta.1", "1.2.4-beta.2", "2.0.0"]),
    ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]),
    ("^0.0.3", ["0.0.3"], ["0.0.4"]),
    ("^0.0", ["0.0.0", "0.0.9"], ["0.1.0"]),
    ("^0", ["0.0.1", "0.9.9"], ["1.0.0"]),
    ("^1.x", ["1.0.0", "1.9.0"], ["2.0.0"]),
    ("^0.1", ["0.1.2"], ["0.2.0"]),
    ("~1.2.3", ["1.2.3", "1.2.9"], ["1.3.0", "1.2.2"]),
    ("~1.2", ["1.2.0", "1.2.9"], ["1.3.0"]),
    ("~1", ["1.0.0", "1.9.9"], ["2.0.0", "2.0.0-0"]),
    ("~> 1.2.3", ["1.2.9"], ["1.3.0"]),
    ("*", ["0.0.0", "1.2.3"], ["1.0.0-rc.1"]),
    ("", ["1.0.0"], ["1.0.0-rc.1"]),
    ("1.x", ["1.0.0", "1.9.9"], ["2.0.0", "0.9.9"]),
    ("1.2.*", ["1.2.0"], ["1.3.0"]),
    ("1", ["1.9.9"], ["2.0.0"]),
    ("1.2", ["1.2.7"], ["1.3.0"]),
    (">=1.0.0 <2.0.0", ["1.0.0", "1.9.9"], ["2.0.0", "0.9.9"]),
    ("> 1.0.0", ["1.0.1"], ["1.0.0"]),
    (">1", ["2.0.0"], ["1.9.9"]),
    (">1.2", ["1.3.0"], ["1.2.8"]),
    ("<=1.2", ["1.2.9", "0.1.0"], ["1.3.0"]),
    ("<1.2", ["1.1.9"], ["1.2.0", "1.2.0-rc.1"]),
    ("=1.2.3", ["1.2.3"], ["1.2.4"]),
    ("v1.2.3", ["1.2.3", "1.2.3+build"], ["1.2.4"]),
    ("1.2.3+other", ["1.2.3+build"], ["1.2.4"]),
    ("<1.0.0 || >=2.3.1 <2.4.5 || >=2.5.2 <3.0.0", ["0.9.0", "2.3.1", "2.5.9"], ["1.0.0", "2.4.5", "3.0.0"]),
    (">=1.2.3-beta.2", ["1.2.3-beta.11", "1.2.3", "3.0.0"], ["1.2.3-beta.1", "1.2.4-beta.9"]),
    ("^1 || ^3", ["1.1.0", "3.9.0"], ["2.0.0"]),
    ("<*", [], ["0.0.0", "1.0.0"]),
    ("||", ["1.0.0"], []),
]


@pytest.mark.parametrize(("text", "admitted", "refused"), CASES)
def test_what_a_range_admits(text: str, admitted: list[str], refused: list[str]) -> None:
    found = parse(text)
    for versions, expected in ((admitted, True), (refused, False)):
        for one in versions:
            version = parse_version(one)
            assert version is not None
            assert found.admits(version) is expected, one


@pytest.mark.parametrize(
    "text",
    ["1.2.3.4", "1.2.3-01", "not/a/range", "^^1", "> = 1", "<>1", "1..2", "sha256:short", "é", "1 - ", "|", "x" * 3000,
     ">=0 || " * 10_000, ">=0 " * 100],
)  # fmt: skip
def test_what_is_no_range_is_told_so(text: str) -> None:
    with pytest.raises(BadRange):
        parse(text)


def test_channels_and_digests_name_one_release() -> None:
    assert parse("latest").channel == "latest"
    assert parse("sha256:" + "a" * 64).digest == "sha256:" + "a" * 64
    assert not parse("latest").admits(Version(1, 0, 0))


@given(st.text(max_size=60))
def test_any_text_is_a_range_or_is_refused(text: str) -> None:
    try:
        found = parse(text)
    except BadRange:
        return
    found.admits(Version(1, 2, 3))
    assert parse(str(found)) == found or not found.text.strip()


_numbers = st.integers(0, 3)


@given(_numbers, _numbers, _numbers, _numbers, _numbers, _numbers)
def test_caret_and_tilde_are_what_they_stand_for(a: int, b: int, c: int, x: int, y: int, z: int) -> None:
    version, own = (x, y, z), (a, b, c)
    caret = version >= own and (x == a if a else (x, y) == (0, b) if b else version == (0, 0, c))
    tilde = version >= own and (x, y) == (a, b)
    assert parse(f"^{a}.{b}.{c}").admits(Version(*version)) is caret
    assert parse(f"~{a}.{b}.{c}").admits(Version(*version)) is tilde
