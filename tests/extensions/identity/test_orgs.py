"""Organizations, members and teams."""

from __future__ import annotations

import asyncio

import pytest

from tests.extensions.identity.support import Api, Site, push_image

pytestmark = pytest.mark.anyio


@pytest.fixture
async def acme(site: Site) -> Api:
    """alice, who owns acme; bob is a member, carol is nobody there."""
    for name in ("alice", "bob", "carol"):
        await site.nobody.sign_up(name)
    alice = site.user("alice")
    await alice.make("orgs", {"name": "acme", "display": "Acme", "email": "hello@acme.example"})
    assert (await alice.put("orgs/acme/members/bob", {"role": "member"})).status == 200
    return alice


async def names(api: Api, path: str) -> list[str]:
    """Names of a list, page by page."""
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await api.get(f"{path}?limit=1&cursor={cursor}")).json()
        found += [item["name"] for item in page["items"]]
        cursor = page["next"]
    return found


async def test_its_maker_owns_it(site: Site, acme: Api) -> None:
    members = (await acme.get("orgs/acme/members")).json()["items"]
    assert [(member["name"], member["role"]) for member in members] == [("alice", "owner"), ("bob", "member")]
    assert (await acme.get("me")).json()["organizations"] == [{"org": "acme", "role": "owner"}]
    assert await names(acme, "orgs") == ["acme"]
    profile = (await site.user("carol").get("orgs/acme")).json()
    assert (profile["kind"], profile["email"], profile["namespace"]) == ("org", "hello@acme.example", "orgs/acme")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "orgs/acme", {"display": "x"}),
        ("DELETE", "orgs/acme", None),
        ("PUT", "orgs/acme/members/carol", {"role": "owner"}),
        ("DELETE", "orgs/acme/members/alice", None),
        ("POST", "orgs/acme/teams", {"name": "two"}),
        ("DELETE", "orgs/acme/teams/one", None),
        ("PUT", "orgs/acme/teams/one/members/bob", None),
        ("DELETE", "orgs/acme/teams/one/members/alice", None),
    ],
)
async def test_owners_alone_change_it(site: Site, acme: Api, method: str, path: str, body: object) -> None:
    await acme.make("orgs/acme/teams", {"name": "one"})
    await acme.put("orgs/acme/teams/one/members/alice")
    narrow = site.bearer((await acme.key("publish"))["key"])
    for holder, status in ((site.nobody, 401), (site.user("carol"), 403), (site.user("bob"), 403), (narrow, 403)):
        assert (await holder.call(method, path, body)).status == status
    assert await names(acme, "orgs/acme/members") == ["alice", "bob"]
    assert (await acme.call(method, path, body)).status in (200, 201, 204, 409)


@pytest.mark.parametrize("path", ["orgs/acme/members", "orgs/acme/teams", "orgs/acme/teams/one/members"])
async def test_members_alone_see_who_belongs(site: Site, acme: Api, path: str) -> None:
    await acme.make("orgs/acme/teams", {"name": "one"})
    for holder, status in ((site.user("carol"), 403), (site.user("bob"), 200), (acme, 200), (site.admin, 200)):
        assert (await holder.get(path)).status == status


async def test_the_last_owner_stays(site: Site, acme: Api) -> None:
    assert (await acme.delete("orgs/acme/members/alice")).status == 409
    assert (await acme.put("orgs/acme/members/alice", {"role": "member"})).status == 409
    assert (await acme.delete("me")).status == 409
    assert (await acme.put("orgs/acme/members/bob", {"role": "owner"})).status == 200
    both = await asyncio.gather(
        acme.delete("orgs/acme/members/alice"), site.user("bob").delete("orgs/acme/members/bob")
    )
    assert sorted(answer.status for answer in both) == [204, 409]


async def test_a_member_leaves(site: Site, acme: Api) -> None:
    """And what it could reach ends at once, its teams with it."""
    bob = site.user("bob")
    await acme.make("orgs/acme/teams", {"name": "one"})
    await acme.put("orgs/acme/teams/one/members/bob")
    assert (await push_image(bob.client, "orgs/acme/app")).status == 201
    token = site.bearer((await bob.token("repository:orgs/acme/app:pull"))["token"])
    assert (await token.get("/v2/orgs/acme/app/manifests/v1")).status == 200
    assert (await bob.get("me")).json()["teams"] == [{"org": "acme", "team": "one"}]
    assert (await bob.delete("orgs/acme/members/bob")).status == 204
    assert (await token.get("/v2/orgs/acme/app/manifests/v1")).status == 404
    assert (await bob.get("me")).json()["teams"] == []
    assert (await bob.get("orgs/acme/members")).status == 403


async def test_teams(site: Site, acme: Api) -> None:
    for name in ("two", "one"):
        await acme.make("orgs/acme/teams", {"name": name})
    assert (await acme.post("orgs/acme/teams", {"name": "one"})).status == 409
    assert await names(acme, "orgs/acme/teams") == ["one", "two"]
    assert (await acme.put("orgs/acme/teams/one/members/carol")).status == 409  # no member of the organization
    assert (await acme.put("orgs/acme/teams/none/members/bob")).status == 404
    for name in ("bob", "alice", "bob"):
        assert (await acme.put(f"orgs/acme/teams/one/members/{name}")).status == 204
    assert await names(acme, "orgs/acme/teams/one/members") == ["alice", "bob"]
    team = await site.registry.metadata.read(lambda tx: site.accounts.team(tx, "acme", "one"))
    assert team is not None
    bob = await site.registry.metadata.read(lambda tx: site.accounts.find(tx, "bob"))
    assert bob is not None
    account_id = bob.id
    assert await site.registry.metadata.read(lambda tx: site.accounts.teams(tx, account_id)) == [team]
    assert (await site.user("bob").delete("orgs/acme/teams/one/members/bob")).status == 204
    assert (await acme.delete("orgs/acme/teams/one")).status == 204
    assert await names(acme, "orgs/acme/teams") == ["two"]


@pytest.mark.parametrize("name", ["nobody-here", "acme", "alice+ci", "other+ci"])
async def test_members_are_users_and_own_robots(site: Site, acme: Api, name: str) -> None:
    await acme.make("robots", {"owner": "alice", "name": "ci"})
    assert (await acme.put(f"orgs/acme/members/{name}", {"role": "member"})).status in (400, 404)
    await acme.make("robots", {"owner": "acme", "name": "ci"})
    assert (await acme.put("orgs/acme/members/acme+ci", {"role": "owner"})).status == 400


async def test_it_is_deleted(site: Site, acme: Api) -> None:
    """With its robots; its name stays taken."""
    await acme.make("robots", {"owner": "acme", "name": "ci"})
    robot = site.bearer((await acme.key("publish", account="acme+ci"))["key"])
    await acme.make("orgs/acme/teams", {"name": "one"})
    await acme.put("orgs/acme/teams/one/members/bob")
    assert (await acme.delete("orgs/acme")).status == 204
    assert (await robot.get("/v2/")).status == 401
    assert (await acme.get("orgs/acme")).status == 404
    assert (await acme.post("orgs", {"name": "acme"})).status == 409
    me = (await site.user("bob").get("me")).json()
    assert (me["organizations"], me["teams"]) == ([], [])


async def test_administrators_help_out(site: Site, acme: Api) -> None:
    """An operator may do what owners may."""
    assert (await site.admin.put("orgs/acme/members/carol", {"role": "owner"})).status == 200
    assert "acme" in await names(site.admin, "orgs")
