"""The one module that knows the `minio` client: S3's operations as coroutines, its errors as ours.

The client blocks, so each call runs in one of a bounded number of threads, each with a connection of its own. Its
multipart operations are private: the version is pinned and `Bucket` looks for them when it is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from minio import Minio
from minio.credentials.providers import AWSConfigProvider, ChainedProvider, EnvAWSProvider, IamAwsProvider
from minio.datatypes import Part as MinioPart
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.sse import SseCustomerKey
from urllib3.util import Retry, Timeout

from gati_registry.errors import Code, RegistryError, Unavailable

T = TypeVar("T")

PRIVATE = (
    "_abort_multipart_upload",
    "_complete_multipart_upload",
    "_create_multipart_upload",
    "_list_multipart_uploads",
    "_list_parts",
    "_put_object",
    "_upload_part",
    "_upload_part_copy",
)
"""What we need of the client beyond its public methods."""

PAGE = 1000
"""Entries of one answer. Source: Amazon S3 API, ListObjectsV2 and ListParts."""

MIN_PART = 5 * 1024 * 1024
"""Smallest part but for the last. Source: Amazon S3 user guide, "multipart upload limits"."""

MAX_PARTS = 10_000
"""Most parts of one object. Source: as above."""

_COPY_PIECE = 256 * 1024 * 1024
_SLOWEST = 4 * 1024 * 1024  # bytes a second that a transfer makes at least, or it counts as hanging
_PUTTING_TOGETHER = 60  # seconds more than other calls that S3 may take for it
_AILING = 10  # seconds

_REFUSALS = {
    "AccessDenied": "the key has no right to this bucket; grant it reading, writing, deleting and listing",
    "ExpiredToken": "the session token has expired; renew AWS_SESSION_TOKEN",
    "InvalidAccessKeyId": "it does not know the access key; check AWS_ACCESS_KEY_ID",
    "InvalidToken": "the session token does not fit; check AWS_SESSION_TOKEN",
    "NoSuchBucket": "there is no such bucket; make it, or name another one in blobs_url",
    "AuthorizationHeaderMalformed": "the bucket lies in another region; name it as region= in blobs_url",
    "PermanentRedirect": "the bucket lies in another region; name it as region= in blobs_url",
    "RequestTimeTooSkewed": "its clock and ours differ too much; set this machine's time",
    "SignatureDoesNotMatch": "the secret key does not fit; check AWS_SECRET_ACCESS_KEY",
}
_FULL = frozenset({"XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded"})
_GONE = frozenset({"NoSuchKey", "NoSuchUpload"})


class PartsRefused(Unavailable):
    """S3 does not make an object of these parts: there are others too, which some servers do not pass over."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a bucket is. `endpoint` is a URL without a path, `prefix` empty or ends with a slash."""

    bucket: str
    prefix: str
    endpoint: str
    region: str


@dataclass(frozen=True, slots=True)
class Options:
    """`timeout` in seconds, of one answer; `encryption` are the headers that new objects are made with.

    What fails in passing is asked again `retries` times; what is not answered in time, once at most. `ca` is a file of
    authorities that the server is checked against; with `tls12` it may speak TLS 1.2, else 1.3 only. From `customer` a
    key is derived for each object, which S3 encrypts with and does not keep. `kms_keys` are keys of S3's own key
    management for repositories below a prefix, the longest first.
    """

    connections: int
    timeout: float
    encryption: tuple[tuple[str, str], ...] = ()
    retries: int = 3
    ca: str | None = None
    tls12: bool = False
    customer: bytes | None = None
    kms_keys: tuple[tuple[str, str], ...] = ()


