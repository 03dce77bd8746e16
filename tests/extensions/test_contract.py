"""The extension contract, tried by an extension of somebody else's in a distribution of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import RegistryProcess, wait_for

STRANGER = Path(__file__).parent / "stranger"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
JSON = {"Content-Type": "application/json"}
CONFIG = b"{}"
DIGEST = "sha256:" + hashlib.sha256(CONFIG).hexdigest()


def environment(**more: str) -> dict[str, str]:
    return {"PYTHONPATH": str(STRANGER), "GATI_EXTENSIONS": "stranger", "GATI_STRANGER__WORD": "hello", **more}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    server = RegistryProcess(tmp_path_factory.mktemp("stranger") / "data", env=environment())
    server.start()
    yield server
    server.kill()


@pytest.fixture
def client(registry: RegistryProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=registry.url, timeout=60) as made:
        yield made


def push(client: httpx.Client, name: str, reference: str, **annotations: str) -> httpx.Response:
    client.post(f"/v2/{name}/blobs/uploads/?digest={DIGEST}", content=CONFIG).raise_for_status()
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": DIGEST, "size": len(CONFIG)}
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [], "annotations": annotations}
    return client.put(f"/v2/{name}/manifests/{reference}", json=document, headers={"Content-Type": MANIFEST})


def notes(client: httpx.Client, kind: str) -> list[Any]:
    answer = client.get("/v2/_ext/stranger/notes", params={"kind": kind, "limit": 1000}).raise_for_status()
    return [json.loads(item["value"]) for item in answer.json()["items"]]


def problem(answer: httpx.Response) -> dict[str, Any]:
    first: dict[str, Any] = answer.json()["errors"][0]
    assert set(first) >= {"code", "message"}
    return first


# --- routes -----------------------------------------------------------------------------------------------------


def test_routes_answer_where_they_are_declared(client: httpx.Client) -> None:
    answer = client.post("/v2/some/app/_ext/stranger/notes", json={"kind": "mine", "value": "x"})
    assert (answer.status_code, answer.json()) == (201, {"kind": "mine", "value": "x"})
    assert answer.headers["cache-control"] == "no-store"
    assert notes(client, "mine") == [["x", "some/app", None]]
    # A part of a repository's name may end like the mark that these paths have.
    answer = client.post("/v2/some_ext/app/_ext/stranger/notes", json={"kind": "marked", "value": "x"})
    assert (answer.status_code, notes(client, "marked")) == (201, [["x", "some_ext/app", None]])
    shown = client.get("/stranger/a/b%20c")
    assert (shown.text, shown.headers["content-type"], shown.headers["x-stranger"]) == (
        "a/b c hello",
        "text/plain",
        "yes",
    )
    assert client.head("/stranger/a").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status", "words"),
    [
        ("POST", "/v2/a/_ext/stranger/notes", {"json": {"kind": "k"}}, 400, "/value"),
        ("POST", "/v2/a/_ext/stranger/notes", {"json": {"kind": "k", "value": "v", "more": 1}}, 400, "/more"),
        ("POST", "/v2/a/_ext/stranger/notes", {"json": {"kind": "k", "value": "v" * 101}}, 400, "100 characters"),
        ("POST", "/v2/a/_ext/stranger/notes", {"json": {"kind": "k", "value": "v" * 300}}, 413, "200 bytes"),
        ("POST", "/v2/a/_ext/stranger/notes", {"content": b"{}"}, 415, "application/json"),
        (
            "POST",
            "/v2/a/_ext/stranger/notes",
            {"content": b"{", "headers": {"content-type": "application/json"}},
            400,
            "",
        ),
        ("POST", "/v2/A/_ext/stranger/notes", {"json": {"kind": "k", "value": "v"}}, 400, "lower-case"),
        ("GET", "/v2/_ext/stranger/notes?limit=0", {}, 400, "/limit"),
        ("GET", "/v2/_ext/stranger/notes?limit=many", {}, 400, "/limit"),
        ("GET", "/v2/_ext/stranger/nothing", {}, 404, "no such endpoint"),
        ("GET", "/v2/_ext/nobody/notes", {}, 404, "no such endpoint"),
        ("GET", "/v2/_ext", {}, 404, "no such endpoint"),
        ("GET", "/v2/_ext/", {}, 404, "no such endpoint"),
        ("GET", "/elsewhere", {}, 404, "no such endpoint"),
        ("GET", "/v2_ext/stranger/notes", {}, 404, "no such endpoint"),
        ("PUT", "/v2/_ext/stranger/notes", {}, 405, "GET, HEAD"),
        ("GET", "/stranger/a%00b", {}, 400, "control"),
        ("GET", "/stranger/a/..%2Fb", {}, 400, ".."),
        ("GET", "/stranger/%ff", {}, 400, "UTF-8"),
    ],
)
def test_bad_requests_are_told_what_is_wrong(
    client: httpx.Client, method: str, path: str, arguments: dict[str, Any], status: int, words: str
) -> None:
    answer = client.request(method, path, **arguments)
    assert answer.status_code == status, answer.text
    assert words in problem(answer)["message"]


def test_the_api_describes_itself(client: httpx.Client) -> None:
    api = client.get("/v2/_ext/openapi.json").raise_for_status().json()
    assert api["openapi"] == "3.1.0"
    operation = api["paths"]["/v2/{repository}/_ext/stranger/notes"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Note"}
    assert api["components"]["schemas"]["Note"]["properties"]["value"]["maxLength"] == 100
    assert "stranger.write" in operation["description"]
    assert "/stranger/{what}" in api["paths"]
    page = client.get("/v2/_ext/docs").raise_for_status()
    assert "POST /v2/{repository}/_ext/stranger/notes" in page.text
    assert page.headers["content-security-policy"] == "default-src 'none'"
    found = client.get("/v2/_oci/ext/discover").raise_for_status().json()["extensions"]
    assert [entry["name"] for entry in found] == ["_ext/stranger"]
    assert "/v2/<name>/_ext/stranger/notes" in found[0]["endpoints"]


# --- operations -------------------------------------------------------------------------------------------------


def test_an_inspector_reads_blobs_and_refuses_before_the_transaction(client: httpx.Client) -> None:
    refused = push(client, "inspected/app", "v1", inspect="refuse")
    assert (refused.status_code, problem(refused)["code"]) == (400, "MANIFEST_INVALID")
    assert problem(refused)["detail"] == {"pointer": "/annotations"}
    assert client.get("/v2/inspected/app/manifests/v1").status_code == 404
    assert push(client, "inspected/app", "v2").status_code == 201
    rows = [row for row in notes(client, "projection") if row[1] == "inspected/app"]
    assert ["manifest.put", "inspected/app", None, True, {"sizes": [[2, "{}"]]}] in rows


def test_a_gate_refuses_and_leaves_no_trace(client: httpx.Client) -> None:
    refused = push(client, "gated/app", "v1", gate="refuse")
    assert (refused.status_code, problem(refused)["code"]) == (403, "DENIED")
    assert problem(refused)["detail"]["facts"]["stranger"] == {"sizes": [[2, "{}"]]}
    assert client.get("/v2/gated/app/manifests/v1").status_code == 404
    assert client.get("/v2/gated/app/tags/list").json()["tags"] == []
    assert not [row for row in notes(client, "projection") if row[1] == "gated/app" and "manifest" in row[0]]


def test_projections_see_every_operation(client: httpx.Client) -> None:
    name = "projected/app"
    digest = push(client, name, "v1").headers["docker-content-digest"]
    push(client, name, "v1")  # nothing new
    push(client, name, "v1", other="content")
    other = "sha256:" + hashlib.sha256(b"other").hexdigest()
    client.post(f"/v2/{name}/blobs/uploads/?digest={other}", content=b"other").raise_for_status()
    client.post(f"/v2/{name}-too/blobs/uploads/?mount={other}&from={name}").raise_for_status()
    client.delete(f"/v2/{name}/blobs/{other}").raise_for_status()
    client.delete(f"/v2/{name}/manifests/v1").raise_for_status()
    client.delete(f"/v2/{name}/manifests/{digest}").raise_for_status()
    rows = [[row[0], row[2], row[3]] for row in notes(client, "projection") if row[1] == name]
    assert rows == [
        ["blob.commit", None, True],
        ["manifest.put", None, True],
        ["tag.move", "v1", True],
        ["blob.commit", None, False],
        ["manifest.put", None, False],
        ["blob.commit", None, False],
        ["manifest.put", None, True],
        ["tag.move", "v1", False],
        ["blob.commit", None, True],
        ["blob.delete", None, False],
        ["tag.delete", "v1", False],
        ["manifest.delete", None, False],
    ]
    assert ["blob.mount", f"{name}-too"] in [row[:2] for row in notes(client, "projection")]


def test_pull_gates_warn_and_refuse(client: httpx.Client) -> None:
    for tag in ("fine", "doubtful", "forbidden"):
        assert push(client, "judged/app", tag).status_code == 201
    assert "warning" not in client.get("/v2/judged/app/manifests/fine").headers
    for method in ("GET", "HEAD"):
        doubtful = client.request(method, "/v2/judged/app/manifests/doubtful")
        assert (doubtful.status_code, doubtful.headers["x-verdict"]) == (200, "doubtful")
        assert doubtful.headers["warning"] == '299 - "take care"'
        assert client.request(method, "/v2/judged/app/manifests/forbidden").status_code == 403


def test_reactions_come_after_the_commit_are_repeated_and_keep_their_order(client: httpx.Client) -> None:
    for number in range(3):
        assert push(client, "reacted/app", f"v{number}").status_code == 201

    def told() -> list[Any]:
        return [row for row in notes(client, "reaction") if row[1] == "reacted/app"]

    wait_for(lambda: len(told()) == 3, timeout=30)  # each failed once, and waited a second
    assert told() == [["tag.move", "reacted/app", f"v{number}"] for number in range(3)]


def test_an_event_outlives_the_process(tmp_path: Path) -> None:
    server = RegistryProcess(tmp_path / "data", env=environment()).start()
    with httpx.Client(base_url=server.url, timeout=60) as client:
        assert push(client, "late/app", "v1").status_code == 201
    server.kill()  # before its second attempt
    server.start()
    try:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            wait_for(lambda: notes(client, "reaction") == [["tag.move", "late/app", "v1"]], timeout=90, interval=0.5)
    finally:
        server.kill()


def test_observers_are_told_of_pulls_and_refusals(client: httpx.Client) -> None:
    push(client, "observed/app", "v1")
    client.get("/v2/observed/app/manifests/v1").raise_for_status()
    client.get(f"/v2/observed/app/blobs/{DIGEST}").raise_for_status()
    push(client, "observed/app", "v2", gate="refuse")

    def told() -> list[Any]:
        return [row for row in notes(client, "observer") if row[1] == "observed/app"]

    wait_for(lambda: len(told()) == 3)
    assert told() == [
        ["pull", "observed/app", "v1", 200],
        ["pull", "observed/app", None, 200],
        ["refusal", "observed/app", None, 403],
    ]


# --- aside ------------------------------------------------------------------------------------------------------


def test_jobs_health_and_preparation(registry: RegistryProcess, client: httpx.Client) -> None:
    wait_for(lambda: "ran" in notes(client, "job"))
    assert client.get("/readyz").json()["checks"]["stranger.mind"] == "ok"
    assert notes(client, "prepare") == ["hello"]
    assert "gati-registry: the stranger is here" in registry.stderr()


def run(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATI_")}
    return subprocess.run(
        [sys.executable, "-m", "gati_registry", *arguments],
        capture_output=True,
        text=True,
        env={**clean, **environment(**more)},
        cwd=cwd,
        check=False,
        timeout=60,
    )


def test_commands_and_settings_are_the_extension_s(registry: RegistryProcess, tmp_path: Path) -> None:
    data = str(registry.data)
    assert "count the starts" in run("--help", cwd=tmp_path).stdout
    done = run("stranger", "--twice", "--data", data, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "2\n"), done.stderr
    assert "stranger.word = hello" in run("settings", cwd=tmp_path).stdout
    assert "stranger" in run("extension", "list", cwd=tmp_path).stdout
    assert "/v2/_ext/stranger/notes" in run("openapi", "--data", data, cwd=tmp_path).stdout
    for variable, words in (
        ("GATI_STRANGER__WORT", "did you mean GATI_STRANGER__WORD"),
        ("GATI_STRANGER__DECIDES", "stranger.decides (GATI_STRANGER__DECIDES)"),
    ):
        failed = run("check", "--data", data, cwd=tmp_path, **{variable: "perhaps"})
        assert failed.returncode == 2
        assert words in failed.stderr
    for names, words in (("stranger,nobody", "nobody is not installed"), ("", "unknown setting")):
        failed = run("check", "--data", data, cwd=tmp_path, GATI_EXTENSIONS=names)
        assert failed.returncode == 2
        assert words in failed.stderr


def test_an_authenticator_and_the_authorizer_decide(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse")
    more = {"GATI_STRANGER__DECIDES": "true", "GATI_ADMIN_PASSWORD_FILE": str(password), "GATI_STRANGER__WORD": "ill"}
    server = RegistryProcess(tmp_path / "data", args=[], env=environment(**more)).start()
    try:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            challenged = client.get("/v2/")
            assert (challenged.status_code, problem(challenged)["code"]) == (401, "UNAUTHORIZED")
            assert challenged.headers["www-authenticate"] == f'Bearer realm="{server.url}/stranger/token"'
            assert client.get("/v2/", headers={"X-Stranger": "let me in"}).status_code == 200
            wrong = client.get("/v2/", headers={"X-Stranger": "please"})
            assert (wrong.status_code, problem(wrong)["message"]) == (401, "the stranger does not know you")
            assert "www-authenticate" in wrong.headers
            assert client.get("/v2/", auth=("admin", "correct horse")).status_code == 200
            assert client.get("/v2/", auth=("admin", "wrong")).status_code == 401
            assert client.get("/v2/_ext/stranger/operate").status_code == 401
            assert client.get("/v2/_ext/stranger/notes").status_code == 200
            hidden, absent = (
                client.get(f"/v2/{name}/tags/list", headers=headers)
                for name, headers in (("hidden/thing", {}), ("absent/thing", {"X-Stranger": "let me in"}))
            )
            assert hidden.status_code == absent.status_code == 404
            assert hidden.content.replace(b"hidden", b"absent") == absent.content
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["checks"]["stranger.mind"]) == (503, "failed")
    finally:
        server.kill()


def test_a_new_extension_works_at_once(tmp_path: Path) -> None:
    made = run("extension", "new", "tally-sheet", "--into", str(tmp_path), cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "gati-tally-sheet"
    information = folder / "src" / "gati_tally_sheet-0.1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: gati-tally-sheet\nVersion: 0.1.0\n")
    (information / "entry_points.txt").write_text("[gati.extensions]\ntally-sheet = gati_tally_sheet:extension\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATI_")}
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    for name, words in (("tally-sheet", "is there already"), ("Tally", "lower-case"), ("", "name the extension")):
        failed = run("extension", "new", name, "--into", str(tmp_path), cwd=tmp_path)
        assert failed.returncode == 1
        assert words in failed.stderr
