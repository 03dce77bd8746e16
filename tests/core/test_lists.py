"""Tags, the catalog and referrers, page by page."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gati_registry.bootstrap import Registry
from gati_registry.domain.access import EVERYTHING, Access, Decision, Identity, Visible
from gati_registry.domain.referrers import MAX_BODY, fitting, index
from gati_registry.ports import Request
from tests.core.support import IMAGE, INDEX, Answer, Client, FakeClock, assemble, sha256
from tests.core.support import index as index_manifest

pytestmark = pytest.mark.anyio

TAGS = ["0", "B", "_", "a", "a-b", "a.b", "a_b", "ab", "b"]
SUBJECT = sha256(b"subject")


def following(answer: Answer) -> str | None:
    """The next page's target."""
    link = answer.headers.get("link")
    if link is None:
        return None
    found = re.fullmatch(r'<(/v2/[^>]+)>; rel="next"', link)
    assert found is not None, link
    return found[1]


async def walk(client: Client, target: str, field: str) -> list[list[str]]:
    """All pages of a list, following the links."""
    pages, following_target = list[list[str]](), target
    while True:
        answer = await client.get(following_target)
        assert answer.status == 200, answer
        pages.append(answer.json()[field])
        link = following(answer)
        if link is None:
            return pages
        following_target = link


# --- tags -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def tagged(client: Client) -> Client:
    """A repository with tags."""
    for tag in TAGS:
        assert (await client.push_manifest("some/name", tag, index_manifest(), INDEX)).status == 201
    return client


async def test_tags_come_in_bytewise_order(tagged: Client) -> None:
    answer = await tagged.get("/v2/some/name/tags/list")
    assert answer.json() == {"name": "some/name", "tags": TAGS}
    assert sorted(TAGS, key=str.encode) == TAGS
    assert "link" not in answer.headers


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 10, 5000])
async def test_pages_of_tags_hold_n_each_and_miss_none(tagged: Client, n: int) -> None:
    pages = await walk(tagged, f"/v2/some/name/tags/list?n={n}", "tags")
    assert [tag for page in pages for tag in page] == TAGS
    assert [len(page) for page in pages[:-1]] == [n] * (len(pages) - 1)
    assert 0 < len(pages[-1]) <= n


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("n=0", []),
        ("n=0&last=a", []),
        ("last=a", TAGS[4:]),
        ("last=a%2Dc", TAGS[5:]),
        ("last=zz", []),
        ("n=2&last=a.b", TAGS[6:8]),
        ("last=", TAGS),
        ("ns=docker.io&x", TAGS),
        ("n=", TAGS),
    ],
)
async def test_a_page_begins_after_last(tagged: Client, query: str, expected: list[str]) -> None:
    assert (await tagged.get(f"/v2/some/name/tags/list?{query}")).json()["tags"] == expected


@pytest.mark.parametrize("query", ["n=x", "n=-1", "n=1.5", "n=%D9%A3", "last=%FF"])
async def test_a_page_that_cannot_be_meant_is_refused(tagged: Client, query: str) -> None:
    answer = await tagged.get(f"/v2/some/name/tags/list?{query}")
    assert (answer.status, answer.codes) == (400, ["UNSUPPORTED"])


async def test_tags_of_an_unknown_repository_are_not_found_and_of_one_without_none(client: Client) -> None:
    assert (await client.get("/v2/a/tags/list")).codes == ["NAME_UNKNOWN"]
    assert (await client.push_blob("a", b"x")).status == 201
    assert (await client.get("/v2/a/tags/list")).json() == {"name": "a", "tags": []}


async def test_a_page_is_never_longer_than_the_registry_s_limit(site: Registry, clock: FakeClock) -> None:
    client = Client(assemble(site.metadata, site.blobs, clock, page=3))
    for tag in TAGS:
        assert (await client.push_manifest("a", tag, index_manifest(), INDEX)).status == 201
    pages = await walk(client, "/v2/a/tags/list?n=1000", "tags")
    assert pages == [TAGS[:3], TAGS[3:6], TAGS[6:]]


# --- the catalog ------------------------------------------------------------------------------------------------


class Hiding:
    """An authorizer that hides some repositories."""

    def __init__(self, shown: set[str]) -> None:
        self.shown = shown

    async def decide(self, identity: Identity, access: Access) -> Decision:
        return Decision.ALLOW if access.repository in {None, *self.shown} else Decision.DENY

    async def visible(self, identity: Identity) -> Visible:
        return EVERYTHING

    def challenge(self, accesses: Sequence[Access], request: Request) -> str:
        return "Basic"


