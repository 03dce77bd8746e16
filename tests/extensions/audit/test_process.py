"""The log of a real server: written through a crash, verified by the command."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.core.support import IMAGE, image, sha256
from tests.extensions.audit.support import CONFIG, PASSWORD
from tests.support.server import RegistryProcess, wait_for

ADMIN = ("admin", PASSWORD)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryProcess]:
    """A server with two workers that asks who is there."""
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    env = {"GATI_ADMIN_PASSWORD_FILE": str(password), "GATI_EXTENSIONS": "identity,audit"}
    made = RegistryProcess(tmp_path / "data", args=("--workers", "2"), env=env).start()
    yield made
    made.kill()


def verify(server: RegistryProcess, *more: str) -> tuple[int, dict[str, Any]]:
    """The command's exit code and report."""
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "gati_registry",
            "audit",
            "verify",
            "--data",
            str(server.data),
            "--output",
            "json",
            *more,
        ],
        capture_output=True,
        text=True,
        check=False,
        env={"GATI_EXTENSIONS": "identity,audit", "PATH": ""},
    )
    assert ran.stderr == ""
    return ran.returncode, json.loads(ran.stdout)


def entries(server: RegistryProcess, **query: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{server.url}/v2/_ext/audit/entries", params={"limit": 1000, **query}, auth=ADMIN, timeout=60)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
    return found


def test_a_crash_loses_no_acknowledged_write(server: RegistryProcess) -> None:
    acknowledged: list[str] = []

    def push(worker: int) -> None:
        with httpx.Client(base_url=server.url, auth=ADMIN, timeout=60) as client, contextlib.suppress(httpx.HTTPError):
            client.post(f"/v2/library/app/blobs/uploads/?digest={sha256(CONFIG)}", content=CONFIG).raise_for_status()
            for number in range(10_000):
                data = image(CONFIG, annotations={"n": f"{worker}.{number}"})
                answer = client.put(
                    f"/v2/library/app/manifests/{sha256(data)}", content=data, headers={"Content-Type": IMAGE}
                )
                if answer.status_code == 201:
                    acknowledged.append(sha256(data))

    threads = [threading.Thread(target=push, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    # The sequencer has run, and has more to do.
    wait_for(lambda: len(acknowledged) > 100 and entries(server, category="write"), timeout=60)
    server.kill()
    for thread in threads:
        thread.join()
    server.start()
    query: dict[str, str] = {"category": "write", "action": "manifest.put"}
    logged: set[str] = set()
    while True:
        answer = httpx.get(
            f"{server.url}/v2/_ext/audit/entries", params={"limit": "1000", **query}, auth=ADMIN, timeout=60
        ).json()
        found = [entry["detail"]["digest"] for entry in answer["items"]]
        assert not logged & set(found), "nothing is logged twice"
        logged |= set(found)
        if answer["next"] is None:
            break
        query["cursor"] = answer["next"]
    assert logged >= set(acknowledged)
    server.terminate()
    code, report = verify(server)
    assert (code, report["ok"], report["problems"]) == (0, True, [])
    assert report["entries"] >= len(acknowledged)


def test_the_command_finds_what_was_done_to_a_stopped_server(server: RegistryProcess, tmp_path: Path) -> None:
    with httpx.Client(base_url=server.url, auth=ADMIN, timeout=60) as client:
        client.post(f"/v2/library/app/blobs/uploads/?digest={sha256(CONFIG)}", content=CONFIG).raise_for_status()
        client.put("/v2/library/app/manifests/v1", content=image(CONFIG), headers={"Content-Type": IMAGE})
        client.get("/v2/library/app/manifests/v1").raise_for_status()
    httpx.get(f"{server.url}/v2/", timeout=60)
    wait_for(lambda: {entry["action"] for entry in entries(server)} >= {"manifest.put", "pull", "challenge"})
    note = httpx.get(
        f"{server.url}/v2/_ext/audit/checkpoint", headers={"Accept": "text/plain"}, auth=ADMIN, timeout=60
    ).raise_for_status()
    kept = tmp_path / "checkpoint"
    kept.write_text(note.text)
    assert server.terminate() == 0
    assert verify(server, "--checkpoint", str(kept))[0] == 0
    with contextlib.closing(sqlite3.connect(server.data / "metadata.sqlite")) as connection:
        connection.execute("UPDATE audit_entry SET actor = NULL WHERE leaf = 0")
        connection.commit()
    code, report = verify(server)
    assert (code, report["ok"], [problem["leaf"] for problem in report["problems"]]) == (1, False, [0])
