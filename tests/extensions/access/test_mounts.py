"""A mount across namespaces needs a token for both: who could have it is asked to get it, others upload."""

from __future__ import annotations

import pytest

from tests.core.support import Answer, sha256
from tests.extensions.access.support import LAYER, User, World, basic

pytestmark = pytest.mark.anyio

SOURCE, TARGET = "orgs/acme/app", "users/bob/app"
SCOPE = f"repository:{TARGET}:pull,push"


@pytest.fixture
async def bob(site: World) -> User:
    """May read the source and owns the target."""
    assert (await site.user("alice").push(SOURCE)).status == 201
    return site.user("bob")


async def mount(user: User, source: str | None = SOURCE, digest: str = sha256(LAYER)) -> Answer:
    """Ask for a mount."""
    where = f"&from={source}" if source is not None else ""
    return await user.client.request("POST", f"/v2/{TARGET}/blobs/uploads/?mount={digest}{where}")


async def test_a_token_for_both_mounts(site: World, bob: User) -> None:
    assert (await mount(await site.token(bob, SCOPE, f"repository:{SOURCE}:pull"))).status == 201


async def test_a_token_for_the_target_alone_is_asked_for_both(site: World, bob: User) -> None:
    answer = await mount(await site.token(bob, SCOPE))
    assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="http://registry.test/token",service="registry.test",'
        f'scope="{SCOPE} repository:{SOURCE}:pull",error="insufficient_scope"'
    )


async def test_who_could_not_have_it_uploads(site: World, bob: User) -> None:
    await bob.done("PUT", "namespaces/users/bob/members/user/carol", {"role": "publisher"})
    carol = await site.token(site.user("carol"), SCOPE)
    assert (await mount(carol)).status == 202
    assert (await mount(carol, "orgs/acme/none")).status == 202
    # A key that is bound to the target gets no further either, nor does a token that was got with it.
    key = await bob.done("POST", "identity/keys", {"name": "k", "scopes": ["publish"], "path": "users/bob"})
    secret = next(value for value in key.values() if isinstance(value, str) and value.startswith("gati_"))
    assert (await mount(site.bearer(secret))).status == 202
    assert (await mount(await site.token(site.with_headers(basic("bob", secret)), SCOPE))).status == 202


async def test_without_a_source_the_token_counts(site: World, bob: User) -> None:
    """Who got hold of a narrow token, and knows a digest, gets nothing out of its owner's other repositories."""
    narrow, wide = await site.token(bob, SCOPE), await site.token(bob, SCOPE, f"repository:{SOURCE}:pull")
    assert (await mount(narrow, None)).status == 202
    assert (await bob.get(f"/v2/{TARGET}/blobs/{sha256(LAYER)}")).status == 404
    assert (await mount(wide, None, sha256(b"nowhere"))).status == 202
    assert (await mount(wide, None)).status == 201
    assert (await mount(bob, None)).status == 201


async def test_the_catalog_by_token(site: World, bob: User) -> None:
    token = await site.token(bob, "registry:catalog:*")
    assert (await token.get("/v2/_catalog")).json()["repositories"] == [SOURCE]
