"""Passkeys as a second factor, with an authenticator in software; and all that must not pass for one."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pyotp
import pytest

from tests.core.support import Answer, FakeClock
from tests.extensions.identity.passkeys import Authenticator, b64
from tests.extensions.identity.support import PASSWORD, Api, Site
from tests.extensions.identity.test_sessions import SAME, log_in

pytestmark = pytest.mark.anyio


async def session(site: Site, **factor: Any) -> Api:
    """alice in a browser."""
    cookie, token = await log_in(site, **factor)
    return Api(site.client({"Cookie": cookie, "X-CSRF-Token": token, **SAME}))


async def begun(api: Api, path: str, body: Any = None) -> Any:
    """A challenge."""
    answer = await api.post(path, body)
    assert answer.status == 200, answer
    return answer.json()


async def add(api: Api, key: Authenticator, *, attestation: str = "none", **more: Any) -> Answer:
    """Add a passkey."""
    asked = await begun(api, "passkeys/options")
    made = key.create(asked["options"], attestation)
    return await api.post("passkeys", {"name": "my key", "state": asked["state"], "credential": made, **more})


async def proof(api: Api, key: Authenticator) -> dict[str, Any]:
    """A passkey's answer to a challenge for whoever is logged in."""
    asked = await begun(api, "passkeys/proof")
    return {"state": asked["state"], "credential": key.get(asked["options"])}


async def challenged(site: Site, name: str = "alice") -> Any:
    """The challenge of a login."""
    return await begun(site.nobody, "login/passkey", {"name": name, "password": PASSWORD})


async def login(site: Site, state: str, credential: Any, name: str = "alice") -> Answer:
    """Log in with a passkey's answer."""
    body = {"name": name, "password": PASSWORD, "passkey": {"state": state, "credential": credential}}
    return await site.nobody.post("login", body)


async def with_passkey(site: Site, key: Authenticator) -> list[str]:
    """alice with a passkey; her recovery codes."""
    await site.nobody.sign_up("alice")
    answer = await add(await session(site), key)
    assert answer.status == 201, answer
    codes: list[str] = answer.json()["codes"]
    return codes


async def test_a_password_and_a_passkey(site: Site) -> None:
    key = Authenticator()
    codes = await with_passkey(site, key)
    assert len(set(codes)) == 10
    assert (await site.nobody.post("login", {"name": "alice", "password": PASSWORD})).status == 401
    assert (await site.user("alice").get("/v2/")).status == 401
    asked = await challenged(site)
    assert asked["options"]["rpId"] == "registry.test"
    assert [one["id"] for one in asked["options"]["allowCredentials"]] == [b64(key.credential_id)]
    assert (await login(site, asked["state"], key.get(asked["options"]))).status == 200
    await log_in(site, code=codes[0])
    assert (await site.nobody.post("login", {"name": "alice", "password": PASSWORD, "code": codes[0]})).status == 401


@pytest.mark.parametrize("attestation", ["none", "packed"])
async def test_attestations(site: Site, attestation: str) -> None:
    await site.nobody.sign_up("alice")
    assert (await add(await session(site), Authenticator(), attestation=attestation)).status == 201


async def test_they_are_listed_and_removed(site: Site, clock: FakeClock) -> None:
    first, second = Authenticator(), Authenticator()
    codes = await with_passkey(site, first)
    asked = await challenged(site)
    answer = await login(site, asked["state"], first.get(asked["options"]))
    cookie, token = answer.headers["set-cookie"].partition(";")[0], answer.json()["csrf_token"]
    alice = Api(site.client({"Cookie": cookie, "X-CSRF-Token": token, **SAME}))
    clock.advance(1)
    assert (await add(alice, second)).status == 401  # the first has to agree
    more = await add(alice, second, passkey=await proof(alice, first))
    assert (more.status, more.json()["codes"]) == (201, [])
    listed = (await alice.get("passkeys")).json()["items"]
    assert [(one["name"], one["used_at"] is None) for one in listed] == [("my key", False), ("my key", True)]
    assert (await alice.get("me")).json()["second_factor"] is True
    assert (await alice.post(f"passkeys/{listed[0]['id']}/remove", {})).status == 401
    assert (await alice.post(f"passkeys/{listed[0]['id']}/remove", {"code": "000000"})).status == 401
    used = await alice.post(f"passkeys/{listed[0]['id']}/remove", {"passkey": await proof(alice, first)})
    assert used.status == 204
    assert (await alice.post("passkeys/w_none/remove", {"passkey": await proof(alice, second)})).status == 404
    await site.nobody.sign_up("bob")
    bob = site.user("bob")
    assert (await add(bob, Authenticator())).status == 201
    assert (await alice.post(f"passkeys/{listed[1]['id']}/remove", {"code": codes[0]})).status == 204
    assert (await site.user("alice").get("/v2/")).status == 200  # the last is gone
    assert (await site.nobody.post("login", {"name": "alice", "password": PASSWORD, "code": codes[1]})).status == 200


