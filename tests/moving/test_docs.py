"""The commands in docs/moving.md are commands that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gati_registry.__main__ import parser

TEXT = (Path(__file__).parents[2] / "docs/moving.md").read_text()
COMMANDS = re.findall(r"^    gati-registry (.+)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood(line: str) -> None:
    parser().parse_args(shlex.split(line))


def test_each_command_is_shown() -> None:
    assert {line.split()[0] for line in COMMANDS} == {"migrate-storage", "backup", "restore", "verify"}
