"""An extension of somebody else's that uses every part of the contract, and notes in its table whatever it is told."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from gati_registry.errors import Code, RegistryError
from gati_registry.extension import (
    ANONYMOUS,
    SERVE,
    Access,
    Action,
    Answer,
    Call,
    Change,
    Command,
    Contribution,
    Decision,
    Event,
    Extension,
    Identity,
    Job,
    Kernel,
    Model,
    Operation,
    Page,
    Paging,
    Permission,
    Pull,
    Push,
    Reaction,
    Refusal,
    Request,
    Route,
    Transaction,
    Verdict,
    Visible,
    on,
)


class Settings(Model):
    """A stranger's."""

    word: str = Field("none", description="A word.")
    decides: bool = Field(False, description="Whether it decides who may do what.")


class Note(Model):
    """A row of its table."""

    kind: str
    value: str = Field(max_length=100)


class Notes(Paging):
    """Which notes."""

    kind: str = ""


READ = Permission("stranger.read", Action.PUBLIC)
WRITE = Permission("stranger.write", Action.PUSH)
OPERATE = Permission("stranger.operate", Action.OPERATE)
CONTENT = on(
    Operation.MANIFEST_PUT, Operation.TAG_MOVE, Operation.MANIFEST_DELETE, Operation.TAG_DELETE,
    Operation.BLOB_COMMIT, Operation.BLOB_MOUNT, Operation.BLOB_DELETE,
)  # fmt: skip


async def note(tx: Transaction, kind: str, value: Any) -> None:
    """One more row."""
    await tx.run(
        "INSERT INTO stranger_note (kind, value, time) VALUES (:kind, :value, 0)", kind=kind, value=json.dumps(value)
    )


class Stranger:
    """Everything it does."""

    def __init__(self, kernel: Kernel, settings: Settings) -> None:
        self.kernel = kernel
        self.settings = settings
        self.failed: set[str] = set()

    async def keep(self, kind: str, value: Any) -> None:
        await self.kernel.database.write(lambda tx: note(tx, kind, value))

    # --- routes

    async def notes(self, call: Call) -> Page[Note]:
        query: Notes = call.query

        async def work(tx: Transaction) -> list[tuple[Any, ...]]:
            return await tx.all("SELECT kind, value FROM stranger_note WHERE kind = :kind", kind=query.kind)

        rows = await self.kernel.database.read(work)
        return Page[Note](items=[Note(kind=row[0], value=row[1][:100]) for row in rows[: query.limit]])

    async def add(self, call: Call) -> Note:
        given: Note = call.body
        await self.keep(given.kind, [given.value, call.repository, call.identity.name])
        return given

    async def show(self, call: Call) -> Answer:
        text = f"{call.parameters['what']} {self.settings.word}"
        return Answer(body=text.encode(), media_type="text/plain", headers={"X-Stranger": "yes"})

    # --- operations

    async def inspect(self, push: Push) -> Mapping[str, Any] | Refusal | None:
        if push.manifest.annotations.get("inspect") == "refuse":
            return Refusal(Code.MANIFEST_INVALID, "the inspector does not like it", detail={"pointer": "/annotations"})
        sizes = []
        for digest in push.manifest.references:
            found = await self.kernel.core.blob(push.repository, digest)
            if found is not None:
                size, reader = found
                try:
                    sizes.append([size, (await reader.read(0, 4)).decode("latin-1")])
                finally:
                    reader.close()
        return {"sizes": sizes}

    async def gate(self, tx: Transaction, change: Change) -> Refusal | None:
        if change.manifest is not None and change.manifest.annotations.get("gate") == "refuse":
            return Refusal(Code.DENIED, "the gate is closed", detail={"facts": dict(change.facts)})
        return None

    async def project(self, tx: Transaction, change: Change) -> None:
        await note(
            tx,
            "projection",
            [change.operation.value, change.repository, change.tag, change.new, dict(change.facts).get("stranger")],
        )

    async def react(self, event: Event) -> None:
        if event.id not in self.failed:
            self.failed.add(event.id)
            raise ConnectionError("the first attempt always fails")
        await self.keep("reaction", [event.operation.value, event.repository, event.tag])

    async def observe(self, events: Sequence[Event]) -> None:
        for event in events:
            await self.keep("observer", [event.operation.value, event.repository, event.tag, event.status])

    async def version(self) -> str:
        return "1"

    async def judge(self, pull: Pull) -> Verdict:
        if pull.tag == "forbidden":
            return Verdict(refusal=Refusal(Code.DENIED, "policy says no"))
        if pull.tag == "doubtful":
            return Verdict(warnings=("take care",), headers=(("X-Verdict", "doubtful"),))
        return SERVE

    # --- who may

    async def authenticate(self, request: Request) -> Identity | None:
        word = request.header(b"x-stranger")
        if word is None:
            return None
        if word != "let me in":
            raise RegistryError(Code.UNAUTHORIZED, "the stranger does not know you")
        return Identity("a-stranger", kind="user", method="api-key")

    async def decide(self, identity: Identity, access: Access) -> Decision:
        if access.action is Action.PUBLIC or identity.admin or identity.name == "a-stranger":
            return Decision.ALLOW
        if access.repository == "hidden/thing":
            return Decision.HIDE
        return Decision.CHALLENGE if identity == ANONYMOUS else Decision.DENY

    async def visible(self, identity: Identity) -> Visible:
        return Visible()

    def challenge(self, accesses: Sequence[Access], request: Request) -> str:
        return f'Bearer realm="{request.origin}/stranger/token"'

    # --- aside

    async def job(self) -> None:
        await self.keep("job", "ran")

    async def health(self) -> None:
        if self.settings.word == "ill":
            raise RuntimeError("ill")

    async def prepare(self) -> list[str]:
        await self.keep("prepare", self.settings.word)
        return ["the stranger is here"]


def contribute(kernel: Kernel, settings: Settings) -> Contribution:
    """Everything."""
    self = Stranger(kernel, settings)
    return Contribution(
        registry_routes=[
            Route("GET", "notes", READ, self.notes, "Notes.", query=Notes, answer=Page[Note]),
            Route("GET", "operate", OPERATE, self.show, "For operators."),
        ],
        repository_routes=[
            Route("POST", "notes", WRITE, self.add, "Note.", body=Note, answer=Note, status=201, max_body=200)
        ],
        root_routes=[Route("GET", "/stranger/{what:path}", READ, self.show, "Show.")],
        inspectors=[self.inspect],
        gates=[(CONTENT, self.gate)],
        projections=[(CONTENT, self.project)],
        pull_gates=[self],
        observers=[self.observe],
        reactions=[Reaction("stranger.tell", on(Operation.TAG_MOVE), self.react)],
        authenticators=[self],
        authorizer=self if settings.decides else None,
        jobs=[Job("stranger.job", 0.2, self.job)],
        health={"mind": self.health},
        prepare=self.prepare,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--twice", action="store_true")


async def _count(kernel: Kernel, arguments: argparse.Namespace) -> int:
    async def work(tx: Transaction) -> int:
        row = await tx.one("SELECT count(*) FROM stranger_note WHERE kind = 'prepare'")
        assert row is not None
        return int(row[0])

    print((await kernel.database.read(work)) * (2 if arguments.twice else 1))
    return 3


extension = Extension(
    name="stranger",
    summary="Somebody else's.",
    contribute=contribute,
    settings=Settings,
    permissions={"stranger.read": "Read.", "stranger.write": "Write.", "stranger.operate": "Operate."},
    migrations="gati_stranger.migrations",
    commands=[Command("stranger", "count the starts", _count, _arguments)],
)
