"""Templates and patterns of strangers, evaluated in a process of its own within limits of memory, time and output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gati_client.errors import GatiError


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one rendering: bytes of memory, seconds of CPU, seconds by the clock, characters written, files, and
    characters that all sources have together."""

    memory: int = 768 * 1024**2
    cpu: int = 20
    clock: float = 120
    output: int = 64 * 1024**2
    files: int = 10_000
    source: int = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Source:
    """A file of a template: its path there, the template of its path in the project, its text, or None if it is not
    rendered."""

    path: str
    target: str
    text: str | None


class Sandbox:
    """Evaluates what strangers wrote."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self._limits = limits

    def render(self, sources: Sequence[Source], context: Mapping[str, Any]) -> list[tuple[str | None, str | None]]:
        """Path in the project and text of each source, in order; the text is None where the source's is, the path where
        the file is left out.

        Raises:
            GatiError: a template is wrong, reaches for what it may not, or takes more than the limits.
        """
        limits = self._limits
        if len(sources) > limits.files:
            raise GatiError(f"the template has more than {limits.files} files")
        if sum(len(source.text or "") for source in sources) > limits.source:
            raise GatiError(f"the template's files hold more than {limits.source} characters")
        files = [{"path": source.path, "target": source.target, "text": source.text} for source in sources]
        answer = self._ask({"do": "render", "output": limits.output, "files": files, "context": dict(context)})
        made = [(file["path"], file["text"]) for file in answer["files"]]
        assert len(made) == len(sources)
        return made

    def text(self, template: str, context: Mapping[str, Any], what: str) -> str:
        """One text, such as a default that is made of earlier answers. `what` names it in errors."""
        return self.render([Source(what, "default", template)], context)[0][1] or ""

    def matches(self, pattern: str, text: str) -> bool:
        """Whether the pattern fits the whole text.

        Raises:
            GatiError: it is no pattern, or one that takes for ever.
        """
        return bool(self._ask({"do": "match", "pattern": pattern, "text": text})["fits"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        limits = self._limits
        data = json.dumps({**request, "memory": limits.memory, "cpu": limits.cpu}).encode()
        # -I: neither the user's PYTHONPATH nor the folder that one is in has a say in what is imported.
        command = [sys.executable, "-I", "-m", "gati_client.templates.rendering"]
        # No variable of the environment goes along but what a system needs to start a program at all.
        environment = {name: value for name in ("PATH", "SYSTEMROOT") if (value := os.environ.get(name))}
        try:
            done = subprocess.run(
                command, input=data, capture_output=True, timeout=limits.clock, env=environment, check=False
            )
        except subprocess.TimeoutExpired:
            raise GatiError("the template takes too long; nothing was written") from None
        if done.returncode < 0 or not done.stdout:
            why = "takes more time or memory than a template may" if done.returncode < 0 else "cannot be rendered"
            raise GatiError(f"the template {why}; nothing was written")
        answer: dict[str, Any] = json.loads(done.stdout)
        if "refused" in answer:
            raise GatiError(str(answer["refused"]))
        return answer
