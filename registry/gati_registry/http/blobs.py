"""Blobs: GET, HEAD, DELETE (end-2, end-10)."""

from __future__ import annotations

import asyncio
import secrets

from gati_registry.errors import Code, RegistryError
from gati_registry.http.conditions import not_modified, range_applies
from gati_registry.http.exchange import Exchange, Header
from gati_registry.http.members import Members
from gati_registry.http.warnings import warnings
from gati_registry.ports import BlobReader, BlobRow, FileBacked, Redirects
from gati_registry.service.blobs import BlobService, unknown_blob
from gati_registry.values.byterange import ByteRange, RangeNotSatisfiable, parse_range
from gati_registry.values.digest import Digest

CHUNK = 256 * 1024
"""Bytes between two turns of the event loop: large enough for the throughput, small enough for the neighbours."""
STRETCH = 512 * 1024
"""The same where the kernel sends them, which takes less time."""
SMALL = 64 * 1024
"""Bytes up to which reading them, and sending them together with what else there is, costs no more than that."""


class BlobEndpoints:
    """Handlers of one resource. With `redirects`, a GET is answered with where the bytes are."""

    def __init__(self, service: BlobService, members: Members, redirects: Redirects | None = None) -> None:
        self._service = service
        self._members = members
        self._redirects = redirects

    async def get(self, exchange: Exchange) -> None:
        """The blob, a part of it, or several."""
        digest = await self._asked(exchange)
        row = await self._service.find(exchange.name, digest)
        headers = _headers(digest)
        if row.condemned:
            headers += warnings(["this blob is soft-deleted: no manifest refers to it; push it again to keep it"])
        if not_modified(exchange, digest):
            await exchange.answer(304, headers)
            return
        if await self._redirected(exchange, row, headers):
            exchange.served, exchange.sent = row, row.size
            return
        ranges = _ranges(exchange, row)
        reader = await self._service.open(row)
        exchange.served = row  # as far as the client takes it
        try:
            if ranges is None:
                headers += [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % row.size)]
                await exchange.start(200, headers)
                await _send(exchange, reader, ByteRange(0, row.size - 1), more=False)
            elif len(ranges) == 1:
                part = ranges[0]
                headers += [
                    (b"content-type", b"application/octet-stream"),
                    (b"content-length", b"%d" % part.length),
                    (b"content-range", f"bytes {part}/{row.size}".encode()),
                ]
                await exchange.start(206, headers)
                await _send(exchange, reader, part, more=False)
            else:
                await _send_parts(exchange, reader, ranges, row.size, headers)
        finally:
            reader.close()

    async def _asked(self, exchange: Exchange) -> Digest:
        digest = Digest.parse(exchange.reference)
        if await self._members.hides(exchange, exchange.scope["gati.identity"], exchange.name, digest):
            raise unknown_blob(digest)
        return digest

    async def _redirected(self, exchange: Exchange, row: BlobRow, headers: list[Header]) -> bool:
        if self._redirects is None or row.stored_name is None:
            return False
        url = await self._redirects.url(row.stored_name)
        if url is None:
            return False
        # The client asks there with the same Range. The URL is a key to the blob: nobody is to keep it.
        await exchange.answer(307, [*headers, (b"location", url.encode()), (b"cache-control", b"no-store")])
        return True

    async def head(self, exchange: Exchange) -> None:
        """The blob's size; and a promise that it stays for a while."""
        digest = await self._asked(exchange)
        row = await self._service.promise(exchange.name, digest)
        headers = _headers(digest)
        if not_modified(exchange, digest):
            await exchange.answer(304, headers)
            return
        headers.append((b"content-type", b"application/octet-stream"))
        await exchange.answer(200, headers, length=row.size)

    async def delete(self, exchange: Exchange) -> None:
        """Unlink the blob here."""
        await self._service.delete(exchange.name, Digest.parse(exchange.reference), exchange.caller)
        await exchange.answer(202, [])


def _headers(digest: Digest) -> list[Header]:
    name = digest.encode()
    return [(b"docker-content-digest", name), (b"etag", b'"%s"' % name), (b"accept-ranges", b"bytes")]


def _ranges(exchange: Exchange, row: BlobRow) -> list[ByteRange] | None:
    header = exchange.header(b"range")
    if header is None or not range_applies(exchange, row.digest):
        return None
    try:
        return parse_range(header, row.size)
    except RangeNotSatisfiable:
        raise RegistryError(
            Code.SIZE_INVALID,
            f"the range lies outside of the blob's {row.size} bytes",
            status=416,
            headers={"Content-Range": f"bytes */{row.size}"},
        ) from None


async def _send(exchange: Exchange, reader: BlobReader, part: ByteRange, *, more: bool) -> None:
    position, end = part.first, part.last + 1
    if position >= end and not more:
        await exchange.part(b"", more=False)
    file = reader if exchange.sends_files and isinstance(reader, FileBacked) else None
    while position < end:
        length = min(STRETCH, end - position)
        if file is not None and length > SMALL and file.cached(position, length):
            start, position = position, position + length
            await exchange.stretch(file, start, length, more=more or position < end)
        else:
            data = await reader.read(position, min(CHUNK, length))
            if not data:
                raise RuntimeError("a blob's file is shorter than its row says; run `gati-registry verify`")
            position += len(data)
            await exchange.part(data, more=more or position < end)
        # A send to a fast client never waits: without this turn one download would starve every other request.
        await asyncio.sleep(0)


async def _send_parts(
    exchange: Exchange, reader: BlobReader, ranges: list[ByteRange], size: int, headers: list[Header]
) -> None:
    """`multipart/byteranges` (RFC 9110 section 14.6)."""
    boundary = secrets.token_hex(16)
    fronts = [
        f"\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Range: bytes {part}/{size}\r\n\r\n".encode()
        for part in ranges
    ]
    tail = f"\r\n--{boundary}--\r\n".encode()
    length = sum(len(front) for front in fronts) + sum(part.length for part in ranges) + len(tail)
    headers += [
        (b"content-type", f"multipart/byteranges; boundary={boundary}".encode()),
        (b"content-length", b"%d" % length),
    ]
    await exchange.start(206, headers)
    for front, part in zip(fronts, ranges, strict=True):
        await exchange.part(front, more=True)
        await _send(exchange, reader, part, more=True)
    await exchange.part(tail, more=False)
