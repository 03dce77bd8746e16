"""Where the files under test are."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"


def read_yaml(path: Path) -> Any:
    """A YAML file of one document."""
    return yaml.safe_load(path.read_text())


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def version() -> str:
    """The version that is being made."""
    found: str = project()["project"]["version"]
    return found
