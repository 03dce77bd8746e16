"""Publishing a folder: what goes, what is refused before it goes, and that it can be said twice."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gati_client.errors import Conflict, GatiError, Usage
from gati_client.pack.extract import extract
from gati_client.publish import SecretsFound, check, prepare, publish, push
from tests.client.packs import lay, tree
from tests.client.projects import Workshop, module
from tests.extensions.facades.support import FILES, MANIFEST
from tests.support.server import RegistryProcess

pytestmark = pytest.mark.anyio
NAMED = {"a": "1", "gati-module.json": ""}


async def test_what_is_there_afterwards(workshop: Workshop, tmp_path: Path) -> None:
    files = module("@acme/log", "1.2.0+build.5")
    folder = lay(tmp_path / "log", {**files, "lib/a.js": "a", "x.wasm": b"\0asm"})
    async with workshop.connect("") as client:
        with prepare(folder, cache=workshop.cache) as plan:
            assert (plan.repository, plan.kind, plan.tags) == ("orgs/acme/log", "module", ("1.2.0_build.5", "latest"))
            assert [file.name for file in plan.files] == ["gati-module.json", "index.js", "lib/a.js", "x.wasm"]
            assert await check(client, plan) == []
            done = await push(client, plan)
        found = await client.artifacts.manifest("orgs/acme/log", "latest")
        assert found.digest == done.digest
        assert found.artifact_type == "application/vnd.gati.module.v1"
        assert found.config is not None
        assert (await client.artifacts.blob("orgs/acme/log", found.config)).decode() == files["gati-module.json"]
        assert [layer.media_type for layer in found.layers] == [
            "application/vnd.gati.module.layer.v1.tar+gzip", "application/wasm",
        ]  # fmt: skip
        await client.artifacts.download("orgs/acme/log", found.layers[0], tmp_path / "layer")
        detail = await client.versions.artifact("orgs/acme/log")
    extract(tmp_path / "layer", tmp_path / "back")
    assert tree(tmp_path / "back") == {name: data for name, data in tree(folder).items() if name != "x.wasm"}
    assert (detail.kind, detail.version.facts["license"]) == ("module", "MIT")
    assert not [*(workshop.cache.root / "packs").iterdir()]


async def test_nothing_is_pruned_under_who_publishes(workshop: Workshop, tmp_path: Path) -> None:
    folder = lay(tmp_path / "log", module("@pruned/log", "1.0.0"))
    async with workshop.connect("") as client:
        with prepare(folder, cache=workshop.cache) as plan:
            pruning = asyncio.create_task(workshop.cache.prune())
            await asyncio.sleep(0.3)  # it would be done by now
            assert not pruning.done()
            await push(client, plan)
        await pruning


async def test_twice_is_once_and_versions_do_not_change(workshop: Workshop, tmp_path: Path) -> None:
    folder = lay(tmp_path / "x", module("@twice/x", "1.0.0"))
    async with workshop.connect("") as client:
        first = await publish(client, folder, cache=workshop.cache)
        assert await publish(client, folder, cache=workshop.cache) == first
        (folder / "index.js").write_text("changed")
        with pytest.raises(Conflict, match=r"another 1\.0\.0 already"):
            await publish(client, folder, cache=workshop.cache)
        with prepare(folder, cache=workshop.cache) as plan:
            assert "versions do not change" in (await check(client, plan))[0]
        assert (await client.artifacts.manifest("orgs/twice/x", "1.0.0")).digest == first.digest


async def test_a_specification_as_specregistry_has_it(workshop: Workshop, tmp_path: Path) -> None:
    """`spec.yaml` goes as it is, with all its sections; what it lacks is told before."""
    folder = lay(tmp_path / "spec", {"spec.yaml": MANIFEST, **dict.fromkeys(FILES, "x")})
    async with workshop.connect("") as client:
        with prepare(folder, repository="orgs/forms/protocol", cache=workshop.cache) as plan:
            assert (plan.kind, plan.version, len(plan.files)) == ("spec", "1.2.3", len(FILES) + 1)
            assert await check(client, plan) == []
            await push(client, plan)
        found = await client.artifacts.manifest("orgs/forms/protocol", "1.2.3")
        assert found.config is not None
        assert found.config.media_type == "application/vnd.gati.spec.config.v1+yaml"
        assert (await client.artifacts.blob("orgs/forms/protocol", found.config)).decode() == MANIFEST
        facts = (await client.versions.get("orgs/forms/protocol", "1.2.3")).facts
        assert (facts["license"], facts["details"]["specifications"]["main"]) == ("MIT", "specs/main.tla")
        (folder / "spec.yaml").write_text("name: x\nversion: 1.0.0\n")
        with prepare(folder, repository="orgs/forms/x", cache=workshop.cache) as plan:
            assert any("framework" in problem for problem in await check(client, plan))
    for text in ("- x", "name: x\nversion: 1.0\n", "a: &a [x]\nb: *a\n", "a: ["):
        (folder / "spec.yaml").write_text(text)
        with pytest.raises(Usage), prepare(folder, cache=workshop.cache):
            pass
    with pytest.raises(Usage, match="gati-module"), prepare(folder, "module", cache=workshop.cache):
        pass


async def test_channels(workshop: Workshop, tmp_path: Path) -> None:
    async with workshop.connect("") as client:
        for version in ("2.0.0", "1.0.1", "2.1.0-beta.1", "2.1.0-rc.1"):
            await workshop.publish("orgs/channels/x", version)
        folder = lay(tmp_path / "x", module("@channels/x", "1.0.2"))
        await publish(client, folder, channels=["stable"], cache=workshop.cache)
        tags = {tag async for tag in client.artifacts.tags("orgs/channels/x")}
        assert tags == {"2.0.0", "1.0.1", "1.0.2", "2.1.0-beta.1", "2.1.0-rc.1", "latest", "beta", "stable"}
        for channel, tag in (("latest", "2.0.0"), ("beta", "2.1.0-beta.1"), ("stable", "1.0.2")):
            digests = [(await client.artifacts.manifest("orgs/channels/x", name)).digest for name in (channel, tag)]
            assert digests[0] == digests[1], channel


async def test_secrets_do_not_leave(workshop: Workshop, tmp_path: Path) -> None:
    folder = lay(tmp_path / "x", {**module("@secrets/x", "1.0.0"), ".env": "PASSWORD=hunter2"})
    async with workshop.connect("") as client:
        with pytest.raises(SecretsFound, match=r"\.env:1") as raised:
            await publish(client, folder, cache=workshop.cache)
        assert "--allow-secret" in raised.value.remedy
        assert "hunter2" not in str(raised.value)
        assert await client.artifacts.digest("orgs/secrets/x", "1.0.0") is None
        (folder / ".gatiignore").write_text(".env\n")
        await publish(client, folder, cache=workshop.cache)
        (folder / ".gatiignore").unlink()
        (folder / "gati-module.json").write_text(module("@secrets/x", "1.0.1")["gati-module.json"])
        await publish(client, folder, cache=workshop.cache, allow_secrets=True)


async def test_a_manifest_alone_has_no_layers(workshop: Workshop, tmp_path: Path) -> None:
    document = {"name": "@hosted/llm", "version": "1.0.0", "provider": "openai", "type": "completion"}
    folder = lay(tmp_path / "m", {"gati-model.json": json.dumps(document)})
    async with workshop.connect("") as client:
        await publish(client, folder, cache=workshop.cache)
        assert (await client.artifacts.manifest("orgs/hosted/llm", "1.0.0")).layers == []


async def test_what_the_registry_would_say(workshop: Workshop, tmp_path: Path) -> None:
    document = {"name": "@bad/agent", "version": "1.0.0", "runtime": "cobol"}
    folder = lay(tmp_path / "m", {"gati-agent.json": json.dumps(document)})
    async with workshop.connect("") as client:
        with prepare(folder, cache=workshop.cache) as plan:
            assert any(line.startswith("/runtime") for line in await check(client, plan))
            with pytest.raises(GatiError, match="runtime"):
                await push(client, plan)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": ""}, "holds no gati"),
        ({"gati-module.json": "{", "a": ""}, "no JSON"),
        ({"gati-module.json": '{"name": "x"}'}, "needs a name"),
        ({"gati-module.json": '{"name": "x", "version": "1"}'}, "semantic version"),
        ({"gati-module.json": '{"name": "X Y", "version": "1.0.0"}'}, "no name of an artifact"),
        ({"gati-module.json": "{}", "gati-plugin.json": "{}"}, "several kinds"),
    ],
)
def test_folders_that_cannot_be_published(tmp_path: Path, files: dict[str, str | bytes], words: str) -> None:
    with pytest.raises(Usage, match=words), prepare(lay(tmp_path / "x", files)):
        pass


async def test_two_machines_make_the_same_artifact(
    workshop: Workshop, registry: RegistryProcess, tmp_path: Path
) -> None:
    digests = []
    async with workshop.connect("") as client:
        for number in (1, 2):
            folder = lay(tmp_path / f"m{number}/x", {**module("@same/x", "1.0.0"), "b": "b", "a": "a"})
            digests.append(await publish(client, folder, repository=f"orgs/same/x{number}", cache=workshop.cache))
    assert digests[0] == digests[1]
