"""What is said of a version after its push, and its way to other registries and folders."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.client.cli.conftest import at_terminal, found_by_search, log_in, program, pushed, sign_up
from tests.clients.client import Client
from tests.clients.programs import require
from tests.clients.registry import MANIFEST, Registry, digest_of
from tests.extensions.kinds.support import CONFIGS
from tests.support.server import RegistryProcess, wait_for


@pytest.fixture
def name(site: Registry, user: str) -> str:
    """An artifact of the user's with a version 1.2.3."""
    repository = f"users/{user}/log"
    pushed(site, repository)
    return repository


def asked(gati: Client, *arguments: str) -> Any:
    return json.loads(gati(*arguments, "--output", "json"))


def test_states_and_their_reverses(gati: Client, name: str) -> None:
    """Each is said, shown, and taken back; the kind before the verb must be the artifact's."""
    version = f"{name}@1.2.3"
    said = asked(gati, "library", "deprecate", version, "--reason", "old", "--replacement", "users/x/new")
    assert set(said) == {"repository", "tag", "version", "digest", "kind", "state", "states", "moved_at"}
    assert said["state"] == "deprecated"
    assert said["states"]["deprecated"]["replacement"] == "users/x/new"
    assert asked(gati, "info", version)["state"] == "deprecated"
    assert asked(gati, "undeprecate", version)["state"] == "published"
    for day, moment in (("2040-01-31", "2040-01-31T00:00:00Z"), ("2040-01-31T12:00:00+02:00", "2040-01-31T10:00:00Z")):
        said = asked(gati, "deprecate", version, "--removed-at", day)
        assert datetime.fromisoformat(said["states"]["deprecated"]["removed_at"]) == datetime.fromisoformat(moment)
        asked(gati, "undeprecate", version)
    assert asked(gati, "library", "yank", version, "--reason", "broken")["state"] == "yanked"
    assert asked(gati, "unyank", version)["state"] == "published"
    assert asked(gati, "archive", version)["state"] == "archived"
    assert asked(gati, "restore", version)["state"] == "published"
    code, out, err = gati.run("unpublish", version)
    assert (code, out) == (2, "")
    assert "--yes" in err
    assert asked(gati, "unpublish", version, "--yes")["state"] == "unpublished"
    assert asked(gati, "republish", version)["state"] == "published"
    assert gati.run("yank", f"{name}@9.9.9")[0] == 3
    assert gati.run("model", "info", name)[0] == 3


def test_info_list_and_stars(gati: Client, site: Registry, name: str, user: str) -> None:
    pushed(site, name, version="1.3.0")
    pushed(site, f"users/{user}/tune", "prompt")
    found = asked(gati, "info", "log")  # one's own namespace comes first
    assert (found["repository"], found["latest"], found["version"]["facts"]["license"]) == (name, "1.3.0", "MIT")
    assert {row["repository"] for row in asked(gati, "list")} == {name, f"users/{user}/tune"}
    assert [row["repository"] for row in asked(gati, "prompt", "list")] == [f"users/{user}/tune"]
    assert gati("library", "list", f"users/{user}").splitlines()[1].split()[:3] == [name, "library", "1.3.0"]
    assert asked(gati, "star", name) == {"stars": 1, "starred": True}
    assert asked(gati, "unstar", name)["stars"] == 0
    assert asked(gati, "rate", name, "4", "--review", "good")["stars"] == 4
    assert [row["version"] for row in asked(gati, "version", "list", name)] == ["1.3.0", "1.2.3"]


def test_channels(gati: Client, name: str) -> None:
    moved = asked(gati, "version", "promote", f"{name}@1.2.3", "stable")
    assert moved["tag"] == "stable"
    assert [row["tag"] for row in asked(gati, "version", "channels", name)] == ["stable"]
    (row,) = asked(gati, "version", "history", name, "stable")
    assert (row["before"], row["after"]) == (None, moved["digest"])
    other = f"sha256:{'0' * 64}"
    assert gati.run("version", "promote", f"{name}@1.2.3", "stable", "--expected", other)[0] == 5


