"""The only place that builds objects: adapters from settings, services from adapters, endpoints from services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from gati_registry import loader
from gati_registry.auth.admin import AdminAuthenticator, AdminAuthorizer, ensure_admin
from gati_registry.auth.chain import Bounded, Chain
from gati_registry.auth.open import OpenAuthorizer
from gati_registry.clock import SystemClock
from gati_registry.domain.gc import Policy
from gati_registry.domain.upload import SessionIds
from gati_registry.extension import Extension
from gati_registry.http.blobs import BlobEndpoints
from gati_registry.http.extensions import ExtensionRouter
from gati_registry.http.lists import ListEndpoints
from gati_registry.http.locations import Locations
from gati_registry.http.manifests import ManifestEndpoints
from gati_registry.http.members import Members
from gati_registry.http.registry import RegistryApp, table
from gati_registry.http.routes import Table
from gati_registry.http.uploads import Count, UploadEndpoints
from gati_registry.loader import Loaded
from gati_registry.metadata.sqlite import SqliteMetadata
from gati_registry.ports import Authenticator, Authorizer, BlobStore, Clock, Housekeeping, Metadata, Redirects
from gati_registry.service.blobs import BlobService
from gati_registry.service.collect import Collector
from gati_registry.service.core import CoreDoor, Deciding
from gati_registry.service.hooks import Hooks, Listed
from gati_registry.service.lists import ListService
from gati_registry.service.manifests import ManifestService
from gati_registry.service.observers import Observers
from gati_registry.service.outbox import Dispatcher
from gati_registry.service.uploads import UploadLimits, UploadService, session_key
from gati_registry.service.verify import Verifier
from gati_registry.settings import Settings, SettingsError
from gati_registry.storage.filesystem import FilesystemBlobs, make_folder

if TYPE_CHECKING:
    from gati_registry.metadata.postgresql import Server


class Opened(Metadata, Protocol):
    """A database whose schema is current; with the names of the migrations that were run for it."""

    migrations_run: list[str]


class Stored(BlobStore, Housekeeping, Protocol):
    """A blob store with both its sides."""

    def close(self) -> None:
        """Let go of it."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything a process needs, built; `build` closes it."""

    settings: Settings
    metadata: Opened
    blobs: Stored
    clock: Clock
    collector: Collector
    verifier: Verifier
    endpoints: Table
    app: RegistryApp
    extensions: Loaded
    dispatcher: Dispatcher
    observers: Observers


@asynccontextmanager
async def build(
    settings: Settings, *, clock: Clock | None = None, count: Count = lambda _: None
) -> AsyncIterator[Registry]:
    """Open the backends and put the registry together; closes them at the end. One event loop, after any fork.

    `count` is called with the name of a metric to count up.

    Raises:
        Unavailable: a backend does not open.
        MigrationError: the database belongs to another version.
    """
    clock = clock or SystemClock()
    extensions = loader.declared(settings.extensions)
    metadata = await _open_metadata(settings, extensions)
    try:
        blobs, redirects = _open_blobs(settings)
        try:
            ids = SessionIds(await session_key(metadata), _ms(settings.uploads.expiry))
            yield _assemble(settings, metadata, blobs, redirects, clock, count, ids, extensions)
        finally:
            blobs.close()
    finally:
        await metadata.close()


async def _open_metadata(settings: Settings, extensions: list[Extension]) -> Opened:
    if not settings.shared_metadata:
        make_folder(str(settings.metadata_path.parent))
        return SqliteMetadata(settings.metadata_path, loader.migrations(extensions, "sqlite"))
    server = _postgresql(settings)
    from gati_registry.metadata.postgresql import PostgresMetadata

    return await PostgresMetadata.open(server, loader.migrations(extensions, "postgresql"))


async def inspect_postgresql(settings: Settings) -> str:
    """What a start would find in the shared database, in words; changes nothing.

    Raises:
        SettingsError: `metadata_url` cannot be understood, or the extra is missing.
        Unavailable: the server is not there, or not to be trusted.
        MigrationError: the database belongs to another version.
    """
    server = _postgresql(settings)
    from gati_registry.metadata.postgresql import inspect

    return await inspect(server, loader.migrations(loader.declared(settings.extensions), "postgresql"))


def _postgresql(settings: Settings) -> Server:
    # Imported only here: who uses the embedded database need not have it.
    if not (find_spec("psycopg") and find_spec("psycopg_pool")):
        raise SettingsError(
            "metadata_url: postgresql needs the extra `postgresql`; install it with: "
            "pip install 'gati-registry[postgresql]'"
        )
    from gati_registry.metadata.postgresql import Limits, Server

    section = settings.postgresql
    limits = Limits(
        pool_min=section.pool_min,
        pool_max=section.pool_max,
        wait=section.pool_wait,
        connect=section.connect_timeout,
        unit=section.unit_timeout,
        scan=section.scan_timeout,
        migration=section.migration_timeout,
        lock=section.lock_timeout,
    )
    try:
        return Server.parse(settings.metadata_url or "", limits)
    except ValueError as error:
        raise SettingsError(f"metadata_url: {error}") from None


