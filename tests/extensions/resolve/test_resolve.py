"""Resolution by HTTP: what is asked for, what comes back, and what the caller may not see."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.extensions.access.support import User, World
from tests.extensions.kinds.support import BASE, push

pytestmark = pytest.mark.anyio


async def publish(user: User, name: str, version: str, **needs: Any) -> str:
    """A library with dependencies; its digest."""
    config = {**BASE, "name": name.rpartition("/")[2], "version": version, **needs}
    answer = await push(user, name, version, "library", config)
    assert answer.status == 201, answer
    return answer.headers["docker-content-digest"]


async def resolve(user: User, requests: dict[str, str], **more: Any) -> Any:
    """The answer to a request."""
    return await user.done("POST", "resolve", {"requests": requests, **more})


async def test_the_whole_graph_and_its_lock_in_one_request(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "orgs/acme/log", "1.0.0")
    digest = await publish(alice, "orgs/acme/log", "1.4.0")
    await publish(alice, "orgs/acme/log", "2.0.0")
    await publish(alice, "orgs/acme/app", "0.3.0", dependencies={"@acme/log": "^1.0.0"},
                  devDependencies={"@acme/absent": "*"})  # fmt: skip
    found = await resolve(alice, {"@acme/app": "^0.3.0"})
    assert found["conflicts"] == found["warnings"] == []
    packages = {package["name"]: package for package in found["packages"]}
    assert packages["orgs/acme/app"]["dependencies"] == {"orgs/acme/log": "1.4.0"}
    assert packages["orgs/acme/log"]["wanted_by"] == ["orgs/acme/app@0.3.0"]
    locked = found["lock"]["packages"]["orgs/acme/log@1.4.0"]
    assert (locked["digest"], locked["kind"]) == (digest, "library")
    assert base64.b64decode(locked["integrity"].removeprefix("sha256-")).hex() == digest.removeprefix("sha256:")
    # A newer one comes; who holds a lock keeps what it has.
    await publish(alice, "orgs/acme/log", "1.5.0")
    again = await resolve(alice, {"@acme/app": "^0.3.0"}, lock=found["lock"], strategy="locked-first")
    assert again["lock"] == found["lock"]
    assert "orgs/acme/log@1.5.0" in (await resolve(alice, {"@acme/app": "^0.3.0"}))["lock"]["packages"]


async def test_names_mean_what_the_table_says(site: World) -> None:
    alice, admin = site.user("alice"), site.admin
    await publish(alice, "users/alice/tool", "1.0.0")
    await publish(admin, "library/tool", "2.0.0")
    await publish(alice, "orgs/acme/tool", "3.0.0")
    for name, version in (("tool", "1.0.0"), ("library/tool", "2.0.0"), ("@acme/tool", "3.0.0"), ("acme/tool", "3.0.0"),
                          ("org.acme.tool", "3.0.0"), ("user.alice.tool", "1.0.0"), ("lib.tool", "2.0.0")):  # fmt: skip
        found = await resolve(alice, {name: "*"})
        assert [package["version"] for package in found["packages"]] == [version], name
    assert (await resolve(site.user("bob"), {"tool": "*"}))["packages"][0]["version"] == "2.0.0"


async def test_what_one_may_not_pull_is_not_there(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    await publish(alice, "orgs/acme/secret", "1.0.0")
    await publish(carol, "users/carol/app", "1.0.0", dependencies={"orgs/acme/secret": "*"})
    absent = await resolve(carol, {"orgs/acme/nothing": "*"})
    hidden = await resolve(carol, {"orgs/acme/secret": "*"})
    assert str(absent["conflicts"]).replace("nothing", "secret") == str(hidden["conflicts"])
    assert (await resolve(carol, {"users/carol/app": "*"}))["conflicts"]
    assert (await resolve(alice, {"users/carol/app": "*"}))["packages"]
    # Nor does it show who uses something.
    await publish(alice, "orgs/acme/user", "1.0.0", dependencies={"users/carol/app": "*"})
    path = "/v2/users/carol/app/_ext/resolve/dependents"
    assert [one["repository"] for one in (await alice.done("GET", path))["items"]] == ["orgs/acme/user"]
    assert (await carol.done("GET", path))["items"] == []
    assert (await carol.call("GET", "/v2/orgs/acme/secret/_ext/resolve/dependents")).status == 404


async def test_drafts_and_unpublished_versions_are_not_taken(site: World) -> None:
    alice, bob = site.user("alice"), site.user("bob")
    await alice.done("PUT", "namespaces/orgs/acme/members/user/bob", {"role": "maintainer"})
    await publish(alice, "orgs/acme/log", "1.0.0")
    await publish(bob, "orgs/acme/log", "1.1.0")
    await publish(alice, "orgs/acme/log", "1.2.0")
    await alice.done("POST", "/v2/orgs/acme/log/_ext/kinds/versions/1.2.0/unpublish", {})
    assert (await resolve(alice, {"orgs/acme/log": "*"}))["packages"][0]["version"] == "1.0.0"


async def test_conditions_features_and_the_manual_strategy(site: World) -> None:
    alice = site.user("alice")
    for name in ("posix", "gpu", "plain"):
        await publish(alice, f"orgs/acme/{name}", "1.0.0")
    await publish(alice, "orgs/acme/plain", "1.1.0")
    await publish(alice, "orgs/acme/app", "1.0.0", dependencies={
        "@acme/posix": {"version": "*", "condition": {"os": "linux"}},
        "@acme/gpu": {"version": "*", "condition": {"feature": "cuda"}},
        "@acme/plain": "*",
    })  # fmt: skip

    async def names(**environment: Any) -> set[str]:
        found = await resolve(alice, {"@acme/app": "*"}, environment=environment)
        return {package["name"].rpartition("/")[2] for package in found["packages"]}

    assert await names() == {"app", "posix", "plain"}
    assert await names(os="windows") == {"app", "plain"}
    assert await names(os="linux", features=["cuda"]) == {"app", "posix", "gpu", "plain"}
    asked = await resolve(alice, {"@acme/plain": "*"}, strategy="manual")
    assert asked["conflicts"][0]["choices"] == ["1.1.0", "1.0.0"]
    assert (await resolve(alice, {"@acme/plain": "1.0.0"}, strategy="manual"))["packages"][0]["version"] == "1.0.0"


async def test_the_most_downloaded_is_what_was_counted(site: World) -> None:
    alice, bob = site.user("alice"), site.user("bob")
    await alice.done("PUT", "namespaces/orgs/acme", {"visibility": "public"})
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        await publish(alice, "orgs/acme/log", version)
    for user, version in ((alice, "1.0.0"), (bob, "1.0.0"), (alice, "2.0.0")):
        assert (await user.pull("orgs/acme/log", version)).status == 200
    await site.registry.observers.flush()
    for wanted, version in (("*", "1.0.0"), (">1.0.0", "2.0.0"), ("~1.1.0", "1.1.0")):
        found = await resolve(alice, {"orgs/acme/log": wanted}, strategy="most-downloaded")
        assert [package["version"] for package in found["packages"]] == [version], wanted


async def test_scopes_other_registries_and_lists_of_conditions(site: World) -> None:
    alice = site.user("alice")
    for name in ("prod", "unix", "here", "both"):
        await publish(alice, f"orgs/acme/{name}", "1.0.0")
    await publish(alice, "orgs/acme/app", "1.0.0", dependencies={
        "@acme/prod": {"version": "*", "scope": "production"},
        "@acme/unix": {"version": "*", "condition": {"os": ["linux", "darwin"], "env": {"CI": "1"}}},
        "@acme/both": {"version": "*", "condition": {"feature": ["a", "b"]}},
        "@acme/here": {"version": "*", "registry": "http://registry.test"},
        "@other/thing": {"version": "^2", "registry": "https://elsewhere.example/v2", "reason": "It is theirs."},
    })  # fmt: skip

    async def found(**environment: Any) -> tuple[set[str], list[str]]:
        answer = await resolve(alice, {"@acme/app": "*"}, environment=environment)
        return {package["name"].rpartition("/")[2] for package in answer["packages"]} - {"app"}, answer["warnings"]

    names, warnings = await found()
    assert names == {"prod", "unix", "here"}
    assert warnings == [
        "left out: orgs/other/thing (^2), which orgs/acme/app@1.0.0 wants of https://elsewhere.example/v2"
    ]
    assert (await found(scope="development"))[0] == {"unix", "here"}
    assert (await found(os="darwin", env="CI=1"))[0] == {"prod", "unix", "here"}
    assert (await found(os="windows"))[0] == {"prod", "here"}
    assert (await found(features=["a"]))[0] == {"prod", "unix", "here"}
    assert (await found(features=["a", "b"]))[0] == {"prod", "unix", "here", "both"}


async def test_constraints_as_objects(site: World) -> None:
    alice = site.user("alice")
    for one in ("1.0.0", "1.1.0", "1.2.0", "2.0.0"):
        await publish(alice, "orgs/acme/log", one)
    cases: list[tuple[dict[str, str], str]] = [
        ({"eq": "1.1.0"}, "1.1.0"),
        ({"gt": "1.0.0", "lt": "2.0.0"}, "1.2.0"),
        ({"gte": "1.1.0", "lte": "1.1.9"}, "1.1.0"),
        ({"range": ">=1.0.0 <1.2.0"}, "1.1.0"),
        ({"caret": "1.0.0"}, "1.2.0"),
        ({"tilde": "1.1.0"}, "1.1.0"),
        ({"wildcard": "1.0.x"}, "1.0.0"),
    ]
    for number, (constraint, version) in enumerate(cases):
        name = f"orgs/acme/app{number}"
        await publish(alice, name, "1.0.0", dependencies={"@acme/log": {"version": constraint}})
        found = await resolve(alice, {name: "*"})
        assert {one["name"]: one["version"] for one in found["packages"]}["orgs/acme/log"] == version, constraint


async def test_what_clashes_within_a_namespace_is_told_on_demand(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    for version in ("1.0.0", "2.0.0"):
        await publish(alice, "orgs/acme/log", version)
    await publish(alice, "orgs/acme/old", "1.0.0", dependencies={"@acme/log": "^1"})
    await publish(alice, "orgs/acme/new", "1.0.0", dependencies={"@acme/log": "^2"})
    await publish(alice, "orgs/acme/broken", "1.0.0", dependencies={"@acme/absent": "*"})
    await alice.push("orgs/acme/image")
    found = await alice.done("GET", "resolve/conflicts/orgs/acme")
    assert [(one["name"], one["version"]) for one in found["items"]] == [("orgs/acme/broken", "1.0.0")]
    assert "no artifact orgs/acme/absent" in found["items"][0]["lines"][0]
    assert "orgs/acme/old" in "".join(found["together"][0])
    assert (found["looked_at"], found["next"]) == (4, None)
    first = await alice.done("GET", "resolve/conflicts/orgs/acme?limit=1")
    assert (first["looked_at"], first["next"]) == (1, "orgs/acme/broken")
    # To who may pull none of it there is nothing there.
    hidden = await carol.done("GET", "resolve/conflicts/orgs/acme")
    assert (hidden["items"], hidden["together"], hidden["looked_at"]) == ([], [], 0)
    assert (await site.nobody.get("resolve/conflicts/orgs/acme")).status == 401


async def test_graphs_are_drawn(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "orgs/acme/log", "1.0.0")
    await publish(alice, "orgs/acme/app", "1.0.0", dependencies={"@acme/log": "*"})
    path = "/v2/orgs/acme/app/_ext/resolve/graph"
    found = await alice.done("GET", path)
    assert found["edges"] == [["orgs/acme/app@1.0.0", "orgs/acme/log@1.0.0"]]
    dot = await alice.call("GET", f"{path}?format=dot")
    assert b'"orgs/acme/app@1.0.0" -> "orgs/acme/log@1.0.0";' in dot.body
    mermaid = await alice.call("GET", f"{path}?format=mermaid")
    assert b"n0 --> n1" in mermaid.body
    assert (await alice.call("GET", f"{path}?version=^9")).status == 409
    assert (await alice.call("GET", f"{path}?version=^^")).status == 400


def osv(name: str, *events: dict[str, str], severity: str = "HIGH") -> dict[str, Any]:
    """A record."""
    return {"id": name, "summary": "Bad.", "affected": [{"ranges": [{"type": "SEMVER", "events": list(events)}]}],
            "database_specific": {"severity": severity}}  # fmt: skip


async def test_advisories_warn_or_refuse(site: World) -> None:
    alice = site.user("alice")
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        await publish(alice, "orgs/acme/log", version)
    path = "/v2/orgs/acme/log/_ext/resolve/advisories"
    await alice.done("PUT", f"{path}/GATI-1", osv("GATI-1", {"introduced": "1.1.0"}))
    warned = await resolve(alice, {"orgs/acme/log": "*"})
    assert "orgs/acme/log@1.2.0 is affected by GATI-1 (high): Bad." in warned["warnings"]
    assert (await resolve(alice, {"orgs/acme/log": "*"}, advisories="refuse"))["packages"][0]["version"] == "1.0.0"
    refused = await resolve(alice, {"orgs/acme/log": "^1.1.0"}, advisories="refuse")
    assert "advisory GATI-1" in refused["conflicts"][0]["lines"][-1]
    await alice.done("PUT", f"{path}/GATI-1", osv("GATI-1", {"introduced": "1.1.0"}, {"fixed": "1.2.0"}))
    assert (await resolve(alice, {"orgs/acme/log": "*"}))["warnings"] == []
    await alice.done("DELETE", f"{path}/GATI-1")
    assert (await alice.done("GET", path))["items"] == []
    assert (await alice.done("GET", f"{path}?state=withdrawn"))["items"][0]["record"]["withdrawn"]


async def test_others_submit_and_maintainers_decide(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    await alice.done("PUT", "namespaces/orgs/acme", {"visibility": "public"})
    await publish(alice, "orgs/acme/log", "1.0.0")
    path = "/v2/orgs/acme/log/_ext/resolve/advisories"
    record = osv("GATI-2", {"introduced": "0"})
    assert (await site.nobody.call("POST", path, record)).status == 401
    assert (await carol.call("POST", path, record)).status == 202
    assert (await carol.call("POST", path, record)).status == 409
    assert (await carol.call("GET", f"{path}/GATI-2")).status == 404
    assert (await carol.call("GET", f"{path}?state=submitted")).status == 403
    assert (await carol.call("PUT", f"{path}/GATI-2", record)).status == 403
    assert (await carol.call("POST", f"{path}/GATI-2/decision", {"accept": True})).status == 403
    assert (await resolve(carol, {"orgs/acme/log": "*"}))["warnings"] == []
    assert (await alice.done("GET", f"{path}?state=submitted"))["items"][0]["author"] == "carol"
    await alice.done("POST", f"{path}/GATI-2/decision", {"accept": True})
    assert "GATI-2" in (await resolve(carol, {"orgs/acme/log": "*"}))["warnings"][0]


async def test_bad_input_is_told_so(site: World) -> None:
    alice = site.user("alice")
    for body in (
        {"requests": {"a": "^^1"}},
        {"requests": {"a": ">=0 || " * 10_000}},
        {"requests": {"": "*"}},
        {"requests": {f"a{number}": "*" for number in range(1001)}},
        {"requests": {}, "strategy": "luck"},
        {"requests": {}, "lock": {"version": 2}},
    ):
        answer = await alice.call("POST", "resolve", body)
        assert answer.status == 400, body
    # A stored artifact may want nonsense; that is told, and is nobody else's trouble.
    await publish(alice, "orgs/acme/odd", "1.0.0", dependencies={"@acme/log": "no range at all"})
    assert "no range at all" in str((await resolve(alice, {"orgs/acme/odd": "*"}))["conflicts"])


async def test_a_large_graph(site: World) -> None:
    """A chain of forty artifacts with three versions each."""
    alice = site.user("alice")
    for number in range(40):
        for version in ("1.0.0", "1.1.0", "2.0.0"):
            needs = {f"@acme/n{number + 1}": "^1.0.0"} if number < 39 else {}
            await publish(alice, f"orgs/acme/n{number}", version, dependencies=needs)
    found = await resolve(alice, {"orgs/acme/n0": "^1"})
    assert len(found["packages"]) == 40
    assert {package["version"] for package in found["packages"]} == {"1.1.0"}
