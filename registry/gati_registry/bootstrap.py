"""The only place that builds objects: adapters from settings, services from adapters, endpoints from services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gati_registry.auth.admin import AdminAuthenticator, AdminAuthorizer, ensure_admin
from gati_registry.auth.open import OpenAuthenticator, OpenAuthorizer
from gati_registry.clock import SystemClock
from gati_registry.domain.gc import Policy
from gati_registry.http.blobs import BlobEndpoints
from gati_registry.http.lists import ListEndpoints
from gati_registry.http.locations import Locations
from gati_registry.http.manifests import ManifestEndpoints
from gati_registry.http.registry import RegistryApp, table
from gati_registry.http.routes import Table
from gati_registry.http.uploads import Count, UploadEndpoints
from gati_registry.metadata.sqlite import SqliteMetadata
from gati_registry.ports import Authenticator, Authorizer, Clock
from gati_registry.service.blobs import BlobService
from gati_registry.service.collect import Collector
from gati_registry.service.lists import ListService
from gati_registry.service.manifests import ManifestService
from gati_registry.service.uploads import UploadLimits, UploadService
from gati_registry.service.verify import Verifier
from gati_registry.settings import Settings, SettingsError
from gati_registry.storage.filesystem import FilesystemBlobs, make_folder


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything a process needs, built; `build` closes it."""

    settings: Settings
    metadata: SqliteMetadata
    blobs: FilesystemBlobs
    clock: Clock
    collector: Collector
    verifier: Verifier
    endpoints: Table
    app: RegistryApp


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
    make_folder(str(settings.metadata_path.parent))
    metadata = SqliteMetadata(settings.metadata_path)
    try:
        blobs = FilesystemBlobs(settings.blobs_path)
        try:
            yield _assemble(settings, metadata, blobs, clock, count)
        finally:
            blobs.close()
    finally:
        await metadata.close()


def _assemble(
    settings: Settings, metadata: SqliteMetadata, blobs: FilesystemBlobs, clock: Clock, count: Count
) -> Registry:
    policy = Policy(
        grace=_ms(settings.gc.grace),
        undo=_ms(settings.gc.undo),
        readers=_ms(settings.gc.readers),
        uploads=_ms(settings.uploads.expiry),
    )
    authenticator: Authenticator = OpenAuthenticator() if settings.open else AdminAuthenticator(metadata)
    authorizer: Authorizer = OpenAuthorizer() if settings.open else AdminAuthorizer()
    locations = Locations(settings.public_url, settings.proxy.trusted)
    limits = UploadLimits(settings.blobs.inline_bytes, settings.blobs.max_bytes, settings.uploads.max_open)
    page_size = settings.paging.max_items
    endpoints = table(
        BlobEndpoints(BlobService(metadata, blobs, clock, policy.grace)),
        UploadEndpoints(UploadService(metadata, blobs, clock, limits), locations, authorizer, count),
        ManifestEndpoints(
            ManifestService(metadata, clock, sparse=settings.manifests.sparse),
            locations,
            max_bytes=settings.manifests.max_bytes,
            max_tags=settings.manifests.max_tags,
        ),
        ListEndpoints(ListService(metadata, page_size), authorizer, page_size=page_size),
    )
    return Registry(
        settings=settings,
        metadata=metadata,
        blobs=blobs,
        clock=clock,
        collector=Collector(metadata, blobs, blobs, clock, policy),
        verifier=Verifier(metadata, blobs, blobs, clock),
        endpoints=endpoints,
        app=RegistryApp(endpoints, authenticator, authorizer),
    )


async def prepare(settings: Settings) -> str | None:
    """What happens once before any worker starts: migrations, and the administrator's password at the first start.

    Returns the password if it had to be made up; it is never stored in the clear or shown again.

    Raises:
        SettingsError: the file of the administrator's password cannot be used.
    """
    async with build(settings) as registry:
        if settings.open:
            return None
        given = None
        if settings.admin_password_file is not None:
            try:
                given = settings.admin_password_file.read_text(encoding="utf-8").partition("\n")[0].strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"admin_password_file: cannot be read ({type(error).__name__})") from None
        try:
            return await ensure_admin(registry.metadata, given)
        except ValueError as error:
            raise SettingsError(f"admin_password_file: {error}") from None


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
