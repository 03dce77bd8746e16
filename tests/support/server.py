"""Run the real server as a process, the way a user does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.ports import Ports

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
free_port = Ports(range(12_000 + 2_500 * _WORKER, 12_000 + 2_500 * (_WORKER + 1))).free  # of each worker its own


class RegistryProcess:
    """One `gati-registry serve` process on loopback; restartable on the same data and port."""

    def __init__(
        self,
        data: Path,
        *,
        args: Sequence[str] = ("--open",),
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        scheme: str = "http",
        wrapper: Sequence[str] = (),
        address: str = "127.0.0.1",
    ) -> None:
        self.data = data
        self.args = list(args)
        self.env = dict(env or {})
        self.port = port or free_port()
        self.host = f"{address}:{self.port}"
        self.url = f"{scheme}://{self.host}"
        self.wrapper = list(wrapper)
        self.process: subprocess.Popen[str] | None = None
        self.stderr_path = data.parent / f"{data.name}.stderr"

    def start(self, *, timeout: float = 120) -> RegistryProcess:
        """Start it and wait for the line that says it can answer."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GATI_")}
        environment.update(self.env)
        command = [*self.wrapper, sys.executable, "-m", "gati_registry", "serve", "--listen", self.host]
        with self.stderr_path.open("a") as stderr:
            self.process = subprocess.Popen(
                [*command, "--data", str(self.data), *self.args],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=environment,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        timer = threading.Timer(timeout, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line.strip().endswith(self.url):
            self.kill()
            raise AssertionError(f"the server did not start: {line!r}\n{self.stderr()[-4000:]}")
        return self

    def stderr(self) -> str:
        """Everything it wrote to standard error so far."""
        return self.stderr_path.read_text(errors="replace") if self.stderr_path.exists() else ""

    def terminate(self, *, timeout: float = 60) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)  # where it hangs, it stays ours to kill
        self._close()
        return code

    def kill(self) -> None:
        """SIGKILL to the whole session: supervisor and workers at once, as a power cut would."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None

    def pids(self) -> list[int]:
        """The server's process and all its descendants."""
        if self.process is None:
            return []
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    queue.extend(int(child) for child in (task / "children").read_text().split())
        return found

    def rss(self) -> int:
        """Resident memory of all its processes, in bytes."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                total += pages * os.sysconf("SC_PAGE_SIZE")
        return total


@contextlib.contextmanager
def running(
    data: Path, *, args: Sequence[str] = ("--open",), env: Mapping[str, str] | None = None
) -> Iterator[RegistryProcess]:
    """A server for the length of a `with` block; stopped by SIGTERM at the end."""
    server = RegistryProcess(data, args=args, env=env).start()
    try:
        yield server
    finally:
        if server.process is not None:
            try:
                server.terminate()
            except subprocess.TimeoutExpired:
                server.kill()


def wait_for(condition: object, *, timeout: float = 60, interval: float = 0.02) -> None:
    """Poll a callable until it is true; fails with what it last returned."""
    assert callable(condition)
    deadline = time.monotonic() + timeout
    while not (last := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {last!r} after {timeout} s")
        time.sleep(interval)
