"""What is logged, how it is found again, and that proofs hold."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gati_extensions.audit.notes import PublicKey
from tests.core.support import Client, FakeClock, sha256
from tests.extensions.audit import proofs
from tests.extensions.audit.support import CONFIG, Log, basic

pytestmark = pytest.mark.anyio


async def test_a_push_a_pull_and_a_deletion(log: Log) -> None:
    data = await log.push("library/app", "v1")
    assert (await log.client.get("/v2/library/app/manifests/v1", **{"User-Agent": "tester/1"})).status == 200
    other = await log.push("library/app", "v1", annotations={"a": "b"})
    assert (await log.request("DELETE", "/v2/library/app/manifests/v1")).status == 202
    await log.settle()
    found = await log.entries()
    written = [entry for entry in found[::-1] if entry["category"] != "read" and entry["action"] != "blob.commit"]
    assert [(entry["action"], entry["resource"], entry["status"]) for entry in written] == [
        ("manifest.put", f"library/app@{sha256(data)}", 201),
        ("tag.move", "library/app:v1", 201),
        ("manifest.put", f"library/app@{sha256(other)}", 201),
        ("tag.move", "library/app:v1", 201),
        ("tag.delete", "library/app:v1", 202),
    ]
    moved = written[3]
    assert moved["changes"] == [
        {"op": "test", "path": "/digest", "value": sha256(data)},
        {"op": "replace", "path": "/digest", "value": sha256(other)},
    ]
    (pull,) = [entry for entry in found if entry["action"] == "pull"]
    for entry in (*written, pull):
        assert (entry["actor"], entry["method"], entry["ip"]) == ("admin", "password", "127.0.0.1")
        assert (entry["namespace"], entry["decision"]) == ("library", "allow")
        assert entry["duration_ms"] > 0
    assert (pull["category"], pull["resource"], pull["user_agent"]) == ("read", "library/app:v1", "tester/1")
    assert pull["detail"]["digest"] == sha256(data)


async def test_refusals_are_logged_and_challenges_are_counted(log: Log) -> None:
    alice = await log.user("alice")
    for _ in range(3):
        assert (await log.anonymous.get("/v2/")).status == 401
    assert (await Client(log.site.app, basic("admin", "wrong password")).get("/v2/")).status == 401
    assert (await alice.push_blob("library/app", CONFIG)).status == 403
    assert (await alice.get("/v2/_ext/audit/entries")).status == 403
    await log.settle()
    denied = await log.entries(decision="deny")
    assert [(entry["actor"], entry["action"], entry["status"], entry["category"]) for entry in denied] == [
        ("alice", "operate", 403, "admin"),
        ("alice", "push", 403, "write"),
        (None, "ping", 401, "read"),
    ]
    assert [entry["path"] for entry in denied] == ["/v2/_ext/audit/entries", "/v2/library/app/blobs/uploads/", "/v2/"]
    (challenge,) = await log.entries(decision="challenge")
    assert (challenge["action"], challenge["category"], challenge["detail"]["count"]) == ("challenge", "read", 3)


async def test_an_administrative_act_tells_what_changed(log: Log) -> None:
    await log.user("alice")
    await log.emit(
        "admin",
        path="orgs/acme",
        subject="namespaces.member",
        action="update",
        id="alice",
        before={"role": "reader"},
        after={"role": "owner"},
    )
    await log.emit("admin", subject="registry.policy", action="update", id=7, before=None, after={"a": [1]}, note="x")
    await log.settle()
    policy, member, created = await log.entries(category="admin")
    assert (created["action"], created["subject"], created["resource"]) == (
        "identity.user.create",
        "alice",
        "users/alice#identity.user/alice",
    )
    assert (member["action"], member["resource"]) == ("namespaces.member.update", "orgs/acme#namespaces.member/alice")
    assert (member["subject"], member["actor"], member["ip"]) == ("alice", "admin", "10.1.2.3")
    assert member["changes"] == [
        {"op": "test", "path": "/role", "value": "reader"},
        {"op": "replace", "path": "/role", "value": "owner"},
    ]
    assert (policy["resource"], policy["detail"]) == ("#registry.policy/7", {"note": "x"})
    assert policy["changes"] == [{"op": "add", "path": "", "value": {"a": [1]}}]


async def test_every_filter_finds_what_fits(log: Log, clock: FakeClock) -> None:
    alice = await log.user("alice")
    start = clock.time
    for number, name in enumerate(("orgs/acme/app", "orgs/acme-two/app", "orgs/acme/team/tool", "users/alice/app")):
        clock.advance(60)
        await log.push(name, f"v{number}")
        assert (await log.client.get(f"/v2/{name}/manifests/v{number}")).status == 200
        await log.settle()
    await alice.get("/v2/orgs/acme/app/manifests/v1")
    await log.settle()
    everything = await log.entries()

    async def same(query: dict[str, Any], fits: Any) -> None:
        expected = [entry["id"] for entry in everything if fits(entry)]
        assert expected, query
        for limit in (1, 3, 1000):
            assert [entry["id"] for entry in await log.entries(**query, limit=limit)] == expected, (query, limit)

    def within(path: str) -> Any:
        return lambda entry: (
            entry["resource"] == path or entry["resource"].startswith(tuple(path + mark for mark in "/:@#"))
        )

    await same({"actor": "alice"}, lambda entry: entry["actor"] == "alice")
    await same({"action": "tag.move"}, lambda entry: entry["action"] == "tag.move")
    await same({"category": "read"}, lambda entry: entry["category"] == "read")
    await same({"category": "admin"}, lambda entry: entry["category"] == "admin")
    await same({"status": 201}, lambda entry: entry["status"] == 201)
    await same({"resource": "orgs/acme"}, lambda entry: entry["resource"].startswith("orgs/acme"))
    await same({"resource": "users/alice/a"}, lambda entry: entry["resource"].startswith("users/alice/a"))
    await same({"namespace": "orgs/acme"}, within("orgs/acme"))
    await same({"namespace": "orgs/acme/team"}, within("orgs/acme/team"))
    await same({"namespace": "users/alice"}, within("users/alice"))
    await same({"decision": "allow", "action": "pull"}, lambda e: e["decision"] == "allow" and e["action"] == "pull")
    middle = datetime.fromtimestamp(start / 1000, UTC) + timedelta(seconds=150)
    text = middle.isoformat()
    await same({"since": text}, lambda entry: datetime.fromisoformat(entry["time"]) >= middle)
    await same({"until": text}, lambda entry: datetime.fromisoformat(entry["time"]) < middle)
    assert await log.entries(actor="nobody") == []
    assert await log.entries(namespace="orgs/acm") == []


async def test_a_request_is_found_by_its_id(log: Log) -> None:
    await log.emit("admin", subject="x.y", action="z", id="1")
    await log.settle()
    assert [entry["action"] for entry in await log.entries(request_id="r-1")] == ["x.y.z"]
    assert await log.entries(request_id="r-2") == []


async def test_the_entries_of_a_namespace(log: Log) -> None:
    await log.push("orgs/acme/app", "v1")
    await log.push("orgs/other/app", "v1")
    await log.settle()
    found = await log.entries("namespaces/orgs/acme/entries")
    assert {entry["namespace"] for entry in found} == {"orgs/acme"}
    assert {entry["ip"] for entry in found} == {None}, "addresses are for the server's administrators"
    assert await log.entries("namespaces/orgs/acme/entries", namespace="orgs/other") == []
    deeper = await log.entries("namespaces/orgs/acme/entries", namespace="orgs/acme/app")
    assert [entry["id"] for entry in deeper] == [entry["id"] for entry in found]


@pytest.mark.parametrize(
    "query",
    ["cursor=x", "cursor=1.2", "limit=0", "limit=1001", "since=yesterday", "since=2026-01-01T00:00:00", "category=x"],
)
async def test_a_query_that_makes_no_sense_is_refused(log: Log, query: str) -> None:
    answer = await log.request("GET", f"/v2/_ext/audit/entries?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in answer.json()["errors"][0]["message"]


async def test_proofs_hold_for_a_program_that_knows_only_hashes(log: Log) -> None:
    notes, consistency = [], []
    for number in range(4):
        await log.push("library/app", f"v{number}", annotations={"n": str(number)})
        await log.client.get(f"/v2/library/app/manifests/v{number}")
        await log.settle()
        await log.sequencer.step(checkpoint=True)
        notes.append((await log.get("checkpoint"))["note"])
    sizes = [int(note.split("\n")[1]) for note in notes]
    assert sizes == sorted(set(sizes))
    for first in sizes:
        consistency.append(await log.get("proof/consistency", first=first))
        consistency.append(await log.get("proof/consistency", first=1, second=first))
    inclusion = [await log.get("proof/inclusion", entry=entry["id"]) for entry in await log.entries()]
    inclusion += [await log.get("proof/inclusion", entry="0", size=size) for size in range(1, sizes[-1] + 1)]
    document = {"notes": notes, "inclusion": inclusion, "consistency": consistency}
    script = Path(proofs.__file__)
    ran = await asyncio.to_thread(
        lambda: subprocess.run(
            [sys.executable, "-I", str(script)], input=json.dumps(document), capture_output=True, text=True, check=False
        )
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "all hold"), ran
    inclusion[3]["leaf"] = inclusion[3]["leaf"].replace("library", "pirates")
    consistency[0]["hashes"] = [base64.b64encode(bytes(32)).decode(), *consistency[0]["hashes"][1:]]
    assert len(list(proofs.problems(document))) == 2
    (key,) = (await log.get("keys"))["items"]
    for note in notes:
        assert PublicKey.parse(key["verifier"]).verify(note).origin == key["name"]
    with pytest.raises(ValueError, match="wrong"):
        PublicKey.parse(key["verifier"]).verify(notes[0].replace(f"\n{sizes[0]}\n", f"\n{sizes[0] + 1}\n"))


async def test_what_proofs_are_asked_for_in_vain(log: Log) -> None:
    await log.push("library/app", "v1")
    for path, status in {
        "proof/inclusion?entry=99999": 404,
        "proof/inclusion?entry=0&size=99999": 400,
        "proof/inclusion?entry=x": 400,
        "proof/inclusion": 400,
        "proof/consistency?first=0": 400,
        "proof/consistency?first=2&second=1": 400,
        "proof/consistency?first=1&second=99999": 400,
    }.items():
        assert (await log.request("GET", f"/v2/_ext/audit/{path}")).status == status, path


async def test_a_checkpoint_is_also_a_plain_note(log: Log) -> None:
    await log.push("library/app", "v1")
    answer = await log.client.get("/v2/_ext/audit/checkpoint", Accept="text/plain")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.body.decode() == (await log.get("checkpoint"))["note"]


async def test_exports_hold_everything(log: Log) -> None:
    await log.push("library/app", "v1", annotations={"a": "1"})
    await log.client.get("/v2/library/app/manifests/v1", **{"User-Agent": "=HYPERLINK(1)"})
    await log.settle()
    everything = await log.entries()
    answer = await log.client.get("/v2/_ext/audit/export")
    assert answer.headers["content-type"] == "application/jsonl"
    assert [json.loads(line) for line in answer.body.splitlines()] == everything
    answer = await log.client.get("/v2/_ext/audit/export?format=csv&category=read")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    assert [row["id"] for row in rows] == [entry["id"] for entry in everything if entry["category"] == "read"]
    assert rows[0]["user_agent"] == "'=HYPERLINK(1)", "no spreadsheet takes it for a formula"


async def test_only_the_administrator_reads(log: Log) -> None:
    await log.push("library/app", "v1")
    alice = await log.user("alice")
    for path in ("entries", "export", "proof/inclusion?entry=0", "persons/admin", "namespaces/library/entries"):
        assert (await alice.get(f"/v2/_ext/audit/{path}")).status == 403, path
        assert (await log.anonymous.get(f"/v2/_ext/audit/{path}")).status == 401, path
    for path in ("checkpoint", "keys", "proof/consistency?first=1"):
        assert (await log.anonymous.get(f"/v2/_ext/audit/{path}")).status == 401, path
