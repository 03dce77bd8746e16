"""mlld's URLs, served from artifacts whose configs are mlld's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.extensions.access.support import User, World
from tests.extensions.kinds.support import push

pytestmark = pytest.mark.anyio

GIST = "a1f3e09a42db6c680b454f6f93efa9d8"
OTHER = "0123456789abcdef0123456789abcdef"
REVISION = "b20e54d6dbf422252b7b670af492632f2fa6c1a2"

# The registry of the mlld registry's developer guide, word for word.
REGISTRY = b"""{
  "version": "1.0.0",
  "updated": "2024-05-28T00:00:00Z",
  "author": "adamavenir",
  "modules": {
    "json-utils": {
      "gist": "a1f3e09a42db6c680b454f6f93efa9d8",
      "description": "JSON formatting utilities",
      "tags": ["json", "utils", "formatting"],
      "created": "2024-05-28T00:00:00Z"
    }
  }
}
"""
KIND: dict[str, Any] = {"artifact": None, "config_type": "application/vnd.mlld.registry.v1+json"}
ONE: dict[str, Any] = {"artifact": None, "config_type": "application/vnd.mlld.module.v1+json"}


async def module(user: User, repository: str, tag: str = "1.0.0", **fields: Any) -> None:
    """A module by itself."""
    config = {"name": repository.rpartition("/")[2], "gist": OTHER, "description": "A module.", "tags": ["x"],
              "created": "2025-01-01T00:00:00Z", **fields}  # fmt: skip
    answer = await push(user, repository, tag, "module", config, [(b"# text", "text/vnd.mlld", "content.mld")], **ONE)
    assert answer.status == 201, answer


async def test_a_registry_is_served_as_it_was_pushed(site: World) -> None:
    alice = site.user("alice")
    assert (await push(alice, "users/alice/mlld", "latest", "module", REGISTRY, **KIND)).status == 201
    found = await alice.done("GET", "/alice/registry.json")
    given = json.loads(REGISTRY)
    assert (found["version"], found["author"]) == ("1.0.0", "alice")
    entry = found["modules"]["json-utils"]
    assert {name: entry[name] for name in given["modules"]["json-utils"]} == given["modules"]["json-utils"]
    # The bytes are kept, and it is an artifact like any other.
    manifest = (await alice.pull("users/alice/mlld", "latest")).json()
    assert (await alice.client.get(f"/v2/users/alice/mlld/blobs/{manifest['config']['digest']}")).body == REGISTRY
    detail = await alice.done("GET", "/v2/users/alice/mlld/_ext/kinds/artifact")
    assert (detail["kind"], detail["version"]["facts"]["type"]) == ("module", "mlld")


async def test_modules_by_themselves_win_over_whole_registries(site: World) -> None:
    alice = site.user("alice")
    await push(alice, "users/alice/mlld", "latest", "module", REGISTRY, **KIND)
    await module(alice, "users/alice/json-utils", gist=OTHER, revision=REVISION)
    await module(alice, "users/alice/tools/text", "2.0.0")
    found = (await alice.done("GET", "/alice/registry.json"))["modules"]
    assert list(found) == ["json-utils", "text"]
    assert (found["json-utils"]["gist"], found["json-utils"]["revision"]) == (OTHER, REVISION)
    # The newest version counts.
    await module(alice, "users/alice/json-utils", "1.1.0", gist=GIST)
    assert (await alice.done("GET", "/alice/registry.json"))["modules"]["json-utils"]["gist"] == GIST


async def test_what_is_no_full_id_is_flagged_and_left_out(site: World) -> None:
    alice = site.user("alice")
    document = json.loads(REGISTRY)
    document["modules"] |= {"short": {"gist": "a1f3e0"}, "none": {}, "../x": {"gist": GIST}, "text": "?",
                            "odd": {"gist": GIST, "revision": "b20e", "tags": "no list", "created": 7}}  # fmt: skip
    assert (await push(alice, "users/alice/mlld", "latest", "module", document, **KIND)).status == 201
    found = (await alice.done("GET", "/alice/registry.json"))["modules"]
    assert list(found) == ["json-utils", "odd"]
    assert (found["odd"]["revision"], found["odd"]["tags"]) == (None, [])
    facts = (await alice.done("GET", "/v2/users/alice/mlld/_ext/kinds/artifact"))["version"]["facts"]
    assert len(facts["problems"]) == 5


async def test_advisories_in_mlld_s_words(site: World) -> None:
    alice = site.user("alice")
    await push(alice, "users/alice/mlld", "latest", "module", REGISTRY, **KIND)
    await module(alice, "users/alice/text")
    assert (await alice.done("GET", "/alice/advisories.json"))["advisories"] == []
    for repository, severity in (("mlld", "CRITICAL"), ("text", "LOW")):
        record = {
            "id": f"2024-{repository}", "summary": "Bad.", "published": "2024-05-28T00:00:00Z",
            "affected": [{"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}]}],
            "database_specific": {"severity": severity, "type": "injection", "recommendation": "Update."},
        }  # fmt: skip
        await alice.done("PUT", f"/v2/users/alice/{repository}/_ext/resolve/advisories/2024-{repository}", record)
    found = await alice.done("GET", "/alice/advisories.json")
    assert (found["version"], found["author"]) == ("1.0.0", "alice")
    first, second = found["advisories"]
    assert (first["severity"], first["affects"], first["gists"]) == ("high", ["json-utils"], [GIST])
    assert (second["severity"], second["affects"], second["gists"]) == ("low", ["text"], [OTHER])
    assert (first["type"], first["recommendation"], first["description"]) == ("injection", "Update.", "Bad.")


async def test_private_modules_are_for_those_who_may_pull_them(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    await alice.done("PUT", "namespaces/users/alice", {"visibility": "public"})
    await module(alice, "users/alice/open")
    await module(alice, "users/alice/secret")
    assert list((await site.nobody.done("GET", "/alice/registry.json"))["modules"]) == ["open", "secret"]
    await alice.done("PUT", "namespaces/users/alice", {"visibility": "private"})
    for user in (carol, site.nobody):
        for path in ("registry.json", "advisories.json"):
            hidden, absent = await user.get(f"/alice/{path}"), await user.get(f"/nobody/{path}")
            assert (hidden.status, hidden.body.replace(b"alice", b"nobody")) == (404, absent.body)
    assert list((await alice.done("GET", "/alice/registry.json"))["modules"]) == ["open", "secret"]
    for odd in ("..%2Fcarol", "%00", "a%2Fb", "~", "ALICE"):
        assert (await alice.get(f"/{odd}/registry.json")).status in (400, 404)
