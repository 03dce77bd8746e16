"""Headers of model files equal what the formats' own libraries read; broken ones are doubts in bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gati_extensions.kinds import headers
from gati_extensions.kinds.files import Malformed, Window
from tests.extensions.access.support import World
from tests.extensions.kinds.support import CONFIGS, push

pytestmark = pytest.mark.anyio

ACME = "orgs/acme/thing"


class Bytes:
    """`ports.BlobReader` over bytes; counts what is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read_bytes = 0

    async def read(self, offset: int, length: int) -> bytes:
        part = self.data[offset : offset + length]
        self.read_bytes += len(part)
        return part

    def close(self) -> None:
        """Nothing to let go of."""


def window(data: bytes) -> Window:
    """A file in memory."""
    return Window(Bytes(data), len(data))


def gguf_file(folder: Path) -> bytes:
    """As the gguf library writes it."""
    import gguf

    path = folder / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(8192)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_token_list([f"token{number}" for number in range(5000)])
    writer.add_chat_template("{{ messages }}")
    writer.add_tensor("output.weight", numpy.zeros((64, 32), dtype=numpy.float32))
    writer.add_tensor("token_embd.weight", numpy.zeros((16, 64), dtype=numpy.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def safetensors_file() -> bytes:
    """As the safetensors library writes it."""
    import safetensors.numpy

    tensors: dict[str, Any] = {"a": numpy.zeros((3, 4), numpy.float32), "b": numpy.zeros((5,), numpy.int64)}
    return safetensors.numpy.save(tensors, metadata={"format": "np"})


def onnx_file() -> bytes:
    """As the onnx library writes it, with a megabyte of weights inside."""
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(numpy.zeros((512, 512), dtype=numpy.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Relu", ["y"], ["z"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 512])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 512])],
        [weights],
    )
    model = helper.make_model(graph, producer_name="tests", opset_imports=[helper.make_opsetid("", 21)])
    data: bytes = model.SerializeToString()
    return data


async def test_gguf_is_what_its_library_reads(tmp_path: Path) -> None:
    import gguf

    data = gguf_file(tmp_path)
    found = await headers.read_gguf(window(data))
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    fields = reader.fields
    assert found.numbers["context_length"] == int(fields["llama.context_length"].parts[-1][0]) == 8192
    assert found.numbers["layers"] == 2
    assert found.words["architecture"] == "llama"
    assert found.words["quantisation"] == "Q8_0"
    assert found.metadata["tokenizer.ggml.tokens"]["count"] == len(fields["tokenizer.ggml.tokens"].data)
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in found.tensors] == [
        (tensor.name, tensor.tensor_type.name, tuple(int(size) for size in tensor.shape)) for tensor in reader.tensors
    ]
    assert set(found.metadata) == {name for name in fields if not name.startswith("GGUF.")}


async def test_safetensors_is_what_its_library_reads(tmp_path: Path) -> None:
    import safetensors

    data = safetensors_file()
    (tmp_path / "model.safetensors").write_bytes(data)
    found = await headers.read_safetensors(window(data))
    with safetensors.safe_open(tmp_path / "model.safetensors", "np") as theirs:
        assert found.metadata == theirs.metadata()
        assert {tensor.name for tensor in found.tensors} == set(theirs.keys())
        for tensor in found.tensors:
            part = theirs.get_slice(tensor.name)
            assert (tensor.dtype, list(tensor.shape)) == (part.get_dtype(), part.get_shape())
    assert found.numbers["parameters"] == 17


async def test_onnx_is_what_its_library_reads() -> None:
    import onnx

    data = onnx_file()
    reader = Bytes(data)
    found = await headers.read_onnx(Window(reader, len(data)))
    model = onnx.load_from_string(data)
    for ours, theirs in ((found.inputs, model.graph.input), (found.outputs, model.graph.output)):
        assert [tensor.name for tensor in ours] == [info.name for info in theirs]
        for tensor, info in zip(ours, theirs, strict=True):
            dims = info.type.tensor_type.shape.dim
            assert list(tensor.shape) == [dim.dim_param or dim.dim_value for dim in dims]
            assert tensor.dtype == "float32"
    assert found.numbers["opset"] == model.opset_import[0].version
    assert found.numbers["ir_version"] == model.ir_version
    assert found.metadata["operators"] == {"MatMul": 1, "Relu": 1}
    assert reader.read_bytes < len(data) / 4, "the weights were read"


async def test_a_models_card_is_completed_and_doubted(site: World, tmp_path: Path) -> None:
    config = {**CONFIGS["model"], "capabilities": {"context_length": 4096}}
    file = (gguf_file(tmp_path), "application/vnd.gguf", "model.gguf")
    assert (await push(site.user("alice"), ACME, "1.2.3", "model", config, [file])).status == 201
    found = (await site.user("alice").done("GET", f"/v2/{ACME}/_ext/kinds/versions/1.2.3"))["facts"]
    assert found["problems"] == ["the manifest says context_length 4096, the file 8192"]
    assert found["words"]["architecture"] == ["llama"]
    assert found["details"]["files"][0]["format"] == "gguf"
    shaped = {**CONFIGS["model"], "modelFormat": "onnx", "inputShape": ["batch", 256]}
    file = (onnx_file(), "application/octet-stream", "net.onnx")
    assert (await push(site.user("alice"), ACME, "2.0.0", "model", shaped, [file])).status == 201
    found = (await site.user("alice").done("GET", f"/v2/{ACME}/_ext/kinds/versions/2.0.0"))["facts"]
    assert found["problems"] == ["the manifest says input_shape ['batch', 256], the file ['batch', 512]"]


def _gguf(tensors: int = 0, pairs: int = 0, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs) + rest


def _safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


BOMBS = {
    "gguf": [
        b"", b"GGUF", b"NOPE" * 10, _gguf(version=1), _gguf(tensors=2**63), _gguf(pairs=2**63),
        _gguf(pairs=1, rest=struct.pack("<Q", 2**63)),
        _gguf(pairs=1, rest=struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 0, 2**60) + b"\0" * 64),
        _gguf(pairs=1, rest=struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 9, 1) + b"\0" * 64),
        _gguf(pairs=1, rest=struct.pack("<Q", 1) + b"k" + struct.pack("<I", 99) + b"\0" * 64),
        _gguf(pairs=1, rest=struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 8, 3_999_999) + b"\0" * 100),
        _gguf(tensors=1, rest=struct.pack("<Q", 1) + b"t" + struct.pack("<I", 2**31) + b"\0" * 64),
    ],
    "safetensors": [
        b"", b"\0" * 7, _safetensors({}, length=2**63), _safetensors({}, length=10_000), _safetensors(b"[]"),
        _safetensors(b'{"a":{},"a":{}}'), _safetensors(b"{" * 1000),
        _safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4),
        _safetensors({"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]}}, b"\0" * 4),
        _safetensors({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
                      "b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]}}, b"\0" * 6),
        _safetensors({"a": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}, b"\0" * 8),
        _safetensors({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}, b"\0" * 9),
        _safetensors({"a": {"dtype": "nope", "shape": [], "data_offsets": [0, 0]}}),
        _safetensors({"a": {"dtype": "U8", "shape": [True], "data_offsets": [0, 1]}}, b"\0"),
    ],
    "onnx": [
        b"", b"\x08\x07", b"\xff" * 20, b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x3a\x05\x0a\xff\xff\xff\x7f",
        b"\x0b" * 100, b"\x3a\x00", b"\x12" + b"\xff\xff\x7f" + b"x" * 100,
    ],
}  # fmt: skip


@pytest.mark.parametrize("form", sorted(BOMBS))
async def test_what_lies_about_itself_is_told_so(form: str) -> None:
    parse: headers.Parse = getattr(headers, f"read_{form}")
    for data in BOMBS[form]:
        reader = Bytes(data)
        with pytest.raises(Malformed):
            await parse(Window(reader, len(data)))


async def test_a_bomb_is_refused_and_nothing_stored(site: World) -> None:
    """Counts and lengths beyond the file, in a model of ours; one of others is kept, with a doubt."""
    alice = site.user("alice")
    bombs = [
        ("gguf", _gguf(tensors=2**63)), ("gguf", _gguf(pairs=2**63)),
        ("gguf", _gguf(pairs=1, rest=struct.pack("<Q", 2**63))),
        ("safetensors", _safetensors({}, length=2**63)), ("safetensors", _safetensors({}, length=10_000)),
        ("safetensors", _safetensors({"a": {"dtype": "U8", "shape": [2**40], "data_offsets": [0, 2**40]}}, b"x")),
    ]  # fmt: skip
    for form, data in bombs:
        file = (data, f"application/vnd.{form}", f"model.{form}")
        answer = await push(alice, ACME, "1.2.3", "model", CONFIGS["model"], [file])
        assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"]), data[:40]
        assert answer.json()["errors"][0]["detail"]["pointer"] == "/layers"
        assert (await alice.pull(ACME, "1.2.3")).status == 404
        other = await push(alice, "orgs/acme/other", "1.2.3", "model", {}, [file], artifact=None,
                           config_type="application/vnd.cncf.model.config.v1+json")  # fmt: skip
        assert other.status == 201
    for data in (b"", b"weights", b"no header at all, but some words"):
        for form in ("gguf", "safetensors"):
            file = (data, f"application/vnd.{form}", f"model.{form}")
            assert (await push(alice, ACME, "1.2.3", "model", CONFIGS["model"], [file])).status == 201


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A file of every form."""
    folder = tmp_path_factory.mktemp("good")
    return {"gguf": gguf_file(folder), "safetensors": safetensors_file(), "onnx": onnx_file()}


@pytest.mark.parametrize("form", sorted(BOMBS))
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_bytes_end_in_a_header_or_a_doubt(good: dict[str, bytes], form: str, data: st.DataObject) -> None:
    whole = good[form]
    at = data.draw(st.integers(0, min(len(whole), 400)))
    noise = data.draw(st.binary(max_size=40))
    cut = data.draw(st.integers(0, 40))
    broken = whole[:at] + noise + whole[at + cut :]

    async def run() -> None:
        with contextlib.suppress(Malformed):
            await getattr(headers, f"read_{form}")(window(broken))

    asyncio.run(run())


async def test_a_file_of_many_small_fields_is_given_up() -> None:
    data = b"\x1a\x00" * 600_000  # empty fields of the graph
    with pytest.raises(Malformed, match="more than"):
        await headers.read_onnx(window(b"\x3a" + _varint(len(data)) + data + b"\x42\x02\x10\x15"))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
