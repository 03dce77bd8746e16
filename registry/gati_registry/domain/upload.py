"""The upload session as a state machine without I/O.

    open --append(at the offset)--> open --close(digest)--> closed
      \\--cancel, expiry--> gone

The offset is what was acknowledged: bytes below it are durable, bytes above it never happened. One request writes at
a time; each that begins to write claims a new epoch, and only the holder of the newest epoch can move the offset.

Until its first claim a session is nothing but its id, which proves itself (`SessionIds`): it is open, empty, and stored
nowhere. One that was claimed and then ended leaves a tombstone for as long as its id would prove itself.

Source: distribution-spec end-4 to end-6, end-13, end-14.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from gati_registry.errors import Code, RegistryError
from gati_registry.values.byterange import ByteRange
from gati_registry.values.digest import ALGORITHMS

RANDOM_BYTES = 9
"""Chance in an id. With the millisecond beside it, no two sessions are ever the same one."""

CLOCK_SKEW = 300_000
"""Milliseconds that clocks of replicas may differ: a tombstone outlives its id by this much."""

_ID = re.compile(r"[0-9a-f]{64}")  # lower case only: one session, one spelling
_ALGORITHMS = tuple(ALGORITHMS)  # ids carry the place in it: append only
_SIGNED = 6 + 1 + RANDOM_BYTES


@dataclass(frozen=True, slots=True)
class Upload:
    """A session as the database has it.

    `received` is the acknowledged offset in bytes; `data` holds them while they are few, else `staged` names the
    file or object that does. `algorithm` is what the client announced, a hint for hashing while streaming. `issued`
    is when the id was made, in milliseconds, UTC. Epoch 0 is a session that was never claimed, and has no row.
    """

    id: str
    repository: str
    algorithm: str
    issued: int
    received: int = 0
    epoch: int = 0
    staged: str | None = None
    data: bytes | None = b""
    ended: bool = False


@dataclass(frozen=True, slots=True)
class SessionIds:
    """Ids that prove where and when they were issued, so that an empty session needs no row.

    64 hexadecimal digits: time of issue (6 bytes, milliseconds), place of the algorithm in `ALGORITHMS` (1), chance
    (9), and the first 16 bytes of HMAC-SHA-256 over these and the repository's name. All workers and replicas share
    `key`; `expiry` is in milliseconds.
    """

    key: bytes
    expiry: int

    def issue(self, repository: str, algorithm: str, now: int, chance: bytes) -> Upload:
        """A new session; `chance` is `RANDOM_BYTES` of it."""
        signed = now.to_bytes(6) + bytes((_ALGORITHMS.index(algorithm),)) + chance
        return Upload((signed + self._signature(signed, repository)).hex(), repository, algorithm, now)

    def parse(self, upload_id: str, repository: str) -> Upload | None:
        """The session as it was when its id was issued, however long ago; None for an id that we did not issue."""
        if not _ID.fullmatch(upload_id):
            return None
        raw = bytes.fromhex(upload_id)
        signed = raw[:_SIGNED]
        if not hmac.compare_digest(raw[_SIGNED:], self._signature(signed, repository)):
            return None
        return Upload(upload_id, repository, _ALGORITHMS[signed[6]], int.from_bytes(signed[:6]))

    def valid(self, upload: Upload, now: int) -> bool:
        """Whether the id alone still makes it a session. One from a clock ahead of ours is as good as a fresh one."""
        return now - upload.issued <= self.expiry

    def _signature(self, signed: bytes, repository: str) -> bytes:
        return hmac.digest(self.key, signed + repository.encode(), hashlib.sha256)[: 32 - _SIGNED]


def check_chunk(upload: Upload, declared: ByteRange | None, length: int | None) -> None:
    """Whether a chunk may be appended now.

    `declared` is its Content-Range, `length` its Content-Length in bytes; both None where the client sent none
    (docker streams chunks without either).

    Raises:
        RegistryError: 416 BLOB_UPLOAD_INVALID out of order, with the state in `Range`; 400 SIZE_INVALID where the two
            headers disagree.
    """
    if declared is None:
        return
    if declared.first != upload.received:
        raise RegistryError(
            Code.BLOB_UPLOAD_INVALID,
            f"chunk starts at byte {declared.first}, expected {upload.received}; ask the upload's state with GET",
            status=416,
            headers={"Range": received_range(upload.received)},
            detail={"received": upload.received},
        )
    if length is not None and length != declared.length:
        raise size_mismatch(declared.length, length)


def size_mismatch(expected: int, got: int) -> RegistryError:
    """400 SIZE_INVALID."""
    return RegistryError(
        Code.SIZE_INVALID,
        f"the request announced {expected} bytes and carried {got}; send the chunk again",
        detail={"expected": expected, "received": got},
    )


def received_range(received: int) -> str:
    """The `Range` header for an offset: `0-<last byte>`, and `0-0` for an empty session."""
    return f"0-{max(received - 1, 0)}"


def unknown() -> RegistryError:
    """404 BLOB_UPLOAD_UNKNOWN."""
    return RegistryError(Code.BLOB_UPLOAD_UNKNOWN)


def superseded() -> RegistryError:
    """A later request took the session over, or it was cancelled, while this one was still sending."""
    return RegistryError(
        Code.BLOB_UPLOAD_INVALID,
        "another request took this upload over; ask its state with GET and go on from there",
        status=409,
    )
