"""safetensors: eight bytes of length, a JSON header, the tensors without gaps.

Source: github.com/huggingface/safetensors, README, "Format".
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from math import prod
from typing import Any

from gati_extensions.kinds.files import Malformed, Overstated, Window
from gati_extensions.kinds.headers import SHOWN, Header, Tensor
from gati_extensions.kinds.json import Invalid, strict

MAX_HEADER = 16 * 1024 * 1024
"""Bytes; the format's own limit is 100 MB, real ones of the largest models stay below 2 MB."""
MAX_TENSORS = 200_000
MAX_RANK = 64

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


async def read(window: Window) -> Header:
    """The header, checked against the file."""
    (length,) = struct.unpack("<Q", await window.read(0, 8))
    if length > MAX_HEADER:
        raise (Overstated if length > window.size else Malformed)(
            f"its header is said to be {length} bytes long; {MAX_HEADER} are read"
        )
    data = await window.read(8, length)
    return await asyncio.to_thread(_read, data, window.size - 8 - length)


def _read(data: bytes, room: int) -> Header:
    try:
        document = strict(data, depth=4)
    except Invalid as error:
        raise Malformed(f"its header {error}") from None
    metadata = document.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Malformed("__metadata__ must be an object of strings")
    if len(document) > MAX_TENSORS:
        raise Malformed(f"it holds {len(document)} tensors; {MAX_TENSORS} are read")
    tensors, spans = [], []
    for name, entry in document.items():
        tensor, span = _tensor(name, entry)
        tensors.append(tensor)
        spans.append(span)
    _check_spans(sorted(spans), room)
    types = Counter(tensor.dtype for tensor in tensors)
    parameters = sum(prod(int(size) for size in tensor.shape) for tensor in tensors)
    return Header(
        "safetensors",
        numbers={"parameters": float(parameters), "tensors": float(len(tensors))},
        words={"format": "safetensors", **({"dtype": types.most_common(1)[0][0]} if types else {})},
        metadata={str(key)[:256]: value[:4096] for key, value in list(metadata.items())[:SHOWN]},
        tensors=tuple(tensors[:SHOWN]),
        count=len(tensors),
    )


def _tensor(name: str, entry: Any) -> tuple[Tensor, tuple[int, int]]:
    if not isinstance(entry, dict):
        raise Malformed(f"the tensor {name[:100]!r} is no object")
    dtype: Any = entry.get("dtype")
    shape: Any = entry.get("shape")
    offsets: Any = entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in BITS:
        raise Malformed(f"the tensor {name[:100]!r} has the unknown type {str(dtype)[:30]!r}")
    if not _whole(shape) or len(shape) > MAX_RANK or not _whole(offsets) or len(offsets) != 2:
        raise Malformed(f"the tensor {name[:100]!r} has no valid shape or data_offsets")
    size = 1
    for dimension in shape:
        size *= dimension
        if size >= 2**63:
            raise Malformed(f"the tensor {name[:100]!r} is larger than any file")
    begin, end = offsets
    if end - begin != (size * BITS[dtype] + 7) // 8:
        raise Malformed(
            f"the tensor {name[:100]!r} takes {end - begin} bytes, which is not what its shape and type say"
        )
    return Tensor(name[:1024], dtype, tuple(shape)), (begin, end)


def _whole(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and 0 <= number < 2**63 for number in value)


def _check_spans(spans: list[tuple[int, int]], room: int) -> None:
    """Tensors fill the rest of the file, one after the other: neither overlaps nor gaps, where something could hide."""
    at = 0
    for begin, end in spans:
        if begin != at:
            raise Malformed(
                f"tensors {'overlap' if begin < at else 'leave a gap'} at byte {min(begin, at)} of the data"
            )
        at = end
    if at != room:
        raise (Overstated if at > room else Malformed)(f"its tensors take {at} bytes, the file has {room} for them")
