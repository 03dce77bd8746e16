"""Capability tokens: what they allow, how they are narrowed and ended, and what is tried to widen them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gati_extensions.access import capability
from tests.core.support import FakeClock
from tests.extensions.access.support import DIGEST, User, World, peopled

pytestmark = pytest.mark.anyio

PULL_APP = {"actions": ["pull"], "path": "orgs/acme/app"}
PUSH_ACME = {"actions": ["pull", "push"], "path": "orgs/acme"}


async def issue(user: User, *caps: dict[str, Any], **more: Any) -> Any:
    """A capability's whole answer."""
    return await user.done("POST", "access/capabilities", {"cap": list(caps), **more})


async def delegate(site: World, token: str, *caps: dict[str, Any], **more: Any) -> str:
    """A narrower token, made by whoever holds it."""
    made = await site.nobody.done("POST", "access/capabilities/delegate", {"token": token, "cap": list(caps), **more})
    return str(made["token"])


@pytest.fixture
async def alice(site: World) -> User:
    """The owner, with something in her namespace."""
    assert (await site.user("alice").push("orgs/acme/app")).status == 201
    return site.user("alice")


async def test_it_allows_what_it_says(site: World, alice: User) -> None:
    holder = site.bearer((await issue(alice, PULL_APP))["token"])
    assert (await holder.get("/v2/")).status == 200
    assert (await holder.pull("orgs/acme/app")).status == 200
    assert (await holder.push("orgs/acme/app")).status == 401
    assert (await holder.pull("orgs/acme/apz")).status == 401
    assert (await holder.pull("orgs/acme")).status == 401
    for path in ("identity/me", "access/capabilities", "identity/keys"):
        assert (await holder.get(path)).status == 401


async def test_nobody_gives_what_one_has_not(site: World, alice: User) -> None:
    for caps in ([PUSH_ACME], [PULL_APP, {"actions": ["delete"], "path": "orgs/acme/app"}]):
        answer = await site.user("bob").post("access/capabilities", {"cap": caps})
        assert (answer.status, answer.codes) == (403, ["DENIED"])
    answer = await site.user("carol").post("access/capabilities", {"cap": [PULL_APP]})
    assert answer.status == 403
    token = (await issue(site.user("bob"), PULL_APP))["token"]
    assert (await site.bearer(token).pull("orgs/acme/app")).status == 200
    await alice.done("DELETE", "identity/orgs/acme/members/bob")
    assert (await site.bearer(token).pull("orgs/acme/app")).status == 404


async def test_delegations_only_narrow(site: World, alice: User) -> None:
    token = (await issue(alice, PUSH_ACME, delegable=True, max_delegation_depth=2))["token"]
    narrow = await delegate(site, token, PULL_APP, delegable=True, max_delegation_depth=1)
    assert (await site.bearer(narrow).pull("orgs/acme/app")).status == 200
    assert (await site.bearer(narrow).push("orgs/acme/app")).status == 401
    wide = await delegate(site, narrow, {"actions": ["pull", "push", "delete"], "path": "orgs"})
    assert (await site.bearer(wide).pull("orgs/acme/app")).status == 200
    assert (await site.bearer(wide).push("orgs/acme/app")).status == 401
    assert (await site.bearer(wide).delete(f"/v2/orgs/acme/app/manifests/{DIGEST}")).status == 401
    again = await site.nobody.post("access/capabilities/delegate", {"token": wide, "cap": [PULL_APP]})
    assert (again.status, again.codes) == (403, ["DENIED"])
    deeper = {"token": narrow, "cap": [PULL_APP], "delegable": True, "max_delegation_depth": 1}
    assert (await site.nobody.post("access/capabilities/delegate", deeper)).status == 400
    plain = (await issue(alice, PULL_APP))["token"]
    refused = await site.nobody.post("access/capabilities/delegate", {"token": plain, "cap": [PULL_APP]})
    assert refused.status == 403


