"""What somebody with a little tries to make more of."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.core.support import FakeClock, sha256
from tests.extensions.access.support import LAYER, PASSWORD, User, World, basic

pytestmark = pytest.mark.anyio

APP = "orgs/acme/app"
PULL_APP = {"actions": ["pull"], "path": APP}


@pytest.fixture
async def alice(site: World) -> User:
    """The owner, with something in her namespace."""
    assert (await site.user("alice").push(APP)).status == 201
    return site.user("alice")


async def key(user: User, *scopes: str, **more: Any) -> Any:
    """An API key's whole answer."""
    return await user.done("POST", "identity/keys", {"name": "k", "scopes": list(scopes), **more})


async def capability(user: User) -> str:
    """A capability to pull."""
    return str((await user.done("POST", "access/capabilities", {"cap": [PULL_APP]}))["token"])


# --- credentials that make others -----------------------------------------------------------------------------------


async def test_a_capability_ends_with_the_key_that_made_it(site: World, alice: User, clock: FakeClock) -> None:
    """Whoever found a key for a moment must not keep what it could do."""
    for end in ("revoked", "expired"):
        until = {"expires_at": "2100-01-01T00:00:00Z"} if end == "revoked" else {}
        if end == "expired":
            seconds = clock.now() / 1000 + 60
            until = {"expires_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))}
        made = await key(alice, "read", path="orgs/acme", **until)
        token = await site.token(site.with_headers(basic("alice", made["key"])), f"repository:{APP}:pull")
        assert (await token.post("access/capabilities", {"cap": [PULL_APP]})).status == 401  # a token makes none
        holder = site.bearer(await capability(site.bearer(made["key"])))
        assert (await holder.pull(APP)).status == 200
        if end == "revoked":
            await alice.done("DELETE", f"identity/keys/{made['id']}")
        else:
            clock.advance(61)
        assert (await holder.pull(APP)).status == 401


async def test_a_capability_ends_with_the_password(site: World, alice: User) -> None:
    token = await capability(alice)
    assert (await site.bearer(token).pull(APP)).status == 200
    await alice.done("PUT", "identity/me/password", {"current": PASSWORD, "new": "another password"})
    assert (await site.bearer(token).pull(APP)).status == 401


async def test_a_narrow_credential_makes_no_wider_one(site: World, alice: User) -> None:
    for scopes, path in ((["read"], ""), (["publish"], "orgs/acme"), (["admin"], "orgs/acme")):
        narrow = site.bearer((await key(alice, *scopes, path=path))["key"])
        assert (await narrow.post("identity/keys", {"name": "k", "scopes": ["admin"]})).status == 403
        delete = {"cap": [{"actions": ["delete"], "path": "users/alice"}]}
        assert (await narrow.post("access/capabilities", delete)).status == 403
        for route, body in (
            ("identity/robots", {"owner": "alice", "name": "machine"}),
            ("identity/orgs/acme/members/carol", {"role": "owner"}),
        ):
            method = "POST" if route == "identity/robots" else "PUT"
            assert (await narrow.call(method, route, body)).status == 403, (scopes, route)


async def test_a_token_is_not_widened(site: World, alice: User) -> None:
    """A token gets no token, and what another asks for beyond its rights is left out."""
    token = await site.token(alice, f"repository:{APP}:pull")
    assert (await token.get(f"/token?service=registry.test&scope=repository:{APP}:pull,push")).status == 401
    carol = await site.token(site.user("carol"), f"repository:{APP}:pull,push,delete,*")
    assert (await carol.pull(APP)).status == 401
    for scope in (
        "repository:orgs/acme/*:pull", "repository:*:pull", "repository:orgs/acme/../acme/app:pull",
        "repository:orgs%2Facme%2Fapp:pull", "repository:ORGS/ACME/APP:pull", f"repository:{APP}:PULL",
        f"registry:{APP}:pull", "registry:catalog:pull",
    ):  # fmt: skip
        holder = await site.token(site.user("carol"), scope)
        assert (await holder.pull(APP)).status == 401, scope
        assert (await holder.get("/v2/_catalog")).status == 401, scope


# --- roles ----------------------------------------------------------------------------------------------------------


async def test_a_denial_is_not_lost_among_many_roles(site: World, alice: User) -> None:
    """However many roles one inherits from, in whatever order: a denial counts."""
    names = [f"r{number}" for number in range(30)]
    denial = {"effect": "deny", "actions": ["push", "draft"]}
    await alice.done("PUT", "namespaces/orgs/acme/roles/no-push", {"permissions": [denial]})
    for name in names:
        await alice.done("PUT", f"namespaces/orgs/acme/roles/{name}", {"permissions": [{"actions": ["pull"]}]})
    groups = [names[:8], names[8:16], names[16:24], [*names[24:], "no-push"]]
    for number, group in enumerate(groups):
        await alice.done("PUT", f"namespaces/orgs/acme/roles/g{number}", {"inherits": group})
    for order in (["g0", "g1", "g2", "g3", "publisher"], ["g3", "publisher", "g2", "g1", "g0"]):
        await alice.done("PUT", "namespaces/orgs/acme/roles/all", {"inherits": order})
        await alice.done("PUT", "namespaces/orgs/acme/members/user/carol", {"role": "all"})
        assert (await site.user("carol").pull(APP)).status == 200
        assert (await site.user("carol").push(APP, "v2")).status == 403


async def test_roles_that_inherit_crosswise_are_checked_at_once(alice: User) -> None:
    """Eight layers of eight roles, each of which inherits the whole next layer: 16 million ways down."""
    for layer in range(7, 0, -1):
        for number in range(8):
            below = [f"l{layer + 1}n{other}" for other in range(8)] if layer < 7 else ["reader"]
            await alice.done("PUT", f"namespaces/orgs/acme/roles/l{layer}n{number}", {"inherits": below})
    cycle = await alice.put("namespaces/orgs/acme/roles/l7n0", {"inherits": ["l1n0"]})
    assert (cycle.status, cycle.codes) == (400, ["INVALID"])
    await alice.done("PUT", "namespaces/orgs/acme/roles/top", {"inherits": [f"l1n{number}" for number in range(8)]})


async def test_a_part_of_a_namespace_does_not_govern_the_whole(site: World, alice: User) -> None:
    """Who administers a part makes roles and members there, and nothing of it reaches further up."""
    assert (await alice.push("orgs/acme/team/app")).status == 201
    await alice.done("PUT", "namespaces/orgs/acme/team/members/user/carol", {"role": "admin"})
    await alice.done("PUT", "namespaces/orgs/acme/roles/helper", {"permissions": [{"actions": ["pull"]}]})
    await alice.done("PUT", "namespaces/orgs/acme/members/user/bob", {"role": "helper"})
    carol, bob = site.user("carol"), site.user("bob")
    everything = {"permissions": [{"actions": ["pull", "push", "delete", "administer"]}]}
    await carol.done("PUT", "namespaces/orgs/acme/team/roles/helper", everything)
    assert (await bob.push(APP, "v2")).status == 403
    assert (await bob.push("orgs/acme/team/app", "v2")).status == 403
    for path, body in (
        ("orgs/acme/roles/helper", everything), ("orgs/acme/members/user/carol", {"role": "admin"}),
        ("orgs/acme/quota", {"bytes": -1}), ("orgs/acme", {"visibility": "public"}),
        ("orgs/acme/team/../members/user/carol", {"role": "admin"}),
        ("orgs/acme/team/..%2f/members/user/carol", {"role": "admin"}),
        ("orgs%2facme/members/user/carol", {"role": "admin"}), ("/orgs/acme/members/user/carol", {"role": "admin"}),
        ("orgs//acme/members/user/carol", {"role": "admin"}), ("ORGS/ACME/members/user/carol", {"role": "admin"}),
        ("orgs/acme%00/members/user/carol", {"role": "admin"}), ("orgs/acme/./members/user/carol", {"role": "admin"}),
        ("orgs/\u0430cme/members/user/carol", {"role": "admin"}),
        ("orgs/acme%20/members/user/carol", {"role": "admin"}),
    ):  # fmt: skip
        answer = await carol.put(f"namespaces/{path}", body)
        assert answer.status in (400, 403, 404), (path, answer)
    assert (await carol.post("namespaces/orgs/acme/team/app/transfer", {"to": "orgs/acme/mine"})).status == 403
    assert (await carol.post(f"namespaces/{APP}/transfer", {"to": "orgs/acme/team/mine"})).status == 404
    assert (await carol.pull(APP)).status == 404


@pytest.mark.parametrize(
    "name",
    [
        "orgs/acme/%2e%2e/acme/app", "users/carol/..%2f..%2forgs/acme/app", "orgs%2Facme%2Fapp", "ORGS/acme/app",
        "orgs/ACME/app", "orgs//acme/app", "orgs/acme/app/", "orgs/acme\u200b/app", "org\uff53/acme/app",
        "orgs/acme%00/app",
        "users/carol/%2e%2e/%2e%2e/orgs/acme/app", "orgs/acme/app%20", "orgs/acme/app;x", "orgs\\acme\\app",
    ],
)  # fmt: skip
async def test_no_other_spelling_of_a_name_leads_there(site: World, alice: User, name: str) -> None:
    for user in (site.user("carol"), site.nobody):
        for path in ("manifests/v1", f"blobs/{sha256(LAYER)}", "tags/list", "_ext/namespaces/drafts"):
            for method in ("GET", "HEAD"):
                answer = await user.call(method, f"/v2/{name}/{path}")
                assert answer.status in (400, 401, 403, 404), (name, path, answer)
        target = f"/v2/users/carol/app/blobs/uploads/?mount={sha256(LAYER)}&from={name}"
        assert (await user.client.request("POST", target)).status in (202, 400, 401)
    assert (await site.user("carol").get(f"/v2/users/carol/app/blobs/{sha256(LAYER)}")).status == 404


async def test_a_role_for_some_addresses_is_of_use_to_clients_with_tokens(site: World, alice: User) -> None:
    """Its condition is judged when the token is asked for, and again when it is used."""
    here = {"kind": "ip", "op": "in", "value": ["127.0.0.0/8"]}
    for condition, status in ((here, 200), ({**here, "op": "neq", "value": "127.0.0.1"}, 401)):
        await alice.done(
            "PUT",
            "namespaces/orgs/acme/roles/here",
            {"permissions": [{"actions": ["pull"], "conditions": [condition]}]},
        )
        await alice.done("PUT", "namespaces/orgs/acme/members/user/carol", {"role": "here"})
        token = await site.token(site.user("carol"), f"repository:{APP}:pull")
        assert (await token.pull(APP)).status == status
