"""kill -9 of a publish and of an install, at random moments: run again, both come to their end; no half-installed
package is ever seen."""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path

import pytest

from gati_client.project import lock as locks
from gati_client.project.lock import Lock, Package
from tests.client.packs import lay, tree
from tests.client.projects import Workshop, module, start
from tests.proofs.sizes import size
from tests.support.server import RegistryProcess

pytestmark = [pytest.mark.proof, pytest.mark.anyio, pytest.mark.timeout(7200)]


def content(seed: int) -> dict[str, str | bytes]:
    """Some MiB in some files: enough to be killed within."""
    chance = random.Random(seed)
    return {
        f"part{number}/data.bin": chance.randbytes(chance.choice((1_000, 100_000, 2_000_000))) for number in range(12)
    }


async def test_publish(workshop: Workshop, registry: RegistryProcess, tmp_path: Path) -> None:
    rounds, chance = size("CLIENT_ROUNDS", 50), random.Random(size("SEED", 1))
    killed = 0
    for number in range(rounds):
        version = f"1.0.{number}"
        folder = lay(tmp_path / f"p{number}", {**module("big", version), **content(number)})
        process = start("publish", registry.url, workshop.cache.root, [folder])
        await asyncio.sleep(chance.uniform(0.2, 1.6))  # the random moment
        process.kill()
        process.communicate()
        killed += process.returncode == -9
        async with workshop.connect("") as client:
            there = await client.artifacts.digest("library/big", version)
            if there is not None:
                await _whole(workshop, version, there, folder, tmp_path / f"seen{number}")
        again = start("publish", registry.url, workshop.cache.root, [folder])
        assert (again.communicate()[1], again.returncode) == ("", 0)
        async with workshop.connect("") as client:
            digest = await client.artifacts.digest("library/big", version)
            assert digest is not None
            assert digest == await client.artifacts.digest("library/big", "latest")
        if number % 5 == 0:
            await _whole(workshop, version, digest, folder, tmp_path / f"done{number}")
    assert killed > rounds // 4
    print(f"\nkill -9 of a publish: {rounds} rounds, {killed} killed, all there and whole afterwards")


async def _whole(workshop: Workshop, version: str, digest: str, folder: Path, target: Path) -> None:
    """What a version names is the folder."""
    project = workshop.project(target.name, {"dependencies": {"library/big": version}})
    locks.save(
        project.folder, Lock({"dependencies": {"library/big": version}}, {f"library/big@{version}": Package(digest)})
    )
    await project.install(frozen=True)
    assert tree(project.folder / "gati_modules/library/big") == tree(folder)


async def test_install(workshop: Workshop, registry: RegistryProcess, tmp_path: Path) -> None:
    rounds, chance = size("CLIENT_ROUNDS", 50), random.Random(size("SEED", 2))
    packages, expected = {}, {}
    for number in range(4):
        for version in ("1.0.0", "2.0.0"):
            files = content(100 * number + int(version[0]))
            name = f"orgs/kill/x{number}"
            digest = await workshop.publish(name, version, files=files)
            packages[name, version] = Package(digest, registry.url, "module")
            expected[name, version] = files
    names = sorted({name for name, _ in packages})
    folder, killed = tmp_path / "app", 0
    for number in range(rounds):
        version = ("1.0.0", "2.0.0")[number % 2]  # each round replaces what the one before installed
        lock = Lock({"dependencies": dict.fromkeys(names, version)},
                    {f"{name}@{version}": packages[name, version] for name in names})  # fmt: skip
        lay(folder, {"gati.json": json.dumps({"dependencies": dict.fromkeys(names, version)})})
        locks.save(folder, lock)
        cache = tmp_path / f"cache{number // 4}"  # empty now and then
        process = start("install", registry.url, cache, [folder])
        moment = time.monotonic() + chance.uniform(0.3, 1.5)  # the random moment
        while time.monotonic() < moment and process.poll() is None:
            _seen(folder, expected)
            await asyncio.sleep(0.02)
        process.kill()
        process.communicate()
        killed += process.returncode == -9
        _seen(folder, expected)
        again = start("install", registry.url, cache, [folder])
        assert (again.communicate()[1], again.returncode) == ("", 0)
        for name in names:
            found = tree(folder / "gati_modules" / name)
            assert {path: found[path] for path in expected[name, version]} == expected[name, version]
        store = [path.name for path in (folder / "gati_modules/.store").iterdir()]
        assert len(store) == len(names) + 1, store
    assert killed > rounds // 4
    print(f"\nkill -9 of an install: {rounds} rounds, {killed} killed, no half-installed package seen")


def _seen(folder: Path, expected: dict[tuple[str, str], dict[str, str | bytes]]) -> None:
    """Whatever can be seen is one of both versions, whole."""
    for name in sorted({name for name, _ in expected}):
        link = folder / "gati_modules" / name
        try:
            place = link.resolve(strict=True)
            paths = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
        except FileNotFoundError:
            continue  # not there yet, or its old version went away while it was looked at
        if link.resolve() != place:
            continue
        wholes = [{*files, "gati-module.json", "index.js"} for (one, _), files in expected.items() if one == name]
        assert paths in wholes
