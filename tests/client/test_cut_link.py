"""A big artifact over a link that is cut five times each way: few bytes go again, little memory is needed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.support import Link, linked
from tests.proofs.sizes import size
from tests.support.server import running

BYTES = size("CLIENT_BYTES", 4 << 30)
CUTS = 5
MOST_AGAIN = 0.05
MOST_MEMORY = 150 << 20
BLOCK = 8 << 20

pytestmark = pytest.mark.proof


def _write(path: Path) -> str:
    """A file of numbered blocks; its digest."""
    digest = hashlib.sha256()
    filling = bytes(range(256)) * (BLOCK // 256)
    with path.open("wb") as file:
        for start in range(0, BYTES, BLOCK):
            data = start.to_bytes(8, "big") + filling[8 : min(BLOCK, BYTES - start)]
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def _move(link: Link, what: str, path: Path) -> int:
    """Run the SDK as a process over the link, which breaks at even distances; its most memory in bytes."""
    link.cuts = [link.up + link.down + BYTES * (turn + 1) // (CUTS + 1) for turn in range(CUTS)]
    link.broken = 0
    command = [sys.executable, "-m", "tests.client.moving", link.host, what, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert link.broken == CUTS
    return int(done.stdout)


def test_published_and_installed(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    digest = _write(source)
    with running(tmp_path / "data") as server, linked(server.port) as link:
        pushing = _move(link, "push", source)
        again_up = link.up / BYTES - 1
        source.unlink()
        before = link.down
        pulling = _move(link, "pull", target)
        again_down = (link.down - before) / BYTES - 1
    print(
        f"\n{BYTES >> 20} MiB over a link cut {CUTS} times each way: {again_up:.1%} sent again, "
        f"{again_down:.1%} fetched again; memory {pushing >> 20} MiB pushing, {pulling >> 20} MiB pulling"
    )
    with target.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest
    assert again_up < MOST_AGAIN
    assert again_down < MOST_AGAIN
    assert max(pushing, pulling) < MOST_MEMORY
