"""API keys and robots."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from gati_extensions.identity import secret
from tests.core.support import FakeClock
from tests.extensions.identity.support import Api, Site, basic, push_image

pytestmark = pytest.mark.anyio

REPOSITORY = "users/alice/app"


def later(clock: FakeClock, seconds: float) -> str:
    """A time to come."""
    return datetime.fromtimestamp(clock.now() / 1000 + seconds, UTC).isoformat()


async def reach(holder: Api) -> list[int]:
    """What a credential reaches of alice's: ping, read, push, delete, own account, making keys."""
    statuses = [(await holder.get("/v2/")).status, (await holder.get(f"/v2/{REPOSITORY}/manifests/v1")).status]
    statuses.append((await holder.client.push_blob(REPOSITORY, b"more")).status)
    statuses.append((await holder.delete(f"/v2/{REPOSITORY}/manifests/absent")).status)
    statuses.append((await holder.get("me")).status)
    statuses.append((await holder.post("keys", {"name": "x", "scopes": ["read"]})).status)
    return statuses


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        (["read"], [200, 200, 401, 401, 200, 403]),
        (["registry:read"], [200, 200, 401, 401, 200, 403]),
        (["publish"], [200, 200, 201, 401, 200, 403]),
        (["registry:write"], [200, 200, 201, 401, 200, 403]),
        (["registry:delete"], [200, 200, 401, 404, 200, 403]),
        (["publish", "delete"], [200, 200, 201, 404, 200, 403]),
        (["admin"], [200, 200, 201, 404, 200, 201]),
        (["registry:admin"], [200, 200, 201, 404, 200, 201]),
    ],
)
async def test_scopes(site: Site, scopes: list[str], expected: list[int]) -> None:
    await site.nobody.sign_up("alice")
    assert (await push_image(site.user("alice").client, REPOSITORY)).status == 201
    key = await site.user("alice").key(*scopes)
    assert await reach(site.bearer(key["key"])) == expected


async def test_ways_to_send_a_key(site: Site) -> None:
    await site.nobody.sign_up("alice")
    await site.nobody.sign_up("bob")
    key = (await site.user("alice").key("read"))["key"]
    good = [
        basic("alice", key),
        basic("gati", key),
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer  {key}"},
        {"X-API-Key": key},
    ]
    for header in good:
        me = (await Api(site.client(header)).get("me")).json()
        assert (me["account"]["name"], me["method"]) == ("alice", "api-key"), header
    bad = [
        basic("bob", key),
        basic("", key),
        basic("alice", key[:-1]),
        {"Authorization": f"Bearer {key}x"},
        {"Authorization": f"Token {key}"},
        {"X-API-Key": key[:-1] + ("a" if key[-1] != "a" else "b")},
        {"X-API-Key": ""},
        {"X-API-Key": "something else"},
        {"X-API-Key": secret.make(secret.KEY)},
        {"X-API-Key": secret.make(secret.SESSION)},
    ]
    for header in bad:
        assert (await site.client(header).get("/v2/")).status == 401, header


async def test_a_key_may_be_bound_to_a_path(site: Site) -> None:
    """To a namespace or repository, with what is below it."""
    await site.nobody.sign_up("alice")
    alice = site.user("alice")
    for name in (REPOSITORY, f"{REPOSITORY}/below", "users/alice/apple"):
        assert (await push_image(alice.client, name)).status == 201
    bound = site.bearer((await alice.key("admin", path=REPOSITORY))["key"])
    reached = [
        (await bound.get(f"/v2/{name}/manifests/v1")).status
        for name in (REPOSITORY, f"{REPOSITORY}/below", "users/alice/apple")
    ]
    assert reached == [200, 200, 401]
    assert (await bound.get("/v2/_catalog")).status == 401
    assert (await bound.post("keys", {"name": "x", "scopes": ["read"]})).status == 403
    wanted = "/token?scope=repository:users/alice/app:pull&scope=repository:users/alice/apple:pull"
    token = (await bound.get(wanted)).json()["token"]
    holder = site.bearer(token)
    assert (await holder.get(f"/v2/{REPOSITORY}/manifests/v1")).status == 200
    assert (await holder.get("/v2/users/alice/apple/manifests/v1")).status == 401


