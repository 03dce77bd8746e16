"""`gati init` with templates of a registry, as a user runs it: every type of variable, a terminal, hooks, updates."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from gati_client.auth import Credential, StaticCredentials
from gati_client.client import Client as Sdk
from gati_client.pack import archive
from gati_client.transfer import FileSource, Layer
from tests.client.cli.conftest import GATI, PASSWORD, gati, home, user
from tests.clients.client import Client
from tests.clients.registry import Registry

__all__ = ["gati", "home", "user"]

TYPES: list[dict[str, Any]] = [
    {"name": "project", "description": "What it is called", "required": True, "pattern": "[a-z]+"},
    {"name": "port", "type": "integer", "default": 8080, "min": 1, "max": 65535},
    {"name": "ratio", "type": "number", "default": 0.5, "min": 0, "max": 1},
    {"name": "tests", "type": "boolean", "default": True},
    {"name": "database", "type": "choice", "options": ["sqlite", "postgresql"], "default": "sqlite"},
    {"name": "parts", "type": "list", "options": ["web", "api", "jobs"], "default": ["web"]},
    {"name": "owners", "type": "list", "default": ["{{ nobody }}"]},
    {"name": "key", "type": "secret", "required": True, "min": 4},
    {"name": "service", "default": "{{ project }}-service"},
]
FIRST: dict[str, str | bytes] = {
    "README.md": "# {{ project }}\n\nRuns {{ service }}.\n\n" + "\n".join(f"Line {n}." for n in range(8)) + "\n",
    "{{ project }}.json": "{{ {'port': port, 'ratio': ratio, 'parts': parts, 'owners': owners} | tojson }}\n",
    "{% if tests %}tests{% endif %}/first.txt": "{{ database }}\n",
    "secret.env": "KEY={{ key }}\n",
    "run.sh": "#!/bin/sh\n",
}


def push(site: Registry, user: str, version: str, contents: dict[str, str | bytes], folder: Path, **more: Any) -> None:
    """Publish a version of the user's template `starter`."""
    files = folder / "files"
    for name, data in contents.items():
        target = files / "template" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.encode() if isinstance(data, str) else data)
    config = {"name": "starter", "version": version, "templateType": "app", "variables": TYPES, **more}

    async def work() -> None:
        packed = archive.build(files, folder / "layer.tar.gz")
        credentials = StaticCredentials(site.host, Credential(username=user, password=PASSWORD))
        async with Sdk(site.url, credentials=credentials) as client:
            await client.artifacts.push(
                f"users/{user}/starter",
                artifact_type="application/vnd.gati.template.v1",
                config=json.dumps(config).encode(),
                config_type="application/vnd.gati.template.config.v1+json",
                layers=[Layer(FileSource(packed.path), "application/vnd.gati.template.layer.v1.tar+gzip")],
                tags=[version, "latest"],
            )

    asyncio.run(work())


def test_every_type_and_an_update(site: Registry, user: str, gati: Client, tmp_path: Path) -> None:
    push(site, user, "1.0.0", FIRST, tmp_path / "1")
    (gati.home / "answers.toml").write_text(
        'project = "shop"\nport = 81\nparts = ["web", "jobs"]\nkey = "s3cret"\ntests = false\nowners = ["ann"]\n'
    )
    said = gati("init", "--template", "starter", "shop", "--answers", "answers.toml", "--yes", "--output", "json")
    made = json.loads(said)
    assert made["template"] == f"users/{user}/starter"
    shop = gati.home / "shop"
    assert json.loads((shop / "shop.json").read_text()) == {
        "port": 81, "ratio": 0.5, "parts": ["web", "jobs"], "owners": ["ann"],
    }  # fmt: skip
    assert not (shop / "tests").exists()
    assert "Runs shop-service." in (shop / "README.md").read_text()
    assert (shop / "secret.env").read_text() == "KEY=s3cret\n"
    record = (shop / ".gati/template.json").read_text()
    assert "s3cret" not in record
    assert json.loads(record)["template"]["version"] == "1.0.0"
    assert json.loads(record)["template"]["digest"] == made["digest"]

    assert gati("init", "shop", "--update", "--yes", "--output", "json") == "[]\n"  # nothing new

    readme = (shop / "README.md").read_text()
    (shop / "README.md").write_text(readme.replace("Line 7.", "Line 7, by me."))
    (shop / "run.sh").write_text("#!/bin/sh\necho mine\n")
    second = {
        **FIRST,
        "README.md": str(FIRST["README.md"]).replace("Line 0.", "Line 0, for {{ team }}."),
        "run.sh": "#!/bin/sh\necho theirs\n",
        "new.txt": "{{ team }}\n",
    }
    del second["secret.env"]
    push(site, user, "1.1.0", second, tmp_path / "2", variables=[*TYPES, {"name": "team", "required": True}])
    arguments = ("init", "shop", "--update", "--yes", "--set", "key=s3cret")
    assert "the variable team must be given" in gati.fails(*arguments)
    assert (shop / "README.md").read_text() == readme.replace("Line 7.", "Line 7, by me.")
    code, out, err = gati.run(*arguments, "--set", "team=red", "--output", "json")
    assert code == 5, err
    assert "run.sh" in err
    assert {step["path"]: step["what"] for step in json.loads(out)} == {
        "README.md": "merged", "run.sh": "conflict", "new.txt": "added", "secret.env": "removed",
    }  # fmt: skip
    merged = (shop / "README.md").read_text()
    assert "Line 0, for red." in merged
    assert "Line 7, by me." in merged
    conflict = f"<<<<<<< yours\necho mine\n=======\necho theirs\n>>>>>>> users/{user}/starter 1.1.0\n"
    assert (shop / "run.sh").read_text() == "#!/bin/sh\n" + conflict
    assert not (shop / "secret.env").exists()
    kept = json.loads((shop / ".gati/template.json").read_text())
    assert kept["template"]["version"] == "1.1.0"
    assert kept["answers"]["team"] == "red"
    assert "key" not in kept["answers"]


