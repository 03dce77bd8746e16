"""The servers that are measured: how each is found, configured and started.

Every stack listens on loopback without TLS, may use all cores, and stores in a folder of its own on the same
file system. Nothing is pinned; load generator and server share the cores.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Protocol

from bench.load import Address
from bench.ports import Ports
from bench.processes import surroundings

USER, PASSWORD = "admin", "bench-password"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
# Made by `htpasswd -nbB admin bench-password`: bcrypt at that program's default cost, 5.
_HTPASSWD = "admin:$2y$05$ZaVuQFz.q9co5o2uR8m.ZO4S/ygln55k65bHZed3onGJ219il93xC"
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


class Missing(Exception):
    """The program of a stack is not on this machine; the message says how to get it."""


class Unsupported(Exception):
    """The stack does not offer what a row measures; the message is what the table shows."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server: command, additions to the environment, and the files that it reads."""

    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


class Stack(Protocol):
    """One server program in one configuration."""

    @property
    def name(self) -> str:
        """How the command line and the tables name it."""

    @property
    def kind(self) -> str:
        """`ours`, `peer` (a registry) or `files` (serves files only)."""

    def version(self) -> str:
        """The program's version, in words.

        Raises:
            Missing: the program is not here.
        """

    def launch(self, port: int, data: Path, folder: Path, secured: bool) -> Launch:
        """How to start it.

        Args:
            port: on 127.0.0.1.
            data: where it stores; exists.
            folder: where the launch's `files` will have been written.
            secured: answer only to Basic USER and PASSWORD.

        Raises:
            Unsupported: it cannot be secured that way.
        """


@dataclass(frozen=True, slots=True)
class Gati:
    """This registry, from the source tree that the benchmark runs in."""

    server: str
    workers: int
    kind: str = "ours"
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.server}-{self.workers}"

    def version(self) -> str:
        packages = [f"{name} {metadata.version(name)}" for name in ("gati-registry", self.server)]
        return f"{', '.join(packages)}, Python {platform.python_version()}"

    def launch(self, port: int, data: Path, folder: Path, secured: bool) -> Launch:
        command = [sys.executable, "-m", "gati_registry", "serve", "--listen", f"127.0.0.1:{port}"]
        command += ["--data", str(data), "--server", self.server, "--workers", str(self.workers)]
        # As for the peers: errors only, no line for each request.
        environment = {"GATI_LOG__LEVEL": "error", **self.environment}
        if secured:
            environment["GATI_ADMIN_PASSWORD_FILE"] = str(folder / "password")
            return Launch(command, environment, {"password": PASSWORD})
        return Launch([*command, "--open"], environment)


