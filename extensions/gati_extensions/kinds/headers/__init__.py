"""Headers of model files, read by range: what they say is bounded by the file, by counts, and by a budget of bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gati_extensions.kinds.files import Window

SHOWN = 1000
"""Tensors, inputs and outputs that are kept of one file."""


PAUSE = 500
"""Steps between two turns that others get of the event loop."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's name, type and shape; a dimension that varies is a name, or -1."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself. `tensors` may be cut at `SHOWN`, `count` is of all."""

    format: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    count: int = 0
    problems: tuple[str, ...] = ()

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": self.format,
            "metadata": dict(self.metadata),
            **{
                name: [{"name": one.name, "dtype": one.dtype, "shape": list(one.shape)} for one in tensors]
                for name, tensors in (("inputs", self.inputs), ("outputs", self.outputs), ("tensors", self.tensors))
                if tensors
            },
            "tensor_count": self.count,
        }


Parse = Callable[[Window], Awaitable[Header]]
"""Reads a header; raises `files.Malformed`."""


async def read_safetensors(window: Window) -> Header:
    """Of a safetensors file."""
    from gati_extensions.kinds.headers.safetensors import read

    return await read(window)


async def read_gguf(window: Window) -> Header:
    """Of a GGUF file."""
    from gati_extensions.kinds.headers.gguf import read

    return await read(window)


async def read_onnx(window: Window) -> Header:
    """Of an ONNX file."""
    from gati_extensions.kinds.headers.onnx import read

    return await read(window)
