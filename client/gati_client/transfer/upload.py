"""Blobs to a registry: mounted, found there, sent in one request, or in chunks that outlive broken connections."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
from collections.abc import AsyncIterator, Iterator, Sequence

from gati_client import hosts
from gati_client.answers import Answer
from gati_client.errors import Conflict, GatiError, Integrity, Network, NotFound
from gati_client.lanes import BLOCK
from gati_client.quick import httpx
from gati_client.transfer.hashing import PIECE, digest_of_source
from gati_client.transfer.model import Descriptor, Layer, Progress
from gati_client.transfer.sources import Source
from gati_client.transport import Transport

ONE_REQUEST = 64 * 1024
"""Bytes up to which a blob is sent without asking first whether it is there: asking costs as much."""

_LARGEST_CHUNK = 64 << 20
_FINE = (1 << 20, 256)  # the smallest chunk, and how many of a big blob: a cut connection costs one of them
_COARSE = (4 << 20, 40)  # the same until the first cut: each chunk is a round trip, and a sync of the registry's disk
_PARALLEL = 8  # blobs at a time
_BREAKS = 20  # of one blob, without a chunk getting through in between
_OCTETS = {"Content-Type": "application/octet-stream"}


def push_scopes(repository: str, *sources: str) -> tuple[str, ...]:
    """Of a token that pushes to a repository and mounts from others."""
    return (f"repository:{repository}:pull,push", *(f"repository:{source}:pull" for source in sources))


def pull_scopes(repository: str) -> tuple[str, ...]:
    """Of a token that pulls from a repository."""
    return (f"repository:{repository}:pull",)


class Uploads:
    """Sends blobs to the repositories of one registry, and remembers where they are."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._there: dict[str, list[str]] = {}  # digest: repositories where it is, as far as we saw

    async def layers(
        self, repository: str, layers: Sequence[Layer], progress: Progress | None, mount_from: Sequence[str] = ()
    ) -> list[Descriptor]:
        """Send what is not there yet, several at a time; their descriptors in the same order."""
        gate = asyncio.Semaphore(_PARALLEL)
        sent: dict[str, asyncio.Task[None]] = {}

        async def one(layer: Layer) -> Descriptor:
            async with gate:
                digest = await digest_of_source(layer.source)
                task = sent.get(digest)  # the same bytes twice are sent once
                if task is None:
                    title = layer.title or digest
                    blob = self.blob(repository, layer.source, digest, title, progress, mount_from)
                    task = sent[digest] = asyncio.create_task(blob)
                await task
            annotations = dict(layer.annotations)
            if layer.title is not None:
                annotations["org.opencontainers.image.title"] = layer.title
            return Descriptor(layer.media_type, digest, layer.source.size, annotations)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(layer)) for layer in layers]
        except ExceptionGroup as failures:
            raise _first(failures) from None
        finally:
            for task in sent.values():
                task.cancel()
        return [task.result() for task in tasks]

    async def blob(
        self,
        repository: str,
        source: Source,
        digest: str,
        title: str = "",
        progress: Progress | None = None,
        mount_from: Sequence[str] = (),
    ) -> None:
        """Make the blob be there.

        Raises:
            Integrity: the registry found other bytes than the digest says.
            Network: the connection breaks again and again.
        """
        there = self._there.setdefault(digest, [])
        if repository not in there:
            await self._bring(repository, source, digest, title or digest, progress, [*mount_from, *there])
            there.append(repository)
        if progress is not None:
            progress(title or digest, source.size, source.size)

    async def has(self, repository: str, digest: str) -> bool:
        """Whether the blob is there."""
        answer = await self._transport.ask(
            "HEAD",
            f"/v2/{repository}/blobs/{digest}",
            action=f"look for blob {digest}",
            scopes=push_scopes(repository),
            expected=(200, 404),
        )
        return answer.status == 200

    async def mount(self, repository: str, digest: str, place: str) -> bool:
        """Whether the blob could be taken over from another repository."""
        session = await self._mount(repository, digest, [place])
        if session is None:
            return True
        await self._cancel(repository, session)
        return False

    async def _bring(
        self,
        repository: str,
        source: Source,
        digest: str,
        title: str,
        progress: Progress | None,
        places: Sequence[str],
    ) -> None:
        if source.size <= ONE_REQUEST and not places:
            await self._whole(repository, source, digest)
            return
        if await self.has(repository, digest):
            return
        session = await self._mount(repository, digest, places)
        if session is not None:
            await self._send(repository, source, digest, title, progress, session)

    async def _whole(self, repository: str, source: Source, digest: str) -> None:
        with source.open() as file:
            data = file.read()
        action = f"take blob {digest}"
        path = f"/v2/{repository}/blobs/uploads/?digest={digest}"
        with contextlib.suppress(Network):
            done = await self._transport.straight(
                "POST",
                path,
                scopes=push_scopes(repository),
                headers=_OCTETS,
                body=data,
                take=_created,
            )
            if done:
                return
        answer = await self._transport.ask(
            "POST",
            path,
            action=action,
            scopes=push_scopes(repository),
            headers=_OCTETS,
            content=data,
            expected=(201, 202),
            again=True,
        )
        if answer.status == 202:  # a registry that knows no blobs in one request gives a session
            url = _with_digest(self._location(answer), digest)
            await self._transport.ask(
                "PUT",
                url,
                action=action,
                scopes=push_scopes(repository),
                headers=_OCTETS,
                content=data,
                expected=(201,),
            )

    async def _mount(self, repository: str, digest: str, places: Sequence[str]) -> httpx.URL | None:
        """None: it is there now. Else a session to send it in."""
        start = f"/v2/{repository}/blobs/uploads/"
        # Without a place a registry may look for itself, or give a session (end-11).
        for place in [*dict.fromkeys(place for place in places if place != repository), None]:
            query = f"?mount={digest}" + (f"&from={place}" if place else "")
            try:
                answer = await self._transport.ask(
                    "POST",
                    start + query,
                    action="start an upload",
                    scopes=push_scopes(repository, *([place] if place else [])),
                    expected=(201, 202),
                    again=True,
                )
            except Network:
                raise
            except GatiError:
                continue  # the source is not ours to read, or mounting is unknown here
            if answer.status == 201:
                return None
            if place is None or place == places[-1]:
                return self._location(answer)
            await self._cancel(repository, self._location(answer))
        return await self._start(repository)

    async def _start(self, repository: str) -> httpx.URL:
        answer = await self._transport.ask(
            "POST",
            f"/v2/{repository}/blobs/uploads/",
            action="start an upload",
            scopes=push_scopes(repository),
            expected=(202,),
            again=True,
        )
        return self._location(answer)

    async def _send(
        self,
        repository: str,
        source: Source,
        digest: str,
        title: str,
        progress: Progress | None,
        session: httpx.URL,
    ) -> None:
        """In chunks. After a break the session says how far it came; one that is gone is begun anew."""
        chunk = _chunk_size(source.size, _COARSE)
        offset, breaks, furthest = 0, 0, 0
        while True:
            try:
                if offset < source.size:
                    count = min(chunk, source.size - offset)
                    session, offset = await self._chunk(repository, session, source, offset, count)
                else:
                    await self._close(repository, session, digest, source.size)
                    return
            except (Network, Conflict, NotFound):
                breaks += 1
                if breaks > _BREAKS:
                    raise
                chunk = _chunk_size(source.size, _FINE)
                await self._transport.pause(min(breaks, 6))
                if offset >= source.size and await self.has(repository, digest):
                    return  # it was closed, and only the answer was lost
                session, offset = await self._status(repository, session)
            if offset > furthest:
                furthest, breaks = offset, 0
            if progress is not None:
                progress(title, offset, source.size)

    async def _chunk(
        self, repository: str, session: httpx.URL, source: Source, offset: int, count: int
    ) -> tuple[httpx.URL, int]:
        headers = {**_OCTETS, "Content-Length": str(count), "Content-Range": f"{offset}-{offset + count - 1}"}
        location = await self._transport.straight(
            "PATCH",
            session,
            scopes=push_scopes(repository),
            headers=headers,
            body=_blocks(source, offset, count),
            take=_accepted,
            allowed=60.0 + count / self._transport.patience.slowest,
        )
        if location is not None:
            return self._next(location, session), offset + count
        answer = await self._transport.ask(
            "PATCH",
            session,
            action="take a chunk",
            scopes=push_scopes(repository),
            headers=headers,
            content=lambda: _pieces(source, offset, count),
            expected=(202, 416),
            waiting=60.0,
            again=False,  # where it broke is asked first
        )
        if answer.status == 416:
            return await self._status(repository, session)
        return self._location(answer, session), offset + count

    async def _status(self, repository: str, session: httpx.URL) -> tuple[httpx.URL, int]:
        """The session and how far it came; a new one where it is gone."""
        answer = await self._transport.ask(
            "GET",
            session,
            action="tell how far an upload came",
            scopes=push_scopes(repository),
            expected=(204, 200, 202, 404),
        )
        if answer.status == 404:
            return await self._start(repository), 0
        return self._location(answer, session), _received(answer)

    async def _close(self, repository: str, session: httpx.URL, digest: str, size: int) -> None:
        await self._transport.ask(
            "PUT",
            _with_digest(session, digest),
            action=f"close the upload of blob {digest}",
            scopes=push_scopes(repository),
            headers=_OCTETS,
            expected=(201,),
            waiting=60.0 + size / (20 << 20),  # some read it all once more before they answer
            again=False,
        )

    async def _cancel(self, repository: str, session: httpx.URL) -> None:
        expected = (204, 202, 404, 405)
        with contextlib.suppress(GatiError):  # it ends by itself
            await self._transport.ask(
                "DELETE", session, action="end an upload", scopes=push_scopes(repository), expected=expected
            )

    def _location(self, answer: Answer, session: httpx.URL | None = None) -> httpx.URL:
        """Where the session goes on: at the registry itself, as a token and what is private goes there."""
        return self._next(answer.headers.get("location", ""), session)

    def _next(self, location: str, session: httpx.URL | None) -> httpx.URL:
        if not location:
            if session is not None:
                return session
            raise Integrity(f"{self._transport.host} starts an upload and does not say where")
        return hosts.same_origin(self._transport.url, location, "an upload")


