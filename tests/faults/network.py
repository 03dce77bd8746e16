"""A process on another host, as the network has it: a namespace with one wire to us, which can be cut.

Rules that drop packets live inside the namespace and go with it; nothing of this machine's own network is changed but
for one end of the wire. Addresses are of 198.18.0.0/15, which RFC 2544 sets aside for tests of networks.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.clients.programs import require

Direction = Literal["both", "there", "back"]


@dataclass(frozen=True, slots=True)
class Island:
    """A namespace; `ours` and `theirs` are the addresses of the wire's two ends."""

    name: str
    ours: str
    theirs: str

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What a command begins with to run in there."""
        return (str(require("ip")), "netns", "exec", self.name)

    def cut(self, port: int, direction: Direction = "both") -> None:
        """From now on nothing of what is sent to our `port` arrives, or nothing of what comes back; nobody is told."""
        iptables = (str(require("iptables")), "-w", "-A")
        if direction != "back":
            _run(*self.wrapper, *iptables, "OUTPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")
        if direction != "there":
            _run(*self.wrapper, *iptables, "INPUT", "-p", "tcp", "--sport", str(port), "-j", "DROP")

    def heal(self) -> None:
        """All packets arrive again."""
        _run(*self.wrapper, str(require("iptables")), "-w", "-F")


@contextlib.contextmanager
def island() -> Iterator[Island]:
    """A namespace for the length of a `with` block. Skips the test where none can be made; under CI=true it fails."""
    ip = str(require("ip", "iptables"))
    if os.geteuid() != 0:
        _cannot("network namespaces need root")
    mark = f"{random.getrandbits(24):06x}"
    base = random.randrange(2 * 256 * 64)
    network = f"198.{18 + base // (256 * 64)}.{base // 64 % 256}."
    made = Island(f"gati-{mark}", f"{network}{base % 64 * 4 + 1}", f"{network}{base % 64 * 4 + 2}")
    near, far = f"gt{mark}a", f"gt{mark}b"
    with contextlib.ExitStack() as stack:
        if (refused := _tried(ip, "netns", "add", made.name)) is not None:
            _cannot(f"network namespaces cannot be made here: {refused}")
        stack.callback(_run, ip, "netns", "del", made.name)
        if (refused := _tried(ip, "link", "add", near, "type", "veth", "peer", "name", far)) is not None:
            _cannot(f"there are no virtual wires here: {refused}")
        stack.callback(_tried, ip, "link", "del", near)  # both ends; it may have gone with the namespace
        _run(ip, "link", "set", far, "netns", made.name)
        _run(ip, "addr", "add", f"{made.ours}/30", "dev", near)
        _run(ip, "link", "set", near, "up")
        inside = (ip, "-n", made.name)
        _run(*inside, "addr", "add", f"{made.theirs}/30", "dev", far)
        _run(*inside, "link", "set", far, "up")
        _run(*inside, "link", "set", "lo", "up")
        yield made


def _cannot(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _tried(*command: str) -> str | None:
    """None, or why it did not work."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return None if result.returncode == 0 else result.stderr.strip() or f"exit code {result.returncode}"


def _run(*command: str) -> None:
    refused = _tried(*command)
    assert refused is None, f"{Path(command[0]).name} {' '.join(command[1:])}: {refused}"
