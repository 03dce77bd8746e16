"""`/livez` and `/readyz`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.serving.processes import demo, started
from tests.serving.raw import get
from tests.support.server import RegistryProcess


def test_a_healthy_server_is_ready(tmp_path: Path, http_server: str) -> None:
    with started(RegistryProcess(tmp_path / "data", args=["--server", http_server])) as server:
        assert json.loads(get(server.host, "/livez").body) == {"status": "alive"}
        ready = get(server.host, "/readyz")
        assert ready.status == 200
        assert json.loads(ready.body) == {"status": "ready", "checks": {"database": "ok", "blobs": "ok"}}
        assert ready.headers["cache-control"] == "no-store"


def test_a_backend_that_is_gone_makes_it_not_ready_but_alive(tmp_path: Path) -> None:
    with started(demo(tmp_path / "data", env={"DEMO_DATABASE": "gone"})) as server:
        ready = get(server.host, "/readyz")
        assert ready.status == 503
        assert json.loads(ready.body) == {"status": "not ready", "checks": {"database": "failed"}}
        assert get(server.host, "/livez").status == 200
        assert "no database" in server.stderr(), "the reason is the operator's, not the caller's"


def test_a_lost_blob_folder_is_noticed(tmp_path: Path) -> None:
    with started(RegistryProcess(tmp_path / "data", args=["--open"])) as server:
        shutil.rmtree(tmp_path / "data" / "blobs")
        ready = get(server.host, "/readyz")
        assert (ready.status, json.loads(ready.body)["checks"]["blobs"]) == (503, "failed")
