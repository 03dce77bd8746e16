"""Publishing a package: a gzipped tar with its `spec.yaml` becomes an OCI artifact of the kind spec.

    config   spec.yaml byte for byte    application/vnd.gati.spec.config.v1+yaml
    layer    the package byte for byte  application/vnd.gati.spec.layer.v1.tar+gzip
    referrer the signature, if it came  application/vnd.gati.spec.signature.v1

The same package again is the same artifact. Nothing is stored of a package that is not valid.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from gati_extensions.facades import package, signatures
from gati_extensions.facades.model import DependencyRequest, Published, Resolution, Resolved
from gati_extensions.facades.package import Package
from gati_extensions.facades.routes.doors import (
    KIND,
    MANIFEST_TYPE,
    PUBLISH,
    RESOLVE,
    TARBALL,
    Doors,
    dist,
    short,
)
from gati_extensions.kinds.api import Facts, Version, document_of, parse_version
from gati_extensions.resolve.api import ResolveRequest
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Call, Route, Transaction
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName, Tag

CONFIG = "application/vnd.gati.spec.config.v1+yaml"
SIGNATURE = "application/vnd.gati.spec.signature.v1"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"

OVERHEAD = 256 * 1024
"""Bytes of a form beside the package."""


def routes(doors: Doors) -> Sequence[Route]:
    """Below `/api/v1/`."""
    own = _Publishing(doors)
    return [
        Route("POST", "/api/v1/publish", PUBLISH, own.publish,
              "Publish a package: multipart/form-data with `package` and, if it is signed, `signature`.",
              answer=Published, status=201, max_body=doors.settings.max_package + OVERHEAD),
        Route("POST", "/api/v1/dependencies", RESOLVE, own.dependencies, "Choose versions that fit together.",
              body=DependencyRequest, answer=Resolution, max_body=4 * 1024 * 1024),
    ]  # fmt: skip


class _Publishing:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def publish(self, call: Call) -> Published:
        async with self._doors.turn():
            form, data = await self._doors.form(call)
            signature = form.get("signature")
            if signature is not None and not 0 < len(signature) <= signatures.MAX_SIGNATURE:
                raise RegistryError(
                    Code.INVALID, f"signature: has 1 to {signatures.MAX_SIGNATURE} bytes", detail={"field": "signature"}
                )
            found, facts = await asyncio.to_thread(self._checked, data)
            return await self._push(call, found, facts, data, signature)

    def _checked(self, data: bytes) -> tuple[Package, Facts]:
        """The package, and what its manifest says. Raises RegistryError."""
        found = package.read(data)
        facts = self._doors.catalogue.checked(KIND, CONFIG, found.manifest)
        if absent := package.missing(found, document_of(CONFIG, found.manifest)):
            raise RegistryError(
                Code.INVALID, f"spec.yaml names files that the package lacks: {', '.join(absent)}"[:1000],
                detail={"field": "package", "missing": absent},
            )  # fmt: skip
        return found, facts

    async def _push(self, call: Call, found: Package, facts: Facts, data: bytes, signature: bytes | None) -> Published:
        kernel, core, caller, request = self._doors.kernel, self._doors.kernel.core, call.caller, call.exchange
        repository = await kernel.database.read(lambda tx: self._doors.target(tx, call, facts.name))
        version = parse_version(facts.version)
        assert version is not None, "checked by the kind's model"
        tag = Tag.parse(version.tag)
        config = await core.push_blob(repository, found.manifest, caller, request)
        title = {"org.opencontainers.image.title": f"{repository.rpartition('/')[2]}-{version}.tar.gz"}
        layer = _descriptor(TARBALL, Digest.of(data), len(data), title)
        manifest = _manifest(
            f"application/vnd.gati.{KIND}.v1", _descriptor(CONFIG, config, len(found.manifest)), [layer]
        )
        # Only now: whoever may not push here does not learn what is here.
        before = await core.manifest(repository, tag)
        if before is not None and before.digest != Digest.of(manifest):
            raise RegistryError(
                Code.CONFLICT, f"{short(repository)}@{version} is published already with other content; publish the "
                "next version", detail={"package": f"{short(repository)}@{version}", "digest": before.digest},
            )  # fmt: skip
        await core.push_blob(repository, data, caller, request)
        digest = await core.push_manifest(repository, tag, manifest, MANIFEST_TYPE, caller, request)
        signed = None
        if signature is not None:
            signed = await self._sign(call, repository, digest, len(manifest), signature)

        async def standing(tx: Transaction) -> tuple[bool, Any]:
            draft = digest in await self._doors.namespaces.drafts(tx, repository)
            return draft, await self._doors.scan(tx, repository, version)

        draft, scan = await kernel.database.read(standing)
        return Published(
            package=f"{short(repository)}@{version}",
            state="draft" if draft else "published",
            dist=dist(repository, digest, version, json.loads(manifest)),
            signature=signed,
            scan_results=scan,
            warnings=[*facts.problems, *await self._about(call, facts, version)],
        )

    async def _sign(self, call: Call, repository: RepositoryName, digest: Digest, size: int, data: bytes) -> Digest:
        """Keep a signature beside what it signs."""
        core, caller, request = self._doors.kernel.core, call.caller, call.exchange
        for blob in (EMPTY, data):
            await core.push_blob(repository, blob, caller, request)
        manifest = _manifest(
            SIGNATURE, _descriptor(EMPTY_TYPE, Digest.of(EMPTY), len(EMPTY)),
            [_descriptor(SIGNATURE, Digest.of(data), len(data))], _descriptor(MANIFEST_TYPE, digest, size),
        )  # fmt: skip
        return await core.push_manifest(repository, None, manifest, MANIFEST_TYPE, caller, request)

    async def _about(self, call: Call, facts: Facts, version: Version) -> list[str]:
        """What is to be said of what it depends on: it is published all the same."""
        wanted = {one.name: one.constraint for one in facts.dependencies if one.type == "runtime" and not one.optional}
        if not wanted:
            return []
        try:
            found = await self._doors.resolving.resolve(
                call.identity, call.origin, ResolveRequest.model_validate({"requests": wanted})
            )
        except ValidationError as error:
            return [f"its dependencies cannot be resolved: {error.errors()[0]['msg']}"[:500]]
        except RegistryError as error:
            return [f"its dependencies cannot be resolved: {error.message}"[:500]]
        return [*found.warnings, *("; ".join(one.lines)[:1000] for one in found.conflicts)]

    async def dependencies(self, call: Call) -> Resolution:
        asked: DependencyRequest = call.body
        try:
            request = asked.request()
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
            field = "/".join(str(part) for part in problem["loc"])
            raise RegistryError(
                Code.INVALID, f"{field}: {problem['msg'].removeprefix('Value error, ')}", detail={"field": f"/{field}"}
            ) from None
        found = await self._doors.resolving.resolve(call.identity, call.origin, request)
        if found.conflicts:
            raise RegistryError(
                Code.CONFLICT, "\n".join(found.conflicts[0].lines),
                detail={"conflicts": [{"name": one.name, "lines": one.lines} for one in found.conflicts]},
            )  # fmt: skip
        assert found.lock is not None
        return Resolution(
            resolved=[
                Resolved(name=short(one.name), version=one.version, digest=one.digest,
                         dependencies={short(name): version for name, version in one.dependencies.items()})
                for one in found.packages
            ],
            graph=[
                (f"{short(one.name)}@{one.version}", f"{short(name)}@{version}")
                for one in found.packages for name, version in one.dependencies.items()
            ],
            lockfile=found.lock.model_dump(mode="json"),
            warnings=found.warnings,
        )  # fmt: skip


def _descriptor(
    media_type: str, digest: Digest, size: int, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    found: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
    return {**found, "annotations": dict(annotations)} if annotations else found


def _manifest(
    artifact_type: str, config: Mapping[str, Any], layers: Sequence[Any], subject: Mapping[str, Any] | None = None
) -> bytes:
    """The same bytes for the same content, so that publishing again changes nothing."""
    document = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": artifact_type, "config": config,
                "layers": list(layers), **({"subject": subject} if subject else {})}  # fmt: skip
    return json.dumps(document, separators=(",", ":")).encode()
