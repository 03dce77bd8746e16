"""The token service, and tokens on the endpoints."""

from __future__ import annotations

import pytest

from tests.core.support import FakeClock
from tests.extensions.identity.support import PASSWORD, Site, claims_of, form, push_image

pytestmark = pytest.mark.anyio

OWN = "repository:users/alice/app:pull,push"


async def test_login_push_pull(site: Site) -> None:
    """What docker does: challenge, token by Basic, push, pull."""
    await site.nobody.sign_up("alice")
    challenge = await site.nobody.get("/v2/")
    assert challenge.status == 401
    assert challenge.headers["www-authenticate"].startswith("Bearer realm=")
    alice = site.user("alice")
    answer = await alice.token(OWN, query="&account=alice&client_id=docker")
    assert answer["token"] == answer["access_token"]
    assert answer["expires_in"] >= 60
    assert "refresh_token" not in answer
    holder = site.bearer(answer["token"])
    assert (await holder.get("/v2/")).status == 200
    assert (await push_image(holder.client, "users/alice/app")).status == 201
    assert (await holder.get("/v2/users/alice/app/manifests/v1")).status == 200
    claims = claims_of(answer["token"])
    assert claims["sub"] == "alice"
    assert "registry.test" in claims["aud"]
    assert claims["access"] == [{"type": "repository", "name": "users/alice/app", "actions": ["pull", "push"]}]


async def test_only_what_the_caller_has_is_granted(site: Site) -> None:
    """A wider request is no error; it gets the intersection."""
    await site.nobody.sign_up("alice")
    await site.nobody.sign_up("bob")
    scopes = [OWN, "repository:users/bob/app:pull,push", "repository:library/base:pull,push", "registry:catalog:*"]
    access = claims_of((await site.user("alice").token(*scopes))["token"])["access"]
    assert access == [
        {"type": "repository", "name": "users/alice/app", "actions": ["pull", "push"]},
        {"type": "repository", "name": "library/base", "actions": ["pull"]},
        {"type": "registry", "name": "catalog", "actions": ["*"]},
    ]
    # The same scopes in one value, as some clients send them, and the same repository twice.
    one = "+".join([*scopes, "repository:users/alice/app:delete"])
    merged = claims_of((await site.user("alice").token(one))["token"])["access"]
    assert merged[0]["actions"] == ["pull", "push", "delete"]
    everything = claims_of((await site.user("alice").token("repository:users/alice/app:*"))["token"])["access"]
    assert everything[0]["actions"] == ["pull", "push", "delete", "*"]


@pytest.mark.parametrize(
    "scope",
    [
        "", "x", "repository", "repository:", "repository::pull", "repository:users/alice/app", "::",
        "registry:catalog:", "registry:everything:*", "repository:../../etc:pull", "repository:UPPER:pull",
        "repository:users/alice/app:",
        "repository:users/alice/app:admin", "repository:users%2Falice:pull%00", "repository(plugin):users/bob/x:push",
        "repository:users/alice/../bob/x:pull", "repository:users/bob:pull",
    ],
)  # fmt: skip
async def test_a_scope_that_means_nothing_grants_nothing(site: Site, scope: str) -> None:
    await site.nobody.sign_up("alice")
    assert claims_of((await site.user("alice").token(scope))["token"])["access"] == []


async def test_a_token_is_good_for_its_scopes_alone(site: Site) -> None:
    """Not for other actions, other repositories, those below its own, or the account itself."""
    await site.nobody.sign_up("alice")
    alice = site.user("alice")
    assert (await push_image(alice.client, "users/alice/app")).status == 201
    assert (await push_image(alice.client, "users/alice/app/below")).status == 201
    pull = site.bearer((await alice.token("repository:users/alice/app:pull"))["token"])
    assert (await pull.get("/v2/users/alice/app/manifests/v1")).status == 200
    assert (await pull.get("/v2/users/alice/app/below/manifests/v1")).status == 401
    assert (await pull.client.push_blob("users/alice/app", b"x")).status == 401
    assert (await pull.delete("/v2/users/alice/app/manifests/v1")).status == 401
    assert (await pull.get("/v2/_catalog")).status == 401
    assert (await pull.get("me")).status == 401
    assert (await pull.post("keys", {"name": "x", "scopes": ["admin"]})).status == 401
    wider = await pull.get("/token?scope=repository:users/alice/app:pull,push")
    assert wider.status == 401


async def test_an_anonymous_token_reads_what_is_public(site: Site) -> None:
    await push_image(site.admin.client, "library/base")
    answer = await site.nobody.token("repository:library/base:pull,push", "repository:users/alice/app:pull")
    claims = claims_of(answer["token"])
    assert (claims["sub"], claims["access"]) == (
        "",
        [{"type": "repository", "name": "library/base", "actions": ["pull"]}],
    )
    holder = site.bearer(answer["token"])
    assert (await holder.get("/v2/library/base/manifests/v1")).status == 200
    assert (await holder.client.push_blob("library/base", b"x")).status == 401


