"""Another real S3 server on loopback: Ceph's radosgw over one monitor and one OSD that keeps all in memory."""

from __future__ import annotations

import base64
import contextlib
import glob
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.clients.programs import require
from tests.support.minio import BUCKET, PASSWORD, USER, S3Server
from tests.support.server import free_port, wait_for

_CONFIGURATION = """
[global]
fsid = {fsid}
mon_host = v2:127.0.0.1:{monitor}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_bind_ipv6 = false
public_addr = 127.0.0.1
mon_data = {folder}/mon
osd_data = {folder}/osd
rgw_data = {folder}/rgw
run_dir = {folder}
admin_socket = {folder}/$name.asok
log_file = {folder}/$name.log
keyring = {folder}/keyring
mon_allow_pool_size_one = true
mon_data_avail_crit = 0
mon_data_avail_warn = 0
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_class_dir = {classes}
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
rgw_enable_usage_log = false
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = key-1={one} key-2={two}
"""


class CephServer(S3Server):
    """One cluster. Everything is below `folder` and in memory."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        require("ceph", "ceph-mon", "ceph-osd", "radosgw")
        self._folder = folder
        self._configuration = folder / "ceph.conf"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start all of it and wait until it answers; the bucket is there then."""
        fsid, monitor, osd = str(uuid.uuid4()), free_port(), str(uuid.uuid4())
        for name in ("mon", "osd", "rgw"):
            (self._folder / name).mkdir(parents=True)
        (self._folder / "keyring").touch()
        (classes,) = glob.glob("/usr/lib/*/rados-classes")
        one, two = (base64.b64encode(bytes([number] * 32)).decode() for number in (1, 2))
        self._configuration.write_text(
            _CONFIGURATION.format(fsid=fsid, monitor=monitor, folder=self._folder, classes=classes, one=one, two=two)
        )
        monmap = str(self._folder / "monmap")
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{monitor}]", monmap)
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap)
        self._begin("ceph-mon", "-i", "a", "-f")
        wait_for(lambda: self._works("ceph", "osd", "new", osd), timeout=120, interval=0.5)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._begin("ceph-osd", "-i", "0", "-f")
        wait_for(lambda: b"1 up" in self._run("ceph", "osd", "stat"), timeout=120, interval=0.5)
        # radosgw has defaults of its own for both, which only the command line overrides.
        open_to_all = ("--ms_mon_client_mode=crc", "--auth_client_required=none")
        frontend = f"beast endpoint=127.0.0.1:{self.port}"
        self._begin("radosgw", "-n", "client.rgw.a", "-f", "--rgw-frontends", frontend, *open_to_all)
        self._run(
            "radosgw-admin",
            *("user", "create", "--uid", "gati", "--display-name", "gati"),
            *("--access-key", USER, "--secret-key", PASSWORD),
        )
        wait_for(self._answers, timeout=120, interval=0.2)
        self.client.make_bucket(BUCKET)

    def stop(self) -> None:
        """End all of it; nothing of it is to be kept."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes = []

    def _answers(self) -> bool:
        assert all(process.poll() is None for process in self._processes), self._complaints()
        try:
            with urllib.request.urlopen(self.endpoint, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    def _command(self, program: str, *arguments: str) -> list[str]:
        more = ["-c", str(self._configuration)] if program != "monmaptool" else []
        return [program, *arguments, *more]

    def _run(self, program: str, *arguments: str) -> bytes:
        command = self._command(program, *arguments)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, (command, done.stderr[-2000:], self._complaints())
        return done.stdout

    def _works(self, program: str, *arguments: str) -> bool:
        command = self._command(program, "--connect-timeout", "5", *arguments)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        return done.returncode == 0

    def _begin(self, program: str, *arguments: str) -> None:
        with (self._folder / "output").open("ab") as output:
            self._processes.append(
                subprocess.Popen(
                    self._command(program, *arguments), stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
            )

    def _complaints(self) -> str:
        output = self._folder / "output"
        return output.read_text(errors="replace")[-2000:] if output.exists() else ""


@contextlib.contextmanager
def running_ceph(folder: Path) -> Iterator[CephServer]:
    """A cluster for the length of a `with` block."""
    server = CephServer(folder / "ceph")
    try:
        server.start()
        yield server
    finally:
        server.stop()
