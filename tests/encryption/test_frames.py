"""Frames against plain slices: any range reads what was written, and nothing that was changed reads at all."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gati_registry.storage.encrypted.frames import OVERHEAD, Damaged, Frames, new_key, unwrap, wrap
from gati_registry.storage.encrypted.reader import EncryptedReader

FRAME = 16
"""Bytes of a frame here: small, so that few bytes make many frames."""

contents = st.binary(max_size=FRAME * 40)
ranges = st.lists(st.tuples(st.integers(0, FRAME * 41), st.integers(0, FRAME * 41)), min_size=1, max_size=8)


class InMemory:
    """`ports.BlobReader` over bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def close(self) -> None:
        self._data = b""


def read_all(sealed: bytes, frames: Frames, size: int, wanted: list[tuple[int, int]]) -> list[bytes]:
    """What one reader gives for these offsets and lengths."""

    async def read() -> list[bytes]:
        with ThreadPoolExecutor(1) as executor:
            reader = EncryptedReader(InMemory(sealed), frames, size, executor)
            try:
                return [await reader.read(offset, length) for offset, length in wanted]
            finally:
                reader.close()

    return asyncio.run(read())


@given(contents, ranges, st.integers(1, 5))
def test_any_ranges_in_any_order_are_slices(data: bytes, wanted: list[tuple[int, int]], pieces: int) -> None:
    frames, sealed, done = Frames(new_key(), FRAME), b"", 0
    for piece in range(pieces):  # whole frames at a time, as a writer does
        end = len(data) if piece == pieces - 1 else done + (len(data) - done) // pieces // FRAME * FRAME
        sealed += frames.seal(done // FRAME, data[done:end])
        done = end
    assert len(sealed) == frames.sealed_size(len(data))
    expected = [data[offset : offset + length] for offset, length in wanted]
    assert read_all(sealed, frames, len(data), wanted) == expected


def changed(sealed: bytes, other: bytes, how: str, place: int) -> bytes:
    """Sealed bytes after somebody was at them."""
    unit = FRAME + OVERHEAD
    count = len(sealed) // unit  # whole frames
    first, second = place % count, (place // count) % count
    if how == "flip":
        at = place % (len(sealed) * 8)
        return bytes(byte ^ (1 << at % 8) if index == at // 8 else byte for index, byte in enumerate(sealed))
    if how == "cut":
        return sealed[: place % len(sealed)]
    if how == "grow":
        return sealed + bytes(1 + place % unit)
    parts = [sealed[start : start + unit] for start in range(0, len(sealed), unit)]
    if how == "swap":
        parts[first], parts[second] = parts[second], parts[first]
    elif how == "repeat":
        parts.insert(first, parts[first])
    elif how == "drop":
        del parts[first]
    else:
        parts[first] = other[first * unit : (first + 1) * unit]
    return b"".join(parts)


@given(
    st.binary(min_size=FRAME, max_size=FRAME * 40),
    st.sampled_from(["flip", "cut", "grow", "swap", "repeat", "drop", "foreign"]),
    st.integers(0, 1 << 20),
    st.integers(1, FRAME * 9),
)
def test_nothing_that_was_changed_is_given_out(data: bytes, how: str, place: int, step: int) -> None:
    """Of what precedes the change the right bytes may come; then an error, at the end at the latest."""
    frames, others = Frames(new_key(), FRAME), Frames(new_key(), FRAME)
    sealed = frames.seal(0, data)
    bad = changed(sealed, others.seal(0, data), how, place)
    if bad == sealed:
        return  # a frame was swapped with itself

    async def read() -> None:
        with ThreadPoolExecutor(1) as executor:
            reader, position = EncryptedReader(InMemory(bad), frames, len(data), executor), 0
            while piece := await reader.read(position, step):
                assert piece == data[position : position + len(piece)]
                position += len(piece)

    with pytest.raises(Damaged):
        asyncio.run(read())


def test_a_frame_is_never_sealed_twice_the_same_way() -> None:
    """A writer that takes over writes other bytes under the numbers of those that were lost."""
    frames, data = Frames(new_key()), bytes(1000)
    assert frames.seal(5, data) != frames.seal(5, data)
    assert frames.open(5, frames.seal(5, data)) == data
    with pytest.raises(Damaged):
        frames.open(4, frames.seal(5, data))


def test_a_wrapped_key_opens_with_its_key_and_context_alone() -> None:
    key, inner = new_key(), new_key()
    wrapped = wrap(key, inner, "gati blob sha256:00 5 65536")
    assert unwrap(key, wrapped, "gati blob sha256:00 5 65536") == inner
    for other, content, context in (
        (new_key(), wrapped, "gati blob sha256:00 5 65536"),
        (key, wrapped, "gati blob sha256:00 4 65536"),
        (key, wrapped[:-1], "gati blob sha256:00 5 65536"),
        (key, b"", "gati blob sha256:00 5 65536"),
    ):
        with pytest.raises(Damaged):
            unwrap(other, content, context)
