"""When things are not as they should be: one line that says what and what to do, and the exit code that fits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from gati_client.pack import archive
from tests.client.cli.conftest import GATI, program, pushed
from tests.client.cli.test_kinds import lay
from tests.clients.client import Client
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.registry import Registry
from tests.extensions.kinds.support import CONFIGS
from tests.support.server import free_port


def refused(gati: Client, code: int, *arguments: str, stdin: str = "") -> str:
    """What it says on standard error, in one line; nothing is printed."""
    found, out, err = gati.run(*arguments, stdin=stdin)
    assert (found, out) == (code, ""), err
    assert err.startswith("gati: "), err
    assert err.count("\n") == 1, err
    return err


@pytest.fixture
def shop(gati: Client, tmp_path: Path) -> Client:
    """gati in the folder of a project."""
    folder = tmp_path / "shop"
    folder.mkdir()
    return Client(gati.program, gati.home, env=gati.env, cwd=folder)


def test_no_server(home: Path) -> None:
    """Nothing was transferred, so nothing is said to be kept."""
    alone = Client(program(home).program, home, env={"GATI_REGISTRY": f"127.0.0.1:{free_port()}"})
    lay(home / "thing", "config", CONFIGS["config"])
    for arguments in (("publish", "thing"), ("search", "x")):
        said = refused(alone, 7, *arguments)
        assert "check the address" in said
        assert "kept" not in said


def test_wrong_credentials(site: Registry, home: Path, user: str) -> None:
    gati = program(home, site)
    said = refused(gati, 4, "login", "-u", user, "--password-stdin", stdin="not the password")
    assert f"does not let {user} in with this password" in said
    assert "not the password" not in said
    assert "does not know this API key" in refused(gati, 4, "login", "--token-stdin", stdin="gati_nothing")
    assert "--password-stdin" in refused(gati, 2, "login")
    assert "say --password-stdin" in refused(gati, 2, "login", "-u", user)


def test_what_is_not_there(gati: Client, shop: Client, site: Registry, user: str) -> None:
    """A name, a version, a namespace, a folder, an address."""
    pushed(site, f"users/{user}/log")
    assert "gati search" in refused(gati, 3, "info", "nobody/nothing")
    assert "gati version list" in refused(gati, 3, "info", "log@9.9.9")
    assert "check the name" in refused(shop, 3, "add", "nobody/nothing")
    assert "there are 1.2.3" in refused(shop, 5, "add", "log@^9")
    assert not (shop.cwd or Path()).joinpath("gati.json").exists()
    assert "gati org create nobody" in refused(gati, 3, "namespace", "get", "nobody")
    assert "gati org create nobody" in refused(gati, 3, "namespace", "create", "@nobody/team")
    lay(shop.home / "thing", "config", CONFIGS["config"])
    assert "gati namespace get orgs/nobody" in refused(gati, 4, "publish", "thing", "--to", "@nobody/thing", "-q")
    assert "gati module create" in refused(gati, 2, "module", "publish", "nowhere")
    assert "gati search" in refused(gati, 3, "init", "x", "--template", f"users/{user}/nothing")
    # Who has logged in is not told to do that.
    assert "check the name" in refused(gati, 4, "init", "x", "--template", "library/nothing")
    assert "no address" in refused(gati, 2, "registry", "add", "odd", "ht!tp:/x y")
    # Before a question about it is asked, which needs a terminal or --yes.
    assert f"write users/{user}/log@1.2.3" in refused(gati, 2, "unpublish", "log")
    assert "gati version list" in refused(gati, 3, "unpublish", "log@9.9.9")
    assert "gati org create nobody" in refused(gati, 3, "namespace", "delete", "@nobody")
    assert "nobody" in refused(gati, 3, "org", "delete", "nobody")
    assert "--yes" in refused(gati, 2, "namespace", "delete", f"users/{user}")


def test_files_that_are_broken(shop: Client, tmp_path: Path) -> None:
    """A gati.json that was written by half, a lock with the marks of a merge, a file where a folder has to be."""
    lay(tmp_path / "log", "library", {**CONFIGS["library"], "name": "log"})
    shop("publish", str(tmp_path / "log"))
    folder = shop.cwd or Path()
    (folder / "gati.json").write_text('{"name": "shop", "depen')
    for arguments in (("install",), ("add", "log")):
        assert "mend it there" in refused(shop, 2, *arguments)
    assert (folder / "gati.json").read_text() == '{"name": "shop", "depen'
    (folder / "gati.json").unlink()
    shop("add", "log")
    lock = (folder / "gati.lock").read_text()
    (folder / "gati.lock").write_text(f"<<<<<<< ours\n{lock}=======\n{lock}>>>>>>> theirs\n")
    assert "take either side, then run gati install" in refused(shop, 6, "install")
    (folder / "gati.lock").write_text(lock[: len(lock) // 2])
    assert "gati.lock" in refused(shop, 6, "tree")
    (folder / "gati.lock").write_text(lock)
    (folder / "file").write_text("no folder")
    assert "something else is there" in refused(shop, 1, "pack", "--to", "file/x.tar.gz")


def test_a_name_of_two_parts(site: Registry, gati: Client, tmp_path: Path, user: str) -> None:
    """`a/b` is the organization's, where there is one, else the user's: for members and for strangers."""
    org = f"o{user[1:]}"
    for name, repository in ((f"{user}/log", f"users/{user}/log"), (f"{org}/mail", f"orgs/{org}/mail")):
        if repository.startswith("orgs/"):
            made = site.http.post(
                f"{site.url}/v2/_ext/identity/orgs", json={"name": org}, auth=("admin", ADMIN_PASSWORD)
            )
            assert made.status_code == 201, made.text
        pushed(site, repository)
        if repository.startswith("orgs/"):
            shown = site.http.put(
                f"{site.url}/v2/_ext/namespaces/orgs/{org}",
                json={"visibility": "public"},
                auth=("admin", ADMIN_PASSWORD),
            )
            assert shown.status_code == 200, shown.text
        stranger = program(tmp_path, site)
        for who in (gati, stranger):
            assert json.loads(who("info", name, "-o", "json"))["repository"] == repository
    assert json.loads(gati("list", user, "-o", "json"))[0]["repository"] == f"users/{user}/log"
    assert json.loads(gati("namespace", "get", user, "-o", "json"))["path"] == f"users/{user}"


def test_where_nothing_was_begun(home: Path) -> None:
    """Commands about a project make none of a folder that is none."""
    for command in ("update", "outdated", "resolve", "install"):
        assert "gati add NAME makes one" in refused(program(home), 3, command)
    assert not list(home.iterdir())


def test_odd_tokens_are_never_repeated(site: Registry, gati: Client, home: Path) -> None:
    """A line end comes along easily; what no header can hold is refused without a word of it."""
    key = json.loads(gati("key", "create", "ci", "--output", "json"))["key"]
    program(home, site, GATI_TOKEN=f"{key}\r\n")("whoami")
    for odd in (f"{key}\n{key}", f"{key}ü"):
        for words in (("whoami", "--debug"), ("login",)):
            code, out, err = program(home, site, GATI_TOKEN=odd).run(*words)
            assert (code, out) == (2, ""), err
            assert "copy it once more" in err
            assert key not in err


def test_no_folder_to_live_in(site: Registry, home: Path) -> None:
    """HOME may be no folder, and one that nobody may write to; what needs none works."""
    nowhere = program(home, site, HOME="/dev/null", GATI_REGISTRY="")
    assert "127.0.0.1" in refused(nowhere, 7, "info", "users/a/b", "--registry", f"127.0.0.1:{free_port()}")
    assert nowhere("registry", "list") == ""
    assert "a folder is needed there" in refused(nowhere, 1, "registry", "add", "x", "127.0.0.1")


def test_a_disk_that_takes_no_more(home: Path) -> None:
    """What this machine cannot write says nothing against what was to be unpacked."""
    (home / "thing").mkdir()
    (home / "thing/big").write_bytes(bytes(1024 * 1024))
    archive.build(home / "thing", home / "thing.tar.gz")
    tight = Client(Path("/bin/sh"), home, ("-c", 'ulimit -f 64; exec "$0" "$@"', str(GATI)))
    assert "file too large; allow larger files there" in refused(tight, 1, "unpack", "thing.tar.gz", "--to", "there")
    assert not (home / "there").exists()


def test_nobody_reads(home: Path) -> None:
    """Standard output may be closed from the start, or at any moment."""
    for end, words in ((">&-", ("registry", "list", "-o", "json")), ("| head -c 1", ("man",))):
        shell = Client(Path("/bin/sh"), home, ("-c", f'"$0" "$@" {end}', str(GATI)))
        code, _, err = shell.run(*words)
        assert (code, err) == (0, "")


def test_nobody_reads_why(home: Path) -> None:
    """The exit code is the same where standard error is closed."""
    shell = Client(Path("/bin/sh"), home, ("-c", '"$0" registry use nowhere 2>&-', str(GATI)))
    assert shell.run()[:2] == (3, "")


def test_an_encoding_that_lacks_letters(home: Path) -> None:
    """JSON and YAML hold them as these have it, words for people as it goes."""
    lay(home / "x", "library", {**CONFIGS["library"], "dependencies": {"x": "Grüße"}})
    own = Client(GATI, home, env={"PYTHONIOENCODING": "ascii"}, cwd=home / "x")
    assert "Gr\\xfc\\xdfe" in own("deps", "list")
    for form in ("json", "yaml"):
        assert yaml.safe_load(own("deps", "list", "-o", form)) == [{"name": "x", "range": "Grüße"}]


def test_proxies_and_authorities_that_are_none(site: Registry, home: Path) -> None:
    """The variable is named, and no password of a proxy; this machine's registry is asked without one."""
    (home / "junk.pem").write_text("no certificate\n")
    port = free_port()
    own = program(home, SSL_CERT_FILE=str(home / "junk.pem"), GATI_REGISTRY=f"https://127.0.0.1:{port}")
    assert "SSL_CERT_FILE: " in refused(own, 2, "info", "x")
    code, out, _ = own.run("doctor")
    assert code == 1
    assert "SSL_CERT_FILE: " in out
    own = program(home, HTTPS_PROXY="socks9://u:a-secret@proxy.example", GATI_REGISTRY="registry.example")
    said = refused(own, 2, "info", "x")
    assert "HTTPS_PROXY" in said
    assert "secret" not in said
    assert "answers within" in program(home, site, HTTP_PROXY=f"http://127.0.0.1:{port}")("doctor")
