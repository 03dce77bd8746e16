"""Pushes, pulls, copies and layouts, against our registry and beside other clients."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import oras.client
import pytest

from gati_client import (
    BytesSource,
    Client,
    Conflict,
    Descriptor,
    FileSource,
    GatiError,
    Integrity,
    Layer,
    NotFound,
    SyncClient,
)
from gati_client.transfer.hashing import digest_of
from gati_client.transfer.model import EMPTY, INDEX, MANIFEST, Manifest
from tests.client.conftest import Guarded
from tests.client.support import QUICK, Request, answer, answering, gather, linked
from tests.clients.programs import PROGRAMS, require
from tests.support.server import RegistryProcess, free_port, wait_for

KIND = "application/vnd.example.thing.v1"
OCTETS = "application/octet-stream"


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


async def push(client: Client, repository: str, *layers: Layer, tags: tuple[str, ...] = ("v1",)) -> Descriptor:
    return await client.artifacts.push(
        repository, artifact_type=KIND, config=b"{}", config_type=EMPTY, layers=layers, tags=tags
    )


def noise(path: Path, size: int) -> Path:
    path.write_bytes(os.urandom(size))
    return path


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1 << 20, (1 << 20) + 1, (20 << 20) + 12345])
def test_there_and_back(registry: RegistryProcess, tmp_path: Path, size: int) -> None:
    """Every way of sending and fetching: in one request, in chunks, in ranges."""
    file = noise(tmp_path / "file", size)
    steps: list[tuple[str, int, int]] = []

    async def test() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            repository = f"library/there-{size}"
            pushed = await client.artifacts.push(
                repository,
                artifact_type=KIND,
                config=b"{}",
                config_type=EMPTY,
                layers=[Layer(FileSource(file), OCTETS, "file"), Layer(BytesSource(b"twice"), "text/plain")],
                annotations={"a": "ä"},
                tags=["v1", "v2"],
                progress=lambda *step: steps.append(step),
            )
            manifest = await client.artifacts.manifest(repository, "v2")
            assert manifest.digest == pushed.digest
            assert manifest.artifact_type == KIND
            assert manifest.annotations == {"a": "ä"}
            assert [layer.title for layer in manifest.layers] == ["file", None]
            assert await gather(client.artifacts.tags(repository)) == ["v1", "v2"]
            await client.artifacts.download(repository, manifest.layers[0], tmp_path / "out")
            assert (tmp_path / "out").read_bytes() == file.read_bytes()
            assert await client.artifacts.blob(repository, manifest.layers[1]) == b"twice"
        assert {path.name for path in tmp_path.iterdir()} == {"file", "out"}
        assert ("file", size, size) in steps

    run(test)


def test_what_is_there_is_not_sent_again(registry: RegistryProcess, tmp_path: Path) -> None:
    """Pushed again, and mounted into another repository: the bytes stay where they are."""
    file = noise(tmp_path / "file", 8 << 20)

    async def test() -> None:
        with linked(registry.port) as link:
            for repository in ("library/sent", "library/sent", "library/mounted"):
                async with Client(link.host, patience=QUICK) as client:
                    await push(client, repository, Layer(FileSource(file), OCTETS))
            assert link.up < 9 << 20

    run(test)


def test_the_same_bytes_twice_in_one_push(registry: RegistryProcess, tmp_path: Path) -> None:
    async def test() -> None:
        data = os.urandom(4 << 20)
        with linked(registry.port) as link:
            async with Client(link.host, patience=QUICK) as client:
                await push(client, "library/same", *(Layer(BytesSource(data), OCTETS, str(n)) for n in range(4)))
                assert len((await client.artifacts.manifest("library/same", "v1")).layers) == 4
            assert link.up < 5 << 20

    run(test)


def test_an_upload_over_a_link_that_breaks(registry: RegistryProcess, tmp_path: Path) -> None:
    """It goes on where it was: most bytes are sent once."""
    size = 32 << 20
    file = noise(tmp_path / "file", size)

    async def test() -> None:
        with linked(registry.port) as link:
            link.cuts = [5 << 20, 14 << 20, 25 << 20]
            async with Client(link.host) as client:
                await push(client, "library/broken-up", Layer(FileSource(file), OCTETS))
            assert link.broken == 3
            assert link.up < size * 1.25
        async with Client(registry.host, patience=QUICK) as client:
            layer = (await client.artifacts.manifest("library/broken-up", "v1")).layers[0]
            await client.artifacts.download("library/broken-up", layer, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == file.read_bytes()

    run(test)


def test_a_download_over_a_link_that_breaks(registry: RegistryProcess, tmp_path: Path) -> None:
    size = 64 << 20
    file = noise(tmp_path / "file", size)

    async def test() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            await push(client, "library/broken-down", Layer(FileSource(file), OCTETS))
        with linked(registry.port) as link:
            link.cuts = [8 << 20, 30 << 20, 50 << 20]
            async with Client(link.host) as client:
                layer = (await client.artifacts.manifest("library/broken-down", "v1")).layers[0]
                await client.artifacts.download("library/broken-down", layer, tmp_path / "out")
            assert link.broken == 3
            assert link.down < size * 1.5
        assert (tmp_path / "out").read_bytes() == file.read_bytes()

    run(test)


def test_a_download_goes_on_in_another_process(registry: RegistryProcess, tmp_path: Path) -> None:
    """What came before a failure is not fetched again."""
    size = 64 << 20
    file = noise(tmp_path / "file", size)
    path = tmp_path / "out"

    async def test() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            await push(client, "library/gone-on", Layer(FileSource(file), OCTETS))
            layer = (await client.artifacts.manifest("library/gone-on", "v1")).layers[0]

            class Stop(Exception):
                pass

            def stop(what: str, done: int, total: int) -> None:
                if done > 40 << 20:
                    raise Stop

            with pytest.raises(Stop):
                await client.artifacts.download("library/gone-on", layer, path, stop)
        assert not path.exists()
        assert json.loads((tmp_path / "out.partial.json").read_text())["done"]
        with linked(registry.port) as link:
            async with Client(link.host, patience=QUICK) as client:
                await client.artifacts.download("library/gone-on", layer, path)
            assert link.down < 56 << 20
        assert path.read_bytes() == file.read_bytes()
        assert {each.name for each in tmp_path.iterdir()} == {"file", "out"}

    run(test)


def test_what_an_earlier_try_left_is_not_trusted(registry: RegistryProcess, tmp_path: Path) -> None:
    """Bytes that were lost since (a power cut) are fetched again."""
    file = noise(tmp_path / "file", 20 << 20)
    path = tmp_path / "out"

    async def test() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            await push(client, "library/lost", Layer(FileSource(file), OCTETS))
            layer = (await client.artifacts.manifest("library/lost", "v1")).layers[0]
            (tmp_path / "out.partial").write_bytes(bytes(20 << 20))
            note = {"digest": layer.digest, "size": layer.size, "segment": 8 << 20, "done": [0, 1]}
            (tmp_path / "out.partial.json").write_text(json.dumps(note))
            await client.artifacts.download("library/lost", layer, path)
        assert path.read_bytes() == file.read_bytes()

    run(test)


def test_one_process_at_a_time_downloads_a_file(registry: RegistryProcess, tmp_path: Path) -> None:
    file = noise(tmp_path / "file", 40 << 20)

    async def test() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            await push(client, "library/two", Layer(FileSource(file), OCTETS))
            layer = (await client.artifacts.manifest("library/two", "v1")).layers[0]
            results = await asyncio.gather(
                *(client.artifacts.download("library/two", layer, tmp_path / "out") for _ in range(2)),
                return_exceptions=True,
            )
            assert [type(each) for each in results if each is not None] == [Conflict]
        assert (tmp_path / "out").read_bytes() == file.read_bytes()

    run(test)


def test_a_server_without_ranges(tmp_path: Path) -> None:
    """One that answers all with the whole is read in one stream."""
    data = os.urandom(20 << 20)

    async def test() -> None:
        async with answering(answer(200, data)) as server, Client(server.host, patience=QUICK) as client:
            await client.artifacts.download("a/b", Descriptor(OCTETS, digest_of(data), len(data)), tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == data

    run(test)


def test_a_registry_without_blobs_in_one_request(tmp_path: Path) -> None:
    """202 instead of 201: the bytes follow."""
    stored: list[bytes] = []

    def respond(request: Request) -> bytes:
        if request.method == "POST":
            return answer(202, headers={"Location": "/v2/a/b/blobs/uploads/s?state=a%2Fb"})
        if request.path.endswith("/s"):
            assert request.target.endswith(f"?state=a%2Fb&digest={digest_of(request.body)}")
            stored.append(request.body)
        return answer(201)

    async def test() -> None:
        async with answering(respond) as server, Client(server.host, patience=QUICK) as client:
            await push(client, "a/b", Layer(BytesSource(b"layer"), OCTETS))
        assert sorted(stored) == [b"layer", b"{}"]

    run(test)


def test_sha512(registry: RegistryProcess, tmp_path: Path) -> None:
    file = noise(tmp_path / "file", 3 << 20)
    digest = f"sha512:{hashlib.sha512(file.read_bytes()).hexdigest()}"

    async def test() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            await push(client, "library/sha512", Layer(FileSource(file, digest), OCTETS))
            layer = (await client.artifacts.manifest("library/sha512", "v1")).layers[0]
            assert layer.digest == digest
            await client.artifacts.download("library/sha512", layer, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == file.read_bytes()

    run(test)


def test_a_file_that_is_not_what_its_digest_says(registry: RegistryProcess, tmp_path: Path) -> None:
    """Whoever told a wrong digest hears so from the registry."""
    file = noise(tmp_path / "file", 2 << 20)

    async def test() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            with pytest.raises(Integrity):
                await push(client, "library/wrong", Layer(FileSource(file, digest_of(b"other")), OCTETS))

    run(test)


def test_referrers_and_copies(registry: RegistryProcess, tmp_path: Path) -> None:
    """An index, its children, what refers to them and what refers to that arrive byte for byte at another registry."""
    big = noise(tmp_path / "big", 3 << 20)

    async def test() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            artifacts = client.artifacts
            children = [await push(client, "library/from", Layer(FileSource(big), OCTETS, str(n))) for n in range(2)]
            document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [each.document() for each in children]}
            raw = json.dumps(document).encode()
            index = Manifest.read(digest_of(raw), INDEX, raw)
            await artifacts.put_manifest("library/from", index, ["all"])
            signature = await artifacts.push(
                "library/from", artifact_type="a/sig", config=b"{}", config_type=EMPTY, layers=[], subject=children[0]
            )
            second = await artifacts.push(
                "library/from", artifact_type="a/of", config=b"{}", config_type=EMPTY, layers=[], subject=signature
            )
            assert [each.digest for each in await artifacts.referrers("library/from", children[0].digest, "a/sig")] == [
                signature.digest
            ]
            copied = await artifacts.copy(client, "library/from", "all", "library/to", "copy")
            assert copied.digest == index.digest
            await artifacts.export_layout("library/from", ["all"], tmp_path / "layout")
            await artifacts.import_layout(tmp_path / "layout", "library/again")
            for repository, tag in (("library/to", "copy"), ("library/again", "all")):
                assert (await artifacts.manifest(repository, tag)).raw == raw
                assert [each.digest for each in await artifacts.referrers(repository, children[0].digest)] == [
                    signature.digest
                ]
                assert [each.digest for each in await artifacts.referrers(repository, signature.digest)] == [
                    second.digest
                ]
                layer = (await artifacts.manifest(repository, children[1].digest)).layers[0]
                await artifacts.download(repository, layer, tmp_path / "out")
                assert (tmp_path / "out").read_bytes() == big.read_bytes()

    run(test)


def test_a_layout_with_a_changed_blob(registry: RegistryProcess, tmp_path: Path) -> None:
    layout = tmp_path / "layout"

    async def test() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            pushed = await push(client, "library/lay", Layer(BytesSource(b"x" * 100), OCTETS))
            await client.artifacts.export_layout("library/lay", ["v1"], layout)
            with pytest.raises(NotFound):
                await client.artifacts.import_layout(tmp_path / "none", "library/none")
            blob = layout / "blobs" / "sha256" / digest_of(b"x" * 100).partition(":")[2]
            blob.write_bytes(b"y" * 100)
        async with Client(registry.host, patience=QUICK) as client:  # one that does not remember where the blob is
            with pytest.raises(Integrity):
                await client.artifacts.import_layout(layout, "library/changed")
            blob.unlink()
            with pytest.raises(GatiError):
                await client.artifacts.import_layout(layout, "library/changed")
            (layout / "blobs" / "sha256" / pushed.digest.partition(":")[2]).write_bytes(b"{}")
            with pytest.raises(Integrity):
                await client.artifacts.import_layout(layout, "library/changed")

    run(test)


def test_blocking(registry: RegistryProcess, tmp_path: Path) -> None:
    """The same names without asyncio."""
    with SyncClient(registry.host, patience=QUICK) as client:
        pushed = client.artifacts.push(
            "library/blocking", artifact_type=KIND, config=b"{}", config_type=EMPTY, layers=[], tags=["v1", "v2"]
        )
        assert client.artifacts.manifest("library/blocking", "v1").digest == pushed.digest
        assert list(client.artifacts.tags("library/blocking")) == ["v1", "v2"]
        assert client.artifacts.copy(client, "library/blocking", "v1", "library/blocked", "1.0.0") == pushed
        assert "kinds" in client.features()
        assert [version.tag for version in client.versions.list("library/blocked")] == ["1.0.0"]
        with pytest.raises(NotFound):
            client.artifacts.manifest("library/absent", "v1")
        with pytest.raises(AttributeError):
            _ = client.nothing  # type: ignore[attr-defined]  # which is what is tested


# --- beside other clients ---------------------------------------------------------------------------------------


def _oras(folder: Path, *arguments: str) -> str:
    command = [str(require("oras")), *arguments, "--plain-http"]
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.client
def test_the_oras_command_pulls_what_we_pushed_and_the_other_way_round(
    registry: RegistryProcess, tmp_path: Path
) -> None:
    """Files, types, subjects and annotations, byte for byte."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    big = noise(tmp_path / "in" / "big.bin", 10 << 20)

    async def ours() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            small = Layer(BytesSource(b"small"), "text/plain", "small.txt")
            pushed = await push(client, "library/for-oras", Layer(FileSource(big), OCTETS, "big.bin"), small)
            await client.artifacts.push(
                "library/for-oras", artifact_type="a/sig", config=b"{}", config_type=EMPTY, layers=[], subject=pushed
            )

    run(ours)
    _oras(tmp_path / "out", "pull", f"{registry.host}/library/for-oras:v1")
    assert (tmp_path / "out" / "big.bin").read_bytes() == big.read_bytes()
    assert (tmp_path / "out" / "small.txt").read_bytes() == b"small"
    found = json.loads(_oras(tmp_path, "discover", "--format", "json", f"{registry.host}/library/for-oras:v1"))
    assert [each["artifactType"] for each in found.get("referrers", found.get("manifests"))] == ["a/sig"]

    target = f"{registry.host}/library/from-oras:v1"
    _oras(tmp_path / "in", "push", "--artifact-type", KIND, "--annotation", "a=b", target, "big.bin:application/x-big")
    (tmp_path / "in" / "sbom").write_bytes(b"sbom")
    _oras(tmp_path / "in", "attach", "--artifact-type", "a/sbom", target, "sbom")

    async def theirs() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            manifest = await client.artifacts.manifest("library/from-oras", "v1")
            assert (manifest.artifact_type, manifest.annotations["a"]) == (KIND, "b")
            (layer,) = manifest.layers
            assert (layer.title, layer.media_type) == ("big.bin", "application/x-big")
            await client.artifacts.download("library/from-oras", layer, tmp_path / "pulled")
            assert (tmp_path / "pulled").read_bytes() == big.read_bytes()
            (attached,) = await client.artifacts.referrers("library/from-oras", manifest.digest)
            assert attached.artifact_type == "a/sbom"

    run(theirs)


