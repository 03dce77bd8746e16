"""Blobs to a registry: mounted, found there, sent in one request, or in chunks that outlive broken connections."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from gati_client.answers import Answer
from gati_client.errors import Conflict, GatiError, Integrity, Network, NotFound
from gati_client.lanes import Part, Reply
from gati_client.together import first
from gati_client.transfer.hashing import PIECE, digest_of, digest_of_source
from gati_client.transfer.model import TITLE, Descriptor, Layer, Progress
from gati_client.transfer.relay import Relay
from gati_client.transfer.sources import Source
from gati_client.transport import Transport

ONE_REQUEST = 64 * 1024
"""Bytes up to which a blob is sent without asking first whether it is there: asking costs as much."""

_COARSE = 1 << 30  # the largest chunk until the first cut: each is a round trip, and a sync of the registry's disk
_FINE = (1 << 20, 256)  # after it: the smallest chunk, and how many of a big blob, as a cut may cost one of them
_EARLY = 64 << 20  # bytes from which on a blob is sent while its digest is still being found out
_LIMITED = 16 << 20  # the chunk that is tried where a larger one was refused for its size
_PARALLEL = 8  # blobs at a time
_LATE = 80  # times to ask how far a chunk came before it broke: a registry may still be making it durable
_FAREWELL = 5.0  # seconds to end an upload that nobody wants any more
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
        begun: dict[str, asyncio.Task[Any] | None] = {}
        digests: dict[int, str] = {}

        async def one(number: int, layer: Layer) -> None:
            async with gate:
                hashing = asyncio.create_task(digest_of_source(layer.source))
                sending = None
                if layer.source.digest is None and layer.source.size >= _EARLY:
                    sending = asyncio.create_task(self._early(repository, layer, hashing, progress))
                try:
                    digest = digests[number] = await hashing
                    me = asyncio.current_task()
                    first = begun.setdefault(digest, me)
                    if first is not None and first is not me:  # the same bytes twice are sent once
                        await _ended(sending)
                        await first
                    elif sending is None or await self._is_or_mounts(repository, digest, sending, mount_from):
                        title = layer.title or digest
                        await self.blob(repository, layer.source, digest, title, progress, mount_from)
                    else:
                        await sending
                        self._there.setdefault(digest, []).append(repository)
                finally:
                    await _ended(hashing, sending)

        small = [n for n, layer in enumerate(layers) if layer.source.size <= ONE_REQUEST and not mount_from]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._many(repository, {n: layers[n] for n in small}, digests, progress))
                for number in sorted({*range(len(layers))} - {*small}):
                    group.create_task(one(number, layers[number]))
        except ExceptionGroup as failures:
            raise first(failures) from None
        return [_described(layer, digests[number]) for number, layer in enumerate(layers)]

    async def _many(
        self, repository: str, layers: dict[int, Layer], digests: dict[int, str], progress: Progress | None
    ) -> None:
        """Small blobs, a request each."""
        told = Relay(progress)

        def arrived(number: int) -> None:
            layer, digest = layers[number], digests[number]
            told(layer.title or digest, layer.source.size, layer.source.size)

        def ask(number: int) -> tuple[str, bytes] | None:
            source = layers[number].source
            data = _small(source)
            digest = digests[number] = source.digest or digest_of(data)
            if repository in self._there.get(digest, ()):
                arrived(number)
                return None
            return f"/v2/{repository}/blobs/uploads/?digest={digest}", data

        def take(number: int, reply: Reply) -> bool:
            if not _created(reply):
                return False
            self._there.setdefault(digests[number], []).append(repository)
            arrived(number)
            return True

        async def one(number: int) -> None:
            layer = layers[number]
            digests[number] = digest = await digest_of_source(layer.source)
            await self.blob(repository, layer.source, digest, layer.title or digest, progress)

        left: Sequence[int] = list(layers)
        count = 1  # the first answer shows whether the short way is open
        while left:
            scopes = push_scopes(repository)
            left = await self._transport.straight_each(left, ask, take, method="POST", scopes=scopes, headers=_OCTETS)
            async with asyncio.TaskGroup() as group:
                for number in left[:count]:
                    group.create_task(one(number))
            left, count = left[count:], _PARALLEL

    async def _early(
        self, repository: str, layer: Layer, hashing: asyncio.Task[str], progress: Progress | None
    ) -> None:
        """Send a blob while its digest is being found out."""
        session = await self._start(repository)
        try:
            await self._send(repository, layer.source, hashing, layer.title or "a blob", progress, session)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self._cancel(repository, session)
            raise

    async def _is_or_mounts(
        self, repository: str, digest: str, sending: asyncio.Task[None], mount_from: Sequence[str]
    ) -> bool:
        """Whether a blob that is on its way is there, or can be mounted, after all: then it is sent no more."""
        if sending.done():
            return False
        found = repository in self._there.get(digest, ()) or await self.has(repository, digest)
        for place in () if found else dict.fromkeys([*mount_from, *self._there.get(digest, ())]):
            with contextlib.suppress(GatiError):
                found = found or await self.mount(repository, digest, place)
        if found and not sending.done():
            await _ended(sending)
            return True
        return False

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
            known = asyncio.get_running_loop().create_future()
            known.set_result(digest)
            await self._send(repository, source, known, title, progress, session)

    async def _whole(self, repository: str, source: Source, digest: str) -> None:
        data = _small(source)
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

    async def _mount(self, repository: str, digest: str, places: Sequence[str]) -> str | None:
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

    async def _start(self, repository: str) -> str:
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
        hashing: asyncio.Future[str],
        title: str,
        progress: Progress | None,
        session: str,
    ) -> None:
        """In chunks. After a break the session says how far it came; one that is gone is begun anew."""
        chunk = _COARSE
        offset, breaks, furthest, count = 0, 0, 0, 0
        sent = 0  # of a chunk, as far as we know

        def sending(count: int) -> None:
            nonlocal sent
            sent += count
            if progress is not None:
                progress(title, min(offset + sent, source.size), source.size)

        while True:
            try:
                if offset < source.size:
                    count, sent = min(chunk, source.size - offset), 0
                    session, offset = await self._chunk(repository, session, source, offset, count, sending)
                else:
                    await self._close(repository, session, await hashing, source.size)
                    return
            except (Network, Conflict, NotFound):
                breaks += 1
                if breaks > _BREAKS:
                    raise
                chunk = _fine(source.size)
                await self._transport.pause(min(breaks, 6))
                if offset >= source.size and await self.has(repository, await hashing):
                    return  # it was closed, and only the answer was lost
                session, offset = await self._came(repository, session, offset, more=count > chunk)
            except GatiError as error:
                if error.status != 413 or chunk <= _LIMITED:
                    raise
                chunk = _LIMITED  # what stands before the registry may take less at a time
                session, offset = await self._status(repository, session)
            if offset > furthest:
                furthest, breaks = offset, 0
            if progress is not None:
                progress(title, offset, source.size)

    async def _came(self, repository: str, session: str, offset: int, *, more: bool) -> tuple[str, int]:
        """The session and how far it came; `more`: a large chunk was on its way beyond `offset`."""
        session, found = await self._status(repository, session)
        for _ in range(_LATE if more else 0):
            if found != offset:
                break
            await asyncio.sleep(self._transport.patience.first_delay)
            session, found = await self._status(repository, session)
        return session, found

    async def _chunk(
        self,
        repository: str,
        session: str,
        source: Source,
        offset: int,
        count: int,
        sending: Callable[[int], None],
    ) -> tuple[str, int]:
        headers = {**_OCTETS, "Content-Range": f"{offset}-{offset + count - 1}"}
        with source.open() as file:
            location = await self._transport.straight(
                "PATCH",
                session,
                scopes=push_scopes(repository),
                headers=headers,
                body=Part(file, offset, count, Relay(sending)),
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
            headers={**headers, "Content-Length": str(count)},
            content=lambda: _pieces(source, offset, count),
            expected=(202, 416),
            waiting=60.0,
            again=False,  # where it broke is asked first
        )
        if answer.status == 416:
            return await self._status(repository, session)
        return self._location(answer, session), offset + count

    async def _status(self, repository: str, session: str) -> tuple[str, int]:
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

    async def _close(self, repository: str, session: str, digest: str, size: int) -> None:
        await self._transport.ask(
            "PUT",
            _with_digest(session, digest),
            action=f"close the upload of blob {digest}",
            scopes=push_scopes(repository),
            headers=_OCTETS,
            content=b"",
            expected=(201,),
            waiting=60.0 + size / (20 << 20),  # some read it all once more before they answer
            again=False,
            short=True,  # asked twice, it is found to be done
        )

    async def _cancel(self, repository: str, session: str) -> None:
        expected = (204, 202, 404, 405)
        with contextlib.suppress(GatiError):  # it ends by itself
            await self._transport.ask(
                "DELETE", session, action="end an upload", scopes=push_scopes(repository), expected=expected
            )

    def _location(self, answer: Answer, session: str | None = None) -> str:
        """Where the session goes on: at the registry itself, as a token and what is private goes there."""
        return self._next(answer.headers.get("location", ""), session)

    def _next(self, location: str, session: str | None) -> str:
        if not location:
            if session is not None:
                return session
            raise Integrity(f"{self._transport.host} starts an upload and does not say where")
        return self._transport.origin.target(location, "an upload")


def _fine(size: int) -> int:
    smallest, count = _FINE
    return min(_COARSE, max(smallest, size // count))


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


def _small(source: Source) -> bytes:
    with source.open() as file:
        data = file.read(source.size + 1)
    if len(data) != source.size:
        raise GatiError("a file changed while it was read")
    return data


def _described(layer: Layer, digest: str) -> Descriptor:
    annotations = dict(layer.annotations)
    if layer.title is not None:
        annotations[TITLE] = layer.title
    return Descriptor(layer.media_type, digest, layer.source.size, annotations)


async def _ended(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel what still runs, and wait for it."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def _created(reply: Reply) -> bool:
    return reply.status == 201 and _drained(reply)


def _accepted(reply: Reply) -> str | None:
    return reply.headers.get("location", "") if reply.status == 202 and _drained(reply) else None


def _drained(reply: Reply) -> bool:
    """Read the few bytes that may be there, so that the connection can be used again."""
    if reply.length <= ONE_REQUEST:
        reply.read()
    return True


def _received(answer: Answer) -> int:
    """From `Range: 0-<last>`; `0-0` is an empty session (or one byte, which none of our chunks is)."""
    first, _, last = answer.headers.get("range", "").removeprefix("bytes=").partition("-")
    if first != "0" or not (last.isascii() and last.isdigit()) or last == "0" or len(last) > 16:
        return 0
    return int(last) + 1


def _with_digest(session: str, digest: str) -> str:
    # The query of a session is the registry's: it is kept letter for letter.
    return f"{session}{'&' if '?' in session else '?'}digest={digest}"
