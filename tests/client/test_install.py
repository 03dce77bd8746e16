"""Installing from a lock, against a real registry: right, whole, once, and without asking anybody."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gati_client.cache import Cache
from gati_client.client import Client
from gati_client.errors import Conflict, Denied, Integrity, NotFound
from gati_client.pack.archive import build
from gati_client.project import lock as locks
from gati_client.project.install import Way, install
from gati_client.project.lock import Lock, Package
from gati_client.transfer import BytesSource, FileSource, Layer
from tests.client.packs import archive, entry, lay, tree
from tests.client.projects import Relay, Workshop, installed, module, start
from tests.support.server import RegistryProcess

pytestmark = pytest.mark.anyio


async def three(workshop: Workshop, area: str) -> Lock:
    """An application's lock: a, which wants b and c; and c wants b."""
    digests = {
        name: await workshop.publish(f"{area}/{name}", "1.0.0", wants, files={f"{name}.txt": name * 1000})
        for name, wants in (("b", {}), ("c", {f"{area}/b": "^1"}), ("a", {f"{area}/b": "^1", f"{area}/c": "^1"}))
    }
    needs: Mapping[str, Mapping[str, str]] = {
        "a": {f"{area}/b": "1.0.0", f"{area}/c": "1.0.0"}, "b": {}, "c": {f"{area}/b": "1.0.0"},
    }  # fmt: skip
    packages = {f"{area}/{name}@1.0.0": Package(digests[name], workshop.url, "module", needs[name]) for name in "abc"}
    return Lock({"dependencies": {f"{area}/a": "^1"}}, packages)


def names(area: str) -> dict[str, str]:
    return {f"{area}/{name}": f"export default '{name}@1.0.0';" for name in "abc"}


async def test_what_the_lock_names_and_nothing_else(
    workshop: Workshop, registry: RegistryProcess, tmp_path: Path
) -> None:
    lock = await three(workshop, "orgs/first")
    folder = tmp_path / "app"
    with Relay(registry.port) as relay:
        report = await install(lock, folder, Way(Cache(tmp_path / "own"), lambda _: Client(relay.url)))
    assert installed(folder) == names("orgs/first")
    assert [one.fresh for one in report.packages] == [True] * 3
    assert not [path for path in relay.seen if "_ext" in path], "the resolver is not asked"
    assert tree(folder / "gati_modules/orgs/first/b").keys() == {"b.txt", "gati-module.json", "index.js"}
    # Again, offline: nothing is to be done. One less: it goes, and what only it wanted.
    again = await install(lock, folder, Way(Cache(tmp_path / "own"), None))
    assert [one.fresh for one in again.packages] == [False] * 3
    less = Lock({"dependencies": {"orgs/first/b": "^1"}}, {key: lock.packages[key] for key in ["orgs/first/b@1.0.0"]})
    report = await install(less, folder, Way(Cache(tmp_path / "own"), None))
    assert report.removed == ("orgs/first/a", "orgs/first/c")
    assert installed(folder) == {"orgs/first/b": "export default 'b@1.0.0';"}
    assert len([*(folder / "gati_modules/.store").iterdir()]) == 2  # it, and the lock


async def test_offline(workshop: Workshop, tmp_path: Path) -> None:
    lock = await three(workshop, "orgs/offline")
    with pytest.raises(NotFound, match="not in the cache"):
        await install(lock, tmp_path / "one", Way(Cache(tmp_path / "own"), None))
    assert installed(tmp_path / "one") == {}
    await install(lock, tmp_path / "one", Way(Cache(tmp_path / "own"), workshop.connect))
    await install(lock, tmp_path / "two", Way(Cache(tmp_path / "own"), None))
    assert installed(tmp_path / "two") == names("orgs/offline")


async def test_another_version_replaces_the_first(workshop: Workshop, tmp_path: Path) -> None:
    way = Way(workshop.cache, workshop.connect)
    for version in ("1.0.0", "1.1.0"):
        digest = await workshop.publish("orgs/swap/x", version)
        lock = Lock({"dependencies": {"orgs/swap/x": "*"}}, {f"orgs/swap/x@{version}": Package(digest)})
        await install(lock, tmp_path / "app", way)
        assert installed(tmp_path / "app") == {"orgs/swap/x": f"export default 'x@{version}';"}
    # A package where a folder of packages was, and the other way round.
    for name in ("orgs/swap/x/y", "orgs/swap"):
        digest = await workshop.publish(name, "1.0.0")
        await install(Lock({"dependencies": {name: "*"}}, {f"{name}@1.0.0": Package(digest)}), tmp_path / "app", way)
        assert [*installed(tmp_path / "app")] == [name]