_POSTGRESQL_SETTINGS = """\
max_connections = 200
shared_buffers = 512MB
max_wal_size = 4GB
log_min_messages = fatal
"""
# In turn, whatever the connection: no weight, no memory of who was asked before.
_BALANCER_CONFIG = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  upstream replicas {{
    {servers}
    keepalive 64;
  }}
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    location / {{ proxy_pass http://replicas; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Shared:
    """This registry on PostgreSQL; blobs in MinIO or in files. Several replicas stand behind nginx, in turn."""

    replicas: int = 1
    s3: bool = True
    kind: str = "ours"

    @property
    def name(self) -> str:
        return f"postgresql-{'s3' if self.s3 else 'files'}-{self.replicas}"

    def version(self) -> str:
        from bench.backends import minio_binary, postgresql_binaries

        done = subprocess.run([postgresql_binaries() / "postgres", "--version"], capture_output=True, text=True)
        words = [f"gati-registry {metadata.version('gati-registry')}", done.stdout.strip()]
        if self.s3:
            words.append(f"MinIO {Path(minio_binary()).parent.name}")
        if self.replicas > 1:
            words.append(Nginx().version())
        return ", ".join(words)

    def launch(self, port: int, data: Path, folder: Path, secured: bool) -> Launch:
        ports = [free_port() for _ in range(self.replicas)] if self.replicas > 1 else [port]
        command = [sys.executable, "-m", "bench.replicas", "--data", str(data), "--postgresql", str(free_port())]
        command += ["--settings", str(folder / "settings")]
        files = {"settings": _POSTGRESQL_SETTINGS}
        if self.s3:
            command += ["--minio", str(free_port())]
        for each in ports:
            command += ["--replica", str(each)]
        if self.replicas > 1:
            servers = "\n    ".join(f"server 127.0.0.1:{each};" for each in ports)
            text = _BALANCER_CONFIG.format(folder=folder, port=port, servers=servers)
            files["nginx.conf"] = ("user root;\n" if os.geteuid() == 0 else "") + text
            command += ["--nginx", f"{Nginx().program()} -e stderr -c {folder / 'nginx.conf'}"]
        environment = {"GATI_LOG__LEVEL": "error"}
        if not secured:
            return Launch([*command, "--", "--open"], environment, files)
        environment["GATI_ADMIN_PASSWORD_FILE"] = str(folder / "password")
        return Launch(command, environment, {**files, "password": PASSWORD})

    @contextlib.contextmanager
    def database(self, data: Path) -> Iterator[str]:
        """Its PostgreSQL alone, on what it stores in a folder; gives the URL."""
        from bench.backends import database_url, postgresql

        port = free_port()
        with postgresql(data / "postgresql", port, _POSTGRESQL_SETTINGS):
            yield database_url(port)

    @contextlib.contextmanager
    def backends(self, data: Path) -> Iterator[tuple[int, int]]:
        """PostgreSQL and MinIO alone, on what they store in a folder; gives their ports."""
        from bench.backends import minio, postgresql

        database, store = free_port(), free_port()
        with postgresql(data / "postgresql", database, _POSTGRESQL_SETTINGS), minio(data / "minio", store):
            yield database, store


@dataclass(frozen=True, slots=True)
class Searched:
    """This registry on SQLite and files, its search index in OpenSearch."""

    name: str = "opensearch-1"
    kind: str = "ours"

    def version(self) -> str:
        from bench.backends import opensearch_libraries

        core = next(opensearch_libraries().glob("opensearch-core-*.jar"))
        java = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.partition("\n")[0]
        return f"gati-registry {metadata.version('gati-registry')}, OpenSearch {core.stem.rpartition('-')[2]}, {java}"

    def launch(self, port: int, data: Path, folder: Path, secured: bool) -> Launch:
        command = [sys.executable, "-m", "bench.replicas", "--data", str(data), "--opensearch", str(free_port())]
        command += ["--replica", str(port)]
        environment = {"GATI_LOG__LEVEL": "error"}
        if not secured:
            return Launch([*command, "--", "--open"], environment)
        environment["GATI_ADMIN_PASSWORD_FILE"] = str(folder / "password")
        return Launch(command, environment, {"password": PASSWORD})

    @contextlib.contextmanager
    def index(self, data: Path) -> Iterator[str]:
        """Its OpenSearch alone, on what it stores in a folder; gives the URL."""
        from bench.backends import opensearch, search_url

        port = free_port()
        with opensearch(data / "opensearch", port):
            yield search_url(port)


_DISTRIBUTION_CONFIG = """\
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {data}
  cache:
    blobdescriptor: inmemory
  delete:
    enabled: true
  maintenance:
    uploadpurging:
      enabled: false
http:
  addr: 127.0.0.1:{port}
  secret: bench
"""
_DISTRIBUTION_AUTH = """\
auth:
  htpasswd:
    realm: bench
    path: {folder}/htpasswd
"""


@dataclass(frozen=True, slots=True)
class Distribution:
    """CNCF distribution with its filesystem driver, an in-memory descriptor cache, no redis."""

    major: int
    kind: str = "peer"

    @property
    def name(self) -> str:
        return f"distribution-{self.major}"

    def program(self) -> str:
        if self.major == 2:
            found, remedy = shutil.which("docker-registry"), "apt-get install docker-registry"
        else:
            found, remedy = cached("distribution", "registry"), "make real-clients"
        if found is None:
            raise Missing(f"the program is not here ({remedy})")
        return found

    def version(self) -> str:
        done = subprocess.run([self.program(), "--version"], capture_output=True, text=True, check=True)
        return done.stdout.strip().rpartition("/")[2].removeprefix("v3 ").removeprefix("distribution ")

    def launch(self, port: int, data: Path, folder: Path, secured: bool) -> Launch:
        text = _DISTRIBUTION_CONFIG + (_DISTRIBUTION_AUTH if secured else "")
        files = {"config.yml": text.format(data=data, port=port, folder=folder)}
        if secured:
            files["htpasswd"] = _HTPASSWD + "\n"
        # Version 3 sends traces to localhost:4318 unless it is told not to.
        environment = {"OTEL_TRACES_EXPORTER": "none"}
        return Launch([self.program(), "serve", str(folder / "config.yml")], environment, files)


@dataclass(frozen=True, slots=True)
class Zot:
    """zot with local storage, everything else as it comes, told to sync what it writes."""

    name: str = "zot"
    kind: str = "peer"

    def program(self) -> str:
        found = cached("zot", "zot")
        if found is None:
            raise Missing("the program is not here (build it from its source, put it on PATH)")
        return found

    def version(self) -> str:
        program = Path(self.program())
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        # Only the project's own builds know their commit; the folder's name tells the version of others.
        commit = re.search(r'"commit":"([^"]+)"', done.stdout + done.stderr)
        return f"zot {commit[1] if commit else program.parent.name}"

    def launch(self, port: int, data: Path, folder: Path, secured: bool) -> Launch:
        http: dict[str, object] = {"address": "127.0.0.1", "port": str(port)}
        files = {}
        if secured:
            files["htpasswd"] = _HTPASSWD + "\n"
            http["auth"] = {"htpasswd": {"path": str(folder / "htpasswd")}}
        config = {
            "storage": {"rootDirectory": str(data), "commit": True},
            "http": http,
            "log": {"level": "error"},
        }
        files["config.json"] = json.dumps(config, indent=1) + "\n"
        return Launch([self.program(), "serve", str(folder / "config.json")], {}, files)


_NGINX_CONFIG = """\
worker_processes auto;
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  default_type application/octet-stream;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    root {data};
    location = /v2/ {{ return 200; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """nginx over plain files with sendfile: what the machine gives for downloads; no registry."""

    name: str = "nginx"
    kind: str = "files"

    def program(self) -> str:
        found = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), _SBIN]))
        if found is None:
            raise Missing("the program is not here (apt-get install nginx)")
        return found

    def version(self) -> str:
        done = subprocess.run([self.program(), "-v"], capture_output=True, text=True, check=True)
        return done.stderr.strip().rpartition(": ")[2]

    def launch(self, port: int, data: Path, folder: Path, secured: bool) -> Launch:
        if secured:
            raise Unsupported("serves files only")
        config = folder / "nginx.conf"
        # As root its workers would become another user, who may not read the data.
        user = "user root;\n" if os.geteuid() == 0 else ""
        text = user + _NGINX_CONFIG.format(data=data, port=port, folder=folder)
        return Launch([self.program(), "-e", "stderr", "-c", str(config)], {}, {config.name: text})


@dataclass(frozen=True, slots=True)
class Peer:
    """Any other registry, started by a command with {port} and {data} in it."""

    name: str
    command: str
    kind: str = "peer"

    def version(self) -> str:
        program = shlex.split(self.command)[0]
        if shutil.which(program) is None:
            raise Missing(f"{program} is not here")
        return "as given on the command line"

    def launch(self, port: int, data: Path, folder: Path, secured: bool) -> Launch:
        if secured:
            raise Unsupported("how to secure it is not known")
        # Not str.format: a command may hold other braces, such as JSON.
        filled = self.command.replace("{port}", str(port)).replace("{data}", str(data))
        return Launch(shlex.split(filled))


def cached(name: str, binary: str, mode: int = os.X_OK) -> str | None:
    """A program (or with `os.R_OK` a file) that `make real-clients` has built, else one of this name on PATH."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("GATI_TEST_CLIENTS") or Path(base) / "gati-registry" / "clients")
    built = sorted(path for path in folder.glob(f"{name}/*/{binary}") if os.access(path, mode))
    return str(built[-1]) if built else shutil.which(binary)


free_port = Ports(range(9_500, 12_000)).free  # the tests' own are above


class Server:
    """One running stack."""

    def __init__(self, stack: Stack, home: Path, *, secured: bool = False) -> None:
        """`home` keeps its data, its configuration and what it writes to standard error."""
        self.stack = stack
        self.home = home
        self.secured = secured
        self.data = home / "data"
        self.port = free_port()
        self.address: Address = ("127.0.0.1", self.port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.launch: Launch | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self, timeout: float = 300) -> float:
        """Start it; the seconds from there to its first answer to GET /v2/.

        Raises:
            Missing: the program is not here.
            Unsupported: it cannot be secured.
            RuntimeError: it ended, or did not answer in time.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        self.launch = self.stack.launch(self.port, self.data, self.home, self.secured)
        for name, text in self.launch.files.items():
            (self.home / name).write_text(text)
        with (self.home / "stderr").open("ab") as log:
            begun = time.perf_counter()
            self._process = subprocess.Popen(
                self.launch.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**surroundings(), **self.launch.environment},
                start_new_session=True,
            )
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() - begun > timeout:
                self.stop()
                raise RuntimeError(f"{self.stack.name} did not start: {self.complaint()}")
            time.sleep(0.002)
        return time.perf_counter() - begun

    def ended(self) -> bool:
        """Whether it ended without being told to."""
        return self._process is not None and self._process.poll() is not None

    def complaint(self) -> str:
        """The end of what it wrote to standard error."""
        return (self.home / "stderr").read_text(errors="replace")[-2000:]

    def describe(self) -> str:
        """How it was started, without the folders of this machine: command, environment, configuration."""
        assert self.launch is not None, "not started yet"
        program, *arguments = self.launch.command
        environment = [f"{key}={value}" for key, value in self.launch.environment.items()]
        lines = [shlex.join([*environment, os.path.basename(program), *arguments])]
        lines += [f"# {name}\n{text.rstrip()}" for name, text in self.launch.files.items()]
        return "".join(f"{line}\n" for line in lines).replace(str(self.home), "HOME")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status in (200, 401)
        except OSError:
            return False
        finally:
            connection.close()

    def ask(self, method: str, target: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """One request without a body, on a connection of its own: status and body."""
        connection = http.client.HTTPConnection(*self.address, timeout=120)
        try:
            connection.request(method, target, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to the whole session if that has not ended it in 30 seconds."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None