async def test_revoking_a_parent_ends_its_children(site: World, alice: User) -> None:
    made = await issue(alice, PUSH_ACME, delegable=True, max_delegation_depth=1)
    child, other = await delegate(site, made["token"], PULL_APP), await delegate(site, made["token"], PULL_APP)
    assert (await site.bearer(child).pull("orgs/acme/app")).status == 200
    assert (await site.nobody.post("access/capabilities/revoke", {"token": child})).status == 204
    assert (await site.bearer(child).pull("orgs/acme/app")).status == 401
    assert (await site.bearer(other).pull("orgs/acme/app")).status == 200
    assert (await site.user("bob").delete(f"access/capabilities/{made['jti']}")).status == 404
    await alice.done("DELETE", f"access/capabilities/{made['jti']}")
    for token in (made["token"], other):
        assert (await site.bearer(token).pull("orgs/acme/app")).status == 401
    listed = await alice.done("GET", "access/capabilities")
    assert [(item["jti"], item["revoked"]) for item in listed["items"]] == [(made["jti"], True)]


async def test_time(site: World, alice: User, clock: FakeClock) -> None:
    token = (await issue(alice, PULL_APP, expires_in=60, not_before_in=30))["token"]
    assert (await site.bearer(token).pull("orgs/acme/app")).status == 401
    clock.advance(31)
    assert (await site.bearer(token).pull("orgs/acme/app")).status == 200
    clock.advance(30)
    assert (await site.bearer(token).pull("orgs/acme/app")).status == 401
    assert (await alice.post("access/capabilities", {"cap": [PULL_APP], "expires_in": 10**9})).status == 400


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"kind": "ip", "op": "in", "value": ["10.0.0.0/8", "127.0.0.0/8"]}, True),
        ({"kind": "ip", "op": "eq", "value": "10.1.2.3"}, False),
        ({"kind": "ip", "op": "neq", "value": "127.0.0.1"}, False),
        ({"kind": "user-agent", "op": "contains", "value": "crane"}, True),
        ({"kind": "user-agent", "op": "eq", "value": "docker"}, False),
        ({"kind": "time", "op": "lt", "value": "2100-01-01T00:00:00Z"}, True),
        ({"kind": "time", "op": "gt", "value": "2100-01-01T00:00:00Z"}, False),
        ({"kind": "time", "key": "hour", "op": "in", "value": [str(hour) for hour in range(24)]}, True),
        ({"kind": "time", "key": "weekday", "op": "gt", "value": 7}, False),
        ({"kind": "resource-state", "key": "visibility", "op": "eq", "value": "private"}, True),
        ({"kind": "resource-state", "key": "visibility", "op": "neq", "value": "private"}, False),
        ({"kind": "resource-state", "key": "repository", "op": "in", "value": ["orgs/acme/app"]}, True),
        ({"kind": "custom", "key": "X-Purpose", "op": "eq", "value": "build"}, True),
        ({"kind": "custom", "key": "X-Absent", "op": "neq", "value": "build"}, False),
    ],
)
async def test_conditions(site: World, alice: User, condition: dict[str, Any], holds: bool) -> None:
    token = (await issue(alice, {**PULL_APP, "conditions": [condition]}))["token"]
    holder = site.bearer(token, **{"User-Agent": "crane/1", "X-Purpose": "build"})
    assert (await holder.pull("orgs/acme/app")).status == (200 if holds else 401)


