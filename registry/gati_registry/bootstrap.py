"""The only place that builds objects: adapters from settings, services from adapters, endpoints from services."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gati_registry import loader
from gati_registry.auth.admin import AdminAuthenticator, AdminAuthorizer, ensure_admin
from gati_registry.auth.chain import Bounded, Chain
from gati_registry.auth.open import OpenAuthorizer
from gati_registry.clock import SystemClock
from gati_registry.domain.gc import Policy
from gati_registry.domain.upload import SessionIds
from gati_registry.errors import Unavailable
from gati_registry.extension import ENABLED_FACT, Extension
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
from gati_registry.ports import (
    Authenticator,
    Authorizer,
    BlobStore,
    Clock,
    Housekeeping,
    MasterKey,
    Metadata,
    Receiving,
    Redirects,
    StagedReading,
)
from gati_registry.service.blobs import BlobService
from gati_registry.service.collect import Collector
from gati_registry.service.core import CoreDoor, Deciding, Pushing
from gati_registry.service.hooks import Hooks, Listed
from gati_registry.service.keys import KeyService
from gati_registry.service.lists import ListService
from gati_registry.service.manifests import ManifestService
from gati_registry.service.observers import Observers
from gati_registry.service.outbox import Dispatcher
from gati_registry.service.uploads import UploadLimits, UploadService, session_key
from gati_registry.service.verify import Verifier
from gati_registry.settings import S3Bucket, Settings, SettingsError
from gati_registry.storage.filesystem import FilesystemBlobs, make_folder

if TYPE_CHECKING:
    from gati_registry.keys import AwsCredentials
    from gati_registry.metadata.postgresql import Server
    from gati_registry.storage.encrypted import Keyring
    from gati_registry.storage.s3 import Address, Bucket, Options


class Opened(Metadata, Protocol):
    """A database whose schema is current; with the names of the migrations that were run for it."""

    migrations_run: list[str]


class Stored(BlobStore, Housekeeping, Protocol):
    """A blob store with all its sides."""

    def close(self) -> None:
        """Let go of it."""


class Plain(Stored, StagedReading, Receiving, Protocol):
    """One that stores bytes as they come."""


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
    keys: KeyService | None
    ring: Keyring | None


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
    metadata = await open_metadata(settings, extensions)
    try:
        plain, redirects = open_blobs(settings)
        blobs: Stored = plain
        try:
            keys, ring = None, await open_keyring(settings, metadata, clock)
            if ring is not None:
                from gati_registry.storage.encrypted import EncryptedBlobs, EncryptedMetadata

                keys, encrypting = KeyService(metadata, ring.master, clock), settings.encryption.new
                metadata = EncryptedMetadata(metadata, ring, encrypting=encrypting)
                blobs = EncryptedBlobs(plain, ring, encrypting=encrypting)
            ids = SessionIds(await session_key(metadata), _ms(settings.uploads.expiry))
            registry = _assemble(settings, metadata, blobs, redirects, clock, count, ids, extensions, keys, ring)
            try:
                yield registry
            finally:
                for close in registry.extensions.closing():
                    await close()
        finally:
            blobs.close()
    finally:
        await metadata.close()


async def open_metadata(settings: Settings, extensions: list[Extension]) -> Opened:
    """The database that the settings name, brought to this version's schema; closed by the caller."""
    if not settings.shared_metadata:
        make_folder(str(settings.metadata_path.parent))
        return SqliteMetadata(settings.metadata_path, loader.migrations(extensions, "sqlite"))
    server, replica = postgresql_servers(settings)
    from gati_registry.metadata.postgresql import PostgresMetadata

    return await PostgresMetadata.open(server, loader.migrations(extensions, "postgresql"), replica=replica)


async def inspect_postgresql(settings: Settings) -> str:
    """What a start would find in the shared database, in words; changes nothing.

    Raises:
        SettingsError: `metadata_url` cannot be understood, or the extra is missing.
        Unavailable: the server is not there, or not to be trusted.
        MigrationError: the database belongs to another version.
    """
    server = postgresql_server(settings)
    from gati_registry.metadata.postgresql import inspect

    return await inspect(server, loader.migrations(loader.declared(settings.extensions), "postgresql"))


def postgresql_server(settings: Settings) -> Server:
    """The server that `metadata_url` names.

    Raises:
        SettingsError: it cannot be understood, or the extra is missing.
    """
    return postgresql_servers(settings)[0]


def postgresql_servers(settings: Settings) -> tuple[Server, Server | None]:
    """The database, and the standby for reads that may lag.

    Raises:
        SettingsError: one of them cannot be understood, or the extra is missing.
    """
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
        lag=section.max_lag,
    )

    def parsed(name: str, url: str) -> Server:
        try:
            return Server.parse(url, limits, _libpq_tls(settings))
        except ValueError as error:
            raise SettingsError(f"{name}: {error}") from None

    standby = settings.metadata_read_url
    return parsed("metadata_url", settings.metadata_url or ""), (
        parsed("metadata_read_url", standby) if standby is not None else None
    )


def _libpq_tls(settings: Settings) -> dict[str, str]:
    """Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS."""
    found = {"ssl_min_protocol_version": f"TLSv{settings.tls.min_version}"}
    if settings.tls.ca is not None:
        found["sslrootcert"] = str(settings.tls.ca)
    return found


def open_blobs(settings: Settings) -> tuple[Plain, Redirects | None]:
    """The blob store; also as what tells clients where to fetch blobs, if they are to."""
    if settings.bucket is None:
        return FilesystemBlobs(settings.blobs_path), None
    address, options = _s3(settings, settings.bucket)
    from gati_registry.storage.s3 import S3Blobs

    blobs = S3Blobs(address, options, part_bytes=settings.s3.part_bytes)
    return blobs, blobs if settings.s3.redirect else None