async def test_beside_one_time_codes(site: Site, clock: FakeClock) -> None:
    """Either is enough; a further one is added with the other; the codes go with the last."""
    key = Authenticator()
    codes = await with_passkey(site, key)
    alice = await session(site, code=codes[0])
    totp = pyotp.parse_uri((await alice.post("me/second-factor")).json()["uri"])
    assert isinstance(totp, pyotp.TOTP)
    body = {"code": totp.at(clock.now() // 1000)}
    assert (await alice.post("me/second-factor/confirm", body)).status == 401
    confirmed = await alice.post("me/second-factor/confirm", {**body, "passkey": await proof(alice, key)})
    assert confirmed.status == 200
    fresh = confirmed.json()["codes"]
    clock.advance(30)
    await log_in(site, code=totp.at(clock.now() // 1000))
    asked = await challenged(site)
    assert (await login(site, asked["state"], key.get(asked["options"]))).status == 200
    assert (await alice.post("me/second-factor/remove", {"code": fresh[0]})).status == 204
    await log_in(site, code=fresh[1])
    changed = {"current": PASSWORD, "new": "another password"}
    assert (await alice.put("me/password", changed)).status == 401
    assert (await alice.put("me/password", {**changed, "passkey": await proof(alice, key)})).status == 204


async def test_what_is_no_answer(site: Site) -> None:
    """To a challenge of a login: from another place, for another site, untouched, by another key, or malformed."""
    key = Authenticator()
    codes = await with_passkey(site, key)

    async def refused(who: Authenticator, credential: Any = None, **client: Any) -> None:
        asked = await challenged(site)
        answer = who.get(asked["options"], **client) if credential is None else credential
        key.count = max(key.count, who.count)
        assert (await login(site, asked["state"], answer)).status == 401, (who, credential, client)
        await log_in(site, code=codes.pop())  # a success: the series of failures is over

    for changed in ({"origin": "http://evil.test"}, {"site": "evil.test"}, {"present": False}, {"handle": b"gati-1"}):
        await refused(replace(key, **changed))
    await refused(replace(key, key=Authenticator().key))
    for client in ({"type": "webauthn.create"}, {"challenge": b64(b"x" * 32)}, {"origin": None}):
        await refused(key, **client)
    for credential in ({}, {"id": b64(key.credential_id), "rawId": [], "response": "x", "type": 7}):
        await refused(key, credential)


async def test_a_challenge_is_good_once_for_one(site: Site, clock: FakeClock) -> None:
    """One account, one session, one purpose, some minutes."""
    key, others = Authenticator(), Authenticator()
    codes = await with_passkey(site, key)
    asked = await challenged(site)
    answer = key.get(asked["options"])
    assert (await login(site, asked["state"], answer)).status == 200
    assert (await login(site, asked["state"], answer)).status == 401
    assert (await login(site, asked["state"], key.get(asked["options"]))).status == 401
    old = await challenged(site)
    clock.advance(300)
    assert (await login(site, old["state"], key.get(old["options"]))).status == 401
    first, second = await session(site, code=codes.pop()), await session(site, code=codes.pop())
    here = await proof(first, key)
    target = (await first.get("passkeys")).json()["items"][0]["id"]
    assert (await second.post(f"passkeys/{target}/remove", {"passkey": here})).status == 401
    asked = await challenged(site)  # made for a login
    other = {"state": asked["state"], "credential": key.get(asked["options"])}
    assert (await first.post(f"passkeys/{target}/remove", {"passkey": other})).status == 401
    there = await proof(first, key)  # made for something else
    assert (await login(site, there["state"], there["credential"])).status == 401
    begun_here = await begun(first, "passkeys/options")
    made = {"name": "x", "state": begun_here["state"], "credential": others.create(begun_here["options"])}
    assert (await second.post("passkeys", {**made, "code": codes.pop()})).status == 400


async def test_anothers_passkey(site: Site) -> None:
    """Neither to log in as somebody else, nor to be added a second time."""
    key, others = Authenticator(), Authenticator()
    await with_passkey(site, key)
    await site.nobody.sign_up("bob")
    assert (await add(site.user("bob"), others)).status == 201
    asked = await challenged(site)
    assert (await login(site, asked["state"], others.get(asked["options"]))).status == 401
    bobs = await challenged(site, "bob")
    assert (await login(site, bobs["state"], key.get(bobs["options"]))).status == 401
    assert (await login(site, asked["state"], key.get(asked["options"]), "bob")).status == 401
    await site.nobody.sign_up("carol")
    carol = site.user("carol")
    again = copy.copy(others)
    assert (await add(carol, again)).status == 409


async def test_a_counter_that_goes_back(site: Site, clock: FakeClock) -> None:
    """Of two copies one falls behind: it is refused, and the owner sees it."""
    key = Authenticator()
    codes = await with_passkey(site, key)
    copied = copy.copy(key)
    for _ in range(2):
        asked = await challenged(site)
        assert (await login(site, asked["state"], key.get(asked["options"]))).status == 200
    asked = await challenged(site)
    assert (await login(site, asked["state"], copied.get(asked["options"]))).status == 401
    alice = await session(site, code=codes.pop())
    assert (await alice.get("passkeys")).json()["items"][0]["cloned_at"] is not None
    still = Authenticator(counts=False)
    assert (await add(alice, still, code=codes.pop())).status == 201
    for _ in range(2):
        asked = await challenged(site)
        assert (await login(site, asked["state"], still.get(asked["options"]))).status == 200


async def test_what_cannot_be_added(site: Site, clock: FakeClock) -> None:
    await site.nobody.sign_up("alice")
    alice = await session(site)
    for key, attestation in (
        (Authenticator(origin="http://evil.test"), "none"), (Authenticator(site="evil.test"), "none"),
        (Authenticator(present=False), "none"), (Authenticator(), "forged"), (Authenticator(), "nonsense"),
    ):  # fmt: skip
        assert (await add(alice, key, attestation=attestation)).status == 400, (key, attestation)
    asked = await begun(alice, "passkeys/options")
    made = {"name": "x", "state": asked["state"], "credential": Authenticator().create(asked["options"])}
    clock.advance(300)
    assert (await alice.post("passkeys", made)).status == 400
    for credential in ({}, {"id": "x", "rawId": "x", "type": "public-key", "response": {}}):
        asked = await begun(alice, "passkeys/options")
        body = {"name": "x", "state": asked["state"], "credential": credential}
        assert (await alice.post("passkeys", body)).status == 400
    assert (await alice.get("passkeys")).json()["items"] == []
    narrow = await alice.key("publish")
    assert (await site.bearer(narrow["key"]).post("passkeys/options")).status == 403


async def test_guessing_waits(site: Site) -> None:
    """A right password in between does not end the series."""
    key = Authenticator()
    await with_passkey(site, key)
    for _ in range(5):
        asked = await challenged(site)
        assert (await login(site, asked["state"], {})).status == 401
    refused = await site.nobody.post("login/passkey", {"name": "alice", "password": PASSWORD})
    assert refused.status == 429
    assert (await login(site, "x", {})).status == 429


async def test_the_challenge_needs_the_password(site: Site) -> None:
    await with_passkey(site, Authenticator())
    await site.nobody.sign_up("bob")
    for name, password, status in (("alice", "wrong one", 401), ("nobody", PASSWORD, 401), ("bob", PASSWORD, 400)):
        answer = await site.nobody.post("login/passkey", {"name": name, "password": password})
        assert answer.status == status, name
