"""Logging in on a device without a browser (RFC 8628): the device's side, the person's, and guessing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from gati_extensions.identity.device import codes
from tests.core.support import Answer, FakeClock
from tests.extensions.identity.support import EXT, Api, Site, push_image
from tests.extensions.identity.test_sessions import SAME, log_in

pytestmark = pytest.mark.anyio

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def form(site: Site, endpoint: str, /, **fields: str) -> Answer:
    """POST a form."""
    return await site.nobody.client.request("POST", f"{EXT}/{endpoint}", urlencode(fields).encode(), FORM)


async def begin(site: Site, **fields: str) -> Any:
    """A device that begins."""
    answer = await form(site, "device", **{"client_id": "gati on laptop", "scope": "read publish", **fields})
    assert answer.status == 200, answer
    return answer.json()


async def poll(site: Site, begun: Any, **fields: str) -> Answer:
    """The device asks."""
    given = {"grant_type": GRANT, "device_code": begun["device_code"], "client_id": "gati on laptop"}
    return await form(site, "device/token", **{**given, **fields})


async def browser(site: Site) -> Api:
    """alice in a browser."""
    cookie, token = await log_in(site)
    return Api(site.client({"Cookie": cookie, "X-CSRF-Token": token, **SAME}))


def error(answer: Answer) -> str:
    """The word of the RFC."""
    assert answer.json()["errors"][0]["message"] == answer.json()["error_description"]
    return str(answer.json()["error"])


async def test_a_device_is_connected(site: Site, clock: FakeClock) -> None:
    await site.nobody.sign_up("alice")
    begun = await begin(site, path="users/alice/app")
    assert (begun["expires_in"], begun["interval"]) == (600, 5)
    assert begun["verification_uri"] == "http://registry.test/v2/_ext/identity/device"
    assert begun["verification_uri_complete"].endswith(f"?user_code={begun['user_code']}")
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", begun["user_code"])
    answer = await poll(site, begun)
    assert (answer.status, error(answer)) == (400, "authorization_pending")
    alice = await browser(site)
    typed = begun["user_code"].lower().replace("-", " ")
    assert (await alice.post("device/confirm", {"user_code": typed, "decision": "approve"})).status == 204
    again = await alice.post("device/confirm", {"user_code": typed, "decision": "deny"})
    assert again.status == 404  # it is decided
    clock.advance(5)
    answer = await poll(site, begun)
    assert answer.status == 200, answer
    given = answer.json()
    assert (given["token_type"], given["scope"], given["expires_in"]) == ("Bearer", "read publish", 90 * 86400)
    device = site.bearer(given["access_token"])
    assert (await push_image(device.client, "users/alice/app")).status == 201
    assert (await push_image(device.client, "users/alice/other")).status == 401
    keys = (await site.user("alice").get("keys")).json()["items"]
    assert [(key["name"], key["scopes"], key["path"]) for key in keys] == [
        ("device: gati on laptop", ["read", "publish"], "users/alice/app")
    ]
    clock.advance(5)
    assert error(await poll(site, begun)) == "invalid_grant"  # once
    assert (await site.user("alice").delete(f"keys/{keys[0]['id']}")).status == 204
    assert (await device.get("/v2/")).status == 401


async def test_it_is_denied(site: Site, clock: FakeClock) -> None:
    await site.nobody.sign_up("alice")
    begun = await begin(site)
    alice = await browser(site)
    assert (await alice.post("device/confirm", {"user_code": begun["user_code"], "decision": "deny"})).status == 204
    for _ in range(2):
        clock.advance(5)
        assert error(await poll(site, begun)) == "access_denied"
    assert (await site.user("alice").get("keys")).json()["items"] == []


async def test_it_expires(site: Site, clock: FakeClock) -> None:
    await site.nobody.sign_up("alice")
    begun, alice = await begin(site), await browser(site)
    clock.advance(600)
    assert error(await poll(site, begun)) == "expired_token"
    answer = await alice.post("device/confirm", {"user_code": begun["user_code"], "decision": "approve"})
    assert answer.status == 404
    clock.advance(1)
    await next(job for job in site.registry.extensions.all("jobs") if job.name == "identity.forget").run()
    clock.advance(5)
    assert error(await poll(site, begun)) == "invalid_grant"


async def test_a_device_that_asks_too_often_slows_down(site: Site, clock: FakeClock) -> None:
    await site.nobody.sign_up("alice")
    begun, alice = await begin(site), await browser(site)
    assert error(await poll(site, begun)) == "authorization_pending"
    clock.advance(4)
    assert error(await poll(site, begun)) == "slow_down"
    clock.advance(9)  # now it is 10
    assert error(await poll(site, begun)) == "slow_down"
    clock.advance(15)
    assert error(await poll(site, begun)) == "authorization_pending"
    await alice.post("device/confirm", {"user_code": begun["user_code"], "decision": "approve"})
    assert error(await poll(site, begun)) == "slow_down"  # nor is what is approved given early
    clock.advance(20)
    assert (await poll(site, begun)).status == 200


async def test_one_of_many_questions_gets_the_key(site: Site, clock: FakeClock) -> None:
    await site.nobody.sign_up("alice")
    begun, alice = await begin(site), await browser(site)
    await alice.post("device/confirm", {"user_code": begun["user_code"], "decision": "approve"})
    answers = await asyncio.gather(*(poll(site, begun) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7
    assert len((await site.user("alice").get("keys")).json()["items"]) == 1


async def test_what_is_asked_for_is_checked(site: Site) -> None:
    for fields, word in (
        ({"client_id": ""}, "invalid_request"), ({"client_id": "x" * 61}, "invalid_request"),
        ({"client_id": "a\nb"}, "invalid_request"), ({"client_id": "a", "scope": "all"}, "invalid_scope"),
        ({"client_id": "a", "path": "../x"}, "invalid_request"),
    ):  # fmt: skip
        answer = await form(site, "device", **fields)
        assert (answer.status, error(answer)) == (400, word), fields
    twice = await site.nobody.client.request("POST", f"{EXT}/device", b"client_id=a&client_id=b", FORM)
    assert error(twice) == "invalid_request"
    begun = await begin(site)
    for other, word in (
        ({"grant_type": "password"}, "unsupported_grant_type"), ({"client_id": "another"}, "invalid_grant"),
        ({"device_code": "x"}, "invalid_grant"), ({"device_code": begun["device_code"][:-1] + "A"}, "invalid_grant"),
    ):  # fmt: skip
        assert error(await poll(site, begun, **other)) == word, other
    assert (await begin(site, scope=""))["user_code"]


async def test_who_may_approve(site: Site, clock: FakeClock) -> None:
    """A person, who could make such a key, and whose standing lasts until the device fetches it."""
    await site.nobody.sign_up("alice")
    begun = await begin(site, scope="operate")
    body = {"user_code": begun["user_code"], "decision": "approve"}
    assert (await site.nobody.post("device/confirm", body)).status == 401
    alice = site.user("alice")
    narrow = await alice.key("publish")
    assert (await site.bearer(narrow["key"]).post("device/confirm", body)).status == 403
    assert (await alice.post("device/confirm", body)).status == 403  # operate is for administrators
    await alice.make("robots", {"owner": "alice", "name": "ci"})
    robot = await alice.key("admin", account="alice+ci")
    assert (await site.bearer(robot["key"]).post("device/confirm", body)).status == 403
    cookie, _ = await log_in(site)
    assert (await Api(site.client({"Cookie": cookie})).post("device/confirm", body)).status == 403  # forged
    assert (await site.admin.post("device/confirm", body)).status == 204
    clock.advance(5)
    assert (await poll(site, begun)).json()["scope"] == "operate"
    begun = await begin(site)
    assert (await alice.post("device/confirm", {**body, "user_code": begun["user_code"]})).status == 204
    changed = {"current": "a fine password", "new": "another password"}
    assert (await alice.put("me/password", changed)).status == 204
    assert error(await poll(site, begun)) == "access_denied"


async def test_codes_are_not_guessed(site: Site, clock: FakeClock) -> None:
    await site.nobody.sign_up("alice")
    await site.nobody.sign_up("bob")
    begun = await begin(site)
    alice = await browser(site)
    for number in range(5):
        guess = {"user_code": f"BBBB-BBB{codes.ALPHABET[number]}", "decision": "approve"}
        assert (await alice.post("device/confirm", guess)).status == 404
    right = {"user_code": begun["user_code"], "decision": "approve"}
    refused = await alice.post("device/confirm", right)
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert (await alice.get(f"device?user_code={begun['user_code']}")).status == 429
    assert (await site.user("bob").post("device/confirm", right)).status == 204


async def test_how_many_may_wait(site: Site) -> None:
    for _ in range(20):
        await begin(site)
    answer = await form(site, "device", client_id="one too many")
    assert (answer.status, answer.codes) == (429, ["TOOMANYREQUESTS"])


async def test_the_page(site: Site, clock: FakeClock) -> None:
    """Log in, type the code, see who asks for what; nothing but its own script runs, in no frame."""
    await site.nobody.sign_up("alice")
    begun = await begin(site, client_id="<script>alert(1)</script>", path="users/alice/app")
    alice = await browser(site)
    for who, path, status, words in (
        (site.nobody, "device", 200, "Log in to connect"),
        (site.nobody, f"device?user_code={begun['user_code']}", 200, "Log in to connect"),
        (alice, "device", 200, "You are alice"),
        (alice, "device?user_code=BBBB-BBBB", 404, "no such code"),
        (alice, "device?user_code=%3Cb%3E", 404, "&lt;b&gt;"),
        (alice, f"device?user_code={begun['user_code'].lower()}", 200, begun["user_code"]),
    ):
        answer = await who.get(path)
        text = answer.body.decode()
        assert (answer.status, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert words in text
        assert "<b>" not in text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        for tag in ("script", "style"):
            found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
            hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in found]
            assert [f"{tag}-src 'sha256-{one}'" in policy for one in hashes] == [True]
        assert answer.headers["cache-control"] == "no-store"
    for shown in ("&lt;script&gt;alert(1)&lt;/script&gt;", "read, publish", "users/alice/app", "127.0.0.1"):
        assert shown in text
    csrf = re.search(r'data-csrf="([0-9a-f]+)"', text)
    assert csrf is not None
    assert csrf[1] == alice.client.headers["X-CSRF-Token"]


def test_codes() -> None:
    assert len({codes.make() for _ in range(100)}) == 100
    for text in ("BCDF-GHJK", "bcdfghjk", " b c d f-g h j k"):
        assert codes.normal(text) == "BCDF-GHJK"
    for text in ("", "BCDF-GHJ", "BCDF-GHJA", "BCDF-GHJKL", "BCDF_GHJK", "ВCDF-GHJK"):
        assert codes.normal(text) is None
