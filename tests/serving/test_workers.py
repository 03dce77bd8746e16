"""Several workers: one port, one start, and a dead one is replaced."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.serving.processes import demo, started
from tests.serving.raw import RawClient, get
from tests.support.server import RegistryProcess, wait_for


def _pids(server: RegistryProcess, connections: int = 40) -> set[int]:
    return {int(json.loads(get(server.host, "/hello").body)["pid"]) for _ in range(connections)}


def test_a_killed_worker_is_replaced_and_the_others_go_on(tmp_path: Path, http_server: str) -> None:
    with started(demo(tmp_path / "data", "--workers", "3", "--server", http_server)) as server:
        assert server.process is not None
        wait_for(lambda: len(_pids(server)) == 3)
        victim, *others = _pids(server)
        downloads = [RawClient(server.host) for _ in range(6)]
        for client in downloads:
            client.request("GET", "/source?size=2000000&pause=0.02")
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len(_pids(server)) == 3 and victim not in _pids(server))
        assert set(others) <= _pids(server)
        whole = 0
        for client in downloads:
            with contextlib.suppress(ConnectionError):
                whole += client.answer().whole
        assert whole > 0, "the transfers of the other workers end whole"
        assert '"worker ' in server.stderr()
        assert "SIGKILL" in server.stderr()
        assert server.terminate() == 0


def test_workers_end_when_the_supervisor_is_gone(tmp_path: Path) -> None:
    server = demo(tmp_path / "data", "--workers", "2")
    with started(server):
        assert server.process is not None
        workers = server.pids()[1:]
        assert len(workers) == 2
        server.process.kill()
        server.process.wait()
        for pid in workers:
            wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists() or _is_zombie(pid))
        # and the address is free
        with started(demo(tmp_path / "data", "--workers", "2", port=server.port)) as successor:
            assert get(successor.host, "/hello").status == 200


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_connections_spread_over_the_workers(tmp_path: Path, http_server: str) -> None:
    with started(demo(tmp_path / "data", "--workers", "2", "--server", http_server)) as server:
        clients: list[RawClient] = []
        spread: collections.Counter[int] = collections.Counter()
        # The kernel hands out connections, half to each on average. On a busy machine a worker that gets its turn takes
        # all that wait, so it may take more of them until the other has had its turns too.
        while len(clients) < 640 and (len(spread) < 2 or min(spread.values()) < 10):
            clients.append(RawClient(server.host))
            clients[-1].request("GET", "/hello")
            spread[json.loads(clients[-1].answer().body)["pid"]] += 1
        assert len(spread) == 2
        assert min(spread.values()) >= 10, spread


def test_it_is_announced_once_and_when_all_workers_answer(tmp_path: Path) -> None:
    server = demo(tmp_path / "data", "--workers", "3")
    with started(server):
        assert server.process is not None
        assert server.process.stdout is not None
        assert len(server.pids()) == 4
        stdout = server.process.stdout
        server.process.terminate()
        assert server.process.wait(30) == 0
        assert stdout.read() == ""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_application_that_cannot_start_ends_the_server(tmp_path: Path, http_server: str, workers: str) -> None:
    server = demo(tmp_path / "data", "--server", http_server, "--workers", workers, env={"DEMO_START": "fails"})
    with pytest.raises(AssertionError, match="did not start"):
        server.start()
    assert "it cannot start" in server.stderr()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_taken_port_is_one_line(tmp_path: Path, workers: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = RegistryProcess(tmp_path / "data", args=["--open", "--workers", workers], port=taken.getsockname()[1])
        with pytest.raises(AssertionError):
            server.start()
    [line] = server.stderr().splitlines()
    assert line.startswith("gati-registry: listen: cannot listen on 127.0.0.1:")
