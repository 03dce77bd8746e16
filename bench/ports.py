"""TCP ports for the servers that a run starts."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator


class Ports:
    """Ports on 127.0.0.1 out of a range, each given once until all have been.

    A port that the system chooses may be taken again before its server listens, or while that is stopped: by another
    server, or by any client's end of a connection. So the range lies below those of the system (Linux: from 32768),
    and those who run at one time have ranges of their own.
    """

    def __init__(self, ports: range) -> None:
        self._ports = ports
        self._turn: Iterator[int] = itertools.count(64 * os.getpid())  # apart from another process that has the range

    def free(self) -> int:
        """One on which nobody listens.

        Raises:
            RuntimeError: all are taken.
        """
        for _ in self._ports:
            port = self._ports[next(self._turn) % len(self._ports)]
            with socket.socket() as sock, contextlib.suppress(OSError):
                sock.bind(("127.0.0.1", port))
                return port
        raise RuntimeError(f"all ports from {self._ports.start} to {self._ports.stop - 1} are taken")
