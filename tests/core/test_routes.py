"""The table of endpoints: every row names its action, every path finds its row, nobody unknown gets past it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gati_registry.bootstrap import Registry, prepare
from gati_registry.domain.access import NOTHING, Access, Action, Decision, Identity, Visible
from gati_registry.errors import RegistryError
from gati_registry.http.routes import Endpoint, Resource, Table
from gati_registry.ports import Request
from gati_registry.values.reference import RepositoryName
from tests.core.support import Client, FakeClock, assemble, configure, registry, scratch, sha256

pytestmark = pytest.mark.anyio

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")
DIGEST = sha256(b"x")
LAST_PARTS = {"<digest>": DIGEST, "<reference>": "latest", "<id>": "0d7fdb55-7a3a-4b5b-95a3-f23aa6ce0aa3"}
CHANGING = {"POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture(scope="module")
def table() -> Table:
    """The table, with handlers that are never called."""

    async def built() -> Table:
        with scratch() as folder:
            async with registry(folder, FakeClock()) as site:
                return site.endpoints

    return asyncio.run(built())


@pytest.fixture
async def guarded(folder: Path, clock: FakeClock) -> AsyncIterator[Client]:
    """A registry where nothing goes without the administrator's password."""
    settings = configure(folder, open=False)
    assert await prepare(settings)
    async with registry(folder, clock, settings) as built:
        yield Client(built.app)


def target(resource: Resource, name: str = "some/name") -> str:
    """A path of the resource."""
    path = resource.pattern.replace("<name>", name)
    for part, value in LAST_PARTS.items():
        path = path.replace(part, value)
    assert "<" not in path, path
    return path


# --- the rows ---------------------------------------------------------------------------------------------------