@pytest.mark.client
def test_oras_py_pulls_what_we_pushed_and_the_other_way_round(
    registry: RegistryProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    big = noise(tmp_path / "big.bin", 5 << 20)
    data = big.read_bytes()
    library = oras.client.OrasClient(insecure=True)

    async def ours() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            await push(client, "library/for-py", Layer(FileSource(big), OCTETS, "big.bin"))

    run(ours)
    (pulled,) = library.pull(target=f"{registry.host}/library/for-py:v1", outdir=str(tmp_path / "out"))
    assert Path(pulled).read_bytes() == data
    assert library.push(target=f"{registry.host}/library/from-py:v1", files=["big.bin"]).status_code == 201

    async def theirs() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            (layer,) = (await client.artifacts.manifest("library/from-py", "v1")).layers
            await client.artifacts.download("library/from-py", layer, tmp_path / "pulled")
            assert (tmp_path / "pulled").read_bytes() == data

    run(theirs)


@contextmanager
def _distribution(folder: Path) -> Iterator[str]:
    program = PROGRAMS["distribution"].find()
    if program is None:
        pytest.skip("distribution is not here (make real-clients)")
    port = free_port()
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder}/store\nhttp:\n  addr: 127.0.0.1:{port}\n"
    )
    environment = {"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([str(program), "serve", str(config)], env=environment, stderr=log, stdout=log) as process,
    ):
        try:
            wait_for(lambda: "listening on" in (folder / "log").read_text(), timeout=60)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.mark.client
