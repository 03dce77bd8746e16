"""A project's life: add, install, update, remove, fix; the resolver answers, the lock remembers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gati_client.cache import Cache
from gati_client.errors import Conflict, GatiError, NotFound, Usage
from gati_client.models import Osv
from gati_client.project import foreign
from gati_client.project import lock as locks
from gati_client.project.project import Project, find
from gati_client.templates import answering
from tests.client.projects import Relay, Workshop, installed
from tests.support.server import RegistryProcess

pytestmark = pytest.mark.anyio


def asked(project: Project) -> dict[str, str]:
    return dict(json.loads((project.folder / "gati.json").read_text())["dependencies"])


async def test_from_nothing_to_installed(workshop: Workshop, registry: RegistryProcess, tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        await workshop.publish("orgs/life/log", version)
    await workshop.publish("orgs/life/app", "2.0.0", {"@life/log": "^1.0.0"})
    await workshop.publish("library/lint", "0.3.0")
    project = workshop.project("app")
    await project.add(["@life/app", "orgs/life/log@~1.0.0"])
    await project.add(["lint"], dev=True)
    document = json.loads((project.folder / "gati.json").read_text())
    assert document["dependencies"] == {"orgs/life/app": "^2.0.0", "orgs/life/log": "~1.0.0"}
    assert document["devDependencies"] == {"library/lint": "^0.3.0"}
    lock = locks.load(project.folder)
    assert set(lock.packages) == {"library/lint@0.3.0", "orgs/life/app@2.0.0", "orgs/life/log@1.0.0"}
    assert lock.packages["orgs/life/app@2.0.0"].registry == registry.url
    await project.install()
    assert installed(project.folder) == {
        "library/lint": "export default 'lint@0.3.0';", "orgs/life/app": "export default 'app@2.0.0';",
        "orgs/life/log": "export default 'log@1.0.0';",
    }  # fmt: skip
    # Elsewhere, from both files alone: the resolver is not asked, and nothing changes.
    before = (project.folder / "gati.lock").read_bytes()
    other = workshop.project("other", document, cache=Cache(tmp_path / "empty"))
    (other.folder / "gati.lock").write_bytes(before)
    with Relay(registry.port) as relay:
        other._connect = lambda _: workshop.connect(relay.url)
        await other.install()
        assert not [path for path in relay.seen if "_ext" in path]
    assert (other.folder / "gati.lock").read_bytes() == before
    assert installed(other.folder) == installed(project.folder)
    await other.install(dev=False)
    assert "library/lint" not in installed(other.folder)


async def test_a_lock_keeps_what_it_holds(workshop: Workshop) -> None:
    await workshop.publish("orgs/keep/log", "1.0.0")
    project = workshop.project("app")
    await project.add(["orgs/keep/log"])
    await workshop.publish("orgs/keep/log", "1.5.0")
    await workshop.publish("orgs/keep/more", "1.0.0", {"orgs/keep/log": "^1"})
    await project.add(["orgs/keep/more"])
    assert set(locks.load(project.folder).packages) == {"orgs/keep/log@1.0.0", "orgs/keep/more@1.0.0"}
    await project.update(["orgs/keep/log"])
    assert set(locks.load(project.folder).packages) == {"orgs/keep/log@1.5.0", "orgs/keep/more@1.0.0"}
    assert asked(project) == {"orgs/keep/log": "^1.0.0", "orgs/keep/more": "^1.0.0"}
    # Who edits gati.json gets a lock that fits it, at the next install.
    (project.folder / "gati.json").write_text(json.dumps({"dependencies": {"orgs/keep/log": "1.0.0"}}))
    await project.install()
    assert installed(project.folder) == {"orgs/keep/log": "export default 'log@1.0.0';"}


async def test_remove(workshop: Workshop) -> None:
    await workshop.publish("orgs/less/log", "1.0.0")
    await workshop.publish("orgs/less/a", "1.0.0", {"orgs/less/log": "*"})
    await workshop.publish("orgs/less/b", "1.0.0")
    project = workshop.project("app")
    await project.add(["orgs/less/a", "orgs/less/b"])
    await project.install()
    await project.remove(["@less/a"])
    await project.install(offline=True)
    assert asked(project) == {"orgs/less/b": "^1.0.0"}
    assert [*installed(project.folder)] == ["orgs/less/b"]
    with pytest.raises(NotFound, match=r"not in gati.json"):
        await project.remove(["orgs/less/a"])


async def test_what_does_not_fit_changes_nothing(workshop: Workshop) -> None:
    await workshop.publish("orgs/clash/log", "1.0.0")
    await workshop.publish("orgs/clash/a", "1.0.0", {"orgs/clash/log": "^2"})
    project = workshop.project("app")
    await project.add(["orgs/clash/log"])
    before = {path.name: path.read_bytes() for path in project.folder.iterdir()}
    refused: tuple[tuple[str, type[GatiError]], ...] = (
        ("orgs/clash/a", Conflict),
        ("orgs/clash/nothing", NotFound),
        ("orgs/clash/log@^9", Conflict),
    )
    for name, error in refused:
        with pytest.raises(error, match="clash"):
            await project.add([name])
    with pytest.raises(Usage, match="one registry"):
        await project.add(["127.0.0.1:1/orgs/clash/log"])
    assert {path.name: path.read_bytes() for path in project.folder.iterdir()} == before


async def test_another_range_by_the_short_name(workshop: Workshop) -> None:
    for version in ("1.0.0", "2.0.0"):
        await workshop.publish("library/moved", version)
        await workshop.publish("orgs/short/moved", version)
    project = workshop.project("app")
    await project.add(["moved@1.0.0", "@short/moved@1.0.0"])
    await project.add(["moved@2.0.0", "short/moved@2.0.0"])
    assert asked(project) == {"library/moved": "2.0.0", "orgs/short/moved": "2.0.0"}
    assert set(locks.load(project.folder).packages) == {"library/moved@2.0.0", "orgs/short/moved@2.0.0"}


async def test_a_prerelease_alone(workshop: Workshop) -> None:
    await workshop.publish("orgs/early/x", "1.0.0-beta.1")
    project = workshop.project("app")
    await project.add(["orgs/early/x@beta"])
    assert set(locks.load(project.folder).packages) == {"orgs/early/x@1.0.0-beta.1"}


async def test_fix_leaves_what_advisories_are_about(workshop: Workshop) -> None:
    for version in ("1.0.0", "1.0.1"):
        await workshop.publish("orgs/fix/log", version)
    await workshop.publish("orgs/fix/other", "1.0.0")
    project = workshop.project("app")
    await project.add(["orgs/fix/log@1.0.0", "orgs/fix/other"])
    (project.folder / "gati.json").write_text(
        json.dumps({"dependencies": {"orgs/fix/log": "^1.0.0", "orgs/fix/other": "*"}})
    )
    await project.install()
    await workshop.publish("orgs/fix/other", "1.1.0")
    record = {"id": "GATI-1", "summary": "bad", "affected": [{"package": {"ecosystem": "Gati", "name": "orgs/fix/log"},
              "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.0.1"}]}]}]}  # fmt: skip
    async with workshop.connect("") as client:
        await client.advisories.put("orgs/fix/log", "GATI-1", Osv.model_validate(record))
    affected = await project.audit()
    assert [(one.key, one.id, one.fixed) for one in affected] == [("orgs/fix/log@1.0.0", "GATI-1", ("1.0.1",))]
    await project.fix()
    assert set(locks.load(project.folder).packages) == {"orgs/fix/log@1.0.1", "orgs/fix/other@1.0.0"}
    assert await project.audit() == []


async def test_changed_by_several_at_once(workshop: Workshop) -> None:
    """What one adds is not lost where others add, update and install in the same folder meanwhile."""
    names = {f"orgs/atonce/{letter}" for letter in "abcd"}
    for name in ("orgs/atonce/first", *names):
        await workshop.publish(name, "1.0.0")
    await workshop.project("atonce").add(["orgs/atonce/first"])

    def here() -> Project:
        return workshop.project("atonce")  # as many processes would, each on its own

    await asyncio.gather(*(here().add([name]) for name in names), here().update(), here().install())
    await here().install(frozen=True)
    assert set(asked(here())) == {"orgs/atonce/first", *names}
    assert set(installed(here().folder)) == {"orgs/atonce/first", *names}


def test_from_below(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    assert find(tmp_path / "a/b") == tmp_path / "a/b"
    (tmp_path / "gati.json").write_text("{}")
    assert find(tmp_path / "a/b") == tmp_path


async def test_other_ecosystems_locks(workshop: Workshop, tmp_path: Path) -> None:
    await workshop.publish("users/alice/json-utils", "1.0.0")
    await workshop.publish("orgs/payments/protocol", "1.2.3", {"users/alice/json-utils": "^1.0.0"})
    await workshop.publish("orgs/payments/protocol", "1.9.0")
    # As their own programs write them.
    (tmp_path / "spec-lock.yaml").write_text("packages:\n  payments/protocol:\n    version: 1.2.3\n")
    (tmp_path / "mlld.lock.json").write_text(json.dumps({"version": "1.0.0", "imports": {"mlld://alice/json-utils": {
        "resolved": "mlld://gist/alice/a1f3e09a42db6c680b454f6f93efa9d8",
        "gistRevision": "b20e54d6dbf422252b7b670af492632f", "integrity": f"sha256:{'e' * 64}",
        "approvedAt": "2024-05-28T10:00:00Z"}}}))  # fmt: skip
    project = workshop.project("app")
    await project.adopt(foreign.read(tmp_path / "spec-lock.yaml"))
    await project.adopt(foreign.read(tmp_path / "mlld.lock.json"))
    lock = locks.load(project.folder)
    assert set(lock.packages) == {"orgs/payments/protocol@1.2.3", "users/alice/json-utils@1.0.0"}
    assert lock.packages["users/alice/json-utils@1.0.0"].approved_at is None, "other content than was approved"
    await project.install()
    # There and back: the same packages, digests and approvals.
    locks.save(project.folder, lock.approved({"users/alice/json-utils@1.0.0"}, "2026-01-01T00:00:00Z"))
    for form, name in (("spec", "out.yaml"), ("mlld", "out.json")):
        (tmp_path / name).write_text(foreign.write(locks.load(project.folder), form))  # type: ignore[arg-type]
    back = workshop.project("back")
    await back.adopt(foreign.read(tmp_path / "out.yaml"))
    await back.adopt(foreign.read(tmp_path / "out.json"))
    again = locks.load(back.folder)
    assert {key: one.digest for key, one in again.packages.items()} == {
        key: one.digest for key, one in lock.packages.items()
    }
    assert again.packages["users/alice/json-utils@1.0.0"].approved_at == "2026-01-01T00:00:00Z"


async def test_a_lock_of_mlld_names_gists(workshop: Workshop, tmp_path: Path) -> None:
    """What it locks is the version that is this gist at this revision, not the newest; what nobody has is told."""
    gist = "a1f3e09a42db6c680b454f6f93efa9d8"
    digests = {}
    async with workshop.connect("") as client:
        for version, revision in (("1.0.0", "a" * 40), ("1.1.0", "b" * 40)):
            config = {"name": "json-utils", "gist": gist, "revision": revision, "description": "JSON."}
            pushed = await client.artifacts.push(
                "users/mona/json-utils", artifact_type="application/vnd.gati.module.v1",
                config=json.dumps(config).encode(), config_type="application/vnd.mlld.module.v1+json", layers=[],
                tags=[version],
            )  # fmt: skip
            digests[version] = pushed.digest

    def written(revision: str) -> Path:
        path = tmp_path / "mlld.lock.json"
        entry = {"resolved": f"mlld://gist/mona/{gist}", "gistRevision": revision, "integrity": f"sha256:{'e' * 64}"}
        path.write_text(json.dumps({"version": "1.0.0", "imports": {"mlld://mona/json-utils": entry}}))
        return path

    project = workshop.project("pinned")
    found = await project.adopt(foreign.read(written("a" * 40)))
    assert found.warnings == ()
    assert {key: one.digest for key, one in found.lock.packages.items()} == {
        "users/mona/json-utils@1.0.0": digests["1.0.0"]
    }
    assert project.application.dependencies == {"users/mona/json-utils": digests["1.0.0"]}
    other = workshop.project("unpinned")
    found = await other.adopt(foreign.read(written("c" * 40)))
    assert set(found.lock.packages) == {"users/mona/json-utils@1.1.0"}
    assert len(found.warnings) == 1
    assert gist in found.warnings[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.yaml", "- x"), ("a.yaml", "packages: {x: {}}"), ("a.yaml", "a: [&x"), ("a.yaml", "packages: {'X Y': 1.0.0}"),
     ("a.json", "{}"), ("a.json", '{"imports": {"x": 1}}'), ("a.txt", ""),
     ("a.yaml", "!!python/object/apply:os.system [id]")],
)  # fmt: skip
def test_foreign_locks_that_are_none(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(Usage):
        foreign.read(tmp_path / name)


def test_a_bomb_of_yaml(tmp_path: Path) -> None:
    """Keys that are merged from others that are merged: each line is ten times the one before."""
    lines = ["a0: &a0 {x: 1.0.0}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 5))]
    for read, name in ((foreign.read, "spec-lock.yaml"), (answering.read, "answers.yaml")):
        (tmp_path / name).write_text("\n".join([*lines, "packages: *a4"]))
        with pytest.raises(Usage, match="aliases"):
            read(tmp_path / name)
