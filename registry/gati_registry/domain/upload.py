"""The upload session as a state machine without I/O.

    open --append(at the offset)--> open --close(digest)--> closed
      \\--cancel, expiry--> gone

The offset is what was acknowledged: bytes below it are durable, bytes above it never happened. One request writes at
a time; each that begins to write claims a new epoch, and only the holder of the newest epoch can move the offset.

Source: distribution-spec end-4 to end-6, end-13, end-14.
"""

from __future__ import annotations

from dataclasses import dataclass

from gati_registry.errors import Code, RegistryError
from gati_registry.values.byterange import ByteRange


@dataclass(frozen=True, slots=True)
class Upload:
    """A session as the database has it.

    `received` is the acknowledged offset in bytes; `data` holds them while they are few, else `staged` names the
    file or object that does. `algorithm` is what the client announced, a hint for hashing while streaming.
    """

    id: str
    repository: str
    algorithm: str
    received: int
    epoch: int
    staged: str | None
    data: bytes | None


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
