"""`gati publish`, `add`, `install` and what belongs to them, as people type them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gati_client.project.lock import Lock, Package
from tests.client.cli.conftest import GATI, at_terminal
from tests.client.packs import lay, tree
from tests.client.projects import module
from tests.clients.client import Client
from tests.support.server import RegistryProcess


@pytest.fixture
def gati(home: Path, registry: RegistryProcess) -> Client:
    """The program in an empty home."""
    return Client(GATI, home, env={"GATI_REGISTRY": registry.host, "XDG_CACHE_HOME": str(home / "cache")})


def test_a_round(gati: Client) -> None:
    source = lay(gati.home / "log", {**module("@round/log", "1.0.0"), "README.md": "hello\n"})
    shown = gati("publish", "--dry-run", "log")
    assert "README.md" in shown
    published = json.loads(gati("publish", "log", "-o", "json"))
    assert (published["repository"], published["tags"]) == ("orgs/round/log", ["1.0.0", "latest"])
    (source / "README.md").write_text("hello again\n\33[31mred\f\n")
    (source / "gati-module.json").write_text(module("@round/log", "1.1.0")["gati-module.json"])
    gati("module", "publish", "log")

    app = Client(GATI, lay(gati.home / "app", {"src/main.js": ""}), env=gati.env)
    app("add", "@round/log@~1.0.0")
    assert "1.0.0" in app("tree")
    assert json.loads(app("why", "@round/log", "-o", "json")) == [["orgs/round/log@1.0.0"]]
    (row,) = json.loads(app.run("outdated", "-o", "json")[1])
    assert (row["current"], row["wanted"], row["latest"]) == ("1.0.0", "1.0.0", "1.1.0")
    assert (gati.home / "app/gati_modules/orgs/round/log/README.md").read_text() == "hello\n"
    app("module", "install", "@round/log")
    assert (gati.home / "app/gati_modules/orgs/round/log/README.md").read_text() == "hello again\n\33[31mred\f\n"
    between = ("diff", "@round/log@1.0.0", "1.1.0", "--patch")
    assert "-hello\n+hello again\n+\33[31mred\f\n" in app(*between)
    assert b"+\\x1b[31mred\\x0c\r\n" in at_terminal(app, *between)  # a stranger's file does nothing to a terminal
    assert app("audit") == ""
    app("install", "--frozen", "--offline")
    app("remove", "@round/log")
    assert [*(gati.home / "app/gati_modules").iterdir()] == [gati.home / "app/gati_modules/.store"]


def test_exit_codes(gati: Client) -> None:
    folder = lay(gati.home / "x", module("@codes/x", "1.0.0"))
    gati("publish", "x")
    (folder / "index.js").write_text("changed")
    assert gati.run("publish", "x")[0] == 5
    assert gati.run("publish", "nowhere")[0] == 2
    lay(folder, {".env": "A=b"})
    run = gati.run("publish", "x", "--dry-run")
    assert run[0] == 1
    assert ".env:1" in run[2]
    assert gati.run("pack", "x")[0] == 1
    gati("pack", "x", "--allow-secret", "--to", "x.tar.gz")
    (gati.home / "bad.tar").write_text("no archive" * 100)
    assert gati.run("unpack", "bad.tar")[0] == 6
    app = Client(GATI, lay(gati.home / "app", {}), env=gati.env)
    assert app.run("install")[0] == 3
    app("add", "@codes/x")
    lock = json.loads((app.home / "gati.lock").read_text())
    lock["packages"]["orgs/codes/x@1.0.0"]["integrity"] = "sha256-AAAA"
    (app.home / "gati.lock").write_text(json.dumps(lock))
    for command in (["install"], ["add", "@codes/x"]):
        run = app.run(*command)
        assert (run[0], "integrity" in run[2]) == (6, True), run


def test_a_lock_sends_no_token_elsewhere(gati: Client) -> None:
    """Who wrote it may have named a registry of their own."""
    heard: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers.get("Authorization"))
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="evil"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        package = Package(f"sha256:{'1' * 64}", f"http://127.0.0.1:{server.server_address[1]}", "module")
        lock = Lock({"dependencies": {"orgs/evil/x": "*"}}, {"orgs/evil/x@1.0.0": package})
        folder = lay(gati.home / "app", {"gati.json": '{"dependencies": {"orgs/evil/x": "*"}}'})
        (folder / "gati.lock").write_text(json.dumps(lock.document()))
        app = Client(GATI, folder, env={**gati.env, "GATI_TOKEN": "token-of-somebody"})
        assert app.run("install")[0] == 4
        # Nor do a project's record of its template, and names with a registry of their own.
        there = package.registry.removeprefix("http://")
        origin = {"registry": there, "repository": "x/y", "version": "1", "digest": package.digest}
        record = {"version": 1, "template": origin, "answers": {}}
        lay(folder, {".gati/template.json": json.dumps(record)})
        url = f"{package.registry}/v2/x/y/manifests/{package.digest}"
        for words in (
            ("init", "--update"),
            ("export", f"{there}/x/y:1", "--to", "l"),
            ("snapshot", "restore", url, "r"),
        ):
            code, _, err = app.run(*words)
            assert code == 4, err
            assert f"{there} does not get the token" in err
        chosen = Client(GATI, folder, env={"GATI_TOKEN": "token-of-somebody"})
        assert "one token" in chosen.fails("copy", f"{there}/x/y:1", "127.0.0.1:1/x/y")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert heard
    assert set(heard) == {None}


def test_approving(gati: Client) -> None:
    lay(gati.home / "x", module("@approve/x", "1.0.0"))
    gati("publish", "x")
    app = Client(
        GATI,
        lay(gati.home / "app", {"gati.json": '{"approve": true, "dependencies": {"@approve/x": "^1"}}'}),
        env=gati.env,
    )
    run = app.run("install")
    assert (run[0], "not approved" in run[2]) == (4, True)
    app("install", "--yes")
    assert "approved_at" in (app.home / "gati.lock").read_text()
    app("install", "--frozen")


def test_packs_and_the_cache(gati: Client) -> None:
    folder = lay(gati.home / "x", module("x", "1.0.0"))
    one = json.loads(gati("pack", "x", "-o", "json"))
    assert one["path"] == "x-1.0.0.tar.gz"
    assert json.loads(gati("pack", "x", "--to", "other/y.tgz", "-o", "json"))["digest"] == one["digest"]
    gati("unpack", "x-1.0.0.tar.gz", "--to", "back", "--digest", one["digest"])
    assert tree(gati.home / "back") == tree(folder)
    assert gati.run("unpack", "x-1.0.0.tar.gz", "--to", "back")[0] == 5
    assert gati.run("unpack", "x-1.0.0.tar.gz", "--digest", f"sha256:{'0' * 64}")[0] == 6
    assert gati("cache", "path").strip() == str(gati.home / "cache/gati")
    assert json.loads(gati("cache", "verify", "-o", "json"))["damaged"] == []
    assert json.loads(gati("cache", "prune", "-o", "json"))["blobs"] >= 0


def test_deps_of_an_artifact(gati: Client) -> None:
    own = Client(GATI, lay(gati.home / "x", module("x", "1.0.0")), env=gati.env)
    own("deps", "add", "@acme/log@^1.2", "lib.more")
    assert json.loads((own.home / "gati-module.json").read_text())["gati"]["dependencies"] == {
        "library/more": "*", "orgs/acme/log": "^1.2",
    }  # fmt: skip
    own("deps", "remove", "@acme/log")
    assert json.loads(own("deps", "list", "-o", "json")) == [{"name": "library/more", "range": "*"}]
    assert own.run("deps", "remove", "@acme/log")[0] == 3
    for slip in ("^^1", "not a range", "1.2.3.4"):
        assert own.run("deps", "add", f"lib.more@{slip}")[0] == 2
    own("deps", "add", "lib.more@>=1 <3 || ^5", "lib.other@stable")


def test_a_manifest_of_another_kind(gati: Client) -> None:
    folder = lay(gati.home / "x", module("x", "1.0.0"))
    code, _, err = gati.run("plugin", "publish", "--dry-run", str(folder / "gati-module.json"))
    assert code == 2
    assert "it is a module" in err
