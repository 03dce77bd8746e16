"""Byte ranges of downloads and chunks, and the pages of lists, against brute force."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gati_registry.domain.paging import Cursor, link
from gati_registry.errors import RegistryError
from gati_registry.values.byterange import (
    MAX_RANGES,
    ByteRange,
    RangeNotSatisfiable,
    parse_content_range,
    parse_range,
)

numbers = st.integers(0, 40)
specs = st.one_of(
    st.tuples(numbers, numbers).map(lambda ends: f"{ends[0]}-{ends[1]}"),
    numbers.map(lambda first: f"{first}-"),
    numbers.map(lambda length: f"-{length}"),
)


def positions(spec: str, size: int) -> list[int]:
    """The oracle: which of the content's bytes a range names, by looking at each of them."""
    first, _, last = spec.partition("-")
    if not first:
        return [at for at in range(size) if at >= size - int(last)]
    return [at for at in range(size) if int(first) <= at and (not last or at <= int(last))]


@given(st.lists(specs, min_size=1, max_size=4), st.integers(0, 40), st.sampled_from(["", " "]))
@example(["500-0"], 40, "")
@example(["-0"], 40, "")
@example(["0-"], 0, "")
@example(["0-9", "0-9", "0-9", "0-9", "0-9"], 40, "")
def test_a_range_names_the_bytes_that_brute_force_finds(wanted: list[str], size: int, space: str) -> None:
    expected = [found for found in (positions(spec, size) for spec in wanted) if found]
    header = "bytes=" + f"{space},{space}".join(wanted)
    if not expected:
        with pytest.raises(RangeNotSatisfiable):
            parse_range(header, size)
        return
    parts = parse_range(header, size)
    if len(expected) > 1 and sum(map(len, expected)) > size:
        assert parts is None  # the whole is shorter than its parts
        return
    assert parts is not None
    assert [list(range(part.first, part.last + 1)) for part in parts] == expected
    assert [part.length for part in parts] == [len(found) for found in expected]


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,", "bytes=0-1;", "bytes=0--1", "0-1"],
)
def test_a_malformed_range_or_another_unit_means_the_whole(header: str) -> None:
    assert parse_range(header, 100) is None


@given(st.text(max_size=30), st.integers(0, 100))
def test_no_header_makes_a_range_beyond_the_content(text: str, size: int) -> None:
    for header in (text, f"bytes={text}"):
        try:
            parts = parse_range(header, size)
        except RangeNotSatisfiable:
            continue
        assert parts is None or all(0 <= part.first <= part.last < size for part in parts)


def test_too_many_parts_mean_the_whole() -> None:
    parts = [f"{at}-{at}" for at in range(MAX_RANGES)]
    found = parse_range("bytes=" + ",".join(parts), 1000)
    assert found is not None
    assert len(found) == MAX_RANGES
    assert parse_range("bytes=" + ",".join([*parts, "0-0"]), 1000) is None


def test_an_end_of_many_digits_is_cut_at_the_contents_end() -> None:
    assert parse_range(f"bytes=5-{10**18}", 10) == [ByteRange(5, 9)]


# --- Content-Range ----------------------------------------------------------------------------------------------


@given(
    st.integers(0, 10**19 - 1), st.integers(0, 10**19 - 1), st.sampled_from(["{}", "bytes {}/*", "bytes={}/9", " {} "])
)
def test_a_content_range_is_what_was_written(first: int, last: int, form: str) -> None:
    found = parse_content_range(form.format(f"{first}-{last}"))
    assert found == (ByteRange(first, last) if first <= last else None)
    if found is not None:
        assert str(found) == f"{first}-{last}"


def is_number(text: str) -> bool:
    """The oracle: one to nineteen ASCII digits."""
    return 1 <= len(text) <= 19 and all(letter in "0123456789" for letter in text)


@given(st.text("0123456789-/ *", max_size=9), st.sampled_from(["", "bytes ", "bytes=", "byte ", "bytes"]))
@example("٣-٤", "")
@example("1" * 20 + "-" + "2" * 20, "")
def test_a_content_range_is_never_guessed(text: str, unit: str) -> None:
    ends, slash, total = (text if unit in ("", "bytes ", "bytes=") else "x").strip().partition("/")
    first, _, last = ends.partition("-")
    right = is_number(first) and is_number(last) and (not slash or total == "*" or is_number(total))
    right = right and (not unit or text == text.lstrip()) and int(first) <= int(last)
    assert parse_content_range(unit + text) == (ByteRange(int(first), int(last)) if right else None)


# --- paging -----------------------------------------------------------------------------------------------------


@given(st.one_of(st.none(), st.text(max_size=4), st.from_regex(r"[0-9]{1,40}", fullmatch=True)), st.integers(1, 50))
@example("0", 50)
@example("٣", 50)
@example("0" * 30 + "7", 50)
def test_n_is_a_whole_number_cut_to_the_largest_page(n: str | None, maximum: int) -> None:
    digits = "0123456789"
    if not n:
        assert Cursor.parse(n, None, maximum=maximum) == Cursor(maximum, "")
    elif all(letter in digits for letter in n):
        assert Cursor.parse(n, "x", maximum=maximum) == Cursor(min(int(n), maximum), "x")
    else:
        with pytest.raises(RegistryError) as caught:
            Cursor.parse(n, None, maximum=maximum)
        assert caught.value.status == 400


@given(st.text(max_size=20).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)), st.integers(0, 99))
@example('application/vnd.x+json; q="1"', 1)
@example("a&b=c>d", 1)
def test_the_link_to_the_next_page_brings_back_what_went_into_it(last: str, n: int) -> None:
    value = link("/v2/a/tags/list", n=n, last=last)
    target, _, parameters = value.partition(">")
    assert parameters == '; rel="next"'
    parts = urlsplit(target.removeprefix("<"))
    assert parts.path == "/v2/a/tags/list"
    assert parse_qs(parts.query, keep_blank_values=True) == {"n": [str(n)], "last": [last]}
