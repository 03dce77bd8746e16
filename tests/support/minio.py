"""A real S3 server on loopback: MinIO on a temporary folder."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from minio import Minio

from tests.clients.programs import require
from tests.support.server import free_port, wait_for

USER, PASSWORD = "gati-test", "gati-test-secret"
BUCKET = "blobs"


class MinioServer:
    """One `minio server` process; restartable on the same data and port."""

    def __init__(self, folder: Path, *, env: Mapping[str, str] | None = None, region: str = "us-east-1") -> None:
        self._program = require("minio")
        self._region = region
        self._folder = folder
        self._env = dict(env or {})
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> Minio:
        """A client with all rights."""
        return Minio(f"127.0.0.1:{self.port}", USER, PASSWORD, secure=False, region=self._region)

    @property
    def credentials(self) -> dict[str, str]:
        """The environment that a registry needs."""
        return {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": PASSWORD}

    def url(self, prefix: str, *, host: str = "127.0.0.1") -> str:
        """A GATI_BLOBS_URL below `prefix`."""
        return f"s3://{BUCKET}/{prefix}?endpoint=http://{host}:{self.port}&region={self._region}"

    def start(self) -> MinioServer:
        """Start it and wait until it answers; the bucket is there then."""
        self._folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("MINIO_", "AWS_"))},
            "MINIO_ROOT_USER": USER,
            "MINIO_ROOT_PASSWORD": PASSWORD,
            "MINIO_BROWSER": "off",
            "MINIO_SITE_REGION": self._region,
            "HOME": str(self._folder.parent),
            **self._env,
        }
        with (self._folder.parent / "minio.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "server", str(self._folder), "--address", f"127.0.0.1:{self.port}", "--quiet"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self._healthy, timeout=30)
        if not self.client.bucket_exists(BUCKET):
            self.client.make_bucket(BUCKET)
        return self

    def _healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder.parent / "minio.log").read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"{self.endpoint}/minio/health/live", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let it hang: connections are taken, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def keys(self, prefix: str) -> set[str]:
        """What lies below a prefix, relative to it."""
        found = self.client.list_objects(BUCKET, f"{prefix}/", recursive=True)
        return {str(entry.object_name).removeprefix(f"{prefix}/") for entry in found}

    def read(self, prefix: str, key: str) -> bytes:
        """An object's bytes."""
        answer = self.client.get_object(BUCKET, f"{prefix}/{key}")
        try:
            return bytes(answer.read())
        finally:
            answer.close()
            answer.release_conn()

    def write(self, prefix: str, key: str, data: bytes) -> None:
        """Replace an object's bytes."""
        self.client.put_object(BUCKET, f"{prefix}/{key}", io.BytesIO(data), len(data))

    def headers(self, prefix: str, key: str) -> Mapping[str, str]:
        """What S3 tells of an object; names in lower case."""
        found = self.client.stat_object(BUCKET, f"{prefix}/{key}").metadata or {}
        return {str(name).lower(): str(value) for name, value in found.items()}

    def multiparts(self) -> int:
        """Multipart uploads that are neither put together nor given up, counted where MinIO keeps them."""
        return sum(1 for _ in self._folder.glob(".minio.sys/multipart/*/*"))


@contextlib.contextmanager
def running_minio(
    folder: Path, *, env: Mapping[str, str] | None = None, region: str = "us-east-1"
) -> Iterator[MinioServer]:
    """A server for the length of a `with` block."""
    server = MinioServer(folder / "minio", env=env, region=region)
    try:
        yield server.start()
    finally:
        server.stop()