async def test_a_key_expires(site: Site, clock: FakeClock) -> None:
    """And the tokens that were got with it."""
    await site.nobody.sign_up("alice")
    key = await site.user("alice").key("read", expires_at=later(clock, 60))
    holder = site.bearer(key["key"])
    token = site.bearer((await holder.token())["token"])
    assert [(await one.get("/v2/")).status for one in (holder, token)] == [200, 200]
    clock.advance(60)
    await site.admin.sign_up("somebody")  # a change, so that nothing is remembered
    assert [(await one.get("/v2/")).status for one in (holder, token)] == [401, 401]
    assert (
        await site.user("alice").post("keys", {"name": "x", "scopes": ["read"], "expires_at": later(clock, -1)})
    ).status == 400


async def test_a_key_is_revoked_and_rotated(site: Site) -> None:
    await site.nobody.sign_up("alice")
    alice = site.user("alice")
    key, other = await alice.key("read"), await alice.key("read")
    token = (await site.bearer(key["key"]).token())["token"]
    fresh = (await alice.post(f"keys/{key['id']}/rotate")).json()
    assert fresh["id"] == key["id"]
    assert fresh["key"] != key["key"]
    held = [site.bearer(text) for text in (key["key"], fresh["key"], other["key"])]
    assert [(await one.get("/v2/")).status for one in held] == [401, 200, 200]
    assert (await site.bearer(fresh["key"]).delete(f"keys/{other['id']}")).status == 403
    assert (await site.bearer(other["key"]).delete(f"keys/{other['id']}")).status == 204  # leaked: it ends itself
    assert (await alice.delete(f"keys/{key['id']}")).status == 204
    assert [(await one.get("/v2/")).status for one in (*held, site.bearer(token))] == [401, 401, 401, 401]
    assert (await alice.delete(f"keys/{key['id']}")).status == 404


async def test_keys_of_others_are_not_there(site: Site) -> None:
    await site.nobody.sign_up("alice")
    await site.nobody.sign_up("bob")
    key = await site.user("alice").key("read")
    bob = site.user("bob")
    for answer in (
        await bob.delete(f"keys/{key['id']}"),
        await bob.post(f"keys/{key['id']}/rotate"),
        await bob.get("keys?account=alice"),
        await bob.post("keys", {"name": "x", "scopes": ["read"], "account": "alice"}),
    ):
        assert answer.status == 404
    assert (await bob.get("keys")).json() == {"items": [], "next": None}
    assert (await site.nobody.get("keys")).status == 401


async def test_keys_are_listed_without_their_secret(site: Site, clock: FakeClock) -> None:
    await site.nobody.sign_up("alice")
    alice = site.user("alice")
    made = [await alice.key("read", "publish", path="users/alice") for _ in range(3)]
    page = (await alice.get("keys?limit=2")).json()
    rest = (await alice.get(f"keys?limit=2&cursor={page['next']}")).json()
    items = page["items"] + rest["items"]
    assert rest["next"] is None
    assert {item["id"] for item in items} == {key["id"] for key in made}
    assert all(item["scopes"] == ["read", "publish"] and item["used_at"] is None for item in items)
    for key in made:
        assert key["key"] not in str(items)
        assert secret.hashed(key["key"]) not in str(items)


