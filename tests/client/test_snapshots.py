"""Snapshots: what they hold and what not, and that what is restored is what was captured."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path

import pytest

from gati_client import snapshots
from gati_client.auth import Credential, StaticCredentials
from gati_client.cache import Cache
from gati_client.client import Client as Sdk
from gati_client.errors import Conflict, GatiError, Integrity, NotFound, Usage
from gati_client.project import files
from gati_client.project.lock import Lock, Package
from gati_client.project.project import Project
from gati_client.publish import publish
from gati_client.scaffold import create
from tests.client.cli.conftest import PASSWORD, gati, home, log_in, program, sign_up, user
from tests.clients.client import Client
from tests.clients.registry import Registry
from tests.support.server import RegistryProcess

__all__ = ["gati", "home", "user"]

SHA = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
WISHES = {"orgs/acme/log": "^1", "orgs/acme/small": "1.0.0"}


def project(folder: Path, release: str = "1.2.0", digest: str = SHA) -> Path:
    """A project with a lock of two packages; written by hand, and therefore not as gati writes it."""
    folder.mkdir(parents=True)
    lock = Lock(
        {"dependencies": WISHES},
        {
            f"orgs/acme/log@{release}": Package(digest, "registry.example", "module"),
            "orgs/acme/small@1.0.0": Package(SHA, "registry.example", "model"),
        },
    )
    (folder / "gati.lock").write_text(json.dumps(lock.document(), indent=4))
    files.write(folder / "gati.json", {"name": "shop", "dependencies": WISHES})
    return folder


@pytest.fixture
def opened(registry: RegistryProcess) -> Iterator[Registry]:
    """The open registry, seen from beside."""
    with contextlib.closing(Registry(registry.url)) as found:
        yield found


def test_names_of_variables_never_values(tmp_path: Path) -> None:
    environment = {"API_KEY": "v-one", "NODE_ENV": "v-two", "PWD": "v-three", "BASH_FUNC_x%%": "v-four"}
    made = snapshots.capture(project(tmp_path / "p"), "dev", "1.0.0", environment=environment)
    assert made.environment == ["API_KEY", "NODE_ENV"]
    folder = snapshots.keep(tmp_path / "p", made)
    assert not any("v-" in path.read_text() for path in folder.iterdir())
    some = snapshots.capture(tmp_path / "p", "dev", "1.0.1", variables=["NODE_*"], environment=environment)
    assert some.environment == ["NODE_ENV"]
    assert snapshots.missing(made, {"API_KEY": ""}) == ["NODE_ENV"]


def test_what_is_kept(tmp_path: Path, home: Path) -> None:
    folder = project(tmp_path / "p")
    with pytest.raises(Usage, match="no name of a snapshot"):
        snapshots.capture(folder, "../up", "1.0.0")
    for odd in ("../../../../evil", "..", "a b", "latest", "1.0.0/x", "=1.0.0", ""):
        with pytest.raises(Usage, match="version"):
            snapshots.capture(folder, "dev", odd)
    for version in ("1.10.0", "1.9.0"):
        snapshots.keep(folder, snapshots.capture(folder, "dev", version))
    with pytest.raises(Conflict, match=r"dev@1\.9\.0 already"):
        snapshots.keep(folder, snapshots.capture(folder, "dev", "1.9.0"))
    assert [each.version for each in snapshots.kept(folder)[0]] == ["1.9.0", "1.10.0"]
    newest, older = snapshots.find(folder, "dev"), snapshots.find(folder, "dev@1.9.0")
    assert newest is not None
    assert older is not None
    assert (newest.version, older.version) == ("1.10.0", "1.9.0")
    assert newest.document["modules"] == [{"name": "orgs/acme/log", "version": "1.2.0", "digest": SHA}]
    assert newest.document["models"] == [{"name": "orgs/acme/small", "version": "1.0.0", "digest": SHA}]
    assert snapshots.find(folder, "users/x/dev") is None
    # One that is damaged keeps nobody from the others, and is told.
    (folder / ".gati/snapshots/dev/1.9.0/gati.lock").write_text("{}")
    with pytest.raises(Integrity, match=r"of dev@1\.9\.0 is not the one that it was made of"):
        snapshots.find(folder, "dev@1.9.0")
    assert snapshots.find(folder, "dev") == newest
    code, out, err = replace(program(home), cwd=folder).run("snapshot", "list", "--output", "json")
    assert (code, [each["version"] for each in json.loads(out)]) == (6, ["1.10.0"])
    assert err.startswith("gati: dev@1.9.0 is damaged: "), err
    assert err.count("\n") == 1
    (folder / ".gati/snapshots/dev/1.10.0/gati-snapshot.json").unlink()
    with pytest.raises(Integrity, match=r"no gati-snapshot\.json"):
        snapshots.find(folder, "dev")  # an older one is not what was asked for
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match=r"no gati\.lock"):
        snapshots.capture(tmp_path / "empty", "dev", "1.0.0")


def test_versions_made_up_are_in_order() -> None:
    moments = [datetime(2026, 1, 5, 9, 3, 0, tzinfo=UTC), datetime(2026, 11, 28, 16, 1, 42, tzinfo=UTC)]
    assert [snapshots.made_up(moment) for moment in moments] == ["2026.105.90300", "2026.1128.160142"]


def test_shared_and_had_again(opened: Registry, tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    made = snapshots.capture(folder, "dev", "1.0.0", environment={"API_KEY": "secret"})

    async def round() -> snapshots.Snapshot:
        async with Sdk(opened.url) as client:
            pushed = await snapshots.share(client, "library/dev", made)
            again = await snapshots.share(client, "library/dev", made)
            assert pushed.digest == again.digest  # the same snapshot is the same artifact
            other = snapshots.capture(folder, "dev", "1.0.0", environment={})
            with pytest.raises(Conflict, match=r"another 1\.0\.0 already"):
                await snapshots.share(client, "library/dev", other)
            assert (await snapshots.fetch(client, "library/dev", "latest")).document == made.document
            with pytest.raises(NotFound):
                await snapshots.fetch(client, "library/dev", "9.9.9")
            return await snapshots.fetch(client, "library/dev", pushed.digest)

    found = asyncio.run(round())
    snapshots.put_back(found, tmp_path / "elsewhere")
    for name in ("gati.lock", "gati.json"):
        assert (tmp_path / "elsewhere" / name).read_bytes() == (folder / name).read_bytes()
    (tmp_path / "elsewhere/gati.json").write_text("{}")
    with pytest.raises(Conflict, match=r"gati\.json"):
        snapshots.put_back(found, tmp_path / "elsewhere")
    snapshots.put_back(found, tmp_path / "elsewhere", force=True)
    facts = opened.request("GET", "/v2/library/dev/_ext/kinds/versions/1.0.0").json()["facts"]
    assert "API_KEY" in json.dumps(facts)
    assert "secret" not in json.dumps(facts)


def test_something_else_is_refused(opened: Registry) -> None:
    async def work() -> None:
        async with Sdk(opened.url) as client:
            await client.artifacts.push(
                "library/other", artifact_type="application/x", config=b"{}", config_type="application/json", layers=[],
                tags=["latest"],
            )  # fmt: skip
            with pytest.raises(GatiError, match="no snapshot"):
                await snapshots.fetch(client, "library/other", "latest")

    asyncio.run(work())


def test_differences(tmp_path: Path) -> None:
    before = snapshots.capture(project(tmp_path / "1"), "dev", "1.0.0", environment={"A": "", "B": ""})
    after = snapshots.capture(project(tmp_path / "2", "1.3.0"), "dev", "1.0.1", environment={"B": "", "C": ""})
    assert snapshots.diff(before, after) == [
        snapshots.Change("module", "orgs/acme/log", "1.2.0", "1.3.0"),
        snapshots.Change("environment", "A", "set", ""),
        snapshots.Change("environment", "C", "", "set"),
    ]
    assert snapshots.diff(before, before) == []
    moved = snapshots.capture(project(tmp_path / "3", digest=OTHER), "dev", "1.0.2", environment={"A": "", "B": ""})
    assert [change.name for change in snapshots.diff(before, moved)] == ["orgs/acme/log"]


def test_round_trip(site: Registry, user: str, gati: Client, tmp_path: Path) -> None:
    """Captured by one, had again by another in an empty folder: the same lock, byte for byte, and all that it names."""
    credentials = StaticCredentials(site.host, Credential(username=user, password=PASSWORD))

    def connect(registry: str) -> Sdk:
        return Sdk(registry or site.url, credentials=credentials)

    async def begin(folder: Path) -> None:
        for kind, type in (("module", "node"), ("plugin", "auth"), ("agent", "js"), ("library", "python")):
            made = create(kind, f"a-{kind}", tmp_path / kind, type=type)
            async with connect("") as client:
                await publish(client, made.folder, repository=f"users/{user}/a-{kind}")
        work = Project(folder, connect, cache=Cache(tmp_path / "cache"))
        await work.add([f"users/{user}/a-{kind}" for kind in ("module", "plugin", "agent", "library")])
        await work.install()

    folder = tmp_path / "mine"
    folder.mkdir()
    asyncio.run(begin(folder))
    # Somebody's tool wrote it otherwise: what is restored are its bytes, and not what we would write.
    (folder / "gati.lock").write_text(json.dumps(json.loads((folder / "gati.lock").read_text()), indent=1))
    mine = replace(gati, cwd=folder, env={**gati.env, "SECRET_OF_MINE": "never-told"})
    mine("snapshot", "create", "desk", "--version", "1.0.0")
    shown = json.loads(mine("snapshot", "list", "--output", "json"))
    assert [(each["name"], each["version"], each["artifacts"]) for each in shown] == [("desk", "1.0.0", 4)]
    url = mine("snapshot", "share", "desk").strip()
    assert url.startswith(f"{site.url}/v2/users/{user}/desk/manifests/sha256:")
    config = site.manifest(f"users/{user}/desk", "1.0.0").json["config"]["digest"]
    document = json.loads(site.blob(f"users/{user}/desk", config))
    assert [len(document[f"{kind}s"]) for kind in ("module", "plugin", "agent", "model")] == [1, 1, 1, 0]
    assert document["cliVersion"] == installed_version("gati-registry")
    assert "SECRET_OF_MINE" in document["environment"]
    assert "never-told" not in json.dumps(document)

    other = tmp_path / "other"
    other.mkdir()
    theirs = program(other, site)
    log_in(site, other, sign_up(site))
    for number, wanted in enumerate((url, f"users/{user}/desk", f"users/{user}/desk@1.0.0")):
        _, _, err = theirs.run("snapshot", "restore", wanted, f"copy{number}")
        copy = other / f"copy{number}"
        for name in ("gati.lock", "gati.json", f"gati_modules/users/{user}/a-module/index.js"):
            assert (copy / name).read_bytes() == (folder / name).read_bytes(), err
        assert "SECRET_OF_MINE" in err
    assert json.loads(theirs("snapshot", "diff", url, f"users/{user}/desk", "--output", "json")) == []
    private = site.request(
        "PUT", f"/v2/_ext/namespaces/users/{user}", content=b'{"visibility": "private"}',
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert private.status_code == 200, private.text
    code, _, _ = theirs.run("snapshot", "restore", url, "hidden")
    assert code in (3, 4)
    assert not (other / "hidden").exists()
    mine("snapshot", "restore", url, "again")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"http://127.0.0.1:5000/v2/users/alice/dev/manifests/{SHA}", f"127.0.0.1:5000/users/alice/dev@{SHA}"),
        ("https://registry.example/v2/users/alice/dev/manifests/1.0.0", "registry.example/users/alice/dev:1.0.0"),
        ("https://registry.example/users/alice/dev:1.0.0", "registry.example/users/alice/dev:1.0.0"),
        ("@acme/dev", "@acme/dev"),
    ],
)
def test_where_an_url_leads(text: str, name: str) -> None:
    assert snapshots.located(text) == name
    if SHA in text:
        assert snapshots.address("http://127.0.0.1:5000/", "users/alice/dev", SHA) == text
