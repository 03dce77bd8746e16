"""Browsers' sessions and their guard; second factors."""

from __future__ import annotations

from typing import Any

import pyotp
import pytest

from tests.core.support import FakeClock
from tests.extensions.identity.support import PASSWORD, Api, Site, basic, form

pytestmark = pytest.mark.anyio

SAME = {"Sec-Fetch-Site": "same-origin"}


async def log_in(site: Site, **more: Any) -> tuple[str, str]:
    """The cookie and the CSRF token of a new session of alice's."""
    answer = await site.nobody.post("login", {"name": "alice", "password": PASSWORD, **more})
    assert answer.status == 200, answer
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    return cookie.partition(";")[0], answer.json()["csrf_token"]


def browser(site: Site, cookie: str, **headers: str) -> Api:
    """Requests with the cookie."""
    return Api(site.client({"Cookie": cookie, **{name.replace("_", "-"): value for name, value in headers.items()}}))


async def test_in_and_out(site: Site) -> None:
    await site.nobody.sign_up("alice")
    cookie, token = await log_in(site)
    me = (await browser(site, cookie).get("me")).json()
    assert (me["account"]["name"], me["method"], me["csrf_token"]) == ("alice", "session", token)
    assert (await browser(site, f"theme=dark; {cookie}; x=y").get("me")).status == 200
    ours = Api(site.client({"Cookie": cookie, "X-CSRF-Token": token, **SAME}))
    assert (await ours.patch("me", {"display": "Alice"})).status == 200
    sessions = (await ours.get("sessions")).json()["items"]
    assert [session["current"] for session in sessions] == [True]
    out = await ours.post("logout")
    assert out.status == 204
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert (await browser(site, cookie).get("me")).status == 401


