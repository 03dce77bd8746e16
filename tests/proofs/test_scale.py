"""With a million manifests, or ten million rows and a hundred thousand namespaces, all costs what it cost before.

These print times and assert none: that no statement reads more where more is stored is asserted by
`tests/core/test_scale.py`, `tests/extensions/test_scale.py` and `tests/postgresql/test_plans.py`, by counting.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from bench.backends import database_url, postgresql
from bench.filling import CORE, NAMESPACES, Filler, PostgresTarget, even
from bench.processes import cpu_seconds

from tests.core.support import scratch
from tests.extensions.access.support import world
from tests.extensions.scale import Few
from tests.proofs.sizes import required, size
from tests.support.postgresql import binaries
from tests.support.server import free_port

ROOT = Path(__file__).parents[2]
SETTINGS = "shared_buffers = 512MB\nmax_wal_size = 4GB\nlog_min_messages = fatal\n"
FEW = 1_000
"""Namespaces of the small database."""

ROWS_OF_FIVE = 25
"""Rows of the core for every five manifests of `bench.filling`."""

TIMES = 40

pytestmark = [pytest.mark.proof, pytest.mark.timeout(7200)]


def test_manifests() -> None:
    required("wrk")
    binaries()
    many, seconds = size("SCALE_MANIFESTS", 1_000_000), size("SCALE_SECONDS", 2)
    options = ["--many", str(many), "--seconds", str(seconds), "--rounds", "1"]
    with tempfile.TemporaryDirectory(prefix="gati-scale-") as folder:
        report = Path(folder) / "report.md"
        command = [sys.executable, "-m", "bench", "--suite", "growth", *options, "--output", str(report)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        lines = [line for line in report.read_text().splitlines() if line.startswith("| `growth")]
    assert len(lines) > 40, "every figure is there"
    print(f"\n{many:,} manifests against 1,000:", *lines, sep="\n")


@contextlib.contextmanager
def _disk() -> Iterator[Path]:
    """A folder that PostgreSQL's account may pass, on a disk: this is more than belongs into memory."""
    with tempfile.TemporaryDirectory(prefix="gati-scale-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@contextlib.asynccontextmanager
async def _populated(url: str, namespaces: int, held: int) -> AsyncIterator[Few]:
    with scratch() as folder:
        async with world(folder, metadata_url=url):
            pass  # makes the schema
        target = PostgresTarget(url)
        begun = time.perf_counter()
        rows = Filler(target, namespaces=True).fill(even(range(namespaces), held))
        target.close()
        print(f"\n{namespaces:,} namespaces, {rows:,} rows by COPY in {time.perf_counter() - begun:.0f} s")
        (folder / "again").mkdir()
        async with world(folder / "again", metadata_url=url) as site:
            few = Few(site, namespaces, held)
            await few.join()
            yield few


async def _compare(urls: list[str], namespaces: int, held: int, pid: int) -> None:
    async with _populated(urls[0], min(FEW, namespaces), held) as small, _populated(urls[1], namespaces, held) as large:
        for (name, one), (_, other) in zip(small.operations(), large.operations(), strict=True):
            times: tuple[list[float], list[float]] = ([], [])
            spent = [0.0, 0.0]
            for turn in range(TIMES):
                for which, operation in ((0, one), (1, other)):
                    used, begun = cpu_seconds(pid) + time.process_time(), time.perf_counter()
                    await operation()
                    elapsed = time.perf_counter() - begun
                    if turn:  # the first fills caches and prepares statements
                        times[which].append(elapsed)
                        spent[which] += cpu_seconds(pid) + time.process_time() - used
            few, many = (statistics.median(each) * 1000 for each in times)
            cpu = [each / (TIMES - 1) * 1000 for each in spent]
            print(
                f"{name}: p50 {few:.2f} ms -> {many:.2f} ms ({many / few:.2f} x), "
                f"CPU {cpu[0]:.1f} ms -> {cpu[1]:.1f} ms ({cpu[1] / cpu[0]:.2f} x)"
            )


def test_namespaces() -> None:
    binaries()
    namespaces, entries = size("SCALE_NAMESPACES", 100_000), size("SCALE_ENTRIES", 10_000_000)
    held = max(5, entries // namespaces // ROWS_OF_FIVE * 5)
    assert shutil.disk_usage(tempfile.gettempdir()).free > entries * 1500, "room for the database"
    with _disk() as folder:
        port = free_port()
        with postgresql(folder / "postgresql", port, SETTINGS):
            url = database_url(port)
            for name in ("few", "many"):
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
            pid = int((folder / "postgresql" / "data" / "postmaster.pid").read_text().splitlines()[0])
            urls = [url.replace("/postgres?", f"/{name}?") for name in ("few", "many")]
            asyncio.run(_compare(urls, namespaces, held, pid))
            with psycopg.connect(urls[1]) as connection:
                for table in (*CORE, *NAMESPACES):
                    found = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
                    assert found is not None
                    print(f"{table}: {found[0]:,} rows")
