"""What maintainers and contributors push is a draft, for members, until a publisher publishes it."""

from __future__ import annotations

import pytest

from tests.core.support import IMAGE, INDEX, descriptor, image, index, sha256
from tests.extensions.access.support import CONFIG, LAYER, World

pytestmark = pytest.mark.anyio

REPOSITORY = "users/alice/app"


@pytest.fixture(params=["contributor", "maintainer"])
async def drafting(site: World, request: pytest.FixtureRequest) -> World:
    """Carol may push drafts to alice's namespace."""
    await site.user("alice").done("PUT", "namespaces/users/alice/members/user/carol", {"role": request.param})
    return site


async def test_members_see_it_others_do_not(drafting: World) -> None:
    alice, bob, carol = (drafting.user(name) for name in ("alice", "bob", "carol"))
    assert (await alice.push(REPOSITORY, "v1", b"one")).status == 201
    pushed = await carol.push(REPOSITORY, "v2", b"two")
    assert pushed.status == 201
    digest = pushed.headers["docker-content-digest"]
    for reference in ("v2", digest):
        assert (await alice.pull(REPOSITORY, reference)).status == 200
        assert (await carol.pull(REPOSITORY, reference)).status == 200
        for stranger in (bob, drafting.nobody):
            hidden = await stranger.pull(REPOSITORY, reference)
            absent = await stranger.pull(REPOSITORY, "v9" if reference == "v2" else digest[:-1] + "0")
            assert (hidden.status, hidden.codes, absent.codes) == (404, ["MANIFEST_UNKNOWN"], ["MANIFEST_UNKNOWN"])
    assert (await drafting.nobody.pull(REPOSITORY, "v1")).status == 200
    listed = await carol.done("GET", f"/v2/{REPOSITORY}/_ext/namespaces/drafts")
    assert [(item["digest"], item["author"]) for item in listed["items"]] == [(digest, "carol")]
    publish = f"/v2/{REPOSITORY}/_ext/namespaces/drafts/{digest}/publish"
    assert (await carol.post(publish)).status == 403
    assert (await alice.done("POST", publish))["digests"] == [digest]
    assert (await drafting.nobody.pull(REPOSITORY, "v2")).status == 200
    assert (await alice.post(publish)).status == 404


async def test_it_takes_no_tag_of_what_is_published(drafting: World) -> None:
    alice, carol = drafting.user("alice"), drafting.user("carol")
    published = (await alice.push(REPOSITORY, "latest", b"one")).headers["docker-content-digest"]
    refused = await carol.push(REPOSITORY, "latest", b"two")
    assert (refused.status, refused.codes) == (403, ["DENIED"])
    assert (await carol.push(REPOSITORY, "next", b"two")).status == 201
    assert (await carol.push(REPOSITORY, "next", b"three")).status == 201
    assert (await drafting.nobody.pull(REPOSITORY, "latest")).headers["docker-content-digest"] == published


async def test_an_index_is_published_with_its_manifests(drafting: World) -> None:
    alice, carol = drafting.user("alice"), drafting.user("carol")
    assert (await carol.push(REPOSITORY, "part", b"one")).status == 201
    part = image(CONFIG, b"one")
    pushed = await carol.client.push_manifest(REPOSITORY, "all", index(part), INDEX)
    assert pushed.status == 201
    digest = pushed.headers["docker-content-digest"]
    published = await alice.done("POST", f"/v2/{REPOSITORY}/_ext/namespaces/drafts/{digest}/publish")
    assert len(published["digests"]) == 2
    assert (await drafting.nobody.pull(REPOSITORY, "part")).status == 200


async def test_a_publisher_who_pushes_the_same_publishes_it(drafting: World) -> None:
    assert (await drafting.user("carol").push(REPOSITORY, "v1", LAYER)).status == 201
    assert (await drafting.user("bob").pull(REPOSITORY, "v1")).status == 404
    assert (await drafting.user("alice").push(REPOSITORY, "v1", LAYER)).status == 201
    assert (await drafting.nobody.pull(REPOSITORY, "v1")).status == 200


async def test_roles_of_tags(site: World) -> None:
    """A maintainer moves channels among what is published; a contributor does not."""
    alice, carol = site.user("alice"), site.user("carol")
    assert (await alice.push(REPOSITORY, "v1", LAYER)).status == 201
    for role, expected in (("contributor", 403), ("maintainer", 201)):
        await alice.done("PUT", "namespaces/users/alice/members/user/carol", {"role": role})
        answer = await carol.client.push_manifest(REPOSITORY, "stable", image(CONFIG, LAYER))
        assert answer.status == expected, role


