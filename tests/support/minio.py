"""A real S3 server on loopback: MinIO on a temporary folder."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import urllib3
from minio import Minio

from tests.clients.programs import require
from tests.support.server import free_port, wait_for

USER, PASSWORD = "gati-test", "gati-test-secret"
BUCKET = "blobs"


class S3Server:
    """What tests ask of an S3 server on loopback, whoever made it."""

    def __init__(self, certificate: Path | None = None, region: str = "us-east-1") -> None:
        self._region = region
        self.port = free_port()
        self.endpoint = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self._certificate = certificate

    @property
    def client(self) -> Minio:
        """A client with all rights."""
        trusting = urllib3.PoolManager(ca_certs=str(self._certificate)) if self._certificate else None
        return Minio(
            f"127.0.0.1:{self.port}",
            USER,
            PASSWORD,
            secure=self._certificate is not None,
            region=self._region,
            http_client=trusting,
        )

    @property
    def credentials(self) -> dict[str, str]:
        """The environment that a registry needs."""
        return {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": PASSWORD}

    def url(self, prefix: str, *, host: str = "127.0.0.1") -> str:
        """A GATI_BLOBS_URL below `prefix`."""
        return f"s3://{BUCKET}/{prefix}?endpoint={self.endpoint.replace('127.0.0.1', host)}&region={self._region}"

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


class MinioServer(S3Server):
    """One `minio server` process; restartable on the same data and port."""

    def __init__(
        self,
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        tls: tuple[Path, Path] | None = None,
        region: str = "us-east-1",
    ) -> None:
        super().__init__(tls[0] if tls else None, region)
        self._certificates = folder.parent / "certificates"
        self._certificates.mkdir(parents=True, exist_ok=True)
        for path, name in zip(tls or (), ("public.crt", "private.key"), strict=False):
            shutil.copy(path, self._certificates / name)
        self._program = require("minio")
        self._folder = folder
        self._env = dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None

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
                [
                    *(self._program, "server", str(self._folder), "--address", f"127.0.0.1:{self.port}"),
                    *("--certs-dir", str(self._certificates), "--quiet"),
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self._healthy, timeout=120)
        if not self.client.bucket_exists(BUCKET):
            self.client.make_bucket(BUCKET)
        return self

    def _healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder.parent / "minio.log").read_text()[-2000:]
        try:
            context = ssl.create_default_context(cafile=self._certificate) if self._certificate else None
            with urllib.request.urlopen(f"{self.endpoint}/minio/health/live", timeout=5, context=context) as answer:
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

    def multiparts(self) -> int:
        """Multipart uploads that are neither put together nor given up, counted where MinIO keeps them."""
        return sum(1 for _ in self._folder.glob(".minio.sys/multipart/*/*"))


@contextlib.contextmanager
def running_minio(
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    tls: tuple[Path, Path] | None = None,
    region: str = "us-east-1",
) -> Iterator[MinioServer]:
    """A server for the length of a `with` block; with a certificate and its key it speaks TLS."""
    server = MinioServer(folder / "minio", env=env, tls=tls, region=region)
    try:
        yield server.start()
    finally:
        server.stop()