def encryption(kms_key: str | None) -> tuple[tuple[str, str], ...]:
    """What asks S3 to encrypt: with a key of its own, or with the named one of its key management."""
    if kms_key is None:
        return (("X-Amz-Server-Side-Encryption", "AES256"),)
    return (
        ("X-Amz-Server-Side-Encryption", "aws:kms"),
        ("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", kms_key),
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """An object in a listing; `modified` in milliseconds since the epoch, UTC."""

    key: str
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Part:
    """An uploaded part of an object."""

    number: int
    etag: str
    size: int


class Bucket:
    """One bucket below a prefix; all keys are relative to it. One event loop; must be closed.

    Every method raises Unavailable where S3 does not answer or refuses us, and FileNotFoundError for an object or
    multipart upload that is not there.
    """

    def __init__(self, address: Address, options: Options) -> None:
        missing = [name for name in PRIVATE if not hasattr(Minio, name)]
        if missing:
            raise Unavailable(
                f"the installed minio client lacks {', '.join(missing)}; install the version that the extra s3 names"
            )
        endpoint = urlsplit(address.endpoint)
        self._bucket, self._prefix = address.bucket, address.prefix
        self._options, self._retries = options, options.retries
        self._customer = options.customer
        self._unanswered: float | None = None  # when (monotonic) S3 last left us without an answer, if it was the last
        self._executor = ThreadPoolExecutor(options.connections, thread_name_prefix="s3")
        # Only those of the environment and its files; a machine's role only where the platform announces it.
        providers: list[Any] = [EnvAWSProvider(), AWSConfigProvider()]
        if any(name in os.environ for name in ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")):
            providers.append(IamAwsProvider())
        self._client = Minio(
            endpoint.netloc,
            secure=endpoint.scheme == "https",
            region=address.region,
            credentials=ChainedProvider(providers),
            http_client=_Pool(
                options.timeout,
                maxsize=options.connections,
                ca_certs=_authorities(options),
                ssl_minimum_version=ssl.TLSVersion.TLSv1_2 if options.tls12 else ssl.TLSVersion.TLSv1_3,
                retries=Retry(
                    total=options.retries,
                    read=min(1, options.retries),
                    allowed_methods=None,  # ours can all be done twice
                    redirect=False,
                    backoff_factor=0.2,
                    status_forcelist=(500, 502, 503, 504),
                    raise_on_status=False,
                    respect_retry_after_header=False,
                ),
            ),
        )

    # --- objects ------------------------------------------------------------------------------------------------

    async def put(self, key: str, data: bytes | bytearray, owner: str = "") -> None:
        """Write an object, with the encryption that its owner's have."""
        headers = {"Content-Type": "application/octet-stream", **self._encryption(owner), **self._sealed(key)}
        await self._ask(lambda: self._client._put_object(self._bucket, self._prefix + key, data, headers))  # type: ignore[arg-type]

    async def get(self, key: str, offset: int = 0, length: int = 0) -> bytes:
        """So many bytes of an object, which has them; all of them where `length` is 0."""

        def read() -> bytes:
            for attempt in range(self._retries + 1):
                try:
                    response = self._client.get_object(
                        self._bucket, self._prefix + key, offset, length, ssec=self._own(key)
                    )
                    try:
                        return bytes(response.read())
                    finally:
                        response.close()
                        response.release_conn()
                except urllib3.exceptions.ProtocolError:  # broken off in the middle
                    if attempt == self._retries:
                        raise
            raise AssertionError("the last attempt returns or raises")

        return await self._ask(read)

    async def size(self, key: str) -> int:
        """An object's size in bytes."""
        found = await self._ask(lambda: self._client.stat_object(self._bucket, self._prefix + key, ssec=self._own(key)))
        return found.size or 0

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there are no error."""
        wanted = [DeleteObject(self._prefix + key) for key in keys]

        def remove() -> None:
            if len(wanted) == 1:
                self._client.remove_object(self._bucket, wanted[0].name)
                return
            for error in self._client.remove_objects(self._bucket, wanted):
                raise Unavailable(f"S3 did not remove an object ({error.code})")

        if wanted:
            await self._ask(remove)

    async def entries(self, prefix: str) -> AsyncIterator[Sequence[Entry]]:
        """Objects whose keys begin with `prefix`, bytewise, page by page."""
        found = self._client.list_objects(self._bucket, self._prefix + prefix, recursive=True)
        while page := await self._ask(lambda: list(islice(found, PAGE))):
            yield [
                Entry((entry.object_name or "").removeprefix(self._prefix), entry.size or 0, _ms(entry.last_modified))
                for entry in page
            ]

    async def copy(self, source: str, target: str, size: int) -> None:
        """Make an object of another one's first bytes, without moving them through here."""
        if size == 0:
            await self.put(target, b"")
            return
        for abandoned in await self.uploads(target):
            await self.abort(target, abandoned)
        upload = await self.begin(target)
        await self.complete(target, upload, await self.copy_parts(source, target, upload, size))

    # --- multipart uploads --------------------------------------------------------------------------------------

    async def begin(self, key: str, owner: str = "") -> str:
        """Begin an object in parts, with the encryption that its owner's objects have; the multipart upload's id."""
        headers = {"Content-Type": "application/octet-stream", **self._encryption(owner), **self._sealed(key)}
        return await self._ask(lambda: self._client._create_multipart_upload(self._bucket, self._prefix + key, headers))

    async def part(self, key: str, upload: str, number: int, data: bytes | bytearray) -> Part:
        """Upload a part; one of the same number before it is replaced."""
        etag = await self._ask(
            lambda: self._client._upload_part(
                self._bucket,
                self._prefix + key,
                data,  # type: ignore[arg-type]
                dict(self._sealed(key)),
                upload,
                number,
            )
        )
        return Part(number, etag, len(data))

    async def copy_parts(self, source: str, key: str, upload: str, size: int) -> list[Part]:
        """Make parts 1 and on of an object's first bytes. Below `MIN_PART` there may be no part after them."""
        count = max(1, min(size // MIN_PART, -(-size // _COPY_PIECE), MAX_PARTS // 2))
        bounds = [size * number // count for number in range(count + 1)]

        async def piece(number: int) -> Part:
            first, end = bounds[number - 1], bounds[number]
            headers = {
                "x-amz-copy-source": quote(f"/{self._bucket}/{self._prefix}{source}"),
                "x-amz-copy-source-range": f"bytes={first}-{end - 1}",
                **self._sealed(key),
            }
            if (own := self._own(source)) is not None:
                headers |= own.copy_headers()
            etag, _ = await self._ask(
                lambda: self._client._upload_part_copy(self._bucket, self._prefix + key, upload, number, headers)
            )
            return Part(number, etag, end - first)

        parts: list[Part] = []
        for start in range(1, count + 1, 4):  # a few at once: others want threads too
            parts += await asyncio.gather(*(piece(number) for number in range(start, min(start + 4, count + 1))))
        return parts

    async def parts(self, key: str, upload: str) -> list[Part]:
        """All parts uploaded so far, by number."""
        found: list[Part] = []
        marker: str | None = None
        while True:
            page = await self._ask(
                lambda: self._client._list_parts(
                    self._bucket,
                    self._prefix + key,
                    upload,
                    part_number_marker=marker,  # noqa: B023 - awaited here
                )
            )
            found += [Part(part.part_number, part.etag, part.size or 0) for part in page.parts]
            marker = page.next_part_number_marker
            if not page.is_truncated or not marker:
                return found

    async def complete(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        """Make the object of these parts; others that were uploaded are dropped.

        Raises:
            PartsRefused: there are others, and this server does not drop them (Ceph's radosgw).
        """
        chosen = [MinioPart(part.number, part.etag) for part in parts]

        def end() -> None:
            done = self._client._complete_multipart_upload(
                self._bucket, self._prefix + key, upload, chosen, self._own(key)
            )
            # S3 may begin its answer with 200 and fail after that; then the document holds an error instead. Ceph's
            # leaves the ETag empty.
            if not (done.etag or done.location):
                raise Unavailable("S3 failed while it put an object together")

        await self._ask(end)

    async def abort(self, key: str, upload: str) -> None:
        """Give a multipart upload up; one that is not there is no error."""
        with contextlib.suppress(FileNotFoundError):
            await self._ask(lambda: self._client._abort_multipart_upload(self._bucket, self._prefix + key, upload))

    async def uploads(self, key: str) -> list[str]:
        """Ids of the multipart uploads of exactly this key. MinIO does not list them by a shorter prefix."""
        name = self._prefix + key
        page = await self._ask(lambda: self._client._list_multipart_uploads(self._bucket, prefix=name))
        return [upload.upload_id for upload in page.uploads if upload.object_name == name and upload.upload_id]

    async def unfinished(self, prefix: str, pages: int) -> AsyncIterator[Sequence[Entry]]:
        """Multipart uploads of keys that begin with `prefix`, with when they were begun; so many pages at most.

        MinIO tells of none: it lists those of one key alone, and gives them up by itself after a day.
        """
        key: str | None = None
        upload: str | None = None
        for _ in range(pages):
            page = await self._ask(
                lambda: self._client._list_multipart_uploads(
                    self._bucket,
                    prefix=self._prefix + prefix,
                    key_marker=key,  # noqa: B023 - awaited here
                    upload_id_marker=upload,  # noqa: B023
                )
            )
            yield [
                Entry((found.object_name or "").removeprefix(self._prefix), 0, _ms(found.initiated_time))
                for found in page.uploads
            ]
            key, upload = page.next_key_marker, page.next_upload_id_marker
            if not page.is_truncated or not key:
                return

    # --- beside -------------------------------------------------------------------------------------------------

    async def presign(self, key: str, seconds: int) -> str:
        """A URL under which anyone may read an object for so long."""
        expiry = timedelta(seconds=seconds)
        return await self._ask(lambda: self._client.presigned_get_object(self._bucket, self._prefix + key, expiry))

    async def check(self) -> None:
        """Raise Unavailable, with the reason, unless the bucket can be listed."""
        # Listing is answered with a document where it is refused; a HEAD of the bucket would not say why.
        await self._ask(
            lambda: next(iter(self._client.list_objects(self._bucket, f"{self._prefix}check/", recursive=True)), None)
        )

    def close(self) -> None:
        """Let go of threads and connections."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._client._http.clear()

    def _encryption(self, owner: str) -> dict[str, str]:
        """The headers that new objects of a repository are made with."""
        for prefix, key in self._options.kms_keys:
            if owner == prefix or owner.startswith(f"{prefix}/"):
                return dict(encryption(key))
        return dict(self._options.encryption)

    def _own(self, key: str) -> SseCustomerKey | None:
        """The key that S3 encrypts an object with, if it is ours to give."""
        if self._customer is None:
            return None
        return SseCustomerKey(hmac.digest(self._customer, f"gati object {key}".encode(), hashlib.sha256))

    def _sealed(self, key: str) -> dict[str, Any]:
        own = self._own(key)
        return own.headers() if own is not None else {}

    @property
    def ailing(self) -> bool:
        """Whether S3 has just left a call without an answer: what can be left undone is better not begun."""
        return self._unanswered is not None and time.monotonic() - self._unanswered < _AILING

    async def _ask(self, function: Callable[[], T]) -> T:
        """Run what asks S3; its errors are ours."""

        def call() -> T:
            try:
                result = function()
            except (FileNotFoundError, RegistryError):
                raise
            except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError, ParseError) as error:
                if isinstance(error, urllib3.exceptions.HTTPError | OSError):
                    self._unanswered = time.monotonic()
                raise _translate(error) from None  # theirs names keys and hosts
            self._unanswered = None
            return result

        return await self.run(call)

    async def run(self, function: Callable[[], T]) -> T:
        """Run in one of the threads; a caller that is cancelled leaves it running."""
        running = asyncio.get_running_loop().run_in_executor(self._executor, function)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise


def _authorities(options: Options) -> str:
    path = options.ca or os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or certifi.where()
    if not os.access(path, os.R_OK):
        raise Unavailable(f"the authorities' certificates for S3 cannot be read: {path}; see tls.ca")
    return path


class _Pool(urllib3.PoolManager):
    """Connections whose time for an answer grows with what is moved; urllib3 counts sending as connecting."""

    def __init__(self, timeout: float, **arguments: Any) -> None:
        super().__init__(block=True, **arguments)
        self._timeout = timeout

    def urlopen(self, method: str, url: str, redirect: bool = True, **arguments: Any) -> Any:  # type: ignore[override]
        moving = len(arguments.get("body") or b"") / _SLOWEST
        working = _PUTTING_TOGETHER if method == "POST" else 0.0
        if "x-amz-copy-source" in (arguments.get("headers") or {}):
            working = _COPY_PIECE / _SLOWEST
        connect, read = min(self._timeout, 5) + moving, self._timeout + moving + working
        arguments["timeout"] = Timeout(connect=connect, read=read)
        return super().urlopen(method, url, redirect=redirect, **arguments)


def _translate(error: Exception) -> Exception:
    """What a failed call means to us. Neither keys nor URLs nor what S3 said in its own words is passed on."""
    if isinstance(error, S3Error):
        code = error.code or "no code"
        if code in _GONE:
            return FileNotFoundError(code)
        if code == "InvalidPart":
            return PartsRefused(f"S3 failed ({code})")
        if code in _REFUSALS:
            return Unavailable(f"S3 refuses the registry ({code}): {_REFUSALS[code]}", retry_after=30)
        if code in _FULL:
            return Unavailable("the registry's S3 storage is full; nothing of this request was kept", retry_after=60)
        if code == "EntityTooLarge":
            return RegistryError(Code.SIZE_INVALID, "the blob is larger than S3 takes objects", status=413)
        return Unavailable(f"S3 failed ({code})")
    if isinstance(error, InvalidResponseError | ServerError):
        return Unavailable("S3 failed: the endpoint in blobs_url does not answer as S3 does")
    if isinstance(error, ValueError | ParseError):
        # The provider of credentials says by it that there are none, the parser that an answer made no sense.
        if "provider" in str(error) or "credential" in str(error).lower():
            return Unavailable("S3: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", retry_after=30)
        return Unavailable("S3 failed: its answer makes no sense")
    return Unavailable(f"S3 does not answer ({_innermost(error)})")


def _innermost(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, Exception) else error).__name__


def _ms(moment: datetime | None) -> int:
    return 0 if moment is None else int(moment.timestamp() * 1000)