async def test_a_wrong_login_is_refused(site: Site) -> None:
    await site.nobody.sign_up("alice")
    for name, password in (("alice", "wrong password"), ("nobody-here", PASSWORD), ("admin", PASSWORD)):
        answer = await site.nobody.post("login", {"name": name, "password": password})
        assert answer.status == 401
        assert "set-cookie" not in answer.headers
    for _ in range(4):
        await site.nobody.post("login", {"name": "alice", "password": "wrong password"})
    assert (await site.nobody.post("login", {"name": "alice", "password": PASSWORD})).status == 429


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"X-CSRF-Token": "TOKEN"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 403),
        ({"X-CSRF-Token": "0" * 40, "Sec-Fetch-Site": "same-origin"}, 403),
        ({"X-CSRF-Token": "TOKEN", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"X-CSRF-Token": "TOKEN", "Sec-Fetch-Site": "same-site"}, 403),
        ({"X-CSRF-Token": "TOKEN", "Sec-Fetch-Site": "none"}, 403),
        ({"X-CSRF-Token": "TOKEN", "Sec-Fetch-Site": "cross-site", "Origin": "http://registry.test"}, 403),
        ({"X-CSRF-Token": "TOKEN", "Origin": "http://evil.test"}, 403),
        ({"X-CSRF-Token": "TOKEN", "Origin": "http://registry.test.evil.test"}, 403),
        ({"X-CSRF-Token": "TOKEN", "Origin": "null"}, 403),
        ({"X-CSRF-Token": "TOKEN", "Origin": "http://registry.test"}, 200),
        ({"X-CSRF-Token": "TOKEN", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
async def test_a_forged_request_is_refused(site: Site, headers: dict[str, str], status: int) -> None:
    await site.nobody.sign_up("alice")
    cookie, token = await log_in(site)
    sent = {name: token if value == "TOKEN" else value for name, value in headers.items()}
    forged = Api(site.client({"Cookie": cookie, **sent}))
    assert (await forged.patch("me", {"display": "forged"})).status == status
    shown = (await browser(site, cookie).get("me")).json()["account"]["display"]
    assert shown == ("forged" if status == 200 else "")
    if status == 403:  # nor by the registry's own endpoints, nor the end of the session
        assert (await forged.client.push_blob("users/alice/app", b"x")).status == 403
        assert (await forged.post("logout")).status == 403


async def test_the_token_of_another_session_is_wrong(site: Site) -> None:
    await site.nobody.sign_up("alice")
    (cookie, _), (_, token) = await log_in(site), await log_in(site)
    mixed = Api(site.client({"Cookie": cookie, "X-CSRF-Token": token, **SAME}))
    assert (await mixed.patch("me", {"display": "x"})).status == 403


async def test_over_https_the_cookie_is_secure(site: Site) -> None:
    from gati_registry.http.locations import Locations
    from gati_registry.http.registry import RegistryApp
    from tests.core.support import Client

    await site.nobody.sign_up("alice")
    app: RegistryApp = site.app
    app._locations = Locations("https://registry.test", ())
    answer = await Api(Client(app)).post("login", {"name": "alice", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-gati_session=")
    assert "; Secure" in cookie
    assert "; Path=/;" in cookie
    assert "Domain" not in cookie
    held = Api(
        Client(
            app,
            {
                "Cookie": cookie.partition(";")[0],
                "Origin": "https://registry.test",
                "Host": "inner:5000",
                "X-CSRF-Token": answer.json()["csrf_token"],
            },
        )
    )
    assert (await held.patch("me", {"display": "x"})).status == 200


async def test_a_session_ends_by_time(site: Site, clock: FakeClock) -> None:
    """When it is idle, and at last."""
    await site.nobody.sign_up("alice")
    cookie, _ = await log_in(site)
    idle, longest = 8 * 3600, 7 * 86400
    clock.advance(idle - 1)
    assert (await browser(site, cookie).get("me")).status == 200
    await site.registry.metadata.write(lambda tx: tx.run("SELECT 1"))
    clock.advance(idle - 1)
    assert (await browser(site, cookie).get("me")).status == 200
    clock.advance(idle)
    assert (await browser(site, cookie).get("me")).status == 401
    cookie, _ = await log_in(site)
    for _ in range(longest // (idle - 60)):
        clock.advance(idle - 60)
        assert (await browser(site, cookie).get("me")).status == 200
        await site.registry.metadata.write(lambda tx: tx.run("SELECT 1"))
    clock.advance(idle - 60)
    assert (await browser(site, cookie).get("me")).status == 401


async def test_sessions_are_ended_one_by_one(site: Site) -> None:
    """And what was got with them; a session gets no refresh token."""
    await site.nobody.sign_up("alice")
    await site.nobody.sign_up("bob")
    (first, _), (second, _) = await log_in(site), await log_in(site)
    answer = (await browser(site, first).get("/token?offline_token=true")).json()
    assert "refresh_token" not in answer
    token = site.bearer(answer["token"])
    assert (await token.get("/v2/")).status == 200
    items = (await browser(site, first).get("sessions")).json()["items"]
    mine = next(item["id"] for item in items if item["current"])
    assert (await site.user("bob").delete(f"sessions/{mine}")).status == 404
    assert (await site.user("alice").delete(f"sessions/{mine}")).status == 204
    assert [(await browser(site, cookie).get("me")).status for cookie in (first, second)] == [401, 200]
    assert (await token.get("/v2/")).status == 401


@pytest.mark.parametrize("cookie", ["gati_session=", "gati_session=x", "gati_session", "=", ";;;,", "x" * 5000])
async def test_a_cookie_of_something_else_is_none(site: Site, cookie: str) -> None:
    assert (await browser(site, cookie).get("/v2/")).status == 401
    assert (await browser(site, cookie).post("users", {"name": "alice", "password": PASSWORD})).status == 201


# --- second factors ---------------------------------------------------------------------------------------------


async def second_factor(site: Site, clock: FakeClock) -> tuple[pyotp.TOTP, list[str]]:
    """alice with a second factor, and her recovery codes."""
    await site.nobody.sign_up("alice")
    alice = site.user("alice")
    enrolment = (await alice.post("me/second-factor")).json()
    totp = pyotp.parse_uri(enrolment["uri"])
    assert isinstance(totp, pyotp.TOTP)
    assert (totp.secret, totp.issuer) == (enrolment["secret"], "gati")
    assert (await alice.get("/v2/")).status == 200  # not in force before it is confirmed
    assert (await alice.post("me/second-factor/confirm", {"code": "000000"})).status == 400
    answer = await alice.post("me/second-factor/confirm", {"code": totp.at(clock.now() // 1000)})
    assert answer.status == 200
    return totp, answer.json()["codes"]


async def test_a_password_alone_is_not_enough(site: Site, clock: FakeClock) -> None:
    """Nor over Basic, where there is no place for a code; keys go on."""
    await site.nobody.sign_up("bob")
    totp, _ = await second_factor(site, clock)
    assert (await site.user("alice").get("/v2/")).status == 401
    assert (await site.user("alice").get("/token")).status == 401
    fields = {"grant_type": "password", "username": "alice", "password": PASSWORD}
    assert (await form(site.nobody, fields)).status == 401
    assert (await site.nobody.post("login", {"name": "alice", "password": PASSWORD})).status == 401
    assert (await site.nobody.post("login", {"name": "alice", "password": PASSWORD, "code": "000000"})).status == 401
    clock.advance(30)
    code = totp.at(clock.now() // 1000)
    assert (await site.nobody.post("login", {"name": "alice", "password": "wrong pass", "code": code})).status == 401
    cookie, token = await log_in(site, code=code)
    again = await site.nobody.post("login", {"name": "alice", "password": PASSWORD, "code": code})
    assert again.status == 401  # a code is good once
    ours = Api(site.client({"Cookie": cookie, "X-CSRF-Token": token, **SAME}))
    key = await ours.key("read")
    assert (await Api(site.client(basic("alice", key["key"]))).get("/v2/")).status == 200
    assert (await site.user("bob").get("/v2/")).status == 200
    clock.advance(30)
    changed = {"current": PASSWORD, "new": "another password"}
    assert (await ours.put("me/password", changed)).status == 401
    assert (await ours.put("me/password", {**changed, "code": totp.at(clock.now() // 1000)})).status == 204


async def test_recovery_codes_are_good_once(site: Site, clock: FakeClock) -> None:
    _, codes = await second_factor(site, clock)
    assert len(set(codes)) == 10
    await log_in(site, code=codes[0])
    used = {"name": "alice", "password": PASSWORD, "code": codes[0]}
    assert (await site.nobody.post("login", used)).status == 401
    cookie, token = await log_in(site, code=codes[1].upper())
    ours = Api(site.client({"Cookie": cookie, "X-CSRF-Token": token, **SAME}))
    assert (await ours.post("me/second-factor")).status == 409
    assert (await ours.post("me/second-factor/remove", {"code": "000000"})).status == 401
    assert (await ours.post("me/second-factor/remove", {"code": codes[2]})).status == 204
    assert (await site.user("alice").get("/v2/")).status == 200


async def test_codes_are_not_guessed(site: Site, clock: FakeClock) -> None:
    totp, _ = await second_factor(site, clock)
    clock.advance(30)
    for number in range(5):
        guess = {"name": "alice", "password": PASSWORD, "code": f"{number:06}"}
        assert (await site.nobody.post("login", guess)).status == 401
    right = {"name": "alice", "password": PASSWORD, "code": totp.at(clock.now() // 1000)}
    assert (await site.nobody.post("login", right)).status == 429


async def test_codes_are_not_guessed_by_who_has_a_session(site: Site, clock: FakeClock) -> None:
    """A stolen session must not do away with the second factor."""
    totp, _ = await second_factor(site, clock)
    clock.advance(30)
    cookie, token = await log_in(site, code=totp.at(clock.now() // 1000))
    ours = Api(site.client({"Cookie": cookie, "X-CSRF-Token": token, **SAME}))
    for number in range(5):
        assert (await ours.post("me/second-factor/remove", {"code": f"{number:06}"})).status == 401
    clock.advance(0.5)
    assert (await ours.post("me/second-factor/remove", {"code": totp.at(clock.now() // 1000 + 30)})).status == 429


async def test_a_planted_cookie_does_not_take_the_place_of_a_secure_one(site: Site) -> None:
    """Another host of the same domain can set the plain name, not the one with the prefix."""
    await site.nobody.sign_up("alice")
    await site.nobody.sign_up("mallory")
    own, _ = await log_in(site)
    other = await site.nobody.post("login", {"name": "mallory", "password": PASSWORD})
    planted = other.headers["set-cookie"].partition(";")[0]
    for cookies in (f"{planted}; __Host-{own}", f"__Host-{own}; {planted}"):
        assert (await browser(site, cookies).get("me")).json()["account"]["name"] == "alice"
