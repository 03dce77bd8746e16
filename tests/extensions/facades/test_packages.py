"""SpecRegistry's URLs: what is published is an artifact like any other, and is read, found, resolved and verified."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.core.support import FakeClock, sha256
from tests.extensions.access.support import User, World, peopled
from tests.extensions.facades.support import EXTENSIONS, MANIFEST, package, publish, send, small, spec

pytestmark = pytest.mark.anyio

REPOSITORY = "users/alice/payment-protocol"


async def test_a_publication_is_an_artifact_and_keeps_every_byte(site: World) -> None:
    alice, data = site.user("alice"), package()
    found = await publish(alice, data)
    assert (found["package"], found["state"]) == ("alice/payment-protocol@1.2.3", "published")
    assert found["scan_results"] == {"status": "clean", "vulnerabilities": []}
    # Its dependencies are not here: that is said, and no reason to refuse it.
    assert "crypto/algorithms" in found["warnings"][0] or "tlapus/state-machine" in found["warnings"][0]
    manifest = (await alice.pull(REPOSITORY, "1.2.3")).json()
    assert manifest["artifactType"] == "application/vnd.gati.spec.v1"
    config = await alice.client.get(f"/v2/{REPOSITORY}/blobs/{manifest['config']['digest']}")
    assert config.body == MANIFEST.encode()
    assert manifest["config"]["mediaType"] == "application/vnd.gati.spec.config.v1+yaml"
    assert manifest["layers"][0]["digest"] == found["dist"]["tarball_digest"] == sha256(data)
    detail = await alice.done("GET", f"/v2/{REPOSITORY}/_ext/kinds/artifact")
    assert detail["version"]["facts"]["words"]["framework"] == ["tlaplus"]


async def test_a_version_has_all_sections_of_its_manifest(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, package())
    own = "alice/payment-protocol"
    for name in ("payment-protocol", own, own.replace("/", "%2F"), f"@user/{own}", REPOSITORY):
        found = await alice.done("GET", f"/api/v1/packages/{name}/1.2.3")
        for section, value in yaml.safe_load(MANIFEST).items():
            assert found[section] == (value if section != "name" else "alice/payment-protocol"), section
    assert base64.b64decode(found["dist"]["integrity"].removeprefix("sha256-")).hex() == sha256(package())[7:]


async def test_the_tarball_leads_to_the_blob(site: World) -> None:
    alice, data = site.user("alice"), package()
    await publish(alice, data)
    answer = await alice.get("/api/v1/packages/payment-protocol/1.2.3/tarball")
    assert answer.status == 307
    assert (await alice.get(answer.headers["location"])).body == data
    await alice.done("POST", f"/v2/{REPOSITORY}/_ext/kinds/versions/1.2.3/yank", {"reason": "it is wrong"})
    warned = await alice.get("/api/v1/packages/payment-protocol/1.2.3/tarball")
    assert "it is wrong" in warned.headers["warning"]
    # What was pushed without an archive has none to give.
    await site.user("alice").push("users/alice/image")
    assert (await alice.get("/api/v1/packages/alice/image/1.0.0/tarball")).status == 404


async def test_packages_versions_and_channels(site: World) -> None:
    alice = site.user("alice")
    for version in ("1.0.0", "1.1.0", "2.0.0-rc.1", "1.1.0+build.7"):
        await publish(alice, small("acme/model", version, description=f"The {version}."))
    await alice.done("PUT", "/v2/orgs/acme/model/_ext/kinds/channels/stable", {"to": "1.0.0"})
    await alice.done("POST", "/v2/orgs/acme/model/_ext/kinds/versions/1.0.0/deprecate", {"reason": "old"})
    found = await alice.done("GET", "/api/v1/packages/acme/model")
    assert [one["version"] for one in found["versions"]] == ["2.0.0-rc.1", "1.1.0+build.7", "1.1.0", "1.0.0"]
    assert found["versions"][-1]["state"] == "deprecated"
    assert (found["name"], found["repository"], found["framework"]) == ("acme/model", "orgs/acme/model", "alloy")
    assert found["channels"] == {"stable": "1.0.0"}
    assert (await alice.done("GET", "/api/v1/packages/acme/model/stable"))["version"] == "1.0.0"
    assert (await alice.done("GET", "/api/v1/packages/acme/model/1.1.0+build.7"))["version"] == "1.1.0+build.7"
    for path in ("acme/model/9.9.9", "acme/absent", "acme/model/nightly", "acme/absent/1.0.0/tarball"):
        missing = await alice.get(f"/api/v1/packages/{path}")
        assert (missing.status, missing.codes) == (404, ["NOT_FOUND"]), path


async def test_lists_and_search_page_through_what_there_is(site: World) -> None:
    alice = site.user("alice")
    for number in range(7):
        framework = "tlaplus" if number % 2 else "alloy"
        manifest = yaml.safe_load(spec(f"acme/spec-{number}", "1.0.0", description="About clocks.", keywords=["time"]))
        await publish(alice, package(yaml.safe_dump({**manifest, "framework": framework}), "main.als", folder=""))
    await alice.push("orgs/acme/image")  # no package

    async def names(path: str, limit: int) -> list[str]:
        out, cursor = [], ""
        while cursor is not None:
            page = await alice.done("GET", f"{path}limit={limit}&cursor={cursor}")
            assert len(page["items"]) <= limit
            out += [item["name"] for item in page["items"]]
            cursor = page["next"]
        return out

    everything = [f"acme/spec-{number}" for number in range(7)]
    for limit in (1, 2, 3, 7, 50):
        assert await names("/api/v1/packages?", limit) == everything
        assert await names("/api/v1/packages?framework=TLAplus&", limit) == everything[1::2]
        assert await names("/api/v1/search?q=clocks+TIME&", limit) == everything
        assert await names("/api/v1/search?q=clocks&framework=alloy&", limit) == everything[::2]
        assert await names("/api/v1/search?q=nothing&", limit) == []
    assert await names("/api/v1/search?q=spec-3&", 50) == ["acme/spec-3"]


async def test_search_is_the_index_s_where_there_is_one(folder: Path, clock: FakeClock) -> None:
    async with peopled(folder, clock, "alice", "bob", extensions=f"{EXTENSIONS},search") as site:
        alice, bob = site.user("alice"), site.user("bob")
        for name, words in (
            ("acme/clock", "A lamport clock."),
            ("acme/other", "A vector clock."),
            ("mine", "A clock."),
        ):
            await publish(alice, small(name, "1.0.0", description=words))
        jobs = {job.name: job for job in site.registry.extensions.all("jobs")}

        async def found(user: User, query: str) -> list[str]:
            return sorted(item["name"] for item in (await user.done("GET", f"/api/v1/search?q={query}"))["items"])

        everything = ["acme/clock", "acme/other", "alice/mine"]
        for name in ("search.build", "search.index"):
            await jobs[name].run()
        assert await found(alice, "clock") == everything
        assert await found(alice, "clock+-vector") == ["acme/clock", "alice/mine"]
        assert await found(alice, "clock&framework=alloy") == everything
        assert await found(alice, "clock&framework=tlaplus") == []
        assert await found(bob, "clock") == everything
        await alice.done("PUT", "namespaces/users/alice", {"visibility": "private"})
        assert await found(bob, "clock") == everything[:2]
        page = await alice.done("GET", "/api/v1/search?q=clock&limit=2")
        rest = await alice.done("GET", f"/api/v1/search?q=clock&limit=2&cursor={page['next']}")
        assert sorted(one["name"] for one in [*page["items"], *rest["items"]]) == everything
        assert (await alice.get("/api/v1/search?q=clock:(")).status == 400


async def test_publishing_asks_the_same_as_a_push(site: World) -> None:
    alice, bob, carol = (site.user(name) for name in ("alice", "bob", "carol"))
    anonymous = await send(site.nobody, "/api/v1/publish", package=package())
    assert anonymous.status == 401
    assert "www-authenticate" in anonymous.headers
    # Another's namespace: refused, and nothing of it is there. Private ones are not told from absent ones.
    for name in ("acme/x", "alice/x", "orgs/nobody/x"):
        refused = await send(carol, "/api/v1/publish", package=small(name, "1.0.0"))
        assert refused.status in (403, 404), (name, refused)
    assert (await alice.done("GET", "/api/v1/packages"))["items"] == []
    reading = await alice.done("POST", "identity/keys", {"name": "r", "scopes": ["read"]})
    assert (await send(site.bearer(reading["key"]), "/api/v1/publish", package=package())).status in (401, 403)
    writing = await alice.done("POST", "identity/keys", {"name": "w", "scopes": ["publish"], "path": "orgs/acme"})
    assert (await send(site.bearer(writing["key"]), "/api/v1/publish", package=package())).status in (401, 403)
    await publish(site.bearer(writing["key"]), small("acme/x", "1.0.0"))
    # A maintainer's version is a draft until somebody publishes it; until then others do not see it.
    await alice.done("PUT", "namespaces/orgs/acme/members/user/bob", {"role": "maintainer"})
    draft = await publish(bob, small("acme/x", "1.1.0"))
    assert draft["state"] == "draft"
    assert [one["version"] for one in (await alice.done("GET", "/api/v1/packages/acme/x"))["versions"]] == ["1.0.0"]
    assert (await alice.get("/api/v1/packages/acme/x/1.1.0/tarball")).status == 404


async def test_policies_and_quotas_hold_for_publications(site: World) -> None:
    alice, admin = site.user("alice"), site.admin
    await admin.done("PUT", "namespaces/orgs/acme/quota", {"artifacts": 2})
    await publish(alice, small("acme/one", "1.0.0"))
    await publish(alice, small("acme/two", "1.0.0"))
    full = await send(alice, "/api/v1/publish", package=small("acme/three", "1.0.0"))
    assert (full.status, full.codes) == (403, ["DENIED"])
    assert (await alice.get("/api/v1/packages/acme/three/1.0.0")).status == 404
    # What was published is a version like any other: immutable where a policy says so.
    await alice.done("PUT", "namespaces/orgs/acme/policy/kinds.versions", {"enforcement": "enforce"})
    await alice.client.request("DELETE", "/v2/orgs/acme/two/manifests/1.0.0")
    assert (await alice.get("/api/v1/packages/acme/two/1.0.0")).status == 200


async def test_a_version_is_published_once(site: World) -> None:
    alice = site.user("alice")
    first = await publish(alice, small("x", "1.0.0"))
    assert await publish(alice, small("x", "1.0.0")) == first
    other = await send(alice, "/api/v1/publish", package=small("x", "1.0.0", description="Another."))
    assert (other.status, other.codes) == (409, ["CONFLICT"])


async def test_what_one_may_not_pull_is_not_there(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    await publish(alice, small("acme/secret", "1.0.0"))
    await alice.done("PUT", "namespaces/users/alice", {"visibility": "public"})
    await publish(alice, small("open", "1.0.0"))

    async def seen(user: User, path: str, secret: str) -> Any:
        answer = await user.get(path)
        return answer.status, json.loads(answer.body.replace(secret.encode(), b"X")) if answer.body else None

    for user in (carol, site.nobody):
        for end in ("", "/1.0.0", "/1.0.0/tarball", "/stable"):
            path = "/api/v1/packages/acme/{}" + end
            hidden = await seen(user, path.format("secret"), "secret")
            assert hidden == await seen(user, path.format("absent"), "absent")
            assert hidden[0] == 404
        assert [one["name"] for one in (await user.done("GET", "/api/v1/packages"))["items"]] == ["alice/open"]
        assert (await user.done("GET", "/api/v1/search?q=secret"))["items"] == []
        assert (await user.done("GET", "/api/v1/packages/alice/open/1.0.0"))["name"] == "alice/open"
    assert (await site.nobody.post("/api/v1/dependencies", {"dependencies": {}})).status == 401
    refused = await carol.post("/api/v1/dependencies", {"dependencies": {"acme/secret": "*"}})
    absent = await carol.post("/api/v1/dependencies", {"dependencies": {"acme/absent": "*"}})
    assert refused.status == absent.status == 409
    assert refused.body.replace(b"secret", b"absent") == absent.body
    for name in ("secret", "absent"):
        assert (await send(carol, "/api/v1/verify", package=small(f"acme/{name}", "1.0.0"))).status == 404


async def test_dependencies_are_chosen_with_a_lock(site: World) -> None:
    alice = site.user("alice")
    for version in ("1.0.0", "1.4.0", "2.0.0"):
        await publish(alice, small("acme/machine", version))
    await publish(alice, small("acme/app", "1.0.0", dependencies={"acme/machine": "^1.0.0"}))
    found = await alice.done("POST", "/api/v1/dependencies", {"dependencies": {"acme/app": "*"}})
    assert found["graph"] == [["acme/app@1.0.0", "acme/machine@1.4.0"]]
    assert {one["name"]: one["version"] for one in found["resolved"]} == {"acme/app": "1.0.0", "acme/machine": "1.4.0"}
    assert "orgs/acme/machine@1.4.0" in found["lockfile"]["packages"]
    await publish(alice, small("acme/machine", "1.5.0"))
    asked = {"dependencies": {"acme/app": "*"}, "lockfile": found["lockfile"], "strategy": "locked-first"}
    assert (await alice.done("POST", "/api/v1/dependencies", asked))["lockfile"] == found["lockfile"]
    clash = await alice.post(
        "/api/v1/dependencies", {"dependencies": {"acme/app": "*"}, "devDependencies": {"acme/machine": "^2"}}
    )
    assert (clash.status, clash.codes) == (409, ["CONFLICT"])
    assert "wants ^1.0.0" in clash.json()["errors"][0]["message"]
    for body in ({"dependencies": {"a": "^^"}}, {"dependencies": {}, "strategy": "best"}, {"more": 1},
                 {"dependencies": {"a": ">=0 || " * 10_000}}):  # fmt: skip
        assert (await alice.post("/api/v1/dependencies", body)).status == 400, body


async def test_a_circle_among_packages_is_an_error_with_its_path(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, small("acme/a", "1.0.0", dependencies={"acme/b": "*"}))
    await publish(alice, small("acme/b", "1.0.0", dependencies={"acme/a": "*"}))
    found = await alice.post("/api/v1/dependencies", {"dependencies": {"acme/a": "*"}})
    assert found.status == 409
    assert "orgs/acme/a → orgs/acme/b → orgs/acme/a" in found.json()["errors"][0]["message"]


def pem(key: Any) -> bytes:
    """Its public half."""
    found: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return found


async def test_signatures_are_verified_against_the_key_that_is_named(site: World) -> None:
    alice, data = site.user("alice"), package()
    ours, other, third = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1()), (
        ed25519.Ed25519PrivateKey.generate()
    )  # fmt: skip
    signature = base64.b64encode(ours.sign(data, ec.ECDSA(hashes.SHA256())))
    found = await publish(alice, data, signature=signature)
    listed = (await alice.get(f"/v2/{REPOSITORY}/referrers/{found['dist']['digest']}")).json()["manifests"]
    assert [one["digest"] for one in listed] == [found["signature"]]

    async def verified(**files: bytes) -> tuple[bool, str, str]:
        answer = await send(alice, "/api/v1/verify", **{"package": data, **files})
        assert answer.status == 200, answer
        body = answer.json()
        return body["verified"], body["integrity"]["status"], body["signature"]["status"]

    assert await verified(key=pem(ours)) == (True, "match", "valid")
    assert await verified(key=pem(ours), signature=signature) == (True, "match", "valid")
    assert await verified(key=pem(other)) == (False, "match", "invalid")
    assert await verified(key=pem(third)) == (False, "match", "invalid")
    assert await verified(key=pem(third), signature=third.sign(data)) == (True, "match", "valid")
    bundle = json.dumps({"messageSignature": {"signature": signature.decode()}}).encode()
    assert await verified(key=pem(ours), signature=bundle) == (True, "match", "valid")
    for junk in (b"junk", b"{", b'{"messageSignature": []}', b"[" * 10_000, bytes(range(256))):
        assert await verified(key=pem(ours), signature=junk) == (False, "match", "invalid")
    assert await verified() == (False, "match", "unknown")
    changed = package(MANIFEST + "# one more line\n")
    assert await verified(package=changed, key=pem(ours)) == (False, "mismatch", "invalid")
    assert (await send(alice, "/api/v1/verify", package=data, key=b"none")).status == 400
    assert (await send(alice, "/api/v1/verify", package=small("absent", "1.0.0"))).status == 404


async def test_advisories_are_told_as_scan_results(site: World) -> None:
    alice = site.user("alice")
    for version in ("1.2.2", "1.2.3"):
        await publish(alice, small("acme/model", version))
    record = {
        "id": "GATI-1",
        "summary": "Bad.",
        "aliases": ["CVE-2024-12345"],
        "database_specific": {"severity": "MODERATE"},
        "affected": [{"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.2.3"}]}]}],
    }
    await alice.done("PUT", "/v2/orgs/acme/model/_ext/resolve/advisories/GATI-1", record)
    found = await alice.done("GET", "/api/v1/packages/acme/model/1.2.2")
    assert found["scan_results"] == {"status": "warning", "vulnerabilities": [
        {"id": "CVE-2024-12345", "severity": "medium", "summary": "Bad.", "affected_versions": ["<1.2.3"],
         "fix_version": "1.2.3"},
    ]}  # fmt: skip
    assert (await alice.done("GET", "/api/v1/packages/acme/model/1.2.3"))["scan_results"]["status"] == "clean"
    warned = await publish(alice, small("acme/app", "1.0.0", dependencies={"acme/model": "1.2.2"}))
    assert "GATI-1" in warned["warnings"][0]
