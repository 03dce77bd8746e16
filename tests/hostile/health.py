"""How a server is after an attack."""

from __future__ import annotations

from pathlib import Path

from tests.proofs.verify import verify
from tests.support.server import RegistryProcess

_COMPLAINTS = ("Traceback", "unexpected error", '"level": "error"')


class Watch:
    """Notices a worker that died and an error in the log, from its making on."""

    def __init__(self, server: RegistryProcess) -> None:
        self._server = server
        self._pids = server.pids()
        self._said = server.stderr_path.stat().st_size

    def check(self) -> None:
        """The processes are the same; none of them logged an error."""
        assert self._server.pids() == self._pids, "a process died"
        with self._server.stderr_path.open(errors="replace") as log:
            log.seek(self._said)
            lines = [line for line in log if any(word in line for word in _COMPLAINTS)]
        assert not lines, "\n".join(lines[:20])


def assert_whole(data: Path) -> None:
    """`gati-registry verify` finds nothing wrong."""
    code, report = verify(data)
    assert code == 0, report
