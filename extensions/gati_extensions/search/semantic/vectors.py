"""Which vectors are near: a graph of neighbours over vectors of eight bits a dimension (usearch, Apache-2.0).

An artifact takes 384 bytes for its vector and some 250 for its place in the graph: a million of them 0.65 GB, in each
worker that is asked for meaning.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from usearch.index import Index

from gati_extensions.search.semantic.encoder import DIMENSIONS, Floats


class Vectors:
    """Vectors by number. Adding and searching take their time: not on the event loop, and one thread at a time."""

    def __init__(self) -> None:
        self._index = Index(ndim=DIMENSIONS, metric="cos", dtype="i8", connectivity=16)

    def __len__(self) -> int:
        return len(self._index)

    def put(self, vectors: Mapping[int, bytes]) -> None:
        """Keep packed vectors instead of earlier ones of the same numbers."""
        known = [number for number in vectors if number in self._index]
        if known:
            self._index.remove(np.array(known, np.uint64))
        matrix = np.frombuffer(b"".join(vectors.values()), np.int8).reshape(-1, DIMENSIONS)
        self._index.add(np.fromiter(vectors, np.uint64, len(vectors)), matrix, threads=1)

    def near(self, vector: Floats, limit: int) -> dict[int, float]:
        """Numbers of the nearest, the nearest first, and how near: 1 is the same, 0 has nothing to do with it."""
        if not len(self._index):
            return {}
        found = self._index.search(np.frombuffer(packed(vector), np.int8), limit, threads=1)
        return {
            int(number): 1.0 - float(distance) for number, distance in zip(found.keys, found.distances, strict=True)
        }


def packed(vector: Floats) -> bytes:
    """A vector as eight bits a dimension: its direction alone, so its longest side may take them all."""
    return bytes(np.rint(vector * (127 / np.abs(vector).max())).astype(np.int8))