@pytest.mark.parametrize(
    "condition",
    [
        {"kind": "ip", "op": "eq", "value": "no address"},
        {"kind": "ip", "op": "gt", "value": "10.0.0.1"},
        {"kind": "time", "op": "lt", "value": "tomorrow"},
        {"kind": "time", "op": "lt", "value": "2100-01-01T00:00:00"},
        {"kind": "moon", "op": "eq", "value": "full"},
        {"kind": "ip", "op": "in", "value": "10.0.0.0/8"},
        {"kind": "custom", "op": "eq", "value": "x"},
        {"kind": "resource-state", "key": "mood", "op": "eq", "value": "x"},
    ],
)
async def test_malformed_conditions(alice: User, condition: dict[str, Any]) -> None:
    answer = await alice.post("access/capabilities", {"cap": [{**PULL_APP, "conditions": [condition]}]})
    assert (answer.status, answer.codes) == (400, ["INVALID"])


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_forgeries(site: World, alice: User) -> None:
    """Every way in which a holder could put together more than was given."""
    token = (await issue(alice, PULL_APP, delegable=True, max_delegation_depth=1))["token"]
    sealed = (await issue(alice, PULL_APP))["token"]
    child = await delegate(site, token, PULL_APP)
    head, proof = token.rsplit(".", 1)
    data, _, signature = head.removeprefix("gcap_").partition("~")
    payload = json.loads(decode(data))
    wider = encode(json.dumps({**payload, "cap": [PUSH_ACME]}).encode())
    block = {k: v for k, v in payload.items() if k not in ("iss", "sub", "aud", "acc")}
    own_seed = bytes(32)
    forged = {
        "another payload": f"gcap_{wider}~{signature}.{proof}",
        "no signature": f"gcap_{wider}~.{proof}",
        "another's key": capability.issue({**payload, "cap": [PUSH_ACME]}, own_seed),
        "another's proof": f"{head}.{encode(own_seed)}",
        "no proof": f"{head}.",
        "the parent's proof": f"{child.rsplit('.', 1)[0]}.{proof}",
        "a block left out": "gcap_" + child.removeprefix("gcap_").split(".", 1)[1],
        "blocks swapped": "gcap_" + ".".join(
            [*reversed(child.removeprefix("gcap_").split(".")[:2]), child.rsplit(".", 1)[1]]),
        "a block twice": f"{head}.{head.removeprefix('gcap_')}.{proof}",
        "delegated too far": capability.delegate(
            capability.delegate(token, {**block, "jti": "delegated-1", "delegable": True, "max_delegation_depth": 1}),
            {**block, "jti": "delegated-2"}),
        "sealed and delegated": f"{sealed.rsplit('.', 1)[0]}.{child.split('.')[1]}.{child.rsplit('.', 1)[1]}",
        "padded": f"{head}={'.' + proof}",
        "nothing": "gcap_",
        "dots": "gcap_" + "." * 50,
        "long": "gcap_" + "A" * 20_000,
    }  # fmt: skip
    assert (await site.bearer(token).pull("orgs/acme/app")).status == 200
    assert (await site.bearer(child).pull("orgs/acme/app")).status == 200
    for what, text in forged.items():
        answer = await site.bearer(text).pull("orgs/acme/app")
        assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"]), what
        refused = await site.nobody.post("access/capabilities/delegate", {"token": text, "cap": [PULL_APP]})
        assert refused.status in (400, 401, 403), what


async def test_another_registrys_capability(site: World, alice: User, folder: Any) -> None:

    (folder / "other").mkdir()
    async with peopled(folder / "other", None, "alice", "bob") as other:
        assert (await other.user("alice").push("orgs/acme/app")).status == 201
        foreign = (await issue(other.user("alice"), PULL_APP))["token"]
        assert (await other.bearer(foreign).pull("orgs/acme/app")).status == 200
    assert (await site.bearer(foreign).pull("orgs/acme/app")).status == 401


async def test_the_tokens_are_nowhere(site: World, alice: User, folder: Any) -> None:
    token = (await issue(alice, PULL_APP, delegable=True, max_delegation_depth=1))["token"]
    await site.bearer(token).pull("orgs/acme/app")
    proof = token.rsplit(".", 1)[1]
    for path in (folder / "data").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert proof.encode() not in content, path
            assert decode(proof) not in content, path