def _chunk_size(size: int, grain: tuple[int, int]) -> int:
    smallest, count = grain
    return min(_LARGEST_CHUNK, max(smallest, size // count))


async def _pieces(source: Source, offset: int, count: int) -> AsyncIterator[bytes]:
    file = source.open(offset)
    try:
        while count:
            if isinstance(file, io.BytesIO):
                data = file.read(min(PIECE, count))
            else:
                data = await asyncio.to_thread(file.read, min(PIECE, count))
            if not data:
                raise GatiError("a file became shorter while it was sent")
            count -= len(data)
            yield data
    finally:
        file.close()


def _blocks(source: Source, offset: int, count: int) -> Iterator[memoryview]:
    """As `_pieces`, in a thread; each is gone when the next is asked for."""
    buffer = memoryview(bytearray(min(BLOCK, count)))
    with source.open(offset) as file:
        while count:
            got = file.readinto(buffer[:count])  # type: ignore[attr-defined]  # BinaryIO lacks what all of them have
            if not got:
                raise GatiError("a file became shorter while it was sent")
            count -= got
            yield buffer[:got]


def _created(response: http.client.HTTPResponse) -> bool | None:
    return True if response.status == 201 and _drained(response) else None


def _accepted(response: http.client.HTTPResponse) -> str | None:
    return response.headers.get("location", "") if response.status == 202 and _drained(response) else None


def _drained(response: http.client.HTTPResponse) -> bool:
    """Read the few bytes that may be there, so that the connection can be used again."""
    response.read(BLOCK)
    return True


def _received(answer: Answer) -> int:
    """From `Range: 0-<last>`; `0-0` is an empty session (or one byte, which none of our chunks is)."""
    first, _, last = answer.headers.get("range", "").removeprefix("bytes=").partition("-")
    if first != "0" or not (last.isascii() and last.isdigit()) or last == "0" or len(last) > 16:
        return 0
    return int(last) + 1


def _with_digest(session: httpx.URL, digest: str) -> httpx.URL:
    # The query of a session is the registry's: it is kept letter for letter.
    query = session.query + (b"&" if session.query else b"") + b"digest=" + digest.encode()
    return session.copy_with(query=query)


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first of what several tasks raised."""
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