@pytest.mark.parametrize("n", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    "shown", [set(), {"r00"}, {"r19"}, {"r03", "r04", "r05", "r17"}, {f"r{n:02}" for n in range(20)}]
)
async def test_the_catalog_shows_what_the_caller_may_see_and_misses_none(
    site: Registry, client: Client, clock: FakeClock, n: int, shown: set[str]
) -> None:
    for number in range(20):
        assert (await client.push_manifest(f"r{number:02}", "v1", index_manifest(), INDEX)).status == 201
    assert (await client.push_blob("only-blobs", b"x")).status == 201
    caller = Client(assemble(site.metadata, site.blobs, clock, authorizer=Hiding(shown)))
    pages = await walk(caller, f"/v2/_catalog?n={n}", "repositories")
    assert [name for page in pages for name in page] == sorted(shown)
    assert all(0 < len(page) <= n for page in pages) or pages == [[]]
    assert (await caller.get("/v2/_catalog?n=0")).json() == {"repositories": []}
    for hidden in sorted({"r01", "absent"} - shown):
        assert (await caller.get(f"/v2/{hidden}/tags/list")).status == 403


# --- referrers --------------------------------------------------------------------------------------------------


async def refer(client: Client, number: int, artifact_type: str = "a/b", text: str = "", subject: str = SUBJECT) -> str:
    """Push a referrer; its digest."""
    target = {"mediaType": IMAGE, "digest": subject, "size": 7}
    data = index_manifest(subject=target, artifactType=artifact_type, annotations={"n": f"{number}", "text": text})
    answer = await client.push_manifest("some/name", sha256(data), data, INDEX)
    assert (answer.status, answer.headers["oci-subject"]) == (201, subject)
    return sha256(data)


async def referrers(client: Client, query: str = "", subject: str = SUBJECT) -> list[list[str]]:
    """All pages of a list of referrers, as digests."""
    pages, target = list[list[str]](), f"/v2/some/name/referrers/{subject}{query}"
    while True:
        answer = await client.get(target)
        assert (answer.status, answer.headers["content-type"]) == (200, INDEX)
        assert len(answer.body) <= MAX_BODY
        document = answer.json()
        assert (document["schemaVersion"], document["mediaType"]) == (2, INDEX)
        assert ("oci-filters-applied" in answer.headers) == ("artifactType" in query)
        pages.append([entry["digest"] for entry in document["manifests"]])
        link = following(answer)
        if link is None:
            return pages
        target = link


async def test_nothing_refers_to_what_nobody_knows(client: Client) -> None:
    assert await referrers(client) == [[]]
    assert await referrers(client, "?artifactType=a/b") == [[]]
    for digest in ("sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "latest"):
        answer = await client.get(f"/v2/some/name/referrers/{digest}")
        assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


async def test_pages_of_referrers_miss_none_and_keep_the_filter(site: Registry, clock: FakeClock) -> None:
    client = Client(assemble(site.metadata, site.blobs, clock, page=3))
    kinds = ["a/b", "application/vnd.x+json"]
    pushed = {await refer(client, number, kinds[number % 2]): kinds[number % 2] for number in range(10)}
    await refer(client, 99, subject=sha256(b"other"))
    pages = await referrers(client)
    assert [digest for page in pages for digest in page] == sorted(pushed)
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    for kind in kinds:
        expected = sorted(digest for digest, found in pushed.items() if found == kind)
        pages = await referrers(client, "?artifactType=" + kind.replace("+", "%2B"))
        assert [digest for page in pages for digest in page] == expected
    assert await referrers(client, "?artifactType=c/d") == [[]]


async def test_a_page_of_referrers_fits_what_every_client_reads(client: Client) -> None:
    pushed = sorted([await refer(client, number, text="x" * 1_000_000) for number in range(9)])
    pages = await referrers(client)
    assert [digest for page in pages for digest in page] == pushed
    assert [len(page) for page in pages] == [4, 4, 1]


async def test_a_referrer_is_listed_before_its_subject_comes_and_until_it_goes(client: Client) -> None:
    subject = index_manifest(annotations={"late": "yes"})
    digest = await refer(client, 1, subject=sha256(subject))
    assert await referrers(client, subject=sha256(subject)) == [[digest]]
    assert (await client.push_manifest("some/name", "v1", subject, INDEX)).status == 201
    assert (await client.request("DELETE", f"/v2/some/name/manifests/{sha256(subject)}")).status == 202
    assert await referrers(client, subject=sha256(subject)) == [[digest]]
    assert (await client.request("DELETE", f"/v2/some/name/manifests/{digest}")).status == 202
    assert await referrers(client, subject=sha256(subject)) == [[]]


@settings(deadline=None)  # megabytes of text, on whatever machine
@given(st.lists(st.integers(0, MAX_BODY // 2), max_size=8), st.sampled_from(["x", "é", "\U0001f600"]))
def test_as_many_descriptors_as_fit_and_one_at_least(lengths: list[int], letter: str) -> None:
    texts = [json.dumps(letter * (length // len(letter.encode())), ensure_ascii=False) for length in lengths]
    count = fitting(texts)
    assert count <= len(texts)
    assert count >= min(1, len(texts))
    assert count <= 1 or len(index(texts[:count])) <= MAX_BODY
    if count < len(texts):
        assert len(index(texts[: count + 1])) > MAX_BODY - 1
