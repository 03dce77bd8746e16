"""GGUF: key-value metadata and a table of tensors before the data. Version 2 and 3, little-endian.

Source: github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import asyncio
import struct
from math import prod
from typing import Any

from gati_extensions.kinds.files import Malformed, Overstated, Window
from gati_extensions.kinds.headers import PAUSE, SHOWN, Header, Tensor

MAX_PAIRS = 10_000
MAX_TENSORS = 200_000
MAX_STRING = 1024 * 1024
MAX_ARRAY = 4_000_000
MAX_STRINGS = 1_000_000
"""Of all arrays together; the largest vocabularies have 260,000."""
KEPT = 16
"""Elements of an array that are kept; vocabularies have hundreds of thousands."""

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
    29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0",
}  # fmt: skip


class _Cursor:
    def __init__(self, window: Window) -> None:
        self._window = window
        self.at = 0
        self._steps = 0

    async def step(self) -> None:
        """One of many; others get a turn from time to time."""
        self._steps += 1
        if self._steps > MAX_STRINGS:
            raise Malformed(f"it holds more than {MAX_STRINGS} strings and tensors")
        if not self._steps % PAUSE:
            await asyncio.sleep(0)

    async def take(self, length: int) -> bytes:
        data = await self._window.read(self.at, length)
        self.at += length
        return data

    async def number(self, form: str) -> Any:
        return struct.unpack("<" + form, await self.take(struct.calcsize("<" + form)))[0]

    async def string(self) -> str:
        length = await self.number("Q")
        if length > MAX_STRING:
            raise self.beyond(length)(f"a string at byte {self.at} is said to be {length} bytes long")
        return (await self.take(length)).decode("utf-8", "replace")

    def beyond(self, length: int) -> type[Malformed]:
        """What it is to be said so long here: more than the file has, or more than is read."""
        return Overstated if length > self._window.size - self.at else Malformed

    def skip(self, length: int) -> None:
        if length > self._window.size - self.at:
            raise Overstated(f"{length} bytes are said to follow byte {self.at} of a file of {self._window.size}")
        self.at += length


async def read(window: Window) -> Header:
    """The header: metadata and the table of tensors."""
    cursor = _Cursor(window)
    if await cursor.take(4) != b"GGUF":
        raise Malformed("it does not begin with GGUF")
    version = await cursor.number("I")
    if version not in (2, 3):
        raise Malformed(f"version {version} of GGUF is not read; 2 and 3 are")
    tensors, pairs = await cursor.number("Q"), await cursor.number("Q")
    # The smallest pair takes 13 bytes, the smallest entry of the table 24: what is more cannot be there.
    if pairs > min(MAX_PAIRS, window.size // 13):
        raise cursor.beyond(pairs * 13)(f"it is said to hold {pairs} pairs of metadata")
    if tensors > min(MAX_TENSORS, window.size // 24):
        raise cursor.beyond(tensors * 24)(f"it is said to hold {tensors} tensors")
    metadata: dict[str, Any] = {}
    for _ in range(pairs):
        key = await cursor.string()
        if key in metadata:
            raise Malformed(f"the key {key[:100]!r} is there twice")
        metadata[key] = await _value(cursor, await cursor.number("I"))
    table = [await _entry(cursor) for _ in range(tensors)]
    return _header(metadata, table)


async def _value(cursor: _Cursor, kind: int) -> Any:
    if kind in _NUMBERS:
        return await cursor.number(_NUMBERS[kind])
    if kind == _STRING:
        return await cursor.string()
    if kind != _ARRAY:
        raise Malformed(f"a value at byte {cursor.at} has the unknown type {kind}")
    inner, count = await cursor.number("I"), await cursor.number("Q")
    if count > MAX_ARRAY:
        raise cursor.beyond(count)(f"an array at byte {cursor.at} is said to have {count} elements")
    if inner in _NUMBERS:
        form = _NUMBERS[inner]
        kept = [await cursor.number(form) for _ in range(min(count, KEPT))]
        cursor.skip((count - len(kept)) * struct.calcsize("<" + form))
    elif inner == _STRING:
        kept = []
        for number in range(count):
            await cursor.step()
            if number < KEPT:
                kept.append((await cursor.string())[:256])
            else:
                cursor.skip(await cursor.number("Q"))
    else:
        raise Malformed(f"an array at byte {cursor.at} has elements of type {inner}; arrays of arrays are not read")
    return {"count": count, "first": kept}


async def _entry(cursor: _Cursor) -> Tensor:
    await cursor.step()
    name = await cursor.string()
    rank = await cursor.number("I")
    if rank > 8:
        raise Malformed(f"the tensor {name[:100]!r} is said to have {rank} dimensions")
    shape = tuple([await cursor.number("Q") for _ in range(rank)])
    kind = await cursor.number("I")
    await cursor.number("Q")  # where its data begins
    if prod(shape) >= 2**63:
        raise Malformed(f"the tensor {name[:100]!r} is larger than any file")
    return Tensor(name[:1024], TYPES.get(kind, f"type {kind}"), shape)


def _header(metadata: dict[str, Any], table: list[Tensor]) -> Header:
    architecture = metadata.get("general.architecture")
    numbers: dict[str, float] = {
        "parameters": float(sum(prod(int(size) for size in tensor.shape) for tensor in table)),
        "tensors": float(len(table)),
    }
    words = {"format": "gguf"}
    if isinstance(architecture, str):
        words["architecture"] = architecture
        for key, name in (("context_length", "context_length"), ("embedding_length", "embedding_length"),
                          ("block_count", "layers")):  # fmt: skip
            value = metadata.get(f"{architecture}.{key}")
            if isinstance(value, int) and not isinstance(value, bool):
                numbers[name] = float(value)
    file_type = metadata.get("general.file_type")
    if isinstance(file_type, int) and file_type in FILE_TYPES:
        words["quantisation"] = FILE_TYPES[file_type]
    problems = []
    template = metadata.get("tokenizer.chat_template")
    if isinstance(template, str) and any(word in template for word in ("__", "import ", "cycler.", "lipsum", "| attr")):
        problems.append("its chat template reaches for what a sandbox would refuse")
    shown = {key[:256]: _short(value) for key, value in list(metadata.items())[:SHOWN]}
    return Header(
        "gguf", numbers=numbers, words=words, metadata=shown, tensors=tuple(table[:SHOWN]), count=len(table),
        problems=tuple(problems),
    )  # fmt: skip


def _short(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value[:4096] if isinstance(value, str) else value
