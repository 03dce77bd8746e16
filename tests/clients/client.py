"""Run a client program the way a user does, with a home folder of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.clients.programs import SYSTEM_FOLDERS

COMMAND_SECONDS = 150


@dataclass(frozen=True, slots=True)
class Client:
    """A program, the arguments that always come first, and where it may write credentials."""

    program: Path
    home: Path
    first: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None

    def __call__(self, *arguments: str | Path, stdin: str | bytes = b"") -> str:
        """Run it; returns what it printed on standard output. Fails the test when it exits with an error."""
        code, out, err = self.run(*arguments, stdin=stdin)
        assert code == 0, f"{self._words(arguments)} exited {code}\n{out}{err}"
        return out

    def fails(self, *arguments: str | Path, stdin: str | bytes = b"") -> str:
        """Run what must fail; returns all it printed. Fails the test when it succeeds."""
        code, out, err = self.run(*arguments, stdin=stdin)
        assert code != 0, f"{self._words(arguments)} should have failed\n{out}{err}"
        return out + err

    def run(
        self, *arguments: str | Path, stdin: str | bytes = b"", seconds: float = COMMAND_SECONDS
    ) -> tuple[int, str, str]:
        """Run it; returns exit code, standard output and standard error."""
        result = subprocess.run(
            [self.program, *self.first, *arguments],
            env=self.environment(),
            cwd=self.cwd or self.home,
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        return (
            result.returncode,
            result.stdout.decode(errors="replace"),
            result.stderr.decode(errors="replace"),
        )

    def environment(self) -> dict[str, str]:
        """A clean environment: no credentials, proxies or settings of the caller reach the program."""
        path = os.pathsep.join([os.environ.get("PATH", ""), SYSTEM_FOLDERS])
        return {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8", **self.env}

    def _words(self, arguments: Sequence[str | Path]) -> str:
        return " ".join([self.program.name, *self.first, *map(str, arguments)])
