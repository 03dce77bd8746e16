"""The client's models are those of the server's OpenAPI."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import gati_client.spaces
from gati_client import models
from tests.client import generate

SPACES = [module.name for module in pkgutil.iter_modules(gati_client.spaces.__path__)]


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return generate.document()


def test_models_are_what_the_server_speaks(openapi: dict[str, Any]) -> None:
    """Whoever changes the API runs `python -m tests.client.generate`."""
    assert generate.TARGET.read_text() == generate.source(openapi)


def test_every_model_can_be_built() -> None:
    built = models.Model.__subclasses__()
    assert len(built) > 100
    for model in built:
        assert model.model_rebuild(force=True), model


@pytest.mark.parametrize("space", SPACES)
def test_every_path_that_the_client_asks_is_one_of_the_server(openapi: dict[str, Any], space: str) -> None:
    """Written as in the source: what stands in braces is any part."""
    text = Path(str(importlib.import_module(f"gati_client.spaces.{space}").__file__)).read_text()
    text = re.sub(r"\{_PATH\}", _constant(text, "_PATH"), text)
    text = re.sub(r"\{_ROBOTS\}", _constant(text, "_ROBOTS"), text)
    found = re.findall(r'f?"(/v2/_ext/[^"?]+)', text)
    found += [
        f"/v2/{{repository}}/_ext/{each}" for each in re.findall(r'repository_path\(repository, f?"([^"?]+)', text)
    ]
    known = [re.sub(r"\\\{[^}]*\\\}", r"[^ ]+", re.escape(path)) for path in openapi["paths"]]
    for path in found:
        plain = re.sub(r"\{[^}]*\}", "X", path)
        assert any(re.match(pattern, plain) or pattern.startswith(re.escape(plain)) for pattern in known), path


def _constant(text: str, name: str) -> str:
    found = re.search(rf'^{name} = "([^"]*)"', text, re.MULTILINE)
    return found[1] if found else ""
