"""Uploads: POST, PATCH, PUT, GET, DELETE (end-4 to end-6, end-11, end-13, end-14)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gati_registry.domain.access import Access, Action, Decision, Identity
from gati_registry.domain.upload import Upload, received_range
from gati_registry.errors import Code, RegistryError
from gati_registry.http.exchange import Exchange, Header, RequestBody
from gati_registry.http.locations import Locations
from gati_registry.http.members import Members
from gati_registry.ports import Authorizer
from gati_registry.service.uploads import UploadService
from gati_registry.values.byterange import ByteRange, parse_content_range
from gati_registry.values.digest import Digest, parse_algorithm
from gati_registry.values.reference import RepositoryName

Count = Callable[[str], None]
"""Counts one event under a metric's name."""


class UploadEndpoints:
    """Handlers of the two upload resources."""

    def __init__(
        self, service: UploadService, locations: Locations, authorizer: Authorizer, members: Members, count: Count
    ) -> None:
        self._service = service
        self._members = members
        self._locations = locations
        self._authorizer = authorizer
        self._count = count

    async def start(self, exchange: Exchange) -> None:
        """Mount, a blob in one request, or a new session."""
        repository = exchange.name
        mount, digest = exchange.query("mount"), exchange.query("digest")
        if mount is not None:
            wanted = Digest.parse(mount)
            if await self._mount(exchange, repository, wanted):
                await self._created(exchange, wanted)
                return
        elif digest is not None:
            wanted = Digest.parse(digest)
            await self._service.monolithic(repository, wanted, RequestBody(exchange), exchange.caller)
            await self._created(exchange, wanted)
            return
        algorithm = exchange.query("digest-algorithm")
        upload = self._service.start(repository, parse_algorithm(algorithm) if algorithm else "sha256")
        self._count("gati_uploads_started_total")
        await exchange.answer(202, self._session(exchange, upload))

    async def append(self, exchange: Exchange) -> None:
        """A chunk."""
        upload = await self._service.append(
            exchange.name, exchange.reference, RequestBody(exchange), _declared(exchange)
        )
        await exchange.answer(202, self._session(exchange, upload))

    async def close(self, exchange: Exchange) -> None:
        """The last chunk, and the digest of the whole."""
        text = exchange.query("digest")
        if text is None:
            raise RegistryError(Code.DIGEST_INVALID, "the closing PUT needs the query parameter digest")
        digest = Digest.parse(text)
        await self._service.close(
            exchange.name, exchange.reference, digest, RequestBody(exchange), _declared(exchange), exchange.caller
        )
        self._count("gati_uploads_finished_total")
        await self._created(exchange, digest)

    async def status(self, exchange: Exchange) -> None:
        """How far the session came."""
        upload = await self._service.status(exchange.name, exchange.reference)
        await exchange.answer(204, self._session(exchange, upload))

    async def cancel(self, exchange: Exchange) -> None:
        """End the session."""
        await self._service.cancel(exchange.name, exchange.reference)
        self._count("gati_uploads_cancelled_total")
        await exchange.answer(204, [])

    # --- inside -------------------------------------------------------------------------------------------------

    async def _mount(self, exchange: Exchange, repository: RepositoryName, digest: Digest) -> bool:
        source = exchange.query("from")
        # A source that cannot be named, seen or found is no error: the answer is a session (202) to upload to.
        try:
            candidates = [RepositoryName.parse(source)] if source else await self._service.sources(digest)
        except RegistryError:
            return False
        identity: Identity = exchange.scope["gati.identity"]
        # A token reaches as far as its scopes, its owner perhaps further: who names the source is asked to get a token
        # for it. Whoever holds a narrow token must not get at a blob of another repository by leaving that name out.
        owner = identity.owner if source else identity
        for candidate in candidates:
            access = Access(Action.PULL, candidate, request=exchange)
            if await self._authorizer.decide(owner, access) is not Decision.ALLOW:
                continue
            if source and await self._authorizer.decide(identity, access) is not Decision.ALLOW:
                raise self._wider(exchange, [Access(Action.PUSH, repository), access])
            if await self._members.hides(exchange, owner, candidate, digest):
                continue
            if await self._service.mount(repository, digest, candidate, exchange.caller):
                return True
        return False

    def _wider(self, exchange: Exchange, accesses: Sequence[Access]) -> RegistryError:
        """401: a token for all of these could be had."""
        exchange.scope["gati.origin"] = self._locations.origin(exchange)
        challenge = self._authorizer.challenge(accesses, exchange)
        return RegistryError(
            Code.UNAUTHORIZED,
            "the token does not reach the repository to mount from; get one for both",
            headers={"WWW-Authenticate": challenge},
        )

    def _session(self, exchange: Exchange, upload: Upload) -> list[Header]:
        path = f"/v2/{upload.repository}/blobs/uploads/{upload.id}"
        return [
            (b"location", self._locations.url(exchange, path)),
            (b"range", received_range(upload.received).encode()),
            (b"docker-upload-uuid", upload.id.encode()),
        ]

    async def _created(self, exchange: Exchange, digest: Digest) -> None:
        path = f"/v2/{exchange.name}/blobs/{digest}"
        headers = [(b"location", self._locations.url(exchange, path)), (b"docker-content-digest", digest.encode())]
        await exchange.answer(201, headers)


def _declared(exchange: Exchange) -> ByteRange | None:
    header = exchange.header(b"content-range")
    if header is None:
        return None
    declared = parse_content_range(header)
    if declared is None:
        raise RegistryError(
            Code.BLOB_UPLOAD_INVALID,
            "malformed Content-Range; expected <first>-<last>, both included",
            status=416,
            detail={"Content-Range": header[:100]},
        )
    return declared
