"""What the fuzzer says: pieces of requests that are right, nearly right, and nothing of the kind."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.hostile.content import OCI_INDEX, OCI_MANIFEST

METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"]
STRANGE_METHODS = ["OPTIONS", "TRACE", "CONNECT", "FOO", "get", "PROPFIND", "G" * 50]
MEDIA_TYPES = [
    OCI_MANIFEST, OCI_INDEX, "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws", "application/vnd.oci.artifact.manifest.v1+json",
    "application/json", "application/octet-stream", "text/plain", "application/vnd.fuzz.v1+json",
    "application/vnd.fuzz.v1", "a/b", "text/html", "a/b; charset=utf-8", "A/B", "*/*", "", "x",
]  # fmt: skip
NASTY_TEXT = [
    "", " ", "%", "%00", "%2F", "%2f..%2f", "..", "../", "//", "\\", "%0d%0a", "%ff", "%C3%A9", "~", "'", '"', "<", ";",
    "&", "=", "?", "#", ":", "@", "+", ",", "-", "_", ".", "a" * 300, "A", "0", "-1", "9" * 30, "NaN", "null",
    "sha256:", "\u00e9", "{}",
]  # fmt: skip
NASTY_JSON: list[Any] = [
    None, True, False, 0, -1, 1, 2, 3, 2**31, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, "", "a", "\0", "\ud800",
    "\U0010ffff", [], {}, [[]], [None], {"": ""}, {"digest": "x"}, "sha256:" + "0" * 64, "../..", "\r\nX: y",
    OCI_MANIFEST, OCI_INDEX,
]  # fmt: skip
# No DEL: a header that holds it is refused before the application, with a status alone.
PRINTABLE = [*range(33, 127), *range(128, 256)]
BITS = [b"\0", b"\r\n", b"\n", b"\r", b" ", b"\xff", b"%", b":", b'"', b"{", b"\x80", b"\\u"]
QUERIES = ["n", "last", "digest", "mount", "from", "tag", "artifactType", "digest-algorithm", "ns", "x", ""]
HEADERS = [
    "Range", "Content-Range", "Content-Type", "Accept", "If-None-Match", "If-Range", "Authorization", "Forwarded",
    "X-Forwarded-Host", "Expect", "X-Request-ID", "Content-Encoding", "Accept-Encoding", "Upgrade", "Cookie", "Host",
    "TE", "Connection",
]  # fmt: skip


class Grammar:
    """Makes pieces by one stream of chance, so that a seed says it all."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def odds(self, one_in: int) -> bool:
        """True once in so many times."""
        return self.chance.randrange(one_in) == 0

    def content(self) -> bytes:
        """A blob: of all sizes, most of them small, some around the border between database and files."""
        chance = self.chance
        size = chance.choice(
            (
                0,
                1,
                chance.randrange(64),
                chance.randrange(2000),
                chance.randrange(65530, 65545),
                chance.randrange(300_000),
            )
        )
        if self.odds(60):
            size = chance.randrange(4_000_000)
        return chance.randbytes(size) if self.odds(2) else bytes([chance.randrange(256)]) * size

    def random_digest(self) -> str:
        """A digest that nothing has."""
        return self.chance.choice(
            (f"sha256:{self.chance.getrandbits(256):064x}", f"sha512:{self.chance.getrandbits(512):0128x}")
        )

    def tag(self) -> str:
        """A good tag, of few."""
        return f"t{self.chance.randrange(12)}"

    def name(self) -> str:
        """A name for wild requests: often good, never one of the modelled repositories."""
        name = "wild/" + self.chance.choice(["a", "b", "c/d", "e-f/g", "h.i", "j__k", "x" * 100])
        return self.mutated(name) if self.odds(4) else name

    def mutated(self, text: str) -> str:
        """The text with one to three changes."""
        for _ in range(self.chance.randint(1, 3)):
            text = self._once(text)
        return text

    def _once(self, text: str) -> str:
        chance, at = self.chance, self.chance.randrange(len(text) + 1)
        changes: list[Callable[[], str]] = [
            lambda: text[:at] + chance.choice(NASTY_TEXT) + text[at:],
            lambda: text[:at] + text[at + 1 :],
            lambda: text[:at],
            lambda: text[:at] + chr(chance.choice(PRINTABLE)) + text[at + 1 :],
            lambda: text[:at] + "".join(f"%{byte:02X}" for byte in text[at : at + 1].encode()) + text[at + 1 :],
            # Of ASCII alone: the upper case of some Latin-1 letters lies outside of what a header can carry.
            lambda: "".join(letter.swapcase() if letter.isascii() else letter for letter in text),
            lambda: text + text,
            lambda: chance.choice(NASTY_TEXT),
            lambda: text[:at] + text[at : at + 5] * chance.randrange(2, 40) + text[at + 5 :],
        ]
        return chance.choice(changes)()

    def range(self, size: int) -> str:
        """A `Range` or `Content-Range` value around a size, good or bad."""
        chance = self.chance
        around = [0, 1, size - 1, size, size + 1, chance.randrange(size + 2), 2**63, 10**25]
        value = chance.choice(
            (
                f"bytes={chance.choice(around)}-{chance.choice(around)}",
                f"bytes={chance.choice(around)}-",
                f"bytes=-{chance.choice(around)}",
                f"{chance.choice(around)}-{chance.choice(around)}",
                "bytes="
                + ",".join(f"{chance.choice(around)}-{chance.choice(around)}" for _ in range(chance.randrange(9))),
            )
        )
        return self.mutated(value) if self.odds(5) else value

    def noise(self) -> list[tuple[str, str]]:
        """Headers that should not matter, or break the request cleanly."""
        chance = self.chance
        return [
            (chance.choice(HEADERS), self._line(chance.choice([self.range(100), *MEDIA_TYPES, *NASTY_TEXT])))
            for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 5)))
        ]

    @staticmethod
    def _line(value: str) -> str:
        return "".join(character for character in value if ord(character) < 256 and character not in "\r\n\0")

    def query(self, digests: Sequence[str]) -> str:
        """A query string of anything."""
        chance = self.chance
        values = [*digests, self.random_digest(), self.tag(), "sha256", "sha512", "md5", "wild/a", *NASTY_TEXT]
        return "&".join(
            f"{chance.choice(QUERIES)}={chance.choice(values).replace(' ', '+')}"
            for _ in range(chance.choice((0, 1, 1, 2, 3, 30)))
        )

    def broken_json(self, document: dict[str, Any]) -> bytes:
        """A manifest with something wrong in its members, its text or its bytes."""
        changed = copy.deepcopy(document)
        for _ in range(self.chance.randint(0, 3)):
            self._change_member(changed)
        data = json.dumps(changed, separators=(",", ":")).encode()
        if self.odds(3):
            data = self.broken_bytes(data)
        if self.odds(30):
            depth = self.chance.choice((10, 60, 70, 3000))
            data = data[:-1] + b',"deep":' + b"[" * depth + b"]" * depth + b"}"
        return data

    def _change_member(self, document: Any) -> None:
        """Change, remove, add or double a member somewhere."""
        chance = self.chance
        place = document
        while isinstance(place, dict | list) and place and not self.odds(3):
            below = [
                value
                for value in (place.values() if isinstance(place, dict) else place)
                if isinstance(value, dict | list)
            ]
            if not below:
                break
            place = chance.choice(below)
        value = copy.deepcopy(chance.choice(NASTY_JSON))
        if isinstance(place, list):
            place.insert(chance.randrange(len(place) + 1), chance.choice([value, *place]) if place else value)
        elif place and not self.odds(4):
            key = chance.choice(list(place))
            if self.odds(3):
                del place[key]
            else:
                place[key] = value
        else:
            place[
                chance.choice(["subject", "annotations", "artifactType", "mediaType", "blobs", "urls", "data", "x", ""])
            ] = value

    def broken_bytes(self, data: bytes) -> bytes:
        """Bytes with one to four changes."""
        chance, changed = self.chance, bytearray(data)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(changed) + 1)
            kind = chance.randrange(5)
            if kind == 0:
                del changed[at : at + chance.randint(1, 8)]
            elif kind == 1:
                changed[at:at] = chance.choice(BITS)
            elif kind == 2 and at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            elif kind == 3:
                changed[at:at] = changed[at : at + chance.randint(1, 64)]
            else:
                del changed[at:]
        return bytes(changed)

    def manifest(
        self, blobs: Mapping[str, bytes], manifests: Mapping[str, bytes], subjects: Sequence[str]
    ) -> dict[str, Any]:
        """A good image or index of content that is there, by its digests."""
        chance = self.chance
        document: dict[str, Any] = {"schemaVersion": 2}
        if manifests and self.odds(4):
            document["mediaType"] = OCI_INDEX
            some = chance.sample(list(manifests), min(2, len(manifests)))
            document["manifests"] = [_descriptor(digest, manifests[digest], OCI_MANIFEST) for digest in some]
        else:
            config, *layers = (chance.choice(list(blobs)) for _ in range(1 + chance.randrange(4)))
            document["mediaType"] = OCI_MANIFEST
            document["config"] = _descriptor(config, blobs[config], "application/vnd.fuzz.config.v1+json")
            document["layers"] = [_descriptor(layer, blobs[layer], "application/vnd.fuzz.layer") for layer in layers]
        if self.odds(3):
            document["subject"] = {"mediaType": OCI_MANIFEST, "digest": chance.choice(subjects), "size": 7}
        if self.odds(3):
            document["artifactType"] = chance.choice(("application/vnd.fuzz.a", "application/vnd.fuzz.b"))
        if self.odds(3):
            text = chance.choice(NASTY_TEXT) * chance.choice((1, 1, 500))
            document["annotations"] = {"number": str(chance.random()), "text": text}
        return document


def _descriptor(digest: str, data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": len(data)}