def open_bucket(settings: Settings) -> Bucket:
    """The bucket of `blobs_url` for something else than blobs; closed by the caller.

    Raises:
        SettingsError: the extra is missing.
    """
    assert settings.bucket is not None
    address, options = _s3(settings, settings.bucket)
    from gati_registry.storage.s3 import Bucket

    return Bucket(address, options)


def _s3(settings: Settings, bucket: S3Bucket) -> tuple[Address, Options]:
    if not find_spec("minio"):
        raise SettingsError("blobs_url: s3 needs the extra `s3`; install it with: pip install 'gati-registry[s3]'")
    from gati_registry.storage.s3 import Address, Options, encryption

    section = settings.s3
    asked = encryption(section.kms_key) if section.encryption in {"sse-s3", "sse-kms"} else ()
    ca = str(settings.tls.ca) if settings.tls.ca is not None else None
    options = Options(
        section.connections,
        section.timeout,
        asked,
        ca=ca,
        tls12=settings.tls.min_version == "1.2",
        customer=_customer_key(section.customer_key_file),
        kms_keys=tuple(
            sorted(
                ((prefix.strip("/"), key) for prefix, _, key in (item.partition("=") for item in section.kms_keys)),
                key=lambda pair: -len(pair[0]),
            )
        ),
    )
    return Address(bucket.name, bucket.prefix, bucket.endpoint, bucket.region), options


async def open_keyring(settings: Settings, metadata: Metadata, clock: Clock) -> Keyring | None:
    """The keys of encrypted content; None where nothing is encrypted.

    Raises:
        SettingsError: something is, and the settings name no master key.
        Unavailable: the master key is not to be had, or is another one.
    """
    master = master_key(settings)
    if master is None:
        if await metadata.read(lambda tx: tx.keys.page(0, 1)):
            raise SettingsError("encryption.master: the database holds encrypted content; name the master key")
        return None
    from gati_registry.storage.encrypted import Keyring

    ring = Keyring(metadata, master, clock)
    await ring.open()
    return ring


def master_key(settings: Settings) -> MasterKey | None:
    """Where the master key is, with others that once were and still unwrap; None where nothing is encrypted.

    Raises:
        SettingsError: the authorities' certificates cannot be read.
    """
    section = settings.encryption
    if section.master == "none":
        return None
    from gati_registry.keys import ChosenMasterKey, FileMasterKey, KeyServer, KmsMasterKey, VaultMasterKey

    masters: dict[str, MasterKey] = {}
    if section.file is not None:
        masters["file"] = FileMasterKey(section.file)
    if section.vault_url is not None and section.vault_token_file is not None:
        server = KeyServer("Vault", section.vault_url, client_context(settings))
        masters["vault"] = VaultMasterKey(server, section.vault_mount, section.vault_key, section.vault_token_file)
    if section.kms_key is not None:
        endpoint = section.kms_endpoint or f"https://kms.{section.kms_region}.amazonaws.com"
        server = KeyServer("KMS", endpoint, client_context(settings))
        masters["kms"] = KmsMasterKey(server, section.kms_region, section.kms_key, _aws_credentials)
    return ChosenMasterKey(section.master, masters)


def client_context(settings: Settings) -> ssl.SSLContext:
    """TLS to a server that we ask.

    Raises:
        SettingsError: the authorities' certificates cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=settings.tls.ca)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"tls.ca: cannot be read ({type(error).__name__})") from None
    newest_only = settings.tls.min_version == "1.3"
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if newest_only else ssl.TLSVersion.TLSv1_2
    return context


def _aws_credentials() -> AwsCredentials:
    from gati_registry.keys import AwsCredentials

    access, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not access or not secret:
        raise Unavailable("KMS: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", retry_after=30)
    return AwsCredentials(access, secret, os.environ.get("AWS_SESSION_TOKEN") or None)


def _customer_key(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"s3.customer_key_file: others may read it; run: chmod 600 {path}")
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise SettingsError(f"s3.customer_key_file: cannot be read ({error.strerror})") from None
    except ValueError:
        key = b""
    if len(key) != 32:
        raise SettingsError("s3.customer_key_file: expected 64 hexadecimal digits")
    return key


async def inspect_s3(settings: Settings) -> str:
    """What a start would find in S3, in words; changes nothing.

    Raises:
        SettingsError: the extra is missing.
        Unavailable: the server is not there, or refuses us.
    """
    blobs, _ = open_blobs(settings)
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
    keys: KeyService | None,
    ring: Keyring | None,
) -> Registry:
    policy = Policy(
        grace=_ms(settings.gc.grace),
        undo=_ms(settings.gc.undo),
        readers=_ms(settings.gc.readers),
        uploads=_ms(settings.uploads.expiry),
    )
    blob_service = BlobService(metadata, blobs, clock, policy.grace)
    observers, deciding = Observers(count), Deciding()
    core = CoreDoor(metadata, blob_service, observers, deciding)
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
    uploads = UploadService(metadata, blobs, clock, limits, ids, hooks)
    manifests = ManifestService(metadata, clock, sparse=settings.manifests.sparse, hooks=hooks)
    core.pushing = Pushing(uploads, manifests)
    endpoints = table(
        BlobEndpoints(blob_service, members, redirects),
        UploadEndpoints(uploads, locations, authorizer, members, count),
        ManifestEndpoints(
            manifests,
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
        keys=keys,
        ring=ring,
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
        names = " ".join(sorted(extension.name for extension, _ in registry.extensions.parts))
        await registry.metadata.write(lambda tx: tx.leases.set_fact(ENABLED_FACT, names))
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
