"""Who may do what: owners, members, strangers, the anonymous; and that whoever may not see learns nothing."""

from __future__ import annotations

import pytest

from tests.core.support import sha256
from tests.extensions.access.support import DIGEST, LAYER, MANIFEST, User, World

pytestmark = pytest.mark.anyio


async def test_owners_push_and_strangers_do_not(site: World) -> None:
    alice, bob, carol = (site.user(name) for name in ("alice", "bob", "carol"))
    assert (await alice.push("users/alice/app")).status == 201
    assert (await alice.push("orgs/acme/app")).status == 201
    assert (await bob.push("orgs/acme/app")).status == 403
    assert (await bob.push("users/alice/app")).status == 403
    assert (await carol.push("orgs/acme/app")).status == 404
    assert (await carol.push("library/app")).status == 403
    assert (await site.admin.push("library/app")).status == 201
    assert (await site.admin.push("anything/else")).status == 201
    assert (await site.nobody.push("users/alice/app")).status == 401


async def test_who_reads(site: World) -> None:
    alice, bob, carol = (site.user(name) for name in ("alice", "bob", "carol"))
    for name in ("users/alice/app", "orgs/acme/app", "local/alice/app"):
        assert (await alice.push(name)).status == 201
    assert (await site.admin.push("library/app")).status == 201
    for reader, expected in (
        (alice, {"users/alice/app": 200, "orgs/acme/app": 200, "library/app": 200, "local/alice/app": 200}),
        (bob, {"users/alice/app": 200, "orgs/acme/app": 200, "library/app": 200, "local/alice/app": 200}),
        (carol, {"users/alice/app": 200, "orgs/acme/app": 404, "library/app": 200, "local/alice/app": 200}),
        (site.nobody, {"users/alice/app": 200, "orgs/acme/app": 401, "library/app": 200, "local/alice/app": 401}),
    ):
        assert {name: (await reader.pull(name)).status for name in expected} == expected


async def test_the_catalog_shows_what_one_may_read(site: World) -> None:
    alice = site.user("alice")
    for name in ("users/alice/app", "users/alice/secret", "orgs/acme/app"):
        assert (await alice.push(name)).status == 201
    await alice.done("PUT", "namespaces/users/alice/secret", {"visibility": "private"})
    assert (await site.nobody.get("/v2/_catalog")).status == 401
    for user, expected in (
        (alice, ["orgs/acme/app", "users/alice/app", "users/alice/secret"]),
        (site.user("bob"), ["orgs/acme/app", "users/alice/app"]),
        (site.user("carol"), ["users/alice/app"]),
    ):
        assert (await user.get("/v2/_catalog")).json()["repositories"] == expected


REQUESTS = [
    ("GET", "manifests/v1"), ("HEAD", "manifests/v1"), ("GET", f"manifests/{DIGEST}"), ("GET", "manifests/-bad-"),
    ("PUT", "manifests/v1"), ("PUT", "manifests/v2"), ("DELETE", "manifests/v1"), ("DELETE", f"manifests/{DIGEST}"),
    ("GET", f"blobs/{sha256(LAYER)}"), ("HEAD", f"blobs/{sha256(LAYER)}"), ("GET", "blobs/sha256:bad"),
    ("DELETE", f"blobs/{sha256(LAYER)}"), ("GET", "tags/list"), ("GET", "tags/list?n=x"),
    ("GET", f"referrers/{DIGEST}"), ("GET", "referrers/nothing"), ("POST", "blobs/uploads/"),
    ("POST", f"blobs/uploads/?digest={sha256(LAYER)}"), ("POST", f"blobs/uploads/?mount={sha256(LAYER)}"),
    ("GET", "blobs/uploads/1"), ("PATCH", "blobs/uploads/1"), ("PUT", f"blobs/uploads/1?digest={DIGEST}"),
    ("DELETE", "blobs/uploads/1"), ("GET", "_oci/ext/discover"), ("GET", "_ext/namespaces/drafts"),
    ("POST", f"_ext/namespaces/drafts/{DIGEST}/publish"), ("GET", "_ext/nothing/there"), ("PATCH", "tags/list"),
]  # fmt: skip


@pytest.mark.parametrize("caller", ["carol", "nobody", "token"])
@pytest.mark.parametrize("private", ["orgs/acme/app", "users/alice/secret", "orgs/ghost/app", "closed/app"])
async def test_private_and_absent_are_the_same(site: World, caller: str, private: str) -> None:
    """Byte for byte, on every route; `absent` is as long as the name that is there."""
    alice = site.admin if private.startswith(("closed", "orgs/ghost")) else site.user("alice")
    assert (await alice.push(private)).status == 201
    if private == "users/alice/secret":
        await alice.done("PUT", f"namespaces/{private}", {"visibility": "private"})
    absent = private[:-1] + "z"
    user: User = {"carol": site.user("carol"), "nobody": site.nobody, "token": site.nobody}[caller]
    if caller == "token":
        user = await site.token(site.nobody, f"repository:{private}:pull,push", f"repository:{absent}:pull,push")
    for method, path in REQUESTS:
        body = MANIFEST if method == "PUT" else b""
        found, missing = [await user.client.request(method, f"/v2/{name}/{path}", body) for name in (private, absent)]
        assert found.status in (401, 403, 404, 405), (method, path, found)
        seen = [
            (a.status, {k: v.replace(n, "<name>") for k, v in a.headers.items()}, a.body.replace(n.encode(), b"<name>"))
            for a, n in ((found, private), (missing, absent))
        ]
        assert seen[0] == seen[1], (method, path)