def test_the_table_holds_every_endpoint_of_the_specification(table: Table) -> None:
    rows = {endpoint.id for resource in table.all() for endpoint in resource.methods.values()}
    numbered = {f"end-{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14)}  # 11 is a form of 4
    assert rows == numbered | {"catalog", "discover", "openapi", "docs"}


def test_every_endpoint_names_an_action_that_fits_its_method(table: Table) -> None:
    for resource in table.all():
        assert resource.methods, resource
        for method, endpoint in resource.methods.items():
            assert isinstance(endpoint, Endpoint)
            assert isinstance(endpoint.action, Action), (resource.pattern, method)
            if method in CHANGING:
                assert endpoint.action in (Action.PUSH, Action.DELETE), (resource.pattern, method)
            if endpoint.action is Action.PING:
                assert "<name>" not in resource.pattern
        assert resource.allow.split(", ") == sorted(resource.methods)


def test_what_can_be_got_can_be_asked_for_by_head(table: Table) -> None:
    for resource in table.all():
        if "GET" in resource.methods and "uploads" not in resource.pattern:
            assert resource.methods["HEAD"].action is resource.methods["GET"].action


# --- who gets past ----------------------------------------------------------------------------------------------


async def test_every_other_method_is_answered_405_with_what_is_allowed(client: Client, table: Table) -> None:
    for resource in table.all():
        for method in METHODS:
            if method not in resource.methods:
                answer = await client.request(method, target(resource))
                assert (answer.status, answer.headers["allow"]) == (405, resource.allow), (method, resource.pattern)
                assert answer.codes == ["UNSUPPORTED"] if method != "HEAD" else answer.body == b""


async def test_a_stranger_is_challenged_on_every_endpoint(guarded: Client, table: Table) -> None:
    for resource in table.all():
        for method, endpoint in resource.methods.items():
            nothing: dict[str, str] = {}
            if endpoint.action is Action.PUBLIC:
                assert (await guarded.request(method, target(resource))).status == 200
                continue
            for wrong in (nothing, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic"}):
                answer = await guarded.request(method, target(resource), headers=wrong)
                assert answer.status == 401, (method, resource.pattern)
                assert answer.headers["www-authenticate"].startswith("Basic realm=")
                assert method == "HEAD" or answer.codes == ["UNAUTHORIZED"]


class Recording:
    """An authorizer that notes what it is asked, and denies."""

    def __init__(self) -> None:
        self.asked: list[Access] = []

    async def decide(self, identity: Identity, access: Access) -> Decision:
        self.asked.append(access)
        return Decision.DENY

    async def visible(self, identity: Identity) -> Visible:
        return NOTHING

    def challenge(self, accesses: Sequence[Access], request: Request) -> str:
        return "Basic"


async def test_the_decision_comes_before_anything_is_looked_up_and_names_the_repository(
    site: Registry, clock: FakeClock, table: Table
) -> None:
    authorizer = Recording()
    client = Client(assemble(site.metadata, site.blobs, clock, authorizer=authorizer))
    for resource in table.all():
        for method, endpoint in resource.methods.items():
            authorizer.asked.clear()
            answer = await client.request(method, target(resource))
            assert answer.status == 403, (method, resource.pattern)
            assert method == "HEAD" or answer.codes == ["DENIED"]
            name = RepositoryName("some/name") if "<name>" in resource.pattern else None
            assert authorizer.asked == [Access(endpoint.action, name)]


# --- paths ------------------------------------------------------------------------------------------------------

words = st.sampled_from(
    ["manifests", "blobs", "uploads", "tags", "list", "referrers", "ext", "discover", "v2", "a", "b"]
)
names = st.lists(words, min_size=1, max_size=5).map("/".join)


@given(names, st.sampled_from(["latest", "list", "uploads", "discover", DIGEST, "manifests"]))
@example("manifests", "manifests")
@example("a/blobs/uploads", "uploads")
def test_a_path_is_split_from_the_right(table: Table, name: str, last: str) -> None:
    assert table.match(f"{name}/manifests/{last}") == (table.manifest, name, last)
    assert table.match(f"{name}/referrers/{last}") == (table.referrers, name, last)
    assert table.match(f"{name}/blobs/uploads/{last}") == (table.upload, name, last)
    assert table.match(f"{name}/blobs/uploads/") == (table.uploads, name, "")
    assert table.match(f"{name}/tags/list") == (table.tags, name, "")
    assert table.match(f"{name}/_oci/ext/discover") == (table.repository_discover, name, "")
    found = table.match(f"{name}/blobs/{last}")
    if last == "uploads":  # where the last slash was left out
        assert found == (table.uploads, name, last)
    else:
        # A repository may be called "…/blobs/uploads": then this is its session, and a digest is no session's name.
        assert found is not None
        assert found[0] in (table.blob, table.upload)
        assert found == (table.blob, name, last)


@given(st.text(st.sampled_from("ab/._-%:~ \\é"), max_size=30), st.sampled_from(["", "manifests/", "blobs/", "tags/"]))
@example("../../etc/passwd", "manifests/")
@example("a/%2e%2e/", "blobs/")
@example("a%2Fb/", "manifests/")
def test_any_path_is_matched_or_refused(table: Table, text: str, kind: str) -> None:
    path = text + kind + "x"
    try:
        found = table.match(path)
    except RegistryError as error:
        assert error.status == 400  # noqa: PT017 - most paths are no error
        assert "%" in path
        return
    if found is not None:
        resource, name, last = found
        assert resource in table.all()
        assert "%" not in name + last
        assert "/" not in last


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/v2", {200}),
        ("/v2/", {200}),
        ("/v2//", {404}),
        ("/v2/_catalog", {200}),
        ("/v2/_catalog/", {404}),
        ("/v2_catalog", {404}),
        ("/v2/_oci/ext/discover", {200}),
        ("/v2/tags/list", {400}),
        ("/v2//tags/list", {400}),
        ("/v2/a//tags/list", {400}),
        ("/v2/a/../b/tags/list", {400}),
        ("/v2/a%2Fb/tags/list", {400}),
        ("/v2/%61/tags/list", {400}),
        ("/v2/A/tags/list", {400}),
        ("/v2/a/tags/list/", {404}),
        ("/v2/a/manifests/", {404}),
        (f"/v2/a/blobs/{DIGEST.replace(':', '%3A')}", {404}),
        (f"/v2/a/blobs/{DIGEST.replace(':', '%3a')}", {404}),
        (f"/v2/a/blobs/{DIGEST.replace(':', '%2F')}", {400}),
        ("/v2/a/blobs/x", {400}),
        ("/v2/a/manifests/-x", {400}),
        ("/v2/" + "a" * 300 + "/tags/list", {400}),
        ("/v2/a/tags/list?" + "x" * 8192, {414}),
    ],
)
async def test_odd_paths_get_their_error(client: Client, path: str, statuses: set[int]) -> None:
    answer = await client.get(path)
    assert answer.status in statuses
    assert answer.status == 200 or len(answer.codes) == 1


async def test_the_longest_name_is_that_which_clients_can_address(client: Client) -> None:
    for host, length, status in (("h" * 20, 234, 404), ("h" * 20, 235, 400), ("h" * 300, 1, 400)):
        answer = await client.get(f"/v2/{'a' * length}/tags/list", Host=host)
        assert answer.status == status, (host, length)
