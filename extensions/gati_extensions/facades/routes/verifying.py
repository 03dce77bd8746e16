"""Verifying a package: are these the bytes that were published, and did the holder of a named key sign them?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from gati_extensions.facades import package, signatures
from gati_extensions.facades.model import Integrity, ScanResults, Signature, Verification
from gati_extensions.facades.routes.doors import (
    KIND,
    RESOLVE,
    Doors,
    no_package,
    no_version,
    release_of,
    tarball,
)
from gati_extensions.facades.routes.publishing import CONFIG, OVERHEAD, SIGNATURE
from gati_extensions.facades.signatures import Key
from gati_extensions.kinds.api import Release, parse_version
from gati_registry.extension import Call, Route, Transaction
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName

MOST_SIGNATURES = 20
"""Signatures of one version that are tried."""


def routes(doors: Doors) -> Sequence[Route]:
    """Below `/api/v1/`."""
    own = _Verifying(doors)
    return [
        Route("POST", "/api/v1/verify", RESOLVE, own.verify,
              "Verify a package: multipart/form-data with `package`, `key` (PEM) and `signature`; without a signature "
              "those that were published with it are tried.",
              answer=Verification, max_body=doors.settings.max_package + OVERHEAD),
    ]  # fmt: skip


class _Verifying:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def verify(self, call: Call) -> Verification:
        async with self._doors.turn():
            form, data = await self._doors.form(call)
            key = signatures.key_of(form["key"]) if "key" in form else None
            found = await asyncio.to_thread(package.read, data)
            facts = await asyncio.to_thread(self._doors.catalogue.checked, KIND, CONFIG, found.manifest)
            release = await self._release(call, facts.name, facts.version)
            integrity = await self._integrity(release, data)
            given = form.get("signature")
            tried = [given] if given is not None else await self._signatures(release)
            signature = await asyncio.to_thread(_signature, key, tried, data, given is not None)

            async def scan(tx: Transaction) -> ScanResults:
                return await self._doors.scan(tx, release.repository, release.version)

            return Verification(
                package=f"{facts.name}@{release.version}",
                verified=integrity.status == "match" and signature.status == "valid",
                integrity=integrity,
                signature=signature,
                scan_results=await self._doors.kernel.database.read(scan),
            )

    async def _release(self, call: Call, name: str, version: str) -> Release:
        found = await self._doors.kernel.database.scan(lambda tx: self._doors.package(tx, call, name))
        if found is None:
            raise no_package(name)
        release = release_of(found.releases.releases, version)
        if release is None or parse_version(version) is None:
            raise no_version(name, version)
        return release

    async def _integrity(self, release: Release, data: bytes) -> Integrity:
        layer = tarball(await self._doors.manifest(release.repository, release.digest))
        if layer is None:
            return Integrity(status="unpublished", expected=None, found=Digest.of(data))
        expected = Digest.parse(layer["digest"])
        digest = await asyncio.to_thread(Digest.of, data, expected.algorithm)
        return Integrity(status="match" if digest == expected else "mismatch", expected=expected, found=digest)

    async def _signatures(self, release: Release) -> list[bytes]:
        """Those that were published with it."""
        repository, subject = RepositoryName(release.repository), Digest(release.digest)
        listed = await self._doors.kernel.database.read(
            lambda tx: tx.manifests.referrers(repository, subject, SIGNATURE, "", MOST_SIGNATURES)
        )
        out = []
        for digest, _ in listed:
            manifest: Mapping[str, Any] = await self._doors.manifest(repository, digest)
            layers = manifest.get("layers") or [{}]
            found = await self._doors.blob(repository, str(layers[0].get("digest")), signatures.MAX_SIGNATURE)
            if found is not None:
                out.append(found)
        return out


def _signature(key: Key | None, tried: Sequence[bytes], data: bytes, given: bool) -> Signature:
    if not tried:
        return Signature(status="absent", reason="it was published without a signature, and none was sent")
    if key is None:
        return Signature(status="unknown", reason="send the signer's public key as the field `key`")
    if any(signatures.verify(key, one, data) for one in tried):
        return Signature(status="valid", reason="the key's holder signed exactly this package")
    which = "the signature that was sent" if given else "none of the published signatures"
    return Signature(status="invalid", reason=f"{which} is {'not ' if given else ''}by this key over this package")
