"""ONNX: a protobuf ModelProto. Its weights stand inside of it and are stepped over.

Source: github.com/onnx/onnx, onnx/onnx.proto (field numbers); protobuf.dev, "Encoding".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

from gati_extensions.kinds.files import Malformed, Window
from gati_extensions.kinds.headers import PAUSE, SHOWN, Header, Tensor

MAX_FIELDS = 500_000
MAX_TEXT = 64 * 1024

TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4e2m1",
}  # fmt: skip


class _Message:
    """A span of the file that holds fields."""

    def __init__(self, window: Window, begin: int, end: int, budget: list[int]) -> None:
        self._window, self._at, self._end, self._budget = window, begin, end, budget

    async def fields(self) -> AsyncIterator[tuple[int, int | _Message]]:
        """(number, varint) or (number, span); fixed-width values are passed over."""
        while self._at < self._end:
            self._budget[0] -= 1
            if not self._budget[0] % PAUSE:
                await asyncio.sleep(0)
            if self._budget[0] < 0:
                raise Malformed(f"it holds more than {MAX_FIELDS} fields")
            key = await self._varint()
            number, wire = key >> 3, key & 7
            if number == 0:
                raise Malformed(f"the field at byte {self._at} has the number 0")
            if wire == 0:
                yield number, await self._varint()
            elif wire == 2:
                length = await self._varint()
                begin = self._at
                self._skip(length)
                yield number, _Message(self._window, begin, begin + length, self._budget)
            elif wire in (1, 5):
                self._skip(8 if wire == 1 else 4)
            else:
                raise Malformed(f"the field at byte {self._at} has the unknown wire type {wire}")

    async def text(self) -> str:
        """Its bytes as text."""
        length = self._end - self._at
        if length > MAX_TEXT:
            raise Malformed(f"a text at byte {self._at} is {length} bytes long")
        return (await self._window.read(self._at, length)).decode("utf-8", "replace")

    def _skip(self, length: int) -> None:
        if length > self._end - self._at:
            raise Malformed(f"{length} bytes are said to follow byte {self._at}, where {self._end - self._at} are left")
        self._at += length

    async def _varint(self) -> int:
        data = await self._window.read(self._at, min(10, self._end - self._at))
        value = 0
        for position, byte in enumerate(data):
            value |= (byte & 0x7F) << (7 * position)
            if byte < 0x80:
                self._at += position + 1
                return value & 0xFFFFFFFFFFFFFFFF
        raise Malformed(f"the number at byte {self._at} does not end")


async def read(window: Window) -> Header:
    """Producer, opsets, inputs, outputs, operators."""
    numbers: dict[str, float] = {}
    metadata: dict[str, object] = {}
    opsets: dict[str, int] = {}
    graph: _Message | None = None
    async for number, value in _Message(window, 0, window.size, [MAX_FIELDS]).fields():
        if isinstance(value, int):
            if number == 1:
                numbers["ir_version"] = float(value)
        elif number in (2, 3, 4):
            metadata[{2: "producer", 3: "producer_version", 4: "domain"}[number]] = await value.text()
        elif number == 7:
            graph = value
        elif number == 8:
            domain, version = await _opset(value)
            opsets[domain] = version
    if graph is None or not opsets:
        raise Malformed("it holds no graph or no opset, so it is no ONNX model")
    inputs, outputs, initialised, operators = await _graph(graph)
    metadata |= {"opsets": {domain or "ai.onnx": version for domain, version in opsets.items()}}
    metadata |= {"operators": dict(operators.most_common(100))}
    if "" in opsets:
        numbers["opset"] = float(opsets[""])
    numbers["tensors"] = float(len(initialised))
    return Header(
        "onnx",
        numbers=numbers,
        words={"format": "onnx"},
        metadata=metadata,
        # Before IR version 4 weights had to be listed as inputs too.
        inputs=tuple(tensor for tensor in inputs if tensor.name not in initialised)[:SHOWN],
        outputs=tuple(outputs[:SHOWN]),
        count=len(initialised),
    )


async def _opset(message: _Message) -> tuple[str, int]:
    domain, version = "", 0
    async for number, value in message.fields():
        if number == 1 and isinstance(value, _Message):
            domain = await value.text()
        elif number == 2 and isinstance(value, int):
            version = value
    return ("" if domain == "ai.onnx" else domain[:256]), version


async def _graph(message: _Message) -> tuple[list[Tensor], list[Tensor], set[str], Counter[str]]:
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    initialised: set[str] = set()
    operators: Counter[str] = Counter()
    async for number, value in message.fields():
        if isinstance(value, int):
            continue
        if number == 1:
            operators[await _text_field(value, 4)] += 1
        elif number == 5:
            initialised.add(await _text_field(value, 8))
        elif number in (11, 12):
            (inputs if number == 11 else outputs).append(await _value_info(value))
    return inputs, outputs, initialised, operators


async def _text_field(message: _Message, wanted: int) -> str:
    async for number, value in message.fields():
        if number == wanted and isinstance(value, _Message):
            return (await value.text())[:1024]
    return ""


async def _value_info(message: _Message) -> Tensor:
    """ValueInfoProto → TypeProto → TypeProto.Tensor → TensorShapeProto."""
    name, dtype, shape = "", "other", ()  # type: tuple[str, str, tuple[int | str, ...]]
    async for number, value in message.fields():
        if number == 1 and isinstance(value, _Message):
            name = (await value.text())[:1024]
        elif number == 2 and isinstance(value, _Message):
            async for kind, inner in value.fields():
                if kind == 1 and isinstance(inner, _Message):
                    dtype, shape = await _tensor_type(inner)
    return Tensor(name, dtype, shape)


async def _tensor_type(message: _Message) -> tuple[str, tuple[int | str, ...]]:
    dtype = "other"
    shape: list[int | str] = []
    async for number, value in message.fields():
        if number == 1 and isinstance(value, int):
            dtype = TYPES.get(value, f"type {value}")
        elif number == 2 and isinstance(value, _Message):
            async for kind, dimension in value.fields():
                if kind == 1 and isinstance(dimension, _Message):
                    shape.append(await _dimension(dimension))
                    if len(shape) > 64:
                        raise Malformed("a tensor has more than 64 dimensions")
    return dtype, tuple(shape)


async def _dimension(message: _Message) -> int | str:
    async for number, value in message.fields():
        if number == 1 and isinstance(value, int):
            return value if value < 2**63 else value - 2**64
        if number == 2 and isinstance(value, _Message):
            return (await value.text())[:256]
    return -1