async def test_a_token_ends(site: Site, clock: FakeClock) -> None:
    await site.nobody.sign_up("alice")
    answer = await site.user("alice").token(OWN)
    holder = site.bearer(answer["token"])
    assert (await holder.get("/v2/")).status == 200
    clock.advance(answer["expires_in"] - 1)
    assert (await holder.get("/v2/")).status == 200
    clock.advance(1)
    assert (await holder.get("/v2/")).status == 401


async def test_an_upload_outlives_its_token(site: Site, clock: FakeClock) -> None:
    """Who may, is decided when a request begins; a body that takes longer than the token lives goes on."""
    await site.nobody.sign_up("alice")
    answer = await site.user("alice").token(OWN)
    holder = site.bearer(answer["token"])
    location = await holder.client.start_upload("users/alice/app")
    call = holder.client.begin("PATCH", location, {"Content-Type": "application/octet-stream"})
    call.feed(b"the first half, ")
    await call.taken()
    clock.advance(answer["expires_in"] + 60)
    call.feed(b"the second half", more=False)
    assert (await call.answer()).status == 202
    assert (await holder.get("/v2/")).status == 401


# --- POST and refresh tokens ------------------------------------------------------------------------------------


async def test_by_form(site: Site) -> None:
    await site.nobody.sign_up("alice")
    fields = {"grant_type": "password", "username": "alice", "password": PASSWORD, "service": "s", "scope": OWN}
    answer = (await form(site.nobody, fields)).json()
    assert answer["scope"] == OWN
    assert answer["token_type"] == "Bearer"
    assert "refresh_token" not in answer
    assert (await site.bearer(answer["access_token"]).client.push_blob("users/alice/app", b"x")).status == 201
    key = await site.user("alice").key("read")
    read = (await form(site.nobody, {**fields, "password": key["key"]})).json()
    assert read["scope"] == "repository:users/alice/app:pull"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"grant_type": "password", "username": "alice", "password": "wrong password"}, 401),
        ({"grant_type": "password", "username": "nobody", "password": PASSWORD}, 401),
        ({"grant_type": "password"}, 401),
        ({"grant_type": "refresh_token", "refresh_token": "gatir_no"}, 401),
        ({"grant_type": "refresh_token"}, 401),
        ({"grant_type": "client_credentials"}, 400),
        ({}, 400),
    ],
)
async def test_a_wrong_form_gets_nothing(site: Site, fields: dict[str, str], status: int) -> None:
    await site.nobody.sign_up("alice")
    answer = await form(site.nobody, fields)
    assert answer.status == status
    assert b'token":' not in answer.body


async def test_a_refresh_token_gets_tokens(site: Site, clock: FakeClock) -> None:
    await site.nobody.sign_up("alice")
    alice = site.user("alice")
    refresh = (await alice.token(OWN, query="&offline_token=true&client_id=docker"))["refresh_token"]
    fields = {"grant_type": "refresh_token", "refresh_token": refresh, "service": "registry.test", "scope": OWN}
    clock.advance(80 * 86400)
    answer = (await form(site.nobody, fields)).json()
    assert answer["refresh_token"] == refresh
    holder = site.bearer(answer["access_token"])
    assert (await holder.client.push_blob("users/alice/app", b"x")).status == 201
    logins = (await alice.get("logins")).json()["items"]
    assert [login["client"] for login in logins] == ["docker"]
    assert (await alice.delete(f"logins/{logins[0]['id']}")).status == 204
    assert (await form(site.nobody, fields)).status == 401
    assert (await holder.get("/v2/")).status == 401  # what was got with it ends as well


async def test_an_idle_refresh_token_ends(site: Site, clock: FakeClock) -> None:
    await site.nobody.sign_up("alice")
    refresh = (await site.user("alice").token(query="&offline_token=true"))["refresh_token"]
    clock.advance(91 * 86400)
    assert (await form(site.nobody, {"grant_type": "refresh_token", "refresh_token": refresh})).status == 401


async def test_a_key_bounds_its_refresh_token(site: Site) -> None:
    """And ends it."""
    await site.nobody.sign_up("alice")
    key = await site.user("alice").key("read")
    holder = site.bearer(key["key"])
    refresh = (await holder.token(query="&offline_token=true"))["refresh_token"]
    fields = {"grant_type": "refresh_token", "refresh_token": refresh, "scope": OWN}
    assert (await form(site.nobody, fields)).json()["scope"] == "repository:users/alice/app:pull"
    assert (await site.user("alice").delete(f"keys/{key['id']}")).status == 204
    assert (await form(site.nobody, fields)).status == 401