async def test_the_last_use_is_noted(site: Site, clock: FakeClock) -> None:
    """To the minute; not with each request."""
    await site.nobody.sign_up("alice")
    key = await site.user("alice").key("read")
    uses: list[str | None] = [None]
    for seconds in (0, 25, 50, 75):
        await site.bearer(key["key"]).get("/v2/")
        noted = uses[-1]
        # It is written beside the answer: wait for it where one is due.
        for _ in range(500):
            noted = (await site.user("alice").get("keys")).json()["items"][0]["used_at"]
            if seconds in (25, 50) or noted != uses[-1]:
                break
            await asyncio.sleep(0.02)
        uses.append(noted)
        clock.advance(25)
    assert uses[1] is not None
    assert uses[1] == uses[2] == uses[3] != uses[4]


@pytest.mark.parametrize(
    "wrong",
    [{"scopes": []}, {"scopes": ["own"]}, {"scopes": ["read"] * 11}, {"path": "/etc"}, {"path": "users/../x"},
     {"path": "Users"}, {"name": ""}, {"expires_at": "tomorrow"}, {"expires_at": "2030-01-01T00:00:00"},
     {"account": "x" * 101}],
)  # fmt: skip
async def test_a_malformed_key_is_refused(site: Site, wrong: dict[str, object]) -> None:
    answer = await site.admin.post("keys", {"name": "x", "scopes": ["read"], **wrong})
    assert (answer.status, answer.codes) == (400, ["INVALID"])


async def test_operating_needs_an_administrators_key_that_says_so(site: Site) -> None:
    await site.nobody.sign_up("alice")
    assert (await site.user("alice").post("keys", {"name": "x", "scopes": ["operate"]})).status == 403
    for scope, status in (("admin", 401), ("operate", 200)):
        key = await site.admin.key(scope)
        assert (await site.bearer(key["key"]).get("users")).status == status
    admin = site.bearer((await site.admin.key("admin"))["key"])
    assert (await admin.post("keys", {"name": "x", "scopes": ["operate"]})).status == 403
    operating = await site.admin.key("operate")
    assert (await admin.post(f"keys/{operating['id']}/rotate")).status == 403


async def test_robots(site: Site) -> None:
    """An account that only has keys; an organization's belongs to it."""
    await site.nobody.sign_up("alice")
    await site.nobody.sign_up("bob")
    alice = site.user("alice")
    await alice.make("orgs", {"name": "acme"})
    robot = await alice.make("robots", {"owner": "acme", "name": "ci"})
    assert (robot["name"], robot["kind"], robot["namespace"]) == ("acme+ci", "robot", "users/acme")
    key = await alice.key("publish", account="acme+ci")
    assert key["account"] == "acme+ci"
    holder = Api(site.client(basic("acme+ci", key["key"])))
    me = (await holder.get("me")).json()
    assert me["organizations"] == [{"org": "acme", "role": "member"}]
    assert (await push_image(holder.client, "orgs/acme/app")).status == 201
    assert (await holder.client.push_blob("users/alice/app", b"x")).status == 404
    assert (await site.user("bob").get("robots?owner=acme")).status == 403
    assert (await site.user("bob").post("robots", {"owner": "acme", "name": "two"})).status == 403
    assert (await site.user("bob").post("robots", {"owner": "alice", "name": "two"})).status == 404
    assert (await alice.post("robots", {"owner": "acme", "name": "ci"})).status == 409
    assert [item["name"] for item in (await alice.get("robots?owner=acme")).json()["items"]] == ["acme+ci"]
    assert (await alice.delete("robots/acme+ci")).status == 204
    assert (await holder.get("/v2/")).status == 401
    assert (await alice.get("robots?owner=acme")).json()["items"] == []


def test_the_form_of_a_secret() -> None:
    """Scanners find it, and a slip of the pen is told from a good one."""
    made = {secret.make(secret.KEY) for _ in range(100)}
    assert len(made) == 100
    for text in made:
        assert secret.is_well_formed(text, secret.KEY)
        assert not secret.is_well_formed(text, secret.REFRESH)
        assert not secret.is_well_formed(text[:-1] + ("0" if text[-1] != "0" else "1"), secret.KEY)
        assert not secret.is_well_formed(text + "\n", secret.KEY)
