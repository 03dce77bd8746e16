"""The client's models are those of the server's OpenAPI."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import AsyncIterator
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel

import gati_client.spaces
from gati_client import models
from tests.client import generate

PLAIN = {"artifacts", "base"}
"""What is no extension's."""
SPACES = sorted({module.name for module in pkgutil.iter_modules(gati_client.spaces.__path__)} - PLAIN)


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return generate.document()


def test_models_are_what_the_server_speaks(openapi: dict[str, Any]) -> None:
    """Whoever changes the API runs `python -m tests.client.generate`."""
    assert {path.name: path.read_text() for path in generate.TARGET.glob("*.py")} == generate.sources(openapi)


def test_every_model_can_be_built() -> None:
    built = {getattr(models, name) for name in models.__all__} - {models.Model}
    assert len(built) > 100
    assert built >= {model for model in models.Model.__subclasses__() if model.__module__.startswith(models.__name__)}
    for model in built:
        assert model.model_rebuild(force=True), model


class Asked(Exception):
    """What a method would ask the registry."""


class Recorder:
    """In place of a transport: says what it is asked for, and asks nobody."""

    host = "registry.example"

    async def ask(self, method: str, path: str, **_: Any) -> Any:
        """As `Transport.ask`."""
        raise Asked(method, path.partition("?")[0])


def made(module: str) -> Any:
    """The space of a module."""
    return getattr(importlib.import_module(f"gati_client.spaces.{module}"), module.title())(Recorder(), None)


def argument(kind: Any) -> Any:
    """Something of that kind, to have a method run."""
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return kind.model_construct()
    return {str: "x", int: 1}.get(kind, ())


async def asked(space: Any, name: str) -> tuple[str, str]:
    """Which method and path a method of a space asks for."""
    method = getattr(space, name)
    kinds = get_type_hints(method)
    values = {
        parameter.name: argument(kinds[parameter.name])
        for parameter in inspect.signature(method).parameters.values()
        if parameter.default is inspect.Parameter.empty
    }
    if "revision" in kinds:
        values["revision"] = 1  # else it is asked for first
    result = method(**values)
    with pytest.raises(Asked) as caught:
        await (anext(result) if isinstance(result, AsyncIterator) else result)
    return caught.value.args


OTHERS = {
    "audit": "GET export, GET persons/{name}, DELETE persons/{name}, GET namespaces/{path}/entries",
    "identity": """GET device, POST device/confirm, GET exchange, POST exchange, GET federation,
        GET federation/{provider}/callback, POST federation/{provider}/link, GET federation/{provider}/login, GET jwks,
        POST certificates, GET certificates, DELETE certificates/{id}, GET revoked-certificates,
        PUT revoked-certificates/{fingerprint}, POST invitations, GET invitations, DELETE invitations/{id}, POST login,
        POST login/passkey, POST logout, GET me/export, GET me/links, DELETE me/links/{id}, POST me/second-factor,
        POST me/second-factor/confirm, POST me/second-factor/remove, POST passkeys, GET passkeys,
        POST passkeys/options, POST passkeys/proof, POST passkeys/{id}/remove, PUT users/{name}/password""",
}
"""What browsers, build systems and operators ask, by extension; the entries of a namespace come by an argument."""


@pytest.fixture
def anyio_backend() -> str:
    """The one that the client runs on."""
    return "asyncio"


@pytest.mark.anyio
async def test_methods_and_paths(openapi: dict[str, Any]) -> None:
    """What the client asks is there, and what is there has a method, but for what browsers and operators ask."""
    known = {
        (method.upper(), path): re.compile(re.sub(r"\\{(\w+)\\}", r"[^/]+", re.escape(path)))
        for path, operations in openapi["paths"].items()
        for method in operations
        if method in ("get", "put", "post", "patch", "delete")
    }
    reached = set()
    for space in map(made, SPACES):
        for name, _ in inspect.getmembers(space, inspect.ismethod):
            if not name.startswith("_"):
                method, path = await asked(space, name)
                fits = [key for key, pattern in known.items() if key[0] == method and pattern.fullmatch(path)]
                assert fits, f"{type(space).__name__}.{name} asks for {method} {path}"
                reached.add(min(fits, key=lambda key: key[1].count("{")))
    others = {
        f"{each.split()[0]} /v2/_ext/{name}/{each.split()[1]}" for name in OTHERS for each in OTHERS[name].split(",")
    }
    assert {" ".join(each) for each in known.keys() - reached} == others