def test_a_registry_that_is_not_ours(registry: RegistryProcess, tmp_path: Path) -> None:
    """distribution: pushes in chunks, pulls in ranges, referrers by fallback tags, copies in both directions."""
    (tmp_path / "other").mkdir()
    big = noise(tmp_path / "big", 10 << 20)

    async def test() -> None:
        with _distribution(tmp_path / "other") as host:
            async with Client(host, patience=QUICK) as theirs, Client(registry.host, patience=QUICK) as ours:
                assert await theirs.features() == frozenset()
                layers = [Layer(FileSource(big), OCTETS, "big"), Layer(BytesSource(b"small"), OCTETS, "small")]
                pushed = await push(theirs, "a/b", *layers, tags=("v1", "v2"))
                signature = await theirs.artifacts.push(
                    "a/b", artifact_type="a/sig", config=b"{}", config_type=EMPTY, layers=[], subject=pushed
                )
                assert [each.digest for each in await theirs.artifacts.referrers("a/b", pushed.digest)] == [
                    signature.digest
                ]
                await ours.artifacts.copy(theirs, "a/b", "v2", "library/came", "v1")
                assert len(await ours.artifacts.referrers("library/came", pushed.digest)) == 1
                await theirs.artifacts.copy(ours, "library/came", "v1", "c/d", "v1")
                manifest = await theirs.artifacts.manifest("c/d", "v1")
                assert manifest.digest == pushed.digest
                assert manifest.media_type == MANIFEST
                await theirs.artifacts.download("c/d", manifest.layers[0], tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == big.read_bytes()

    run(test)


def test_push_with_a_token(guarded: Guarded, tmp_path: Path) -> None:
    """Chunks, mounts and manifests, each with the scope that it needs."""
    file = noise(tmp_path / "file", 3 << 20)

    async def test() -> None:
        async with Client(guarded.host, credentials=guarded.credentials, patience=QUICK) as client:
            await push(client, "users/admin/one", Layer(FileSource(file), OCTETS))
            await push(client, "users/admin/two", Layer(FileSource(file), OCTETS))
            assert await gather(client.artifacts.tags("users/admin/two")) == ["v1"]
            await client.artifacts.delete("users/admin/two", "v1")
            assert await client.artifacts.digest("users/admin/two", "v1") is None

    run(test)
