"""Users: sign-up, profiles, standing, the end of an account."""

from __future__ import annotations

from pathlib import Path

import pytest

from gati_registry.domain.events import Operation
from gati_registry.ports import Transaction
from tests.core.support import FakeClock
from tests.extensions.identity.support import PASSWORD, Site, prepared, worker

pytestmark = pytest.mark.anyio

NEW = {"name": "alice", "password": PASSWORD}


async def test_the_built_in_administrator(site: Site) -> None:
    me = (await site.admin.get("me")).json()
    assert (me["account"]["name"], me["account"]["admin"], me["method"]) == ("admin", True, "password")
    key = await site.admin.key("operate")
    assert (await site.bearer(key["key"]).get("users")).status == 200
    for change in ({"admin": False}, {"active": False}):
        assert (await site.admin.patch("users/admin", change)).status == 409
    assert (await site.admin.delete("users/admin")).status == 409
    assert (await site.admin.delete("me")).status == 409


async def test_the_administrators_password_changes(site: Site) -> None:
    """It is the core's; it holds with and without this extension."""
    from gati_registry.auth.admin import FACT, verify_password

    answer = await site.admin.put("me/password", {"current": "correct horse battery", "new": "another password"})
    assert answer.status == 204
    assert (await site.admin.get("/v2/")).status == 401
    assert (await site.user("admin", "another password").get("/v2/")).status == 200
    stored = await site.registry.metadata.read(lambda tx: tx.leases.get_fact(FACT))
    assert stored is not None
    assert verify_password("another password", stored)


@pytest.mark.parametrize("signup", ["closed", "invite"])
async def test_sign_up_may_be_closed(folder: Path, clock: FakeClock, signup: str) -> None:
    async with worker(await prepared(folder, signup=signup), clock) as site:
        assert (await site.nobody.post("users", NEW)).status == 403
        assert (await site.nobody.post("users", {**NEW, "invitation": "gatii_no"})).status == 403
        await site.admin.sign_up("alice")
        assert (await site.user("alice").post("users", {**NEW, "name": "bob"})).status == 403
        assert (await site.user("alice").post("orgs", {"name": "acme"})).status == 403
        assert (await site.admin.post("orgs", {"name": "acme"})).status == 201


async def test_an_invitation_is_good_once(folder: Path, clock: FakeClock) -> None:
    async with worker(await prepared(folder, signup="invite", invitation_ttl=3600), clock) as site:
        first, second, third = [await site.admin.make("invitations", {}) for _ in range(3)]
        used = {**NEW, "invitation": first["invitation"]}
        assert (await site.nobody.post("users", used)).status == 201
        assert (await site.nobody.post("users", {**used, "name": "bob"})).status == 403
        assert (await site.nobody.get("users/bob")).status == 401  # and nothing was made of it
        assert (await site.admin.get("users/bob")).status == 404
        assert (await site.admin.delete(f"invitations/{second['id']}")).status == 204
        bob = {**NEW, "name": "bob"}
        assert (await site.nobody.post("users", {**bob, "invitation": second["invitation"]})).status == 403
        clock.advance(3600)
        assert (await site.nobody.post("users", {**bob, "invitation": third["invitation"]})).status == 403
        listed = (await site.admin.get("invitations")).json()["items"]
        assert {item["id"]: item["used_by"] for item in listed} == {first["id"]: "alice", third["id"]: None}
        assert "gatii_" not in str(listed)
        assert (await site.user("alice").post("invitations", {})).status == 403


@pytest.mark.parametrize(
    "name",
    ["a", "a" * 40, "Alice", "al--ice", "-alice", "alice-", "al_ice", "al.ice", "@alice", "al/ice", "älice", "", " bob",
     "admin", "orgs", "library", "gati", "alice+ci", "alice\n"],
)  # fmt: skip
async def test_names(site: Site, name: str) -> None:
    for what in ({"password": PASSWORD}, {}):
        answer = await site.admin.post("users" if what else "orgs", {"name": name, **what})
        assert (answer.status, answer.codes) == (400, ["INVALID"])
        assert "/name" in answer.body.decode()


async def test_users_and_organizations_share_names(site: Site) -> None:
    await site.admin.sign_up("alice")
    await site.admin.make("orgs", {"name": "acme"})
    for path, name in (("users", "alice"), ("users", "acme"), ("orgs", "alice"), ("orgs", "acme")):
        body = {"name": name} | ({"password": PASSWORD} if path == "users" else {})
        assert (await site.admin.post(path, body)).status == 409
    assert (await site.admin.get("users/acme")).status == 404
    assert (await site.admin.get("orgs/alice")).status == 404


@pytest.mark.parametrize(
    "wrong",
    [{"password": "short"}, {"password": "x" * 2000}, {"email": "no"}, {"url": "javascript:alert(1)"}, {"id": 1},
     {"display": "x" * 201}, {"email": "a@b<c>"}],
)  # fmt: skip
async def test_a_malformed_user_is_refused(site: Site, wrong: dict[str, object]) -> None:
    answer = await site.nobody.post("users", {**NEW, **wrong})
    assert answer.status == 400
    assert f"/{next(iter(wrong))}" in answer.body.decode()
    assert "javascript" not in answer.body.decode()  # values are not repeated


async def test_only_administrators_make_administrators(site: Site) -> None:
    assert (await site.nobody.post("users", {**NEW, "admin": True})).status == 403
    await site.nobody.sign_up("alice")
    assert (await site.user("alice").patch("users/alice", {"admin": True})).status == 403
    await site.admin.sign_up("boss", admin=True)
    assert (await site.user("boss").patch("users/alice", {"admin": True})).json()["admin"] is True
    assert (await site.user("alice").get("users")).status == 200
    key = await site.user("alice").key("admin")  # less than an administrator of the server
    assert (await site.bearer(key["key"]).get("users")).status == 401


