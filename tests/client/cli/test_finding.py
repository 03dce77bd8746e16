"""`gati search` beyond words: every filter, pages, suggestions, errors that point, methods by their types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gati_client import Usage
from gati_client.cli.finding import _field, _type
from tests.client.cli.conftest import found_by_search, pushed
from tests.client.cli.test_kinds import lay
from tests.clients.client import Client
from tests.clients.registry import Registry
from tests.extensions.kinds.support import CONFIGS
from tests.support.server import wait_for


def found(gati: Client, *arguments: str) -> Any:
    return json.loads(gati("search", *arguments, "--output", "json"))


@pytest.fixture
def three(site: Registry, user: str) -> list[str]:
    """Three artifacts of the user's that can be found."""
    names = [f"users/{user}/{name}" for name in ("log-one", "log-two", "mail")]
    for name in names:
        pushed(site, name)
    wait_for(lambda: found_by_search(site, f"users/{user}") == 3)
    return names


def test_filters(gati: Client, three: list[str], user: str) -> None:
    """Each goes to the registry: what holds finds all, what does not finds none."""
    here = ("--namespace", user)  # a name alone is the user's
    for holds, not_ in (
        (("--created", ">2020"), ("--created", "<2020")),
        (("--updated", ">2020-01-31"), ("--updated", "2020")),
        (("--license", "mit"), ("--license", "apache-2.0")),
        (("--version", "^1"), ("--version", "^2")),
        (("--filter", "license=mit"), ("--filter", "license=apache-2.0")),
        (("--filter", "downloads<5"), ("--filter", "downloads>=5")),
        (("--kind", "library"), ("--kind", "model")),
        (("--ranking", "lexical"), ("--stars", ">3")),
    ):
        assert len(found(gati, *here, *holds)["items"]) == 3, holds
        assert found(gati, *here, *not_)["items"] == [], not_
    code, out, err = gati.run("search", "--filter", "license")
    assert (code, out) == (2, "")
    assert "FIELD=VALUE" in err


def test_pages_and_suggestions(gati: Client, three: list[str], user: str) -> None:
    here = ("--namespace", f"users/{user}", "--sort", "name")
    first = found(gati, *here, "--limit", "2")
    rest = found(gati, *here, "--limit", "2", "--cursor", first["next"])
    assert rest["next"] is None
    assert [item["repository"] for item in (*first["items"], *rest["items"])] == three
    assert len(found(gati, *here, "--limit", "1000")["items"]) == 3
    names = json.loads(gati("search", "--suggest", "log-", "--limit", "20", "-o", "json"))
    assert set(three[:2]) <= {each["repository"] for each in names}


def test_some_of_the_words_are_enough_and_that_is_told(gati: Client, three: list[str], user: str) -> None:
    code, out, err = gati.run("search", "mail", "piano", "--namespace", f"users/{user}", "--output", "json")
    assert (code, [item["repository"] for item in json.loads(out)["items"]]) == (0, three[2:])
    assert "nothing has all of these words" in err


def test_an_error_points_at_the_character(gati: Client) -> None:
    code, out, err = gati.run("search", "log", "knd:model")
    assert (code, out) == (2, "")
    assert err.startswith("  log knd:model\n      ^\ngati: ")
    assert "did you mean kind?" in err


def test_downloads(site: Registry, gati: Client, three: list[str], tmp_path: Path) -> None:
    """A pull counts, on its day."""
    gati("export", f"{three[0]}@1.2.3", "--to", str(tmp_path / "layout"))

    wait_for(lambda: site.request("GET", f"/v2/{three[0]}/_ext/search/downloads").json()["total"])
    (day,) = json.loads(gati("version", "downloads", three[0], "-o", "json"))
    assert (day["version"], day["count"]) == ("1.2.3", 1)
    assert json.loads(gati("version", "downloads", three[0], "--since", "2999-01-01", "-o", "json")) == []


def test_methods_by_types(site: Registry, gati: Client, user: str, tmp_path: Path) -> None:
    """Whoever has an address and a password finds the method that takes both, and what it is made of."""
    config = {
        **CONFIGS["module"], "name": "door", "gati": {"type": "module", "contracts": ["http"]},
        "exports": {"login": {"inputRef": "LoginRequest", "outputRef": "LoginResponse"}},
        "gtypes": {
            "LoginRequest": {"fields": {"email": "string", "password": "string"}},
            "LoginResponse": {"fields": {"token": "string", "days": "number"}},
        },
    }  # fmt: skip
    lay(tmp_path / "door", "module", config)
    gati("publish", str(tmp_path / "door"))
    name = f"users/{user}/door"
    takes = ("--takes", '{"email": "string", "password": "string", "nick": "string"}')

    def methods(*arguments: str) -> list[tuple[str, str]]:
        return [(item["repository"], item["method"]) for item in found(gati, *arguments)["items"]]

    wait_for(lambda: found_by_search(site, f"users/{user}"))
    assert (name, "login") in methods(*takes)
    assert (name, "login") in methods(*takes, "--gives", '{"token": "string"}', "--kind", "module")
    assert (name, "login") not in methods(*takes, "--kind", "model")
    assert (name, "login") not in methods("--takes", "number")
    (tmp_path / "type.json").write_text('{"fields": {"days": "number"}}')
    assert (name, "login") in methods("--gives", f"@{tmp_path / 'type.json'}")
    assert "login" in gati("module", "search", *takes)
    (row,) = [line for line in gati("version", "types", f"{name}@1.2.3").splitlines() if line.startswith("login")]
    assert row.split() == ["login", "LoginRequest", "LoginResponse"]
    assert gati.run("search", "words", *takes)[0] == 2


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("string", "string"),
        (" User[] ", "User[]"),
        ('{"email": "string"}', {"fields": {"email": "string"}}),
        ('{"fields": {"a": "string"}}', {"fields": {"a": "string"}}),
        ('{"kind": "string"}', {"kind": "string"}),
        ('{"$ref": "#/definitions/A"}', {"$ref": "#/definitions/A"}),
        ('["string", "number"]', ["string", "number"]),
    ],
)
def test_types_as_they_are_written(text: str, meant: Any) -> None:
    assert _type(text) == meant


def test_filters_as_they_are_written() -> None:
    assert _field("acme.tier=gold") == "acme.tier:gold"
    assert _field("rows>1000") == "rows:>1000"
    assert _field("rows<=10") == "rows:<=10"
    assert _field("acme.score=>9") == "acme.score:>9"
    for text in ("a", "=b", "a=", "a~b", "a:b=c"):
        with pytest.raises(Usage):
            _field(text)
    with pytest.raises(Usage):
        _type("{")
