"""Garbage collection beside everything else that a registry does, as a state machine beside a model.

Pushes, mounts, tags, deletes, referrers, nested indexes, looks, interrupted uploads, ended processes and time, while a
collector takes its steps one by one in between. No reachable blob is ever missing or different; every unreachable one
goes once its time has come; nothing else is left in the database or on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gati_registry.bootstrap import Registry
from gati_registry.domain.gc import Report
from gati_registry.service.collect import Collector
from gati_registry.settings import Settings
from tests.core.fakes import Crash, Gate, LastSteps, WatchedBlobs, WatchedMetadata
from tests.core.gc_model import Model, Place, Stored
from tests.core.gc_view import View, run_as_planned, select, view
from tests.core.support import (
    EXPIRY,
    GRACE,
    IMAGE,
    INDEX,
    INLINE,
    POLICY,
    READERS,
    UNDO,
    AgedHousekeeping,
    Client,
    FakeClock,
    assemble,
    configure,
    files,
    image,
    index,
    registry,
    scratch,
    sha256,
)
from tests.proofs.sizes import size

T = TypeVar("T")

REPOSITORIES = ("a", "b/c")
BLOBS = [b"small", b"large" * (INLINE // 4)]
TAGS = ("v1", "v2")

repositories = st.sampled_from(["a", "a", "b/c"])
blobs = st.sampled_from(BLOBS)
tags = st.sampled_from([*TAGS, None])
picks = st.integers(0, 5)
care = st.sampled_from(["look", "look", "push", "none"])
waits = st.sampled_from([0, 1, GRACE // 2 + 1, GRACE + 1, GRACE + 1, UNDO + 1, UNDO + 1, READERS + 1, EXPIRY + 1])
seldom = st.sampled_from([False] * 7 + [True])
"""A walk through a thousand folders."""


class GarbageMachine(RuleBasedStateMachine):
    """The rules.

    None has a precondition: pushes and the collector's steps really run at the same time, so that the same history may
    leave another state the next time, and Hypothesis wants the same choices then.
    """

    steps_taken = 0
    """Of all collectors in all examples; for the proof's figure."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = contextlib.ExitStack()
        self.folder = self.stack.enter_context(scratch())
        self.clock = FakeClock()
        self.model = Model(self.clock, {sha256(data): data for data in BLOBS})
        self.opened: list[contextlib.AsyncExitStack] = []
        self.uploads: list[tuple[str, str, int]] = []
        self.gate = Gate()
        self.collecting: asyncio.Task[Report] | None = None
        self.site: Registry

    # --- plumbing -----------------------------------------------------------------------------------------------

    @initialize()
    def open(self) -> None:
        """A process begins; an earlier one, if there was one, is left as it is."""
        stack = contextlib.AsyncExitStack()
        self.opened.append(stack)
        self.site = self.run(stack.enter_async_context(registry(self.folder, self.clock, self.configured())))

    def configured(self) -> Settings:
        """What its processes are set to."""
        return configure(self.folder)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Drive the event loop until this is done; what else is under way goes on with it."""
        return self.runner.run(work)

    @property
    def client(self) -> Client:
        """Sends to the process."""
        return Client(self.site.app)

    def collector(self, gate: Gate | None = None) -> Collector:
        """A collector; behind a gate, if one is given."""
        watch = gate or Gate(closed=False)
        return Collector(
            WatchedMetadata(self.site.metadata, watch),
            WatchedBlobs(self.site.blobs, watch),
            AgedHousekeeping(self.site.blobs, self.clock),
            self.clock,
            POLICY,
        )

    def manifest(self, repository: str, pick: int) -> Place | None:
        """One of a repository's manifests."""
        found = [place for place in self.model.manifests if place[0] == repository]
        return found[pick % len(found)] if found else None

    # --- blobs --------------------------------------------------------------------------------------------------

    @rule(
        repository=repositories,
        data=blobs,
        how=st.sampled_from(["push", "push", "look", "mount", "delete"]),
        pick=picks,
    )
    def use_blob(self, repository: str, data: bytes, how: str, pick: int) -> None:
        match how:
            case "push":
                self.push(repository, data)
            case "look":
                self.look(repository, data)
            case "mount":
                self.mount(repository, data, [*REPOSITORIES, "nowhere", None][pick % 4])
            case _:
                self.delete_blob(repository, data)

    def push(self, repository: str, data: bytes) -> None:
        """One request."""
        assert self.run(self.client.push_blob(repository, data)).status == 201
        self.model.used((repository, sha256(data)))

    def look(self, repository: str, data: bytes) -> bool:
        """HEAD; whether it is there."""
        place = (repository, sha256(data))
        status = self.run(self.client.request("HEAD", f"/v2/{repository}/blobs/{place[1]}")).status
        if status == 200:
            assert self.model.may(place)
            self.model.looked_at(place)
            return True
        self.model.absent(place)
        return False

    def mount(self, into: str, data: bytes, source: str | None) -> None:
        """From a named repository, or from any."""
        digest = sha256(data)
        named = f"&from={source}" if source else ""
        answer = self.run(self.client.request("POST", f"/v2/{into}/blobs/uploads/?mount={digest}{named}"))
        sources = [(name, digest) for name in ([source] if source else REPOSITORIES)]
        assert answer.status in (201, 202)
        if answer.status == 201:
            assert any(self.model.may(place) for place in sources)
            self.model.used((into, digest))
        else:
            assert not any(self.model.must(place) for place in sources)
            assert self.run(self.client.request("DELETE", answer.headers["location"])).status == 204

    def delete_blob(self, repository: str, data: bytes) -> None:
        """Unlink it, where no manifest refers to it."""
        place = (repository, sha256(data))
        status = self.run(self.client.request("DELETE", f"/v2/{repository}/blobs/{place[1]}")).status
        if status == 404:
            self.model.absent(place)
            return
        assert self.model.may(place)
        assert status == (405 if self.model.held(place) else 202)
        if status == 202:
            self.model.deleted(place)

    @rule(repository=repositories, finish=st.booleans(), pick=picks)
    def upload(self, repository: str, finish: bool, pick: int) -> None:
        """Begin an upload and leave it there; or finish one that was left."""
        data = BLOBS[1]
        if not finish or not self.uploads:
            location = self.run(self.client.start_upload(repository))
            assert self.run(self.client.request("PATCH", location, data)).status == 202
            self.uploads.append((location, repository, self.clock.now()))
            return
        location, repository, touched = self.uploads.pop(pick % len(self.uploads))
        answer = self.run(self.client.request("PUT", f"{location}?digest={sha256(data)}"))
        if answer.status == 201:
            self.model.used((repository, sha256(data)))
        else:
            assert answer.codes == ["BLOB_UPLOAD_UNKNOWN"]
            assert self.clock.now() - touched > EXPIRY * 1000

    # --- manifests ----------------------------------------------------------------------------------------------

    def put(self, repository: str, data: bytes, media_type: str, tag: str | None, *, required: set[str]) -> bool:
        """Push a manifest, and compare with what the model says of its references; whether it was accepted."""
        digest = sha256(data)
        answer = self.run(self.client.push_manifest(repository, tag or digest, data, media_type))
        missing = {name for name in required if (repository, name) not in self.model.manifests}
        if answer.status == 400:
            assert set(answer.codes) == {"MANIFEST_BLOB_UNKNOWN"}
            told = {error["detail"]["digest"] for error in answer.json()["errors"]}
            for name in told:
                self.model.absent((repository, name))
            assert all(self.model.may((repository, name)) for name in missing - told)
            return False
        assert answer.status == 201, answer
        assert all(self.model.may((repository, name)) for name in missing)
        subject = json.loads(data).get("subject", {}).get("digest")
        assert answer.headers.get("oci-subject") == subject
        self.model.pushed((repository, digest), Stored(data, media_type, frozenset(required), subject), tag)
        return True

    @rule(repository=repositories, layers=st.lists(blobs, min_size=1, max_size=2), tag=tags, care=care, subject=picks)
    def push_image(self, repository: str, layers: list[bytes], tag: str | None, care: str, subject: int) -> None:
        """As clients do it: look for each blob and push what is missing; or without."""
        fields: dict[str, Any] = {}
        if subject < 3:  # one that exists, or existed, or never did
            place = self.manifest(repository, subject) if subject < 2 else None
            digest = place[1] if place else sha256(b"never %d" % subject)
            fields["subject"] = {"mediaType": IMAGE, "digest": digest, "size": 1}
        for blob in set(layers) if care != "none" else ():
            if care == "push" or not self.look(repository, blob):
                self.push(repository, blob)
        taken = self.put(repository, image(*layers, **fields), IMAGE, tag, required=set(map(sha256, layers)))
        assert taken or care == "none"

    @rule(repository=repositories, pick=picks, other=picks, blob=st.one_of(st.none(), blobs), tag=tags)
    def push_index(self, repository: str, pick: int, other: int, blob: bytes | None, tag: str | None) -> None:
        """An index of images, of indexes, and sometimes of a blob, as build caches have them."""
        children = {place for place in (self.manifest(repository, pick), self.manifest(repository, other)) if place}
        entries = [self.model.manifests[place].data for place in sorted(children)] + ([blob] if blob else [])
        self.put(repository, index(*entries), INDEX, tag, required={sha256(entry) for entry in entries})

    @rule(pick=picks, repository=repositories, tag=tags)
    def delete_manifest(self, pick: int, repository: str, tag: str | None) -> None:
        """By its digest, or only a tag."""
        if tag is not None:
            known = self.model.tags.pop((repository, tag), None)
            status = self.run(self.client.request("DELETE", f"/v2/{repository}/manifests/{tag}")).status
            assert status in ((202,) if known else (404,))
        elif place := self.manifest(repository, pick):
            assert self.run(self.client.request("DELETE", f"/v2/{place[0]}/manifests/{place[1]}")).status == 202
            self.model.removed(place)

    # --- ends ---------------------------------------------------------------------------------------------------

    @rule(repository=repositories, moment=st.integers(0, 9))
    def end_while_pushing(self, repository: str, moment: int) -> None:
        """The process ends at some moment of a push, with all it does, and a new one begins."""
        watch, place = LastSteps(moment), (repository, sha256(BLOBS[1]))
        app = assemble(WatchedMetadata(self.site.metadata, watch), WatchedBlobs(self.site.blobs, watch), self.clock)

        async def attempt() -> None:
            with contextlib.suppress(Crash):
                assert (await Client(app).push_blob(repository, BLOBS[1])).status == 201

        self.run(attempt())
        if watch.dead:
            self.model.perhaps_used(place)
            self.end_while_collecting()
        else:
            self.model.used(place)

    @rule()
    def end_while_collecting(self) -> None:
        """The process ends, between two steps of its collector if that is under way, and a new one begins."""
        if self.collecting is not None:
            self.collecting.cancel()
            self.run(_ended(self.collecting))
            self.collecting = None
        self.open()

    # --- time and collecting ------------------------------------------------------------------------------------

    @rule(wait=waits, steps=st.integers(1, 6), pushed=st.lists(blobs, max_size=2, unique=True), strays=seldom)
    def collect(self, wait: int, steps: int, pushed: list[bytes], strays: bool) -> None:
        """After a while the collector takes some steps, with pushes at the same time, and stands before the next one.

        A new one begins where the last has ended.
        """
        self.clock.advance(wait)
        if self.collecting is None:
            self.gate = Gate()
            self.collecting = self.run(_begun(self.collector(self.gate).run(strays=strays)))

        async def on(task: asyncio.Task[Report]) -> bool:
            pushes = [self.client.push_blob("a", blob) for blob in pushed]
            pushing = asyncio.gather(*pushes)
            for _ in range(steps):
                if not await self.gate.reached(task):
                    break
                self.gate.let_on()
                GarbageMachine.steps_taken += 1
            assert [answer.status for answer in await pushing] == [201] * len(pushed)
            return await self.gate.reached(task)

        if not self.run(on(self.collecting)):
            self.collecting.result()
            self.collecting = None
        for blob in pushed:
            self.model.used(("a", sha256(blob)))

    @rule(wait=waits)
    def time_passes(self, wait: int) -> None:
        self.clock.advance(wait)

    @rule(wait=waits)
    def collect_at_once(self, wait: int) -> None:
        """A whole run, beside the one that stands, if there is one."""
        self.clock.advance(wait)
        self.run(self.collector().run(strays=False))

    @rule()
    def undo(self) -> None:
        condemned = self.run(view(self.site)).condemned
        assert self.run(self.collector().undo()) == len(condemned)
        for place in condemned:
            self.model.used(place)

    @rule(wait=waits, strays=seldom)
    def collect_as_planned(self, wait: int, strays: bool) -> None:
        """A whole run does exactly what the plan told before it, and all that is due."""
        if self.collecting is not None:
            return
        self.clock.advance(wait)
        self.run(run_as_planned(self.collector(), self.site, self.clock, strays_too=strays))
        left = self.run(view(self.site))
        assert not any(self.model.overdue(place) for place in left.links - left.condemned)

    # --- what always holds --------------------------------------------------------------------------------------

    @invariant()
    def everything_reachable_is_there_and_nothing_deleted_comes_back(self) -> None:
        self.run(self.compare())

    async def compare(self) -> None:
        """Fetch all that the model knows."""
        for repository in REPOSITORIES:
            for digest, data in self.model.contents.items():
                answer = await self.client.get(f"/v2/{repository}/blobs/{digest}")
                if answer.status == 200:
                    assert self.model.may((repository, digest))
                    assert answer.body == data
                else:
                    self.model.absent((repository, digest))
        for (repository, digest), stored in self.model.manifests.items():
            answer = await self.client.get(f"/v2/{repository}/manifests/{digest}")
            assert (answer.status, answer.body, answer.headers["content-type"]) == (200, stored.data, stored.media_type)
        for repository in REPOSITORIES:
            for tag in TAGS:
                answer = await self.client.get(f"/v2/{repository}/manifests/{tag}")
                assert answer.headers.get("docker-content-digest") == self.model.tags.get((repository, tag))
            subjects = {stored.subject for stored in self.model.manifests.values() if stored.subject}
            for subject in subjects | {sha256(b"never 3")}:
                listed = (await self.client.get(f"/v2/{repository}/referrers/{subject}")).json()["manifests"]
                assert {entry["digest"] for entry in listed} == self.model.referrers(repository, subject)

    def teardown(self) -> None:
        try:
            if self.opened:
                self.gate.open()
                if self.collecting is not None:
                    self.run(_ended(self.collecting))
                self.all_garbage_goes()
        finally:
            self.run(self.close())
            self.runner.close()
            self.stack.close()

    def all_garbage_goes(self) -> None:
        """Given time, nothing is left but what manifests hold."""
        for last in (False, False, True):
            self.clock.advance(max(GRACE, UNDO, READERS, EXPIRY, 3600) + 1)
            self.run(self.collector().run(strays=last))
        self.run(self.compare())
        kept = {place for place in self.model.links if self.model.held(place)}
        left = self.run(view(self.site))
        assert left == View(kept, set(), {digest for _, digest in kept}, left.files, set(), set())
        assert files(self.folder / "blobs") == {f"blobs/{name}" for name in left.files}
        used = {repository for repository, _ in (*kept, *self.model.manifests)}
        assert {name for (name,) in self.run(select(self.site, "SELECT name FROM repository"))} == used
        findings = self.run(self.site.verifier.run())
        assert (findings.blobs, findings.manifests) == (len(left.blobs), len(self.model.manifests))
        assert findings.damaged == []

    async def close(self) -> None:
        """Let go of all processes."""
        for stack in reversed(self.opened):
            await stack.aclose()


async def _begun(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.ensure_future(work)


async def _ended(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def run_machine(examples: int, steps: int, machine: type[GarbageMachine] = GarbageMachine) -> None:
    """Run the machine so often."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def test_no_reachable_blob_goes_and_every_unreachable_one_does() -> None:
    run_machine(30, 40)


@pytest.mark.proof
def test_no_reachable_blob_goes_and_every_unreachable_one_does_in_many_histories() -> None:
    examples, steps = size("GC_EXAMPLES", 2000), size("GC_STEPS", 80)
    GarbageMachine.steps_taken = 0
    run_machine(examples, steps)
    print(
        f"\ngarbage collection: {examples} histories of up to {steps} operations,"
        f" {GarbageMachine.steps_taken} collector steps between them: 0 reachable blobs lost, 0 unreachable ones kept"
    )
