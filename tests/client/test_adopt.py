"""Packages of npm and repositories of git become folders that can be published; nothing of them is run."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gati_client.adopt import from_git, from_npm
from gati_client.errors import Conflict, Integrity, Network, NotFound, Usage
from gati_client.project import files
from gati_client.publish import prepare
from tests.client.packs import archive, entry, lay, tree
from tests.proofs.sizes import required

PACKAGE = {"name": "@acme/pad", "version": "1.3.0", "license": "MIT", "author": "Ada <ada@example.com>",
           "keywords": ["pad"], "dependencies": {"other": "^1"},
           "scripts": {"prepack": "touch RAN", "prepare": "touch RAN", "postinstall": "touch RAN"}}  # fmt: skip


class Npm:
    """A registry as npm asks it: a document for each package, and its archive."""

    def __init__(self) -> None:
        self.packages: dict[str, bytes] = {}
        own = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path[1:].replace("%2f", "/")
                body = own.packages.get(name.removesuffix(".tgz"))
                if body is not None and not name.endswith(".tgz"):
                    integrity = f"sha512-{base64.b64encode(hashlib.sha512(body).digest()).decode()}"
                    dist = {"tarball": f"{own.url}/{name}.tgz", "integrity": integrity}
                    versions = {"1.3.0": {"name": name, "version": "1.3.0", "dist": dist}}
                    body = json.dumps({"name": name, "dist-tags": {"latest": "1.3.0"}, "versions": versions}).encode()
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Npm]:
    required("npm")
    made = Npm()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    monkeypatch.setenv("npm_config_registry", made.url)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("HOME", str(tmp_path))
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_npm(npm: Npm, tmp_path: Path) -> None:
    files = {"package/package.json": json.dumps(PACKAGE).encode(), "package/index.js": b"module.exports = 1\n"}
    members = [entry(name, data) for name, data in files.items()]
    npm.packages["@acme/pad"] = archive(tmp_path / "pad.tgz", *members).read_bytes()
    manifest = from_npm("@acme/pad@^1.0.0", tmp_path / "pad")
    assert set(tree(tmp_path / "pad")) == {"gati-module.json", "index.js", "package.json"}
    document = json.loads(manifest.read_text())
    assert document == {"name": "@acme/pad", "version": "1.3.0", "author": PACKAGE["author"], "license": "MIT",
                        "keywords": ["pad"], "gati": {"type": "module", "dependencies": {}}}  # fmt: skip
    with prepare(tmp_path / "pad") as plan:
        assert (plan.repository, plan.version, plan.findings) == ("orgs/acme/pad", "1.3.0", ())
    with pytest.raises(Conflict):
        from_npm("@acme/pad", tmp_path / "pad")
    with pytest.raises(NotFound, match="npm: E404: 404 Not Found - GET"):
        from_npm("nothing", tmp_path / "nothing")
    with pytest.raises(Network, match=r"npm: ETARGET: .*No matching version found for @acme/pad@9"):
        from_npm("@acme/pad@9", tmp_path / "nothing")


def test_hostile_npm(npm: Npm, tmp_path: Path) -> None:
    npm.packages["bad"] = archive(tmp_path / "bad.tgz", entry("package/../../../evil", b"x")).read_bytes()
    with pytest.raises((Integrity, Network)):  # npm itself may see it first
        from_npm("bad", tmp_path / "work/bad")
    assert [*(tmp_path / "work").iterdir()] == []
    for name in ("--help", "git+https://x/y", "../folder", "file:x", "a b", "https://x/y.tgz", "alice/repository", ""):
        with pytest.raises(Usage):
            from_npm(name, tmp_path / "x")


def repository(folder: Path, files: dict[str, str | bytes]) -> str:
    """A repository of git with one commit and the tag v2.0.0; its URL."""
    lay(folder, files)
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "x"], ["tag", "v2.0.0"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return f"file://{folder}"


def test_git(tmp_path: Path) -> None:
    url = repository(tmp_path / "repo", {"index.js": "1", "README.md": "hello", "run.sh": "#!/bin/sh\n"})
    manifest = from_git(url, tmp_path / "mine", reference="v2.0.0")
    assert json.loads(manifest.read_text())["version"] == "2.0.0"
    assert json.loads(manifest.read_text())["name"] == "repo"
    assert set(tree(tmp_path / "mine")) == {"README.md", "gati-module.json", "index.js", "run.sh"}


def test_git_at_a_commit(tmp_path: Path) -> None:
    """A full hash pins, whatever came later; a gist's revision is one."""
    url = repository(tmp_path / "repo", {"a.js": "1"})
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path / "repo", check=True, capture_output=True, text=True
    ).stdout.strip()
    (tmp_path / "repo/a.js").write_text("2")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, "commit", "-qam", "y"], cwd=tmp_path / "repo", check=True)
    from_git(url, tmp_path / "mine", reference=commit)
    assert (tmp_path / "mine/a.js").read_text() == "1"
    with pytest.raises(Network, match="git"):
        from_git(url, tmp_path / "no", reference="0" * 40)
    for gist in ("mlld://gist/alice/a1f3e0", "mlld://alice/json-utils"):
        with pytest.raises(Usage, match="gist"):
            from_git(gist, tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_specifications(tmp_path: Path) -> None:
    text = "name: payments\nversion: 1.2.3\nframework: tlaplus\nspecifications: {main: specs/main.tla}\n"
    url = repository(
        tmp_path / "one", {"spec.yaml": text + "dependencies: {crypto/algorithms: ~2.1.0}\n", "specs/main.tla": "x"}
    )
    document = json.loads(from_git(url, tmp_path / "a", kind="spec").read_text())
    assert document["specifications"] == {"main": "specs/main.tla"}
    assert document["dependencies"] == {"crypto/algorithms": "~2.1.0"}
    url = repository(tmp_path / "two", {"package.json": json.dumps({**PACKAGE, "name": "s"}), "a/openapi.yaml": "x"})
    document = json.loads(from_git(url, tmp_path / "b", kind="spec").read_text())
    assert (document["framework"], document["specifications"]) == ("openapi", {"main": "a/openapi.yaml"})
    assert "dependencies" not in document
    with pytest.raises(Usage, match="no specification"):
        from_git(repository(tmp_path / "three", {"a.js": ""}), tmp_path / "c", kind="spec")
    assert not (tmp_path / "c").exists()


def test_hostile_git(tmp_path: Path) -> None:
    (tmp_path / "four").mkdir()
    (tmp_path / "four/link").symlink_to("/etc/passwd")
    with pytest.raises(Usage, match="link"):
        from_git(repository(tmp_path / "four", {"a": ""}), tmp_path / "d")
    for url in ("--upload-pack=touch /tmp/x", "ext::sh -c touch% RAN", "-x", "", "https://x/y z"):
        with pytest.raises(Usage):
            from_git(url, tmp_path / "e")
    with pytest.raises(Usage):
        from_git("https://x/y", tmp_path / "e", reference="--upload-pack=x")
    with pytest.raises(Network, match="git"):
        from_git(f"file://{tmp_path}/nothing", tmp_path / "e")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\n" + "".join(f"{n}: &{n} [*{c}, *{c}]\n" for c, n in zip("abcdefgh", "bcdefghi", strict=True)),
        "[" * 50_000,
        "x: " + "y" * 1024 * 1024,
        "a: [",
    ],
    ids=["aliases", "depth", "size", "broken"],
)
def test_a_specification_that_is_a_bomb(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(Usage, match=r"spec\.yaml"):
        files.read_yaml(tmp_path / "spec.yaml", Usage)