def test_copy_export_import(gati: Client, site: Registry, name: str, user: str, tmp_path: Path) -> None:
    """Bytes and what refers to them arrive as they were."""
    digest = site.manifest(name, "1.2.3").digest
    subject = site.manifest(name, "1.2.3")
    sbom = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/spdx+json",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2},
            "layers": [],
            "subject": {"mediaType": MANIFEST, "digest": digest, "size": len(subject.data)},
        }
    ).encode()
    site.push_blob(name, b"{}")
    referrer = site.push_manifest(name, digest_of(sbom), sbom, MANIFEST)

    copied = asked(gati, "copy", f"{name}@1.2.3", f"users/{user}/copied")
    assert copied == {"registry": site.host, "repository": f"users/{user}/copied", "tag": "1.2.3", "digest": digest}
    assert [each["digest"] for each in site.referrers(f"users/{user}/copied", digest)] == [referrer]
    gati("copy", f"{site.host}/{name}:1.2.3", f"users/{user}/bare:old", "--without-referrers")
    assert site.manifest(f"users/{user}/bare", "old").digest == digest
    assert site.referrers(f"users/{user}/bare", digest) == []

    layout = tmp_path / "layout"
    exported = asked(gati, "export", f"{name}@1.2.3", "--to", str(layout))
    assert exported == {
        "registry": site.host, "repository": name, "references": ["1.2.3"], "folder": str(layout)
    }  # fmt: skip
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    said = asked(gati, "import", str(layout), f"users/{user}/imported")
    assert said == {
        "registry": site.host, "repository": f"users/{user}/imported", "references": ["1.2.3", referrer],
        "folder": str(layout),
    }  # fmt: skip
    assert site.manifest(f"users/{user}/imported", "1.2.3").data == subject.data
    assert gati.run("import", str(tmp_path), f"users/{user}/imported")[0] == 2
    # A layout without names, as crane writes it, and one that is not whole.
    index = json.loads((layout / "index.json").read_text())
    for entry in index["manifests"]:
        entry.pop("annotations", None)
    (layout / "index.json").write_text(json.dumps(index))
    assert digest in asked(gati, "import", str(layout), f"users/{user}/unnamed")["references"]
    (layout / "blobs/sha256" / digest_of(b"{}").removeprefix("sha256:")).unlink()
    code, _, err = gati.run("import", str(layout), f"users/{user}/broken")
    assert code == 3
    assert "not whole" in err


@pytest.mark.client
def test_oras_reads_what_is_exported(gati: Client, site: Registry, name: str, home: Path, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    gati("export", f"{name}@1.2.3", "--to", str(layout))
    oras = Client(require("oras"), home)
    fetched = oras("manifest", "fetch", "--oci-layout", f"{layout}:1.2.3")
    assert fetched.encode() == site.manifest(name, "1.2.3").data


def test_validate(gati: Client, home: Path) -> None:
    """Against the schema that the registry has; pointers say where."""
    file = home / "gati-agent.json"
    file.write_text(json.dumps(CONFIGS["agent"]))
    assert asked(gati, "validate") == []
    file.write_text(json.dumps({**CONFIGS["agent"], "runtime": "cobol"}))
    code, out, _ = gati.run("agent", "validate", "--output", "json")
    assert code == 1
    assert [row["path"] for row in json.loads(out)] == ["/runtime"]
    assert gati.run("module", "validate")[0] == 2  # there is no gati-module.json
    file.write_text("{")
    assert gati.run("validate")[0] == 2


def test_login_of_somebody_else(gati: Client, name: str, site: Registry, tmp_path: Path) -> None:
    """What is not mine is denied, with exit code 4 and a word about the role that it takes."""
    folder = tmp_path / "other"
    folder.mkdir()
    log_in(site, folder, sign_up(site))
    code, _, err = program(folder, site).run("yank", f"{name}@1.2.3")
    assert (code, f"the role maintainer at {name}" in err) == (4, True), err


def test_edit(gati: Client, name: str) -> None:
    """What is said of a version changes, its digest does not."""
    version = f"{name}@1.2.3"
    before = asked(gati, "info", version)
    (gati.home / "README.md").write_text("# Log\n")
    edited = asked(
        gati, "version", "edit", version, "--description", "Logs.", "--label", "tier=gold", "--label", "team=a",
        "--readme", "README.md",
    )  # fmt: skip
    assert (edited["digest"], edited["revision"]) == (before["digest"], before["revision"] + 1)
    assert (edited["overlay"]["description"], edited["overlay"]["readme"]) == ("Logs.", "# Log\n")
    assert edited["overlay"]["labels"] == {"tier": "gold", "team": "a"}
    assert asked(gati, "version", "edit", version, "--label", "team=")["overlay"]["labels"] == {"tier": "gold"}
    assert gati.run("version", "edit", version)[0] == 2


def test_copy_to_another_registry(gati: Client, site: Registry, registry: RegistryProcess, name: str) -> None:
    there = f"{registry.host}/mirror/{name}"
    code, _, err = gati.run("copy", f"{name}-nothing@1.2.3", there)
    assert code == 3
    assert f"{site.host} has no {name}-nothing" in err  # it is not the other registry that lacks something
    copied = asked(gati, "copy", f"{name}@1.2.3", there)
    assert copied["registry"] == registry.host
    back = asked(gati, "--registry", registry.url, "info", f"{there}@1.2.3")
    assert back["digest"] == copied["digest"] == site.manifest(name, "1.2.3").digest


def test_a_choice_at_a_terminal(site: Registry, gati: Client, name: str, user: str) -> None:
    """Who searches at a terminal is asked which one to look at, and sees it."""
    words = ("search", "thing", "--namespace", f"users/{user}")
    wait_for(lambda: found_by_search(site, f"users/{user}"))
    seen = at_terminal(gati, *words, typed=b"1\n", at=b"Which one")
    after = seen.partition(b"Which one")[2]
    assert name.encode() in after
    assert b"MIT" in after
