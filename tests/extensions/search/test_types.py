"""Search by signature: what takes X and gives Y, held against comparing with everything."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gati_extensions.kinds.gtypes.normalising import normalise
from gati_extensions.kinds.gtypes.reading import Budget
from gati_extensions.kinds.gtypes.subtyping import fits
from tests.extensions.access.support import User, World
from tests.extensions.kinds.gtypes import CLOSED, T, contracts, runtime, shorthand
from tests.extensions.kinds.support import BASE, push
from tests.extensions.search.support import EXTENSIONS, indexed

pytestmark = pytest.mark.anyio


@pytest.fixture
def extensions() -> str:
    """Search too."""
    return f"{EXTENSIONS},resolve"


LOGIN = {"fields": {"email": "string", "password": "string"}}
TOKEN = {"fields": {"token": {"kind": "string", "brand": "Token"}, "expires": "number"}}


async def publish(
    user: User, name: str, methods: dict[str, tuple[Any, Any]], version: str = "1.0.0", **more: Any
) -> None:
    """Push a module whose methods take and give these."""
    types = {
        f"{method}{side}": one for method, pair in methods.items() for side, one in zip("IO", pair, strict=True) if one
    }
    config = {
        **BASE, "name": "m", "version": version, "id": "m", "type": "node", "gtypes": types,
        "exports": {
            method: {
                **({"inputRef": f"{method}I"} if takes else {}), **({"outputRef": f"{method}O"} if gives else {}),
            }
            for method, (takes, gives) in methods.items()
        },
    }  # fmt: skip
    answer = await push(user, name, version, "module", config, **more)
    assert answer.status == 201, answer


async def found(user: User, **question: Any) -> list[tuple[str, str, str]]:
    """(repository, method, match) of all pages."""
    out, cursor = [], ""
    while True:
        page = await user.done("POST", "search/types", {"limit": 2, "cursor": cursor, **question})
        assert page["complete"]
        out += [(item["repository"].rpartition("/")[2], item["method"], item["match"]) for item in page["items"]]
        if page["next"] is None:
            return out
        cursor = page["next"]


async def test_exact_ones_come_first(site: World) -> None:
    alice = site.user("alice")
    plain = {"fields": {"token": "string", "expires": "number"}}
    await publish(alice, "users/alice/auth", {"login": (LOGIN, TOKEN), "logout": ("string", None)})
    await publish(
        alice,
        "users/alice/loose",
        {"enter": ({"fields": {"email": "string"}}, {**TOKEN, "additionalProperties": False})},
    )
    await publish(alice, "users/alice/plain", {"login": (LOGIN, plain)})
    await publish(alice, "users/alice/strict", {"login": ({"fields": {**LOGIN["fields"], "otp": "number"}}, TOKEN)})
    await indexed(site)
    assert await found(site.nobody, takes=LOGIN, gives=TOKEN) == [
        ("auth", "login", "exact"), ("plain", "login", "equal"), ("loose", "enter", "subtype"),
    ]  # fmt: skip
    assert await found(site.nobody, takes="string") == [("auth", "logout", "exact")]
    assert await found(site.nobody, takes=["string"]) == [("auth", "logout", "exact")]
    # In another spelling, under other names.
    named = {"kind": "ref", "refId": "Session"}
    assert ("auth", "login", "exact") in await found(site.nobody, gives=named, definitions={"Session": TOKEN})
    assert await found(site.nobody, gives={"fields": {"nothing": "string"}}) == []
    assert await found(site.nobody, takes=LOGIN, kind="plugin") == []
    page = await site.nobody.done("POST", "search/types", {"takes": LOGIN, "gives": TOKEN})
    assert page["items"][0]["takes"] == normalise(LOGIN).plain()


async def test_it_follows_what_happens(site: World) -> None:
    alice, name = site.user("alice"), "users/alice/auth"
    await publish(alice, name, {"login": (LOGIN, None)})
    await indexed(site)
    assert await found(site.nobody, takes=LOGIN) == [("auth", "login", "exact")]
    await publish(alice, name, {"enter": (LOGIN, None)}, "1.1.0")
    assert await found(site.nobody, takes=LOGIN) == []  # not while the index follows
    await indexed(site)
    assert await found(site.nobody, takes=LOGIN) == [("auth", "enter", "exact")]
    await site.admin.done("POST", f"namespaces/{name}/transfer", {"to": "users/alice/other"})
    await indexed(site)
    assert await found(site.nobody, takes=LOGIN) == [("other", "enter", "exact")]
    await alice.done("PUT", "namespaces/users/alice", {"visibility": "private"})
    assert await found(site.nobody, takes=LOGIN) == []
    assert await found(alice, takes=LOGIN) == [("other", "enter", "exact")]
    for version in ("1.0.0", "1.1.0"):
        await alice.done("POST", f"/v2/users/alice/other/_ext/kinds/versions/{version}/unpublish", {})
    await indexed(site)
    assert await found(alice, takes=LOGIN) == []
    kept = await site.registry.metadata.read(lambda tx: tx.all("SELECT * FROM search_type"))
    assert not kept, "types that nobody mentions are gone"


async def test_wrong_questions(site: World) -> None:
    for body, words in (
        ({}, "takes"), ({"takes": {"kind": "nope"}}, "/takes/kind"), ({"gives": "a["}, "/gives"),
        ({"takes": 5}, "/takes"),        ({"takes": "A", "definitions": {"A": "B", "B": "A"}}, "/definitions/A"),
        ({"takes": "a", "cursor": "x"}, "cursor"),
        ({"takes": "a", "cursor": "W10="}, "cursor"), ({"takes": ["string", {}]}, "/takes/items/1"),
    ):  # fmt: skip
        answer = await site.nobody.post("search/types", body)
        assert answer.status == 400, answer
        assert words in answer.json()["errors"][0]["message"]


async def test_it_finds_what_comparing_with_everything_finds(site: World) -> None:
    """Methods of many types; each question's answer is that of a comparison with all of them."""
    chance = random.Random(27)
    types = _some(CLOSED, 60)
    methods: dict[str, tuple[T, T]] = {}
    alice = site.user("alice")
    for number in range(12):
        mine = {f"m{number}x{one}": (chance.choice(types), chance.choice(types)) for one in range(5)}
        methods |= mine
        spell = chance.choice([contracts, runtime, shorthand])
        spelt = {name: (spell(takes, chance), spell(gives, chance)) for name, (takes, gives) in mine.items()}
        await publish(alice, f"users/alice/module{number}", spelt)
    await indexed(site)
    for _ in range(25):
        takes, gives = chance.choice(types), chance.choice(types)
        question = {"takes": contracts(takes, chance), "gives": shorthand(gives, chance)}
        asked = {side: question[side] for side in chance.choice([["takes"], ["gives"], ["takes", "gives"]])}
        answer = await found(site.nobody, **asked)
        expected = {name for name, pair in methods.items() if _answers(pair, asked)}
        assert {method for _, method, match in answer if match != "equal"} - expected == set()
        assert expected <= {method for _, method, _ in answer}


def _answers(pair: tuple[T, T], asked: dict[str, Any]) -> bool:
    chance = random.Random(0)
    takes, gives = (normalise(contracts(one, chance)) for one in pair)
    budget = Budget(1_000_000)
    return ("takes" not in asked or fits(normalise(asked["takes"]), takes, budget)) and (
        "gives" not in asked or fits(gives, normalise(asked["gives"]), budget)
    )


def _some(strategy: st.SearchStrategy[T], number: int) -> list[T]:
    """Always the same examples of a strategy."""
    kept: list[T] = []

    @settings(max_examples=number, deadline=None, derandomize=True, database=None)
    @given(strategy)
    def keep(one: T) -> None:
        kept.append(one)

    keep()
    return kept