async def test_profiles(site: Site) -> None:
    """Others do not see the e-mail address."""
    await site.nobody.sign_up("alice", email="alice@example.org")
    await site.nobody.sign_up("bob")
    changed = await site.user("alice").patch("me", {"display": "Alice", "url": "https://alice.example"})
    assert changed.json()["email"] == "alice@example.org"
    assert changed.json()["namespace"] == "users/alice"
    seen = (await site.user("bob").get("users/alice")).json()
    assert (seen["display"], seen["url"], seen["email"]) == ("Alice", "https://alice.example", None)
    assert (await site.admin.get("users/alice")).json()["email"] == "alice@example.org"
    assert (await site.user("alice").patch("me", {"email": None})).json()["email"] is None
    assert (await site.user("alice").patch("me", {"admin": True})).status == 400
    assert (await site.nobody.get("users/alice")).status == 401
    assert (await site.user("bob").get("users/nobody-here")).status == 404


async def test_users_page_by_cursor(site: Site) -> None:
    names = [f"user-{number}" for number in range(4)]
    for name in names:
        await site.nobody.sign_up(name)
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await site.admin.get(f"users?limit=2&cursor={cursor}")).json()
        assert len(page["items"]) <= 2
        seen += [item["name"] for item in page["items"]]
        cursor = page["next"]
    assert seen == ["admin", *names]
    assert (await site.user("user-0").get("users")).status == 403


async def test_an_account_that_is_put_out_of_use(site: Site) -> None:
    """Password, key and token end at once, and come back but for the token."""
    await site.nobody.sign_up("alice")
    alice = site.user("alice")
    key, token = (await alice.key("admin"))["key"], (await alice.token())["token"]
    holders = [alice, site.bearer(key), site.bearer(token)]
    assert [(await holder.get("/v2/")).status for holder in holders] == [200, 200, 200]
    assert (await site.admin.patch("users/alice", {"active": False})).status == 200
    assert [(await holder.get("/v2/")).status for holder in holders] == [401, 401, 401]
    await site.admin.patch("users/alice", {"active": True})
    assert [(await holder.get("/v2/")).status for holder in holders] == [200, 200, 401]


async def test_a_password_changes(site: Site) -> None:
    """The old one and all that was got with it end; keys stay."""
    await site.nobody.sign_up("alice")
    alice, new = site.user("alice"), site.user("alice", "another password")
    key, token = (await alice.key("read"))["key"], (await alice.token())["token"]
    for wrong in ({"new": "another password"}, {"current": "wrong", "new": "another password"}):
        assert (await alice.put("me/password", wrong)).status in (400, 401)
    assert (await alice.put("me/password", {"current": PASSWORD, "new": "another password"})).status == 204
    statuses = [(await holder.get("/v2/")).status for holder in (alice, new, site.bearer(key), site.bearer(token))]
    assert statuses == [401, 200, 200, 401]
    assert (await site.admin.put("users/alice/password", {"new": PASSWORD})).status == 204
    assert [(await holder.get("/v2/")).status for holder in (alice, new)] == [200, 401]


async def test_export_and_erasure(site: Site) -> None:
    """Nothing personal is left; the name stays taken; a key of one's robot ends as well."""
    await site.nobody.sign_up("alice", email="alice@example.org", display="Alice A.")
    alice = site.user("alice")
    key = await alice.key("read")
    await alice.make("robots", {"owner": "alice", "name": "ci"})
    robot = await alice.key("publish", account="alice+ci")
    export = (await alice.get("me/export")).json()
    assert export["account"]["email"] == "alice@example.org"
    assert [item["id"] for item in export["keys"]] == [key["id"]]
    assert key["key"] not in str(export)
    assert (await site.bearer(key["key"]).delete("me")).status == 403
    assert (await alice.delete("me")).status == 204
    for holder in (alice, site.bearer(key["key"]), site.bearer(robot["key"])):
        assert (await holder.get("/v2/")).status == 401
    assert (await site.nobody.post("users", NEW)).status == 409
    assert (await site.admin.get("users/alice")).status == 404
    for row in await site.registry.metadata.read(lambda tx: tx.all("SELECT * FROM identity_account")):
        assert "alice@example.org" not in row
        assert "Alice A." not in row


async def test_every_change_passes_the_gates(site: Site) -> None:
    """What others hear of a change: who, what, and no secret or personal word."""
    heard = []

    async def listen(tx: Transaction, change: object) -> None:
        heard.append(change)

    from gati_registry.service.hooks import Hooks, Listed

    core = site.registry.extensions.kernels["identity"].core
    core.hooks = Hooks(Listed(projections=[(frozenset({Operation.STATE_CHANGE}), listen)]))  # type: ignore[attr-defined]
    await site.nobody.sign_up("alice", email="alice@example.org")
    key = await site.user("alice").key("read")
    await site.user("alice").put("me/password", {"current": PASSWORD, "new": "another password"})
    told = [(change.detail["subject"], change.detail["action"], change.repository) for change in heard]  # type: ignore[attr-defined]
    assert told == [
        ("identity.user", "create", "users/alice"),
        ("identity.key", "create", "users/alice"),
        ("identity.password", "update", "users/alice"),
    ]
    assert [change.caller.identity.name for change in heard] == [None, "alice", "alice"]  # type: ignore[attr-defined]
    for secret in ("alice@example.org", key["key"], PASSWORD, "another password"):
        assert secret not in str(heard)
