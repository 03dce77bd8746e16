"""Answers to what a template asks: those given, those of before, and, by the user or by default, the others."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gati_client.errors import Usage
from gati_client.project import files
from gati_client.templates.sandbox import Sandbox
from gati_client.templates.variables import Variable, check, known, parse

Ask = Callable[[Variable, Any, str], str | None]
"""Asks the user for a variable, with the default and with what was wrong with the last answer; None is the default."""

_MOST = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Given:
    """Answers that need not be asked for: `values` as they are (from a file), `texts` as somebody types them
    (`--set`), `before` from the project's record."""

    values: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)


def read(path: Path) -> dict[str, Any]:
    """Answers by name from a file: JSON, TOML or YAML by its ending.

    Raises:
        Usage: it cannot be read, or holds something else.
    """
    try:
        if path.stat().st_size > _MOST:
            raise Usage(f"{path} is larger than answers can be")
        if path.suffix == ".toml":
            found: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        elif path.suffix in (".yaml", ".yml"):
            found = files.read_yaml(path, Usage)
        else:
            found = json.loads(path.read_bytes())
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Usage(f"{path} is not what its ending says: {error}"[:500]) from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise Usage(f"{path} must hold an object of answers by name")
    return found


def answers(variables: list[Variable], given: Given, sandbox: Sandbox, ask: Ask | None) -> dict[str, Any]:
    """A checked value for each variable, in order. Defaults may be made of earlier answers (`{{ name }}-service`).

    `ask` None asks nobody: what is neither given nor has a default must not be required. An answer that does not fit is
    asked for again.

    Raises:
        Usage: an answer does not fit, is missing, or is to no question.
    """
    known(variables, given.values, "the answers")
    known(variables, given.texts, "--set")
    found: dict[str, Any] = {}
    for variable in variables:
        name = variable.name
        if name in given.texts:
            found[name] = check(variable, parse(variable, given.texts[name]), sandbox.matches)
        elif name in given.values:
            found[name] = check(variable, given.values[name], sandbox.matches)
        elif name in given.before and _fits(variable, given.before[name], sandbox, ask):
            found[name] = check(variable, given.before[name], sandbox.matches)
        else:
            found[name] = _asked(variable, _default(variable, found, sandbox), sandbox, ask)
    return found


def _fits(variable: Variable, value: Any, sandbox: Sandbox, ask: Ask | None) -> bool:
    """Whether an earlier answer still fits; where somebody can be asked, one that does not is asked for anew."""
    try:
        check(variable, value, sandbox.matches)
    except Usage:
        if ask is None:
            raise
        return False
    return True


def _default(variable: Variable, found: Mapping[str, Any], sandbox: Sandbox) -> Any:
    default = variable.default
    if isinstance(default, str) and ("{{" in default or "{%" in default):
        text = sandbox.text(default, found, f"default of {variable.name}")
        return text if variable.type in ("string", "secret") else parse(variable, text)
    return default


def _asked(variable: Variable, default: Any, sandbox: Sandbox, ask: Ask | None) -> Any:
    if ask is None:
        return check(variable, default, sandbox.matches)
    wrong = ""
    while True:
        text = ask(variable, default, wrong)
        try:
            return check(variable, default if text is None else parse(variable, text), sandbox.matches)
        except Usage as error:
            wrong = str(error)
