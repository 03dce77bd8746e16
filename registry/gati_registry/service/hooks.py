"""What extensions take part in, put together once: inspectors, gates, projections, reactions, pull gates.

inspect  before the transaction; may read blobs, returns facts
commit   inside it, once for each operation: gates, then projections, then a row in the outbox for each reaction
judge    before content is served
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gati_registry.domain.events import SERVE, Change, Operation, Pull, Push, Refusal, Verdict, event_of
from gati_registry.ports import Gate, Inspector, Projection, PullGate, React, Transaction

REMEMBERED = 10_000
"""Verdicts that are kept, over all pull gates."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """Something to do after the commit of some operations; `name` is `<extension>.<what>` and never changes."""

    name: str
    operations: frozenset[Operation]
    react: React


@dataclass(frozen=True, slots=True)
class Listed:
    """All hooks, in the order in which they run. Inspectors come with the name of their extension."""

    inspectors: Sequence[tuple[str, Inspector]] = ()
    gates: Sequence[tuple[frozenset[Operation], Gate]] = ()
    projections: Sequence[tuple[frozenset[Operation], Projection]] = ()
    reactions: Sequence[Reaction] = ()
    pull_gates: Sequence[PullGate] = ()


class Hooks:
    """The hooks of all extensions, by operation. An operation that nobody asked for costs a look-up."""

    def __init__(self, listed: Listed | None = None) -> None:
        listed = listed or Listed()
        self._inspectors = listed.inspectors
        self._gates = {o: [gate for kinds, gate in listed.gates if o in kinds] for o in Operation}
        self._projections = {o: [put for kinds, put in listed.projections if o in kinds] for o in Operation}
        self._reactions = {o: [r.name for r in listed.reactions if o in r.operations] for o in Operation}
        self._pull_gates = listed.pull_gates
        self._verdicts: OrderedDict[tuple[int, str, str, str, str], Verdict] = OrderedDict()
        self._heard = {o: bool(self._gates[o] or self._projections[o] or self._reactions[o]) for o in Operation}
        # Called after a unit of work that filled the outbox, so that reactions need not wait for the next look.
        self.wake: Callable[[], None] = lambda: None
        self.inspecting = bool(listed.inspectors)
        self.judging = bool(listed.pull_gates)

    def hears(self, *operations: Operation) -> bool:
        """Whether anybody wants to know of one of these operations; if not, there is no need to describe it."""
        return any(self._heard[operation] for operation in operations)

    async def inspect(self, push: Push) -> Mapping[str, Any]:
        """What all inspectors found, by extension.

        Raises:
            RegistryError: one of them refuses.
        """
        facts: dict[str, Any] = {}
        for name, inspector in self._inspectors:
            found = await inspector(push)
            if isinstance(found, Refusal):
                raise found.error()
            if found:
                facts[name] = {**facts.get(name, {}), **found}
        return facts

    async def commit(self, tx: Transaction, change: Change, *, gated: bool = True) -> None:
        """Let an operation pass all gates and be noted everywhere; inside its transaction, after its own writes.

        Not `gated` is what the registry does by itself: nobody is there to be refused.

        Raises:
            RegistryError: a gate refuses; the transaction must not commit.
        """
        operation = change.operation
        if not self._heard[operation]:
            return
        for gate in self._gates[operation] if gated else ():
            refusal = await gate(tx, change)
            if refusal is not None:
                raise refusal.error()
        for project in self._projections[operation]:
            await project(tx, change)
        if names := self._reactions[operation]:
            event = event_of(change, str(uuid.uuid4()))
            for name in names:
                await tx.outbox.add(name, event, change.time)

    def committed(self, *operations: Operation) -> None:
        """A unit of work with these operations is durable."""
        if any(self._reactions[operation] for operation in operations):
            self.wake()

    async def judge(self, pull: Pull) -> Verdict:
        """All pull gates' verdict; the first refusal ends it."""
        warnings: list[str] = []
        headers: list[tuple[str, str]] = []
        members = False
        for number, gate in enumerate(self._pull_gates):
            verdict = await self._verdict(number, gate, pull)
            if verdict.refusal is not None:
                return verdict
            warnings += verdict.warnings
            headers += verdict.headers
            members = members or verdict.members
        if warnings or headers or members:
            return Verdict(tuple(warnings), tuple(headers), members=members)
        return SERVE

    async def _verdict(self, number: int, gate: PullGate, pull: Pull) -> Verdict:
        key = (number, pull.repository, pull.digest, pull.tag or "", await gate.version())
        kept = self._verdicts.get(key)
        if kept is None:
            kept = self._verdicts[key] = await gate.judge(pull)
            if len(self._verdicts) > REMEMBERED:
                self._verdicts.popitem(last=False)
        return kept


NO_HOOKS = Hooks()