async def test_a_mount_of_a_private_blob_is_an_upload(site: World) -> None:
    assert (await site.user("alice").push("orgs/acme/app")).status == 201
    carol = site.user("carol")
    for source in ("orgs/acme/app", "orgs/acme/apz"):
        target = f"/v2/users/carol/app/blobs/uploads/?mount={sha256(LAYER)}&from={source}"
        assert (await carol.client.request("POST", target)).status == 202
    mounted = await site.user("bob").client.request(
        "POST", f"/v2/users/bob/app/blobs/uploads/?mount={sha256(LAYER)}&from=orgs/acme/app"
    )
    assert mounted.status == 201


async def test_a_revocation_acts_at_once(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    assert (await alice.push("orgs/acme/app")).status == 201
    for _ in range(3):
        await alice.done("PUT", "namespaces/orgs/acme/members/user/carol", {"role": "reader"})
        assert (await carol.pull("orgs/acme/app")).status == 200
        await alice.done("DELETE", "namespaces/orgs/acme/members/user/carol")
        assert (await carol.pull("orgs/acme/app")).status == 404
    bob = site.user("bob")
    assert (await bob.pull("orgs/acme/app")).status == 200
    await alice.done("DELETE", "identity/orgs/acme/members/bob")
    assert (await bob.pull("orgs/acme/app")).status == 404


async def test_the_challenge(site: World) -> None:
    def challenged(answer: object) -> str:
        return answer.headers["www-authenticate"]  # type: ignore[attr-defined,no-any-return]

    realm = 'Bearer realm="http://registry.test/token",service="registry.test"'
    nobody = site.nobody
    assert challenged(await nobody.get("/v2/")) == realm
    assert challenged(await nobody.pull("orgs/acme/app")) == f'{realm},scope="repository:orgs/acme/app:pull"'
    assert challenged(await nobody.push("orgs/acme/app")) == f'{realm},scope="repository:orgs/acme/app:pull,push"'
    answer = await nobody.delete(f"/v2/orgs/acme/app/manifests/{DIGEST}")
    assert challenged(answer) == f'{realm},scope="repository:orgs/acme/app:delete"'
    assert challenged(await nobody.get("/v2/_catalog")) == f'{realm},scope="registry:catalog:*"'
    assert challenged(await nobody.get("namespaces/a%22%2Cb=%22c/quota")) == realm
    narrow = await site.token(site.user("alice"), "repository:orgs/acme/app:pull")
    assert challenged(await narrow.push("orgs/acme/app")) == (
        f'{realm},scope="repository:orgs/acme/app:pull,push",error="insufficient_scope"'
    )


async def test_tokens_carry_what_is_allowed(site: World) -> None:
    alice = site.user("alice")
    pusher = await site.token(alice, "repository:orgs/acme/app:pull,push")
    assert (await pusher.push("orgs/acme/app")).status == 201
    assert (await pusher.push("orgs/acme/other")).status == 401
    reader = await site.token(site.user("bob"), "repository:orgs/acme/app:pull,push")
    assert (await reader.pull("orgs/acme/app")).status == 200
    assert (await reader.push("orgs/acme/app")).status == 401
    anonymous = await site.token(site.nobody, "repository:orgs/acme/app:pull")
    assert (await anonymous.get("/v2/")).status == 200
    assert (await anonymous.pull("orgs/acme/app")).status == 401


async def test_explanations(site: World) -> None:
    alice, bob, carol = (site.user(name) for name in ("alice", "bob", "carol"))
    assert (await alice.push("orgs/acme/app")).status == 201
    for user, action, decision, rule in (
        (alice, "push", "allow", "role"), (bob, "pull", "allow", "role"), (bob, "push", "deny", "default"),
        (carol, "pull", "hide", "default"), (site.admin, "delete", "allow", "administrator"),
    ):  # fmt: skip
        found = await user.explain(action, "orgs/acme/app")
        assert (found["decision"], found["steps"][-1]["rule"]) == (decision, rule)
    assert "owner of acme" in (await alice.explain("push", "orgs/acme/app"))["steps"][-1]["reason"]
    # Who may not see it, is told the same of what is not there.
    private, absent = [(await carol.explain("pull", f"orgs/acme/{name}"))["steps"] for name in ("app", "apz")]
    assert private == absent
    assert (await carol.post("access/explain", {"action": "pull", "account": "bob"})).status == 403
    assert (await site.nobody.post("access/explain", {"action": "pull"})).status == 401
    assert (await site.admin.explain("push", "orgs/acme/app", account="bob"))["decision"] == "deny"
    assert (await site.admin.explain("operate"))["decision"] == "allow"
    assert (await carol.explain("operate"))["decision"] == "deny"
