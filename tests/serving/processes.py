"""Starting servers for the tests of this folder."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.server import RegistryProcess

ROOT = Path(__file__).parents[2]


def demo(
    data: Path, *args: str, env: Mapping[str, str] | None = None, scheme: str = "http", port: int | None = None
) -> RegistryProcess:
    """The demo application, not started yet, with flags of `gati-registry serve`."""
    return RegistryProcess(
        data,
        args=args,
        env={"PYTHONPATH": str(ROOT), **(env or {})},
        scheme=scheme,
        port=port,
        wrapper=[sys.executable, "-m", "tests.serving.demo"],
    )


@contextlib.contextmanager
def started(server: RegistryProcess) -> Iterator[RegistryProcess]:
    """The server for the length of a `with` block; killed at its end if it is still there."""
    server.start()
    try:
        yield server
    finally:
        server.kill()


def tls_flags(certificate: tuple[Path, Path]) -> Sequence[str]:
    """Flags for a certificate and its key."""
    return ("--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1]))
