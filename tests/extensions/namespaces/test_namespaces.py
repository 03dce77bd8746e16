"""Visibility, labels, members, roles, policies over HTTP."""

from __future__ import annotations

import pytest

from tests.extensions.access.support import World

pytestmark = pytest.mark.anyio


async def test_visibility_is_inherited_and_the_nearest_wins(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    for name in ("orgs/acme/app", "orgs/acme/open/app", "orgs/acme/open/secret"):
        assert (await alice.push(name)).status == 201
    put = alice.done
    await put("PUT", "namespaces/orgs/acme/open", {"visibility": "public", "description": "for all"})
    await put("PUT", "namespaces/orgs/acme/open/secret", {"visibility": "private"})
    seen = {name: (await carol.pull(f"orgs/acme/{name}")).status for name in ("app", "open/app", "open/secret")}
    assert seen == {"app": 404, "open/app": 200, "open/secret": 404}
    assert (await site.nobody.pull("orgs/acme/open/app")).status == 200
    await put("PUT", "namespaces/orgs/acme/open", {"visibility": "internal"})
    assert (await site.nobody.pull("orgs/acme/open/app")).status == 401
    assert (await carol.pull("orgs/acme/open/app")).status == 200
    found = await put("GET", "namespaces/orgs/acme/open/app")
    assert (found["visibility"], found["visibility_from"], found["owner"]) == ("internal", "orgs/acme/open", "acme")
    assert (await carol.get("namespaces/orgs/acme")).status == 404
    assert [item["path"] for item in (await carol.get("namespaces")).json()["items"]] == ["orgs/acme/open"]


async def test_a_user_may_hide_all_of_it(site: World) -> None:
    alice = site.user("alice")
    assert (await alice.push("users/alice/app")).status == 201
    assert (await site.nobody.pull("users/alice/app")).status == 200
    await alice.done("PUT", "namespaces/users/alice", {"visibility": "private"})
    assert (await site.nobody.pull("users/alice/app")).status == 401
    assert (await site.user("carol").pull("users/alice/app")).status == 404
    assert (await site.user("carol").push("users/alice/app")).status == 404


async def test_roles_add_up_and_denials_win(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    assert (await alice.push("orgs/acme/app")).status == 201
    assert (await alice.push("orgs/acme/team/app")).status == 201
    await alice.done("PUT", "namespaces/orgs/acme/members/user/carol", {"role": "read"})
    await alice.done("PUT", "namespaces/orgs/acme/team/members/user/carol", {"role": "write"})
    assert (await carol.push("orgs/acme/app", "v2")).status == 403
    assert (await carol.push("orgs/acme/team/app", "v2")).status == 201
    no = {"inherits": [], "permissions": [{"effect": "deny", "actions": ["push", "draft", "delete"]}]}
    await alice.done("PUT", "namespaces/orgs/acme/roles/frozen", no)
    await alice.done("PUT", "namespaces/orgs/acme/team/app/members/user/carol", {"role": "frozen"})
    assert (await carol.push("orgs/acme/team/app", "v3")).status == 403
    assert (await carol.pull("orgs/acme/team/app", "v2")).status == 200
    explained = await carol.explain("push", "orgs/acme/team/app")
    assert explained["decision"] == "deny"
    assert any(step["rule"] == "denial" and "frozen" in step["reason"] for step in explained["steps"])


async def test_custom_roles_inherit(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    assert (await alice.push("orgs/acme/app")).status == 201
    roles = "namespaces/orgs/acme/roles"
    await alice.done("PUT", f"{roles}/keeper", {"inherits": ["reader"], "permissions": [{"actions": ["delete"]}]})
    await alice.done("PUT", f"{roles}/guest", {
        "inherits": ["keeper"],
        "permissions": [{"effect": "deny", "actions": ["delete"], "conditions": [
            {"kind": "user-agent", "op": "contains", "value": "robot"}]}],
    })  # fmt: skip
    assert (await alice.put(f"{roles}/keeper", {"inherits": ["guest"]})).status == 400
    assert (await alice.put(f"{roles}/admin", {"inherits": []})).status == 409
    assert (await alice.put(f"{roles}/lost", {"inherits": ["nowhere"]})).status == 400
    await alice.done("PUT", "namespaces/orgs/acme/members/user/carol", {"role": "guest"})
    digest = (await carol.pull("orgs/acme/app")).headers["docker-content-digest"]
    target = f"/v2/orgs/acme/app/manifests/{digest}"
    assert (await site.user("carol", **{"User-Agent": "a robot"}).delete(target)).status == 403
    assert (await site.user("carol", **{"User-Agent": "a person"}).delete(target)).status == 202
    assert (await alice.delete(f"{roles}/guest")).status == 409
    assert (await alice.delete("namespaces/orgs/acme/members/user/carol")).status == 204
    assert (await alice.delete(f"{roles}/guest")).status == 204


async def test_teams_and_robots_are_members(site: World) -> None:
    alice, bob = site.user("alice"), site.user("bob")
    await alice.done("POST", "identity/orgs/acme/teams", {"name": "dev"})
    await alice.done("PUT", "identity/orgs/acme/teams/dev/members/bob")
    assert (await bob.push("orgs/acme/app")).status == 403
    await alice.done("PUT", "namespaces/orgs/acme/members/team/acme/dev", {"role": "publisher"})
    assert (await bob.push("orgs/acme/app")).status == 201
    listed = await alice.done("GET", "namespaces/orgs/acme/members")
    assert [(item["kind"], item["name"], item["role"]) for item in listed["items"]] == [
        ("team", "acme/dev", "publisher")
    ]
    await alice.done("DELETE", "identity/orgs/acme/teams/dev/members/bob")
    assert (await bob.push("orgs/acme/app", "v2")).status == 403
    for path in ("team/acme/none", "user/nobody-here", "robot/bob", "ghost/bob"):
        assert (await alice.put(f"namespaces/orgs/acme/members/{path}", {"role": "reader"})).status in (400, 404)
    assert (await alice.put("namespaces/orgs/acme/members/user/carol", {"role": "emperor"})).status == 400


async def test_who_administers(site: World) -> None:
    for name, status in (("bob", 403), ("carol", 404)):
        user = site.user(name)
        for method, path, body in (
            ("PUT", "", {"visibility": "public"}), ("DELETE", "", None), ("GET", "/members", None),
            ("PUT", "/members/user/carol", {"role": "admin"}), ("GET", "/quota", None), ("PUT", "/quota", {}),
            ("GET", "/policy", None), ("PUT", "/policy/signed", {}), ("PUT", "/roles/x", {}),
            ("POST", "/verify", {"method": "dns", "subject": "acme.example"}),
            ("POST", "/transfer", {"to": "users/carol/x"}),
        ):  # fmt: skip
            assert (await user.call(method, f"namespaces/orgs/acme{path}", body)).status == status, (method, path)
    assert (await site.user("alice").put("namespaces/orgs/acme/quota", {"bytes": 1})).status == 403
    assert (await site.user("alice").put("namespaces/orgs", {})).status == 404
    assert (await site.admin.put("namespaces/orgs", {})).status == 400
    assert (await site.admin.put("namespaces/users/ghost", {})).status == 409


async def test_an_emptied_namespace_goes_a_full_one_stays(site: World) -> None:
    alice = site.user("alice")
    await alice.done("PUT", "namespaces/orgs/acme/x", {"visibility": "public", "labels": {"tier": "gold"}})
    assert (await alice.push("orgs/acme/x/app")).status == 201
    assert (await alice.delete("namespaces/orgs/acme/x")).status == 409
    await alice.done("PUT", "namespaces/orgs/acme/y", {})
    assert (await alice.delete("namespaces/orgs/acme/y")).status == 204
    assert (await alice.delete("namespaces/orgs/acme/y")).status == 404


async def test_labels_and_policies_are_inherited(site: World) -> None:
    alice = site.user("alice")
    await alice.done("PUT", "namespaces/orgs/acme", {"labels": {"tier": "gold", "team": "a"}})
    await alice.done("PUT", "namespaces/orgs/acme/app", {"labels": {"team": "b"}})
    assert (await alice.done("GET", "namespaces/orgs/acme/app"))["labels"] == {"tier": "gold", "team": "b"}
    await alice.done("PUT", "namespaces/orgs/acme/policy/signed", {"enforcement": "warn", "body": {"keys": ["k"]}})
    await alice.done("PUT", "namespaces/orgs/acme/app/policy/signed", {"enforcement": "enforce"})
    listed = await alice.done("GET", "namespaces/orgs/acme/app/policy")
    assert listed["items"] == [{"name": "signed", "path": "orgs/acme/app", "enforcement": "enforce", "body": {}}]
    api = site.registry.extensions.kernels["access"].apis["namespaces"]
    policy = await api.policy("orgs/acme/other", "signed")
    assert (policy.enforcement, policy.body, policy.path) == ("warn", {"keys": ["k"]}, "orgs/acme")
    assert await api.policy("orgs/other", "signed") is None
    assert await api.labels("orgs/acme/app/below") == {"tier": "gold", "team": "b"}
    assert (await alice.put("namespaces/orgs/acme", {"labels": {"bad key!": "x"}})).status == 400
    assert (await alice.put("namespaces/orgs/acme/policy/Bad", {})).status == 400


async def test_lists_are_filtered_by_sql(site: World) -> None:
    """The condition that other extensions filter by says the same as the decision on each name."""
    alice = site.user("alice")
    names = ["orgs/acme/app", "orgs/acme/open/app", "orgs/acme/open/secret", "users/alice/app", "users/alice/hidden"]
    for name in names:
        assert (await alice.push(name)).status == 201
    await alice.done("PUT", "namespaces/orgs/acme/open", {"visibility": "public"})
    await alice.done("PUT", "namespaces/orgs/acme/open/secret", {"visibility": "private"})
    await alice.done("PUT", "namespaces/users/alice/hidden", {"visibility": "private"})
    await alice.done(
        "PUT", "namespaces/orgs/acme/roles/away", {"permissions": [{"effect": "deny", "actions": ["pull"]}]}
    )
    await alice.done("PUT", "namespaces/orgs/acme/open/secret/members/user/bob", {"role": "away"})
    await alice.done("PUT", "namespaces/users/alice/hidden/members/user/carol", {"role": "reader"})
    access = site.registry.extensions.kernels["access"].access
    for who in ("alice", "bob", "carol"):
        condition, values = (await access.visible(await site.identity(who))).where("name")
        rows = await site.registry.metadata.read(
            lambda tx: tx.all(f"SELECT name FROM repository WHERE {condition} ORDER BY name", **values)  # noqa: B023
        )
        decided = (await site.user(who).get("/v2/_catalog")).json()["repositories"]
        assert [row[0] for row in rows] == decided, who
