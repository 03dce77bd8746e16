"""What a tree of processes costs: CPU time and resident memory, read from /proc."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def surroundings() -> dict[str, str]:
    """This process's environment without settings: what is measured is set up by the bench alone.

    Nor does it say that compiled modules are not kept: they are compiled once where a program is installed.
    """
    passed_over = ("GATI_", "OTEL_", "PYTHONDONTWRITEBYTECODE")
    return {key: value for key, value in os.environ.items() if not key.startswith(passed_over)}


def tree(pid: int) -> list[int]:
    """The process and all its descendants, the process itself first."""
    found: list[int] = []
    queue = [pid]
    while queue:
        current = queue.pop(0)
        found.append(current)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{current}/task").iterdir():
                queue.extend(int(child) for child in (task / "children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree so far, those of its children that have ended included.

    Resolution: one clock tick (10 ms) a process. Source: proc(5), fields 14 to 17 of /proc/PID/stat.
    """
    ticks = 0
    for each in tree(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # The command's name stands in brackets and may hold blanks: count from behind it.
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a tree, in bytes. Pages that forked workers share count once for each in `total`."""

    total: int
    largest: int

    def __or__(self, other: Memory) -> Memory:
        """The peaks of both."""
        return Memory(max(self.total, other.total), max(self.largest, other.largest))


def memory(pid: int) -> Memory:
    """The resident set of the tree at this moment: the sum, and the largest process alone."""
    sizes = [0]
    for each in tree(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            sizes.append(int(Path(f"/proc/{each}/statm").read_text().split()[1]) * _PAGE)
    return Memory(sum(sizes), max(sizes))


@contextlib.contextmanager
def peak_memory(pid: int, interval: float = 0.1) -> Iterator[list[Memory]]:
    """Sample the tree's memory every `interval` seconds; the list that it gives holds the peak at the end."""
    peak = [memory(pid)]
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(interval):
            peak[0] |= memory(pid)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
    finally:
        stop.set()
        sampler.join()


def _machine_busy() -> float:
    """CPU seconds that all cores were not idle since boot, stolen time included. Source: proc(5)."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle, iowait = fields[3], fields[4]
    return (sum(fields) - idle - iowait) / _TICKS


def _own() -> float:
    """CPU seconds of this process and of the load generators that it has run and waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass(slots=True)
class Usage:
    """What an interval cost; filled when it ends.

    `server` is the CPU time of the server's tree, `others` the share of the machine's cores that neither the
    server nor the load generator used: noise, which a reader of the figures should know of.
    """

    seconds: float = 0.0
    server: float = 0.0
    others: float = 0.0


@contextlib.contextmanager
def measured(pid: int) -> Iterator[Usage]:
    """Measure what the block costs the server `pid`."""
    usage = Usage()
    busy, own, server, start = _machine_busy(), _own(), cpu_seconds(pid), time.perf_counter()
    yield usage
    usage.seconds = time.perf_counter() - start
    usage.server = cpu_seconds(pid) - server
    others = (_machine_busy() - busy) - usage.server - (_own() - own)
    usage.others = max(0.0, others) / (usage.seconds * (os.cpu_count() or 1))