async def test_nothing_tells_others_of_it(drafting: World) -> None:
    """Neither lists nor blobs: to who is no member a repository is what is published in it."""
    alice, carol = drafting.user("alice"), drafting.user("carol")
    published = (await alice.push(REPOSITORY, "v1", b"one")).headers["docker-content-digest"]
    await carol.push(REPOSITORY, "v2", b"two")
    signature = image(CONFIG, LAYER, subject=descriptor(image(CONFIG, b"one"), IMAGE))
    assert (await carol.client.push_blob(REPOSITORY, LAYER)).status == 201
    pushed = await carol.client.push_manifest(REPOSITORY, sha256(signature), signature)
    assert pushed.status == 201
    tags, referrers = f"/v2/{REPOSITORY}/tags/list", f"/v2/{REPOSITORY}/referrers/{published}"
    for member in (alice, carol):
        assert (await member.get(tags)).json()["tags"] == ["v1", "v2"]
        assert [found["digest"] for found in (await member.get(referrers)).json()["manifests"]] == [sha256(signature)]
        for blob in (b"one", b"two", CONFIG, LAYER):
            assert (await member.get(f"/v2/{REPOSITORY}/blobs/{sha256(blob)}")).status == 200
    for stranger in (drafting.user("bob"), drafting.nobody):
        assert (await stranger.get(tags)).json()["tags"] == ["v1"]
        assert (await stranger.get(f"{tags}?n=1&last=v1")).json()["tags"] == []
        assert (await stranger.get(referrers)).json()["manifests"] == []
        for method in ("GET", "HEAD"):
            for blob, status in ((b"one", 200), (CONFIG, 200), (b"two", 404), (LAYER, 404)):
                answer = await stranger.call(method, f"/v2/{REPOSITORY}/blobs/{sha256(blob)}")
                assert answer.status == status, (method, blob)
    hidden = await drafting.nobody.get(f"/v2/{REPOSITORY}/blobs/{sha256(b'two')}")
    absent = await drafting.nobody.get(f"/v2/{REPOSITORY}/blobs/{sha256(b'none')}")
    assert hidden.body.replace(sha256(b"two").encode(), sha256(b"none").encode()) == absent.body
    # Nor by way of a mount, from where it is or from wherever.
    for source in (f"&from={REPOSITORY}", ""):
        target = f"/v2/users/bob/app/blobs/uploads/?mount={sha256(b'two')}{source}"
        assert (await drafting.user("bob").client.request("POST", target)).status == 202
    await alice.done("POST", f"/v2/{REPOSITORY}/_ext/namespaces/drafts/{sha256(signature)}/publish")
    assert len((await drafting.nobody.get(referrers)).json()["manifests"]) == 1
    assert (await drafting.nobody.get(f"/v2/{REPOSITORY}/blobs/{sha256(LAYER)}")).status == 200
    assert (await drafting.nobody.get(tags)).json()["tags"] == ["v1"]


async def test_a_repository_of_drafts_alone_is_not_there(drafting: World) -> None:
    alice, bob, carol, nobody = (
        *(drafting.user(name) for name in ("alice", "bob", "carol")), drafting.nobody,
    )  # fmt: skip
    digest = (await carol.push(REPOSITORY, "v1")).headers["docker-content-digest"]
    for member in (alice, carol):
        assert (await member.get("/v2/_catalog")).json()["repositories"] == [REPOSITORY]
    assert (await bob.get("/v2/_catalog")).json()["repositories"] == []
    paths = ("tags/list", "manifests/v1", f"manifests/{digest}", f"blobs/{sha256(LAYER)}", f"referrers/{digest}")
    for path in paths:
        for stranger, status in ((bob, 404), (nobody, 401)):
            found, absent = [await stranger.get(f"/v2/users/alice/{name}/{path}") for name in ("app", "apx")]
            assert (found.status, absent.status) == (status, status), path
            assert found.body.replace(b"/app", b"/apx") == absent.body
    await alice.done("POST", f"/v2/{REPOSITORY}/_ext/namespaces/drafts/{digest}/publish")
    assert (await bob.get("/v2/_catalog")).json()["repositories"] == [REPOSITORY]
    assert (await nobody.get(f"/v2/{REPOSITORY}/tags/list")).json()["tags"] == ["v1"]