def test_versions_are_chosen(site: Registry, user: str, gati: Client, tmp_path: Path) -> None:
    for version in ("1.0.0", "1.2.0", "2.0.0"):
        text: dict[str, str | bytes] = {"version.txt": version}
        push(site, user, version, text, tmp_path / version, variables=[])
    for number, (wanted, version) in enumerate({"@^1.0": "1.2.0", "@1.0.0": "1.0.0", "": "2.0.0"}.items()):
        gati("init", "--template", f"starter{wanted}", f"p{number}", "--yes")
        assert (gati.home / f"p{number}/version.txt").read_text() == version
    code, _, err = gati.run("init", "--template", "starter@^3", "p9", "--yes")
    assert (code, "no version" in err) == (3, True)
    assert not (gati.home / "p9").exists()


def test_other_engines_and_kinds_are_refused(site: Registry, user: str, gati: Client, tmp_path: Path) -> None:
    push(site, user, "1.0.0", {"a": "{{x}}"}, tmp_path / "1", engine="handlebars", variables=[])
    code, _, err = gati.run("init", "--template", "starter", "p", "--yes")
    assert code == 1
    assert "handlebars" in err
    assert "does not render" in err
    assert not (gati.home / "p").exists()


@pytest.mark.parametrize("target", ["../out.txt", "{{ up }}"])
def test_hostile_names_write_nothing(target: str, site: Registry, user: str, gati: Client, tmp_path: Path) -> None:
    variables = [{"name": "up", "default": "../../out.txt"}]
    files = [{"path": "a.txt", "target": "ok.txt"}, {"path": "b.txt", "target": target}]
    push(site, user, "1.0.0", {"a.txt": "a", "b.txt": "b"}, tmp_path / "1", variables=variables, files=files)
    before = sorted(gati.home.rglob("*"))
    code, _, err = gati.run("init", "--template", "starter", "p", "--yes")
    assert code == 1
    assert "the template is refused" in err
    assert [path for path in sorted(gati.home.rglob("*")) if path not in before and ".cache" not in path.parts] == []


def test_hooks_need_consent(site: Registry, user: str, gati: Client, tmp_path: Path) -> None:
    hooks = {"post": [["touch", "{{ project }} was here"]], "pre": ["touch before"]}
    push(site, user, "1.0.0", {"a.txt": "a"}, tmp_path / "1", hooks=hooks, variables=[TYPES[0]])
    given = ("--template", "starter", "--set", "project=shop")
    _, _, err = gati.run("init", *given, "one", "--yes")
    assert "touch 'shop was here'" in err
    assert "--allow-hooks" in err
    assert sorted(path.name for path in (gati.home / "one").iterdir()) == [".gati", "a.txt"]
    gati("init", *given, "two", "--yes", "--allow-hooks")
    assert {path.name for path in (gati.home / "two").iterdir()} == {".gati", "a.txt", "before", "shop was here"}
    said = typed(gati, ["init", *given, "three"], {"Run these commands?": "n\n"})
    assert "touch before" in said
    assert not (gati.home / "three/before").exists()
    typed(gati, ["init", *given, "four"], {"Run these commands?": "y\n"})
    assert (gati.home / "four/shop was here").exists()


def test_asked_on_a_terminal(site: Registry, user: str, gati: Client, tmp_path: Path) -> None:
    push(site, user, "1.0.0", FIRST, tmp_path / "1")
    answers = {
        "project": "SHOP\n", "must fit the pattern": "shop\n", "port": "99999\n", "at most 65535": "90\n",
        "ratio": "\n", "tests": "n\n", "database": "2\n", "parts": "web,3\n", "owners": "ann, bob\n", "key": "s3cret\n",
        "service": "\n",
    }  # fmt: skip
    said = typed(gati, ["init", "--template", "starter", "shop"], answers)
    shop = gati.home / "shop"
    assert json.loads((shop / "shop.json").read_text()) == {
        "port": 90, "ratio": 0.5, "parts": ["web", "jobs"], "owners": ["ann", "bob"],
    }  # fmt: skip
    assert "What it is called" in said
    assert "2. postgresql" in said
    assert "s3cret" not in said  # what is secret is not echoed
    assert not (shop / "tests").exists()


def typed(gati: Client, arguments: list[str], answers: dict[str, str]) -> str:
    """Run gati on a terminal; each answer is typed when its question stands at the end. Returns what was shown."""
    master, slave = pty.openpty()
    env = {**gati.environment(), "TERM": "dumb", "COLUMNS": "200"}
    process = subprocess.Popen(
        [GATI, *arguments], cwd=gati.home, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    shown, seen, left = "", 0, list(answers.items())
    deadline = time.monotonic() + 240
    try:
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 1)[0]:
                continue
            try:
                data = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            shown += data.decode(errors="replace")
            if left and left[0][0] in shown[seen:] and shown.endswith((": ", "? ")):
                seen = len(shown)
                os.write(master, left.pop(0)[1].encode())
        assert process.wait(timeout=120) == 0, shown
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert not left, (left, shown)
    return shown
