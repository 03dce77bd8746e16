"""A walk over everything that is asked of a registry all day, whatever it holds: what it costs is not to grow."""

from __future__ import annotations

from collections.abc import Iterable

from bench.artifacts import EMPTY, Blob, image_manifest
from bench.filling import CYCLE, Item, content, repository, tag

from gati_registry.bootstrap import Registry
from tests.core.support import Client

PAGE = 50
"""Items of the pages that are asked for."""


def sizes(repositories: int, manifests: int, large: int) -> Iterable[tuple[int, int]]:
    """Many repositories alike, and one among them (number `repositories // 2`) that holds far more than the others."""
    return ((number, large if number == repositories // 2 else manifests) for number in range(repositories))


async def walk(registry: Registry, client: Client, number: int, manifests: int) -> None:
    """Use one repository of a filled registry in all ways; it holds what `content` says, and more afterwards."""
    name, items = repository(number), list(content(number, manifests))
    await _read(client, name, items)
    await _push(client, name, number)
    await _delete(client, name, items)
    await registry.collector.run()


async def _read(client: Client, name: str, items: list[Item]) -> None:
    image, index = items[0].manifest.digest, items[CYCLE - 2].manifest.digest
    targets = [
        f"{name}/manifests/{tag(0)}",
        f"{name}/manifests/{image}",
        f"{name}/blobs/{items[0].blobs[-1].digest}",
        f"{name}/blobs/{EMPTY.digest}",
        f"{name}/tags/list?n={PAGE}",
        f"{name}/tags/list?n={PAGE}&last={tag(len(items) // 2)}",
        f"{name}/referrers/{index}",
        f"{name}/referrers/{index}?artifactType=application/vnd.bench.note",
        f"_catalog?n={PAGE}",
        f"_catalog?n={PAGE}&last={name}",
        f"_catalog?n={PAGE}&last=orgs/z",
    ]
    for target in targets:
        for method in ("GET", "HEAD"):
            answer = await client.request(method, f"/v2/{target}")
            assert answer.status == (405 if method == "HEAD" and answer.status == 405 else 200), (method, target)
    for unknown in (f"{name}/manifests/none", f"{name}/blobs/{Blob.of(b'never').digest}", "orgs/none/tags/list"):
        assert (await client.get(f"/v2/{unknown}")).status == 404


async def _push(client: Client, name: str, number: int) -> None:
    layer, other = Blob.of(f"new of {number}".encode()), Blob.of(f"other of {number}".encode())
    subject = Blob.of(b"", "application/octet-stream")
    for blob in (EMPTY, layer):
        assert (await client.push_blob(name, blob.data)).status == 201
    location = await client.start_upload(name)
    patched = await client.request("PATCH", location, other.data, {"Content-Range": f"0-{len(other.data) - 1}"})
    assert patched.status == 202
    closed = await client.request("PUT", f"{patched.headers['location'].partition('?')[0]}?digest={other.digest}")
    assert closed.status == 201
    image = image_manifest(EMPTY, [layer, other], annotations={"number": str(number)})
    referrer = image_manifest(EMPTY, [EMPTY], artifact_type="application/vnd.bench.note", subject=subject)
    for manifest, reference in ((image, "new"), (image, "again"), (referrer, referrer.digest)):
        assert (await client.push_manifest(name, reference, manifest.data)).status == 201
    mounted = await client.request("POST", f"/v2/orgs/fresh/app/blobs/uploads/?mount={layer.digest}&from={name}")
    assert mounted.status == 201


async def _delete(client: Client, name: str, items: list[Item]) -> None:
    used, loose = items[1].blobs[-1].digest, Blob.of(b"loose")
    assert (await client.request("DELETE", f"/v2/{name}/manifests/{tag(0)}")).status == 202
    assert (await client.request("DELETE", f"/v2/{name}/manifests/{items[0].manifest.digest}")).status == 202
    assert (await client.request("DELETE", f"/v2/{name}/blobs/{used}")).status in (202, 405, 409)
    assert (await client.push_blob(name, loose.data)).status == 201
    assert (await client.request("DELETE", f"/v2/{name}/blobs/{loose.digest}")).status == 202