async def test_somebody_elses_folder_is_in_the_way(workshop: Workshop, tmp_path: Path) -> None:
    lock = await three(workshop, "orgs/way")
    lay(tmp_path / "app", {"gati_modules/orgs/way/a/mine.txt": "mine"})
    with pytest.raises(Conflict, match="did not make"):
        await install(lock, tmp_path / "app", Way(workshop.cache, workshop.connect))
    assert (tmp_path / "app/gati_modules/orgs/way/a/mine.txt").read_text() == "mine"


async def test_tampering(workshop: Workshop, tmp_path: Path) -> None:
    lock = await three(workshop, "orgs/tampered")
    key = "orgs/tampered/a@1.0.0"
    await workshop.publish("orgs/tampered/a", "2.0.0")
    other = await workshop.publish("orgs/tampered/b", "2.0.0")

    async def refused(changed: Lock, words: str, cache: Cache | None = None) -> None:
        with pytest.raises(Integrity, match=words) as raised:
            await install(changed, tmp_path / "app", Way(cache or Cache(tmp_path / "own"), workshop.connect))
        assert raised.value.exit_code == 6
        assert installed(tmp_path / "app") == {}

    # A digest that the registry does not have, while it has the version; another artifact's; an earlier version's.
    none = Package(f"sha256:{'0' * 64}", workshop.url, "module", lock.packages[key].dependencies)
    await refused(Lock(lock.root, {**lock.packages, key: none}), "not sha256:000")
    older = {**lock.packages, "orgs/tampered/b@1.0.0": Package(other, workshop.url, "module")}
    await refused(Lock(lock.root, older), "is version 2.0.0")
    # The bytes in the cache: mended, and offline told.
    await install(lock, tmp_path / "one", Way(Cache(tmp_path / "own"), workshop.connect))
    path = Cache(tmp_path / "own").path(lock.packages[key].digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(Integrity, match="damaged"):
        await install(lock, tmp_path / "two", Way(Cache(tmp_path / "own"), None))
    await install(lock, tmp_path / "two", Way(Cache(tmp_path / "own"), workshop.connect))
    assert installed(tmp_path / "two") == names("orgs/tampered")


async def test_the_version_of_gati(workshop: Workshop, tmp_path: Path) -> None:
    digest = await workshop.publish("orgs/range/x", "1.0.0", gati=">=2.0.0 <3")
    lock = Lock(
        {"dependencies": {"orgs/range/x": "*"}}, {"orgs/range/x@1.0.0": Package(digest, workshop.url, "module")}
    )
    with pytest.raises(Conflict, match=r"wants Gati >=2.0.0 <3; here is 1.4.0"):
        await install(lock, tmp_path / "app", Way(workshop.cache, workshop.connect, gati="1.4.0"))
    assert installed(tmp_path / "app") == {}
    forced = await install(lock, tmp_path / "forced", Way(workshop.cache, workshop.connect, gati="1.4.0", force=True))
    unknown = await install(lock, tmp_path / "unknown", Way(workshop.cache, workshop.connect))
    assert len(forced.warnings) == len(unknown.warnings) == 1
    fits = await install(lock, tmp_path / "app", Way(workshop.cache, workshop.connect, gati="2.1.0"))
    assert fits.warnings == ()
    # From what npm has installed.
    project = workshop.project("npm", {"dependencies": {"orgs/range/x": "*"}})
    lay(project.folder, {"node_modules/@gati-framework/core/package.json": '{"version": "1.9.9"}'})
    locks.save(project.folder, Lock({"dependencies": {"orgs/range/x": "*"}}, lock.packages))
    with pytest.raises(Conflict, match=r"here is 1.9.9"):
        await project.install(frozen=True)


async def test_approval(workshop: Workshop, tmp_path: Path) -> None:
    lock = await three(workshop, "orgs/approved")
    project = workshop.project("app", {"approve": True, "dependencies": dict(lock.root["dependencies"])})
    locks.save(project.folder, lock)
    with pytest.raises(Denied, match="not approved: orgs/approved/a"):
        await project.install()
    with pytest.raises(Denied):
        await project.install(ask=lambda _: False)
    assert installed(project.folder) == {}
    asked: list[str] = []

    def yes(keys: Sequence[str]) -> bool:
        asked.extend(keys)
        return True

    await project.install(ask=yes)
    assert asked == sorted(lock.packages)
    found = locks.load(project.folder)
    assert all(package.approved_at for package in found.packages.values())
    await project.install(frozen=True)  # once is enough
    assert installed(project.folder) == names("orgs/approved")


async def test_frozen(workshop: Workshop) -> None:
    lock = await three(workshop, "orgs/frozen")
    project = workshop.project("app", {"dependencies": {"orgs/frozen/a": "^1"}})
    with pytest.raises(Conflict, match=r"there is no gati.lock"):
        await project.install(frozen=True)
    locks.save(project.folder, lock)
    before = tree(project.folder)
    await project.install(frozen=True)
    assert {name: data for name, data in tree(project.folder).items() if "gati_modules" not in name} == before
    (project.folder / "gati.json").write_text('{"dependencies": {"orgs/frozen/a": "^1", "orgs/frozen/c": "^1"}}')
    for frozen in (True, False):
        with pytest.raises(Conflict, match=r"not for what gati.json asks for"):
            await project.install(frozen=frozen, offline=not frozen)


async def put(workshop: Workshop, repository: str, layers: list[Layer], config: Any = None) -> str:
    """Push whatever; its digest."""
    async with workshop.connect("") as client:
        document = config or json.loads(module(repository.rpartition("/")[2], "1.0.0")["gati-module.json"])
        done = await client.artifacts.push(
            repository, artifact_type="application/vnd.gati.module.v1", config=json.dumps(document).encode(),
            config_type="application/vnd.gati.module.config.v1+json", layers=layers, tags=["1.0.0"],
        )  # fmt: skip
        return done.digest


PACK = "application/vnd.gati.module.layer.v1.tar+gzip"


async def test_layers_of_all_kinds(workshop: Workshop, tmp_path: Path) -> None:
    first = build(lay(tmp_path / "1", {"index.js": "1", "lib/a": "a"}), tmp_path / "1.tgz")
    second = build(lay(tmp_path / "2", {"lib/b": "b"}), tmp_path / "2.tgz")
    (tmp_path / "x.wasm").write_bytes(b"\0asm")
    digest = await put(workshop, "orgs/layers/x", [
        Layer(FileSource(first.path), PACK), Layer(FileSource(second.path), PACK, title="second.tar.gz"),
        Layer(FileSource(tmp_path / "x.wasm"), "application/wasm", title="bin/x.wasm"),
        Layer(BytesSource(b"plain"), "application/vnd.oci.image.layer.v1.tar", title="note.txt"),
    ])  # fmt: skip
    lock = Lock({"dependencies": {"orgs/layers/x": "*"}}, {"orgs/layers/x@1.0.0": Package(digest)})
    await install(lock, tmp_path / "app", Way(workshop.cache, workshop.connect))
    found = tree(tmp_path / "app/gati_modules/orgs/layers/x")
    assert found.pop("gati-module.json").startswith(b"{")
    assert found == {"index.js": b"1", "lib/a": b"a", "lib/b": b"b", "bin/x.wasm": b"\0asm", "note.txt": b"plain"}


async def test_a_large_file_is_not_there_twice(workshop: Workshop, tmp_path: Path) -> None:
    weights, cache = random.Random(1).randbytes(17 << 20), Cache(tmp_path / "own")
    layer = Layer(BytesSource(weights), "application/vnd.gguf", title="w/model.gguf")
    lock = Lock({"dependencies": {"orgs/large/x": "*"}},
                {"orgs/large/x@1.0.0": Package(await put(workshop, "orgs/large/x", [layer]))})  # fmt: skip
    for app in ("one", "two"):
        await install(lock, tmp_path / app, Way(cache, workshop.connect))
    places = [tmp_path / app / "gati_modules/orgs/large/x/w/model.gguf" for app in ("one", "two")]
    kept = cache.path(f"sha256:{hashlib.sha256(weights).hexdigest()}")
    assert {path.stat().st_ino for path in places} == {kept.stat().st_ino}
    assert [path.stat().st_mode & 0o777 for path in places] == [0o444] * 2, "what all projects share is read only"
    # Whoever changes one all the same has changed the cache: it is noticed, and the next one gets what the lock says.
    places[0].chmod(0o644)
    with places[0].open("r+b") as file:
        file.write(b"edited")
    await install(lock, tmp_path / "three", Way(cache, workshop.connect))
    assert (tmp_path / "three/gati_modules/orgs/large/x/w/model.gguf").read_bytes() == weights
    # And the cache may go.
    kept.unlink()
    assert (tmp_path / "two/gati_modules/orgs/large/x/w/model.gguf").stat().st_size == len(weights)


async def test_hostile_packages(workshop: Workshop, tmp_path: Path) -> None:
    link = entry("out", kind=b"2", linkname="../../../..")
    hostile = {
        "zip-slip": [Layer(FileSource(archive(tmp_path / "a", entry("../../evil", b"x"))), PACK)],
        "link": [Layer(FileSource(archive(tmp_path / "b", link)), PACK)],
        "device": [Layer(FileSource(archive(tmp_path / "c", entry("null", kind=b"3", devmajor=1, devminor=3))), PACK)],
        "bomb": [Layer(FileSource(archive(tmp_path / "d", entry("zeros", bytes(100 * 1024 * 1024)))), PACK)],
        "no-archive": [Layer(BytesSource(b"no archive" * 100), PACK)],
        "title": [Layer(BytesSource(b"x"), "application/wasm", title="../../../evil")],
        "absolute-title": [Layer(BytesSource(b"x"), "application/wasm", title="/tmp/gati-evil")],
        "twice": [Layer(BytesSource(name), "application/wasm", title=name.decode()) for name in (b"a", b"A")],
        "onto-a-link": [
            Layer(FileSource(archive(tmp_path / "e", entry("l", kind=b"2", linkname="d"))), PACK),
            Layer(BytesSource(b"x"), "application/wasm", title="l/evil"),
        ],
    }  # fmt: skip
    for name, layers in hostile.items():
        digest = await put(workshop, f"orgs/hostile/{name}", layers)
        lock = Lock({"dependencies": {f"orgs/hostile/{name}": "*"}}, {f"orgs/hostile/{name}@1.0.0": Package(digest)})
        with pytest.raises(Integrity) as raised:
            await install(lock, tmp_path / "app", Way(workshop.cache, workshop.connect))
        assert "refused" in str(raised.value)
        assert name.endswith(("title", "twice", "onto-a-link")) or f"orgs/hostile/{name}@1.0.0" in str(raised.value)
        assert [path.name for path in (tmp_path / "app").rglob("*")] == ["gati_modules", ".store", "lock"], name
    assert not [path for path in tmp_path.rglob("*evil*") if "hostile" not in str(path)]
    assert not Path("/tmp/gati-evil").exists()


async def test_twenty_processes_one_empty_cache(workshop: Workshop, registry: RegistryProcess, tmp_path: Path) -> None:
    """Each is right, and each blob is fetched once."""
    lock = await three(workshop, "orgs/twenty")
    folders = [tmp_path / f"app{number}" for number in range(20)]
    for folder in folders:
        lay(folder, {"gati.json": json.dumps({"dependencies": {"orgs/twenty/a": "^1"}})})
        locks.save(folder, lock)
    with Relay(registry.port) as relay:
        processes = [start("install", relay.url, tmp_path / "empty", [folder]) for folder in folders]
        results = [(process.communicate()[1], process.returncode) for process in processes]
    assert results == [("", 0)] * 20
    for folder in folders:
        assert installed(folder) == names("orgs/twenty")
        assert tree(folder / "gati_modules/orgs/twenty/c")["c.txt"] == b"c" * 1000
    fetched = {path: count for path, count in relay.seen.items() if path.startswith("GET /v2/orgs")}
    assert len(fetched) == 9, fetched  # of three packages: manifest, config, pack
    assert set(fetched.values()) == {1}, fetched


async def test_whoever_was_killed_leaves_nothing_in_the_way(workshop: Workshop, tmp_path: Path) -> None:
    lock = await three(workshop, "orgs/killed")
    store = tmp_path / "app/gati_modules/.store"
    lay(store, {".half/package/x": "x", ".old/manifest.json": "{}"})
    (store / ".link-1").symlink_to("nowhere")
    lay(store, {f"{lock.packages['orgs/killed/a@1.0.0'].digest[7:]}/manifest.json": "of something else"})
    await install(lock, tmp_path / "app", Way(workshop.cache, workshop.connect))
    assert installed(tmp_path / "app") == names("orgs/killed")
    assert not [path for path in store.iterdir() if path.name.startswith(".")]


async def test_two_at_once_in_one_folder(workshop: Workshop, tmp_path: Path) -> None:
    lock = await three(workshop, "orgs/together")
    lay(tmp_path / "app", {"gati.json": json.dumps({"dependencies": {"orgs/together/a": "^1"}})})
    locks.save(tmp_path / "app", lock)
    processes = [start("install", workshop.url, tmp_path / "cache2", [tmp_path / "app"]) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in processes] == [("", 0)] * 3
    assert installed(tmp_path / "app") == names("orgs/together")
