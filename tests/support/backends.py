"""The registry on each of its backends, as the tests that drive whole servers ask for it by name.

| name | metadata | blobs | servers |
|---|---|---|---|
| `sqlite` | SQLite | files | one |
| `postgresql` | PostgreSQL | files | one |
| `postgresql-s3x3` | PostgreSQL | S3 | three; nginx gives each request to another one |
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.clients.programs import require
from tests.support.minio import running_minio
from tests.support.postgresql import running_postgresql
from tests.support.server import RegistryProcess, free_port, running, wait_for

BACKENDS = ("sqlite", "postgresql", "postgresql-s3x3")

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


@dataclass(frozen=True, slots=True)
class Served:
    """A registry at `host`, and the processes that it is made of."""

    host: str
    replicas: Sequence[RegistryProcess]


@contextlib.contextmanager
def in_turn(folder: Path, replicas: Sequence[RegistryProcess]) -> Iterator[str]:
    """An nginx that gives each request to the next replica; its address."""
    port = free_port()
    servers = " ".join(f"server {replica.host};" for replica in replicas)
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, servers=servers))
    # As root its workers would be `nobody`, who may not enter the test's folder.
    account = "user root;" if os.geteuid() == 0 else ""
    command = [str(require("nginx")), "-c", str(config), "-g", account]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: process.poll() is not None or (folder / "nginx.pid").exists())
            assert process.poll() is None, (folder / "error.log").read_text()
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@contextlib.contextmanager
def serving(
    backend: str, folder: Path, *, args: Sequence[str] = ("--open",), env: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """A registry on that backend for the length of a `with` block; `folder` is empty."""
    settings = dict(env or {})
    with contextlib.ExitStack() as stack:
        if backend != "sqlite":
            settings["GATI_METADATA_URL"] = stack.enter_context(running_postgresql()).url()
        if backend != "postgresql-s3x3":
            server = stack.enter_context(running(folder / "data", args=args, env=settings))
            yield Served(server.host, [server])
            return
        minio = stack.enter_context(running_minio(folder))
        settings |= {**minio.credentials, "GATI_BLOBS_URL": minio.url("replicas")}
        replicas = [RegistryProcess(folder / f"data-{turn}", args=args, env=settings) for turn in range(3)]
        for replica in replicas:
            stack.callback(replica.kill)
            replica.start()
        yield Served(stack.enter_context(in_turn(folder, replicas)), replicas)
