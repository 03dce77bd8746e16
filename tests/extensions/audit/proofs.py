"""Checks proofs of the audit log with nothing but hashlib: no word of the server's own code is used.

Reads one JSON document from standard input, prints what does not hold, and exits 1 if there is anything:

    {"inclusion": [answers of proof/inclusion], "consistency": [answers of proof/consistency], "notes": [checkpoints]}

Each root must be that of a checkpoint among `notes` with the same size, where there is one.
Source: RFC 9162, sections 2.1.1, 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from typing import Any


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of_inclusion(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Section 2.1.3.2; raises ValueError where the path does not fit the tree."""
    if index >= size:
        raise ValueError("the leaf lies beyond the tree")
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            raise ValueError("the path is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise ValueError("the path is too short")
    return r


def roots_of_consistency(first: int, second: int, first_root: bytes, path: list[bytes]) -> tuple[bytes, bytes]:
    """Section 2.1.4.2: what the path makes of both roots."""
    if first == second:
        if path:
            raise ValueError("equal trees need no path")
        return first_root, first_root
    if not path:
        raise ValueError("the path is empty")
    path = [first_root, *path] if first & (first - 1) == 0 else path
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            raise ValueError("the path is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise ValueError("the path is too short")
    return fr, sr


def problems(document: dict[str, Any]) -> Iterator[str]:
    """What does not hold."""
    signed: dict[int, bytes] = {}
    for note in document.get("notes", []):
        lines = note.split("\n")
        signed[int(lines[1])] = base64.b64decode(lines[2])
    for proof in document.get("inclusion", []):
        name, root = f"inclusion of {proof['entry']}", base64.b64decode(proof["root"])
        leaf = base64.b64decode(proof["leaf_hash"])
        if proof["leaf"] is not None and leaf_hash(proof["leaf"].encode()) != leaf:
            yield f"{name}: the leaf has another hash"
        try:
            path = [base64.b64decode(part) for part in proof["hashes"]]
            if root_of_inclusion(leaf, proof["index"], proof["size"], path) != root:
                yield f"{name}: the path does not lead to the root"
        except ValueError as error:
            yield f"{name}: {error}"
        if signed.get(proof["size"], root) != root:
            yield f"{name}: another root was signed"
    for proof in document.get("consistency", []):
        name = f"consistency of {proof['first']} and {proof['second']}"
        first, second = base64.b64decode(proof["first_root"]), base64.b64decode(proof["second_root"])
        try:
            path = [base64.b64decode(part) for part in proof["hashes"]]
            if roots_of_consistency(proof["first"], proof["second"], first, path) != (first, second):
                yield f"{name}: the path does not lead to the roots"
        except ValueError as error:
            yield f"{name}: {error}"
        for size, root in ((proof["first"], first), (proof["second"], second)):
            if signed.get(size, root) != root:
                yield f"{name}: another root was signed for {size}"


if __name__ == "__main__":
    found = list(problems(json.load(sys.stdin)))
    print("\n".join(found) or "all hold")
    sys.exit(1 if found else 0)