def _open_blobs(settings: Settings) -> tuple[Stored, Redirects | None]:
    """The blob store; also as what tells clients where to fetch blobs, if they are to."""
    if settings.bucket is None:
        return FilesystemBlobs(settings.blobs_path), None
    if not find_spec("minio"):
        raise SettingsError("blobs_url: s3 needs the extra `s3`; install it with: pip install 'gati-registry[s3]'")
    from gati_registry.storage.s3 import Address, Options, S3Blobs, encryption

    bucket, section = settings.bucket, settings.s3
    address = Address(bucket.name, bucket.prefix, bucket.endpoint, bucket.region)
    asked = encryption(section.kms_key) if section.encryption != "none" else ()
    options = Options(section.connections, section.timeout, asked)
    blobs = S3Blobs(address, options, part_bytes=section.part_bytes)
    return blobs, blobs if section.redirect else None


async def inspect_s3(settings: Settings) -> str:
    """What a start would find in S3, in words; changes nothing.

    Raises:
        SettingsError: the extra is missing.
        Unavailable: the server is not there, or refuses us.
    """
    blobs, _ = _open_blobs(settings)
    try:
        await blobs.check()
    finally:
        blobs.close()
    return "the bucket answers"


def _assemble(
    settings: Settings,
    metadata: Opened,
    blobs: Stored,
    redirects: Redirects | None,
    clock: Clock,
    count: Count,
    ids: SessionIds,
    extensions: list[Extension],
) -> Registry:
    policy = Policy(
        grace=_ms(settings.gc.grace),
        undo=_ms(settings.gc.undo),
        readers=_ms(settings.gc.readers),
        uploads=_ms(settings.uploads.expiry),
    )
    blob_service = BlobService(metadata, blobs, clock, policy.grace)
    observers, deciding = Observers(count), Deciding()
    core = CoreDoor(metadata, blob_service, observers)
    loaded = loader.contribute(extensions, settings, database=metadata, core=core, access=deciding, clock=clock)
    hooks = core.hooks = blob_service.hooks = _hooks(loaded)
    observers.add(loaded.all("observers"))
    dispatcher = Dispatcher(metadata, clock, loaded.all("reactions"), count)
    hooks.wake = dispatcher.wake
    authenticator, authorizer = _who_may(settings, metadata, loaded)
    deciding.authorizer = authorizer
    locations = Locations(settings.public_url, settings.proxy.trusted, client_cert=settings.proxy.client_cert)
    limits = UploadLimits(settings.blobs.inline_bytes, settings.blobs.max_bytes, settings.uploads.max_open)
    page_size = settings.paging.max_items
    members = Members(authorizer, loaded.all("members_only"))
    endpoints = table(
        BlobEndpoints(blob_service, members, redirects),
        UploadEndpoints(
            UploadService(metadata, blobs, clock, limits, ids, hooks), locations, authorizer, members, count
        ),
        ManifestEndpoints(
            ManifestService(metadata, clock, sparse=settings.manifests.sparse, hooks=hooks),
            locations,
            members,
            max_bytes=settings.manifests.max_bytes,
            max_tags=settings.manifests.max_tags,
        ),
        ListEndpoints(
            ListService(metadata, page_size), authorizer, members, page_size=page_size, extensions=loaded.routes()
        ),
    )
    router = ExtensionRouter([routes for _, _, routes in loaded.routes()])
    return Registry(
        settings=settings,
        metadata=metadata,
        blobs=blobs,
        clock=clock,
        collector=Collector(metadata, blobs, blobs, clock, policy, hooks),
        verifier=Verifier(metadata, blobs, blobs, clock),
        endpoints=endpoints,
        app=RegistryApp(
            endpoints,
            router,
            authenticator,
            authorizer,
            observers,
            locations,
            admissions=loaded.all("admissions"),
            aliases=loaded.all("aliases"),
            revision=metadata.revision,
            clock=clock,
        ),
        extensions=loaded,
        dispatcher=dispatcher,
        observers=observers,
    )


def _hooks(loaded: Loaded) -> Hooks:
    return Hooks(
        Listed(
            inspectors=[(found.name, inspector) for found, part in loaded.parts for inspector in part.inspectors],
            gates=loaded.all("gates"),
            projections=loaded.all("projections"),
            reactions=loaded.all("reactions"),
            pull_gates=loaded.all("pull_gates"),
        )
    )


def _who_may(settings: Settings, metadata: Metadata, loaded: Loaded) -> tuple[Authenticator, Authorizer]:
    authenticators: list[Authenticator] = loaded.all("authenticators")
    if settings.open:
        return Chain(authenticators, lenient=True), OpenAuthorizer()
    own = next((part.authorizer for _, part in loaded.parts if part.authorizer is not None), None)
    return Chain([*authenticators, AdminAuthenticator(metadata)]), Bounded(own or AdminAuthorizer())


async def prepare(settings: Settings) -> list[str]:
    """What happens once before any worker starts: migrations, the administrator's password at the first start, and
    whatever extensions make once.

    Returns lines for the operator. A password that had to be made up is among them; it is never stored in the clear or
    shown again.

    Raises:
        SettingsError: the file of the administrator's password cannot be used.
    """
    async with build(settings) as registry:
        if settings.bucket is not None:
            await registry.blobs.check()
        lines = [] if settings.open else await _administrator(registry)
        for _, part in registry.extensions.parts:
            if part.prepare is not None:
                lines += await part.prepare()
        return lines


async def _administrator(registry: Registry) -> list[str]:
    settings, given = registry.settings, None
    if settings.admin_password_file is not None:
        try:
            given = settings.admin_password_file.read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"admin_password_file: cannot be read ({type(error).__name__})") from None
    try:
        password = await ensure_admin(registry.metadata, given)
    except ValueError as error:
        raise SettingsError(f"admin_password_file: {error}") from None
    return [] if password is None else [f"made the user admin with the password {password}"]


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
