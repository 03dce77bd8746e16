"""Persons are known by pseudonyms alone, can be shown all that is held of them, and can be forgotten."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from gati_extensions.audit.verify import Verifier
from tests.core.support import FakeClock
from tests.extensions.audit import proofs
from tests.extensions.audit.support import Log, opened

pytestmark = pytest.mark.anyio
DAY = 86_400


async def fill(log: Log) -> None:
    alice = await log.user("alice")
    await alice.get("/v2/library/app/manifests/v1", **{"User-Agent": "alices-client/1"})
    await log.push("users/alice/app", "v1")
    await log.client.get("/v2/users/alice/app/manifests/v1")
    await log.emit("alice", subject="x.y", action="z", id="1")
    await log.emit("admin", path="orgs/acme", subject="n.member", action="add", id="alice", after={"who": "alice"})
    await log.settle()


async def leaves(log: Log) -> bytes:
    """All that is hashed."""
    (size,) = (await log.all("SELECT size FROM audit_tree"))[0]
    found = [await log.get("proof/inclusion", entry=leaf, size=size) for leaf in range(size)]
    return "\n".join(proof["leaf"] for proof in found).encode()


async def test_leaves_and_rows_name_nobody(log: Log) -> None:
    await fill(log)
    content = await leaves(log)
    for table in ("audit_entry", "audit_mention"):
        content += str(await log.all(f"SELECT * FROM {table}")).encode()
    for (body,) in await log.all("SELECT body FROM audit_segment"):
        content += zlib.decompress(body)
    assert b"library/app" in content
    for word in (b"alice", b"127.0.0.1", b"10.1.2.3"):
        assert word not in content, word


async def test_all_that_is_held_of_a_person_can_be_had(log: Log) -> None:
    await fill(log)
    answer = await log.client.get("/v2/_ext/audit/persons/alice")
    found = [json.loads(line) for line in answer.body.splitlines()]
    everything = await log.entries()
    expected = {entry["id"] for entry in everything if "alice" in (entry["actor"], entry["subject"])}
    assert {entry["id"] for entry in found} == expected
    assert len(expected) == 4
    assert {entry["actor"] for entry in found} == {"alice", "admin"}
    assert (await log.client.get("/v2/_ext/audit/persons/nobody")).status == 404


async def test_a_forgotten_person_is_nowhere_and_every_proof_holds(log: Log) -> None:
    await fill(log)
    before = await log.entries()
    inclusion = [await log.get("proof/inclusion", entry=entry["id"]) for entry in before]
    size = inclusion[0]["size"]
    answer = await log.request("DELETE", "/v2/_ext/audit/persons/alice")
    assert answer.status == 200
    (pseudonym,) = answer.json()["pseudonyms"]
    after = await log.entries()
    (erasure,) = [entry for entry in after if entry["action"] == "audit.person.erase"]
    assert (erasure["actor"], erasure["resource"]) == ("admin", f"#audit.person/{pseudonym}")
    assert [entry["id"] for entry in after if entry != erasure] == [entry["id"] for entry in before]
    text = json.dumps(after)
    for word in ("alice", "alices-client"):
        assert word not in text.replace(f"users/{pseudonym}", ""), word
    by_id = {entry["id"]: entry for entry in after}
    for entry in before:
        if entry["actor"] == "alice":
            assert by_id[entry["id"]]["actor"] == pseudonym
            assert (by_id[entry["id"]]["ip"], by_id[entry["id"]]["user_agent"]) == (None, None)
        if entry["subject"] == "alice":
            assert by_id[entry["id"]]["changes"] is None
    again = [await log.get("proof/inclusion", entry=entry["id"], size=size) for entry in before]
    assert again == inclusion
    assert list(proofs.problems({"inclusion": again})) == []
    assert (await Verifier(log.site.extensions.kernels["audit"].database).run()).problems == []
    assert await log.entries(actor="alice") == []
    assert [entry["id"] for entry in await log.entries(actor=pseudonym)] == [
        entry["id"] for entry in before if entry["actor"] == "alice"
    ]
    assert (await log.request("DELETE", "/v2/_ext/audit/persons/alice")).status == 404


async def test_who_comes_back_is_somebody_new(log: Log) -> None:
    await fill(log)
    (old,) = (await log.request("DELETE", "/v2/_ext/audit/persons/alice")).json()["pseudonyms"]
    await log.emit("alice", subject="x.y", action="z", id="2")
    await log.settle()
    (entry,) = await log.entries(actor="alice")
    assert entry["resource"] == "#x.y/2"
    (new,) = await log.all("SELECT id FROM audit_person WHERE name = 'alice'")
    assert new[0] != old


async def test_what_is_too_old_goes_and_every_proof_holds(folder: Path, location: str, clock: FakeClock) -> None:
    async with opened(folder, location, clock, audit__retention=30) as log:
        await fill(log)
        old = await log.entries()
        first = await log.get("checkpoint")
        clock.advance(31 * DAY)
        await log.emit("admin", subject="x.y", action="z", id="new")
        await log.settle()
        await log.job("audit.retention").run()
        await log.settle()
        left = await log.entries()
        (kept,) = [entry for entry in left if entry["action"] == "x.y.z"]
        # What the observer noted by the wall's clock stays; what the registry's own clock says is old has gone.
        gone = {entry["id"] for entry in old} - {entry["id"] for entry in left}
        assert gone
        (told,) = [entry for entry in left if entry["action"] == "audit.retention.delete"]
        assert told["method"] == "internal"
        pruned = (await log.all("SELECT pruned FROM audit_tree"))[0][0]
        assert told["changes"] == [
            {"op": "test", "path": "/first", "value": 0},
            {"op": "replace", "path": "/first", "value": pruned},
        ]
        report = await Verifier(log.site.extensions.kernels["audit"].database, first["note"]).run()
        assert (report.problems, report.pruned) == ([], pruned)
        document = {
            "notes": [first["note"], (await log.get("checkpoint"))["note"]],
            "inclusion": [await log.get("proof/inclusion", entry=entry) for entry in (kept["id"], old[-1]["id"])],
            "consistency": [await log.get("proof/consistency", first=first["size"])],
        }
        assert document["inclusion"][1]["leaf"] is None
        assert list(proofs.problems(document)) == []
        await log.job("audit.retention").run()
        assert (await log.all("SELECT pruned FROM audit_tree"))[0][0] == pruned
