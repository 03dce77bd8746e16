"""Passwords over Basic: what it costs to be right, to be wrong, and to guess."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gati_extensions.identity.backoff import Backoff
from gati_extensions.identity.hooks import Authenticator
from gati_extensions.identity.passwords import Passwords
from gati_extensions.identity.settings import IdentitySettings
from gati_registry.errors import Code, RegistryError
from tests.core.support import FakeClock
from tests.extensions.identity.support import PASSWORD, Site, prepared, worker

pytestmark = pytest.mark.anyio


def verifications(site: Site) -> int:
    """How often this worker has compared a password with a hash."""
    authenticator = site.registry.extensions.all("authenticators")[0]
    assert isinstance(authenticator, Authenticator)
    return authenticator.passwords.verified


async def test_a_right_password_is_hashed_once(site: Site) -> None:
    """However often it comes, and whatever happens to other accounts."""
    await site.nobody.sign_up("alice")
    before = verifications(site)
    for number in range(5):
        assert (await site.user("alice").get("/v2/")).status == 200
        await site.nobody.sign_up(f"user-{number}")
    assert verifications(site) == before + 1


async def test_requests_at_once_share_one_hash(site: Site) -> None:
    """More of them than may wait in line with different credentials."""
    await site.nobody.sign_up("alice")
    before = verifications(site)
    answers = await asyncio.gather(*(site.user("alice").get("/v2/") for _ in range(200)))
    assert {answer.status for answer in answers} == {200}
    assert verifications(site) == before + 1


async def test_guesses_at_once_wait_in_line_and_the_line_is_bounded() -> None:
    """One hash at a time takes one core and 19 MiB, however many guess."""
    passwords = Passwords(most_waiting=3)
    answers = await asyncio.gather(*(passwords.verify("x" * 8, None) for _ in range(5)), return_exceptions=True)
    assert answers[:3] == [False] * 3
    for answer in answers[3:]:
        assert isinstance(answer, RegistryError)
        assert (answer.code, answer.headers["Retry-After"]) == (Code.TOOMANYREQUESTS, "2")


async def test_an_unknown_user_costs_what_a_wrong_password_does(site: Site) -> None:
    """Nobody learns from the time or the answer who has an account; an organization has no password."""
    await site.nobody.sign_up("alice")
    await site.user("alice").make("orgs", {"name": "acme"})
    await site.user("alice").make("robots", {"owner": "alice", "name": "ci"})
    answers = []
    for name in ("alice", "nobody-here", "acme", "alice+ci", "admin"):
        before = verifications(site)
        answer = await site.user(name, "wrong password").get("/v2/")
        assert verifications(site) == before + 1, name
        answers.append((answer.status, answer.body, answer.headers["www-authenticate"]))
    assert len(set(answers)) == 1


async def test_guessing_is_slowed(site: Site, clock: FakeClock) -> None:
    """After five wrong passwords of an account the next has to wait, even if it is right; longer each time."""
    await site.nobody.sign_up("alice")
    await site.nobody.sign_up("bob")
    for _ in range(5):
        assert (await site.user("alice", "wrong password").get("/v2/")).status == 401
    before = verifications(site)
    answer = await site.user("alice").get("/v2/")
    assert (answer.status, answer.codes) == (429, ["TOOMANYREQUESTS"])
    assert int(answer.headers["retry-after"]) == 1
    assert verifications(site) == before
    assert (await site.user("bob").get("/v2/")).status == 200
    waits = []
    for _ in range(12):
        clock.advance(int((await site.user("alice").get("/v2/")).headers["retry-after"]))
        assert (await site.user("alice", "wrong password").get("/v2/")).status == 401
        waits.append(int((await site.user("alice").get("/v2/")).headers["retry-after"]))
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
    clock.advance(900)
    assert (await site.user("alice").get("/v2/")).status == 200
    assert (await site.user("alice", "wrong password").get("/v2/")).status == 401  # the series is over


async def test_guessing_is_slowed_in_all_workers(site: Site, clock: FakeClock) -> None:
    await site.nobody.sign_up("alice")
    async with worker(site.registry.settings, clock) as another:
        for number in range(5):
            await (site if number % 2 else another).user("alice", "wrong password").get("/v2/")
        assert [(await one.user("alice").get("/v2/")).status for one in (site, another)] == [429, 429]


async def test_guessing_names_is_slowed(folder: Path, clock: FakeClock) -> None:
    """One address that tries one password on many accounts."""
    async with worker(await prepared(folder, signup="open", address_tries=3), clock) as site:
        await site.nobody.sign_up("alice")
        for number in range(3):
            assert (await site.user(f"user-{number}").get("/v2/")).status == 401
        assert (await site.user("user-4").get("/v2/")).status == 429
        assert (await site.user("alice").get("/v2/")).status == 429


async def test_who_is_logged_in_does_not_feel_it(site: Site) -> None:
    """Credentials that were right before go on while somebody guesses."""
    await site.nobody.sign_up("alice")
    key = (await site.user("alice").key("read"))["key"]
    assert (await site.user("alice").get("/v2/")).status == 200
    for _ in range(6):
        await site.user("alice", "wrong password").get("/v2/")
    assert (await site.user("alice").get("/v2/")).status == 200
    assert (await site.user("alice", key).get("/v2/")).status == 200


@pytest.mark.parametrize("name", ["alice\0", "ALICE", "alice ", "x" * 300, "' OR 1=1 --", "Ällice"])
async def test_a_name_like_another_is_another(site: Site, name: str) -> None:
    await site.nobody.sign_up("alice")
    assert (await site.user(name).get("/v2/")).status == 401


async def test_on_an_open_registry_leftovers_do_not_matter(folder: Path, clock: FakeClock) -> None:
    """Credentials of other logins are taken for none, at once; good ones say who it is."""
    from gati_registry.bootstrap import build
    from tests.core.support import Client
    from tests.extensions.identity.support import Api, basic, configured

    settings = configured(folder)
    opened = settings.model_copy(update={"open": True, "admin_password_file": None})
    async with build(opened, clock=clock) as registry:
        nobody = Api(Client(registry.app))
        await nobody.sign_up("alice")
        wrong = Api(Client(registry.app, basic("alice", "wrong password")))
        unknown = Api(Client(registry.app, basic("who", "wrong password")))
        for _ in range(10):
            assert (await wrong.get("/v2/")).status == 200
            assert (await unknown.get("/v2/")).status == 200
        alice = Api(Client(registry.app, basic("alice", PASSWORD)))
        clock.advance(3600)
        assert (await alice.get("me")).json()["account"]["name"] == "alice"
        for header in ("Bearer x", "Bearer gati_x", "Basic x", "Negotiate x"):
            left = Api(Client(registry.app, {"Authorization": header}))
            assert (await left.get("/v2/")).status == 200


async def test_guesses_at_once_are_slowed_like_one_after_the_other(site: Site) -> None:
    """Those that stood in line when the fifth was wrong are not looked at any more."""
    await site.nobody.sign_up("alice")
    before = verifications(site)
    answers = await asyncio.gather(*(site.user("alice", f"wrong password {n}").get("/v2/") for n in range(40)))
    statuses = [answer.status for answer in answers]
    assert (statuses.count(401), statuses.count(429)) == (5, 35)
    assert verifications(site) == before + 5


async def test_clients_of_a_socket_for_both_kinds_of_addresses_are_told_apart(site: Site, clock: FakeClock) -> None:
    """One that guesses must not lock out all others: `::ffff:a.b.c.d` is an address, not a network of one customer."""
    backoff = Backoff(site.registry.metadata, clock, IdentitySettings.model_validate({}))
    for number in range(200):
        await backoff.failed(f"user-{number}", "::ffff:192.0.2.1")
    for address in ("::ffff:192.0.2.1", "192.0.2.1"):
        with pytest.raises(RegistryError):
            await backoff.check("alice", address)
    await backoff.check("alice", "::ffff:192.0.2.2")
    for number in range(200):
        await backoff.failed(f"user-{number}", "2001:db8:1:2::1")
    with pytest.raises(RegistryError):
        await backoff.check("alice", "2001:db8:1:2:ffff::2")
    await backoff.check("alice", "2001:db8:1:3::1")
