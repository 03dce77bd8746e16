"""One small file out of a compressed tar archive, without unpacking it anywhere."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from gati_extensions.kinds.files import WINDOW, File, Malformed

MAX_UNPACKED = 32 * 1024 * 1024
"""Bytes of the archive that are looked through."""
_BLOCK = 512


async def member(file: File, wanted: Callable[[str], bool], largest: int) -> bytes | None:
    """The first member that is wanted; None if there is none within the first bytes, or it is larger than `largest`.

    Raises:
        Malformed: it is no gzip or no tar.
    """
    window = await file.open()
    if window is None:
        return None
    unpack = zlib.decompressobj(wbits=31)
    plain = bytearray()
    offset = seen = skip = 0

    try:
        while offset < window.size and seen < MAX_UNPACKED:
            part = await window.read(offset, min(WINDOW, window.size - offset))
            offset += len(part)
            try:
                # A bound on what one piece may grow to: the rest waits in `unconsumed_tail`.
                while part:
                    out = unpack.decompress(part, 1024 * 1024)
                    part = unpack.unconsumed_tail
                    seen += len(out)
                    plain += out
                    skip, found, ended = _walk(plain, skip, wanted, largest)
                    if found is not None or ended or seen >= MAX_UNPACKED:
                        return found
            except zlib.error as error:
                raise Malformed(f"it is no gzip: {error}") from None
        return None
    finally:
        window.close()


def _walk(plain: bytearray, skip: int, wanted: Callable[[str], bool], largest: int) -> tuple[int, bytes | None, bool]:
    """Take whole members off the front of `plain`: (bytes to skip, the wanted one, whether nothing more comes)."""
    while True:
        cut = min(skip, len(plain))
        del plain[:cut]
        skip -= cut
        if skip or len(plain) < _BLOCK:
            return skip, None, False
        head = bytes(plain[:_BLOCK])
        if not head.strip(b"\0"):
            return 0, None, True
        name, size, kind = _head(head)
        if kind in (b"0", b"\0") and wanted(name):
            if size > largest:
                return 0, None, True
            if len(plain) < _BLOCK + size:
                return 0, None, False
            return 0, bytes(plain[_BLOCK : _BLOCK + size]), True
        skip = _BLOCK + (size + _BLOCK - 1) // _BLOCK * _BLOCK


def _head(block: bytes) -> tuple[str, int, bytes]:
    """Source: POSIX.1-1988, ustar."""
    try:
        if sum(block[:148]) + 8 * 32 + sum(block[156:]) != int(block[148:156].strip(b" \0") or b"0", 8):
            raise Malformed("it is no tar archive: a checksum is wrong")
        size = int(block[124:136].strip(b" \0") or b"0", 8)
    except ValueError:
        raise Malformed("it is no tar archive: a number is malformed") from None
    name = block[:100].rstrip(b"\0").decode("utf-8", "replace")
    prefix = block[345:500].rstrip(b"\0").decode("utf-8", "replace") if block[257:262] == b"ustar" else ""
    return (f"{prefix}/{name}" if prefix else name), size, block[156:157]
