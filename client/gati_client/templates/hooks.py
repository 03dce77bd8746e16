"""Commands that a template wants to be run: before its files are written (`pre`), and after (`post`). Only with the
user's consent, who sees them first; never by a shell: what an answer holds stays one word.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gati_client.errors import GatiError
from gati_client.templates.sandbox import Sandbox
from gati_client.templates.variables import Description

_NAMES = {"pre": ("pre", "preGenerate"), "post": ("post", "postGenerate")}
_MOST = 20
_INSERTED = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


def commands(description: Description, when: str, answers: Mapping[str, Any], sandbox: Sandbox) -> list[list[str]]:
    """The commands of a hook, as lists of words with the answers in them. They are split before answers come in.

    Raises:
        GatiError: they are no texts or lists of texts, or too many.
    """
    found: list[list[str]] = []
    for name in _NAMES[when]:
        entry = description.hooks.get(name, [])
        for command in [entry] if isinstance(entry, str) else entry if isinstance(entry, list) else [None]:
            found += [_words(command, name)]
    if len(found) > _MOST:
        raise GatiError(f"the template's hook {when} has more than {_MOST} commands")
    return [[sandbox.text(word, answers, f"hook {when}") if "{" in word else word for word in words] for words in found]


def _words(command: Any, name: str) -> list[str]:
    words = command
    if isinstance(command, str):
        inserted = _INSERTED.findall(command)
        try:
            # What stands in braces is one piece whatever it holds; `\0` is in no command.
            words = shlex.split(_INSERTED.sub("\0", command))
        except ValueError:
            words = None
        else:
            pieces = iter(inserted)
            words = [re.sub("\0", lambda _: next(pieces), word) for word in words]
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise GatiError(f"the template's hook {name} is no command")
    return words


def shown(command: list[str]) -> str:
    """As one would type it; what could steer a terminal is quoted away."""
    text = shlex.join(command)
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def run(command: list[str], folder: Path) -> None:
    """Run one command in the project's folder. Our own settings, tokens among them, do not go along.

    Raises:
        GatiError: it cannot be run, or failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATI_")}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=2, check=False)
    except (OSError, ValueError) as error:
        raise GatiError(f"the hook {shown(command)} cannot be run: {error}") from None
    if done.returncode:
        raise GatiError(f"the hook {shown(command)} failed with {done.returncode}")
