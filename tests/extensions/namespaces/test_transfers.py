"""Other names and other owners: what moves along, who may, and how the old names are still read."""

from __future__ import annotations

import pytest

from tests.core.support import FakeClock, sha256
from tests.extensions.access.support import LAYER, World

pytestmark = pytest.mark.anyio


async def test_a_renamed_repository_is_read_under_both_names(site: World, clock: FakeClock) -> None:
    alice, nobody = site.user("alice"), site.nobody
    assert (await alice.push("users/alice/old")).status == 201
    moved = await alice.done("POST", "namespaces/users/alice/old/transfer", {"to": "users/alice/new"})
    assert moved["repositories"] == ["users/alice/new"]
    new, old = await nobody.pull("users/alice/new"), await nobody.pull("users/alice/old")
    assert (new.status, old.status, new.body) == (200, 200, old.body)
    assert "warning" not in new.headers
    assert "renamed to users/alice/new" in old.headers["warning"]
    for path in (f"blobs/{sha256(LAYER)}", "tags/list"):
        answer = await nobody.get(f"/v2/users/alice/old/{path}")
        assert (answer.status, "warning" in answer.headers) == (200, True)
    reader = await site.token(nobody, "repository:users/alice/old:pull")
    assert (await reader.pull("users/alice/old")).status == 200
    assert (await reader.pull("users/alice/new")).status == 401
    assert (await site.user("bob").get("/v2/_catalog")).json()["repositories"] == ["users/alice/new"]
    clock.advance(91 * 86400)
    assert (await nobody.pull("users/alice/old")).status == 401
    assert (await nobody.pull("users/alice/new")).status == 200


async def test_who_may_not_read_the_new_one_does_not_learn_of_the_old(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    assert (await alice.push("users/alice/old")).status == 201
    await alice.done("POST", "namespaces/users/alice/old/transfer", {"to": "orgs/acme/new"})
    hidden, absent = await carol.pull("users/alice/old"), await carol.pull("users/alice/olx")
    assert (hidden.status, hidden.body.replace(b"old", b"olx")) == (404, absent.body)
    assert (await site.user("bob").pull("users/alice/old")).status == 200


async def test_a_chain_of_names_and_a_name_used_again(site: World) -> None:
    alice = site.user("alice")
    assert (await alice.push("users/alice/a", layer=b"first")).status == 201
    await alice.done("POST", "namespaces/users/alice/a/transfer", {"to": "users/alice/b"})
    await alice.done("POST", "namespaces/users/alice/b/transfer", {"to": "users/alice/c"})
    first = (await alice.pull("users/alice/c")).body
    assert (await alice.pull("users/alice/a")).body == first
    assert (await alice.push("users/alice/a", layer=b"second")).status == 201
    assert (await alice.pull("users/alice/a")).body != first
    assert (await alice.pull("users/alice/b")).body == first


async def test_a_namespace_moves_with_its_settings(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    for name in ("orgs/acme/team/app", "orgs/acme/team/open", "orgs/acme/teamwork"):
        assert (await alice.push(name)).status == 201
    await alice.done("PUT", "namespaces/orgs/acme/team/open", {"visibility": "public"})
    await alice.done("PUT", "namespaces/orgs/acme/team/members/user/carol", {"role": "reader"})
    moved = await alice.done("POST", "namespaces/orgs/acme/team/transfer", {"to": "orgs/acme/crew"})
    assert moved["repositories"] == ["orgs/acme/crew/app", "orgs/acme/crew/open"]
    assert (await carol.pull("orgs/acme/crew/app")).status == 200
    assert (await site.nobody.pull("orgs/acme/crew/open")).status == 200
    assert (await site.nobody.pull("orgs/acme/crew/app")).status == 401
    # To another owner: visibility goes along, rights do not.
    await alice.done("PUT", "namespaces/users/alice", {"visibility": "private"})
    await alice.done("POST", "namespaces/orgs/acme/crew/transfer", {"to": "users/alice/crew"})
    assert (await carol.pull("users/alice/crew/app")).status == 404
    assert (await carol.pull("users/alice/crew/open")).status == 200


async def test_what_cannot_be_moved(site: World) -> None:
    alice = site.user("alice")
    for name in ("users/alice/app", "users/alice/other", "orgs/acme/app"):
        assert (await alice.push(name)).status == 201
    for source, target, status in (
        ("users/alice", "users/alice2/x", 400), ("users/alice/app", "users/alice", 400),
        ("users/alice/app", "users/alice/app/deeper", 400), ("users/alice/app", "users/alice/other", 409),
        ("users/alice/app", "users/bob/app", 403), ("users/alice/app", "library/app", 403),
        ("users/alice/none", "users/alice/some", 404), ("users/alice/app", "orgs/acme", 400),
        ("users/alice/app", "Users/Alice/App", 400),
    ):  # fmt: skip
        answer = await alice.post(f"namespaces/{source}/transfer", {"to": target})
        assert answer.status == status, (source, target, answer)
    assert (await site.admin.post("namespaces/users/alice/app/transfer", {"to": "users/ghost/app"})).status == 409


async def test_usage_follows(site: World) -> None:
    alice = site.user("alice")
    assert (await alice.push("users/alice/app")).status == 201
    before = (await alice.done("GET", "namespaces/users/alice/quota"))["artifacts"]
    assert before["used"] == 1
    await site.admin.done("PUT", "namespaces/orgs/acme/quota", {"artifacts": 0})
    refused = await alice.post("namespaces/users/alice/app/transfer", {"to": "orgs/acme/app"})
    assert (refused.status, refused.codes) == (403, ["DENIED"])
    assert (await alice.pull("users/alice/app")).status == 200
    await site.admin.done("DELETE", "namespaces/orgs/acme/quota")
    await alice.done("POST", "namespaces/users/alice/app/transfer", {"to": "orgs/acme/app"})
    assert (await alice.done("GET", "namespaces/users/alice/quota"))["artifacts"]["used"] == 0
    assert (await alice.done("GET", "namespaces/orgs/acme/quota"))["artifacts"]["used"] == 1
