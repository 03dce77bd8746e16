"""Three replicas on PostgreSQL and S3, and every request goes to another one: nobody can tell."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gati_conformance.entries import OFFICIAL_ENTRIES
from tests.clients.programs import require
from tests.conformance.running import command
from tests.support.minio import running_minio
from tests.support.postgresql import running_postgresql
from tests.support.server import RegistryProcess, free_port, wait_for

pytestmark = [pytest.mark.client, pytest.mark.timeout(900)]

# In turn, whatever the connection: no weight, no memory of who was asked before.
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream replicas {{ {servers} keepalive 16; }}
  server {{
    listen 127.0.0.1:{port}; client_max_body_size 0; proxy_request_buffering off; proxy_buffering off;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
    location / {{ proxy_pass http://replicas; }}
  }}
}}
"""
# Refused by nginx itself, which knows no JSON.
NGINX_REFUSES = "names/bad-names"


@contextlib.contextmanager
def in_turn(folder: Path, replicas: list[RegistryProcess]) -> Iterator[str]:
    """An nginx that gives each request to the next replica; its address."""
    port = free_port()
    servers = " ".join(f"server {replica.host};" for replica in replicas)
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, servers=servers))
    with subprocess.Popen([require("nginx"), "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: (folder / "nginx.pid").exists())
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def test_every_request_to_another_replica(tmp_path: Path) -> None:
    require("nginx")
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(running_postgresql())
        minio = stack.enter_context(running_minio(tmp_path))
        settings = {
            **minio.credentials,
            "GATI_METADATA_URL": database.url(),
            "GATI_BLOBS_URL": minio.url("replicas"),
            "GATI_MANIFESTS__SPARSE": "true",
        }
        replicas = [RegistryProcess(tmp_path / f"data-{turn}", env=settings) for turn in range(3)]
        for replica in replicas:
            replica.start()
            stack.callback(replica.kill)
        host = stack.enter_context(in_turn(tmp_path, replicas))
        _, document = command(host, tmp_path, environment={"OCI_DATA_SPARSE": "true"})
    entries = document["apis"] | document["data"]
    assert {entry for entry, status in entries.items() if status == "Pass"} == set(OFFICIAL_ENTRIES)
    failed = {case["id"] for case in document["cases"] if case["status"] in ("Fail", "Error")}
    assert failed <= {NGINX_REFUSES}
    counts = []
    for replica in replicas:
        logged = [json.loads(line) for line in replica.stderr().splitlines() if line.startswith("{")]
        assert not [entry for entry in logged if entry.get("status", 0) >= 500]
        counts.append(sum("status" in entry for entry in logged))
    assert min(counts) > 0.9 * max(counts), "they took turns"
