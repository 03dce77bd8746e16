"""How a fuzzing client speaks: on a few connections, with a memory of what was said, judging every answer."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.hostile.content import digest_of
from tests.hostile.grammar import Grammar
from tests.hostile.spec import problem
from tests.hostile.wire import Answer, Headers, NoAnswer, Wire, address, chunked, head
from tests.support.server import RegistryProcess

HISTORY = 25
"""Exchanges that a failure tells."""
KEPT = 4
"""Connections that are kept for further requests."""
HANGS = 30.0
"""Seconds without an answer that count as a hang."""


class Failure(AssertionError):
    """The server broke a promise."""


@dataclass(slots=True)
class Counts:
    """What a client did."""

    requests: int = 0
    statuses: dict[int, int] = field(default_factory=dict)


class Speaker:
    """The client's mouth and ear."""

    def __init__(self, server: RegistryProcess, chance: random.Random) -> None:
        self.counts = Counts()
        self.chance = chance
        self.say = Grammar(chance)
        self._server = server
        self._wires: list[Wire] = []
        self._history: deque[str] = deque(maxlen=2 * HISTORY)

    def told(self) -> str:
        """The last exchanges."""
        return "\n".join(self._history)

    def close(self) -> None:
        """Close what is open."""
        for wire in self._wires:
            wire.close()

    def ask(
        self, method: str, target: str, headers: Headers = (), body: bytes = b"", *, strange: bool = False
    ) -> Answer:
        """One request on one of a few connections, its body framed in either way."""
        fields = list(headers.items() if isinstance(headers, Mapping) else headers)
        sent = body
        if body and self.say.odds(4):
            fields.append(("Transfer-Encoding", "chunked"))
            cut = self.chance.randrange(len(body))
            sent = chunked(body[:cut], body[cut:])
        data = head(method, target, fields, sent) + sent
        self.note(f"{data[: len(data) - len(sent)]!r} + {len(sent)} bytes {digest_of(sent)[:20]} {sent[:200]!r}")
        for attempt in (1, 2):
            wire = self._wires.pop(self.chance.randrange(len(self._wires))) if self._wires else self.connect()
            try:
                wire.send(data)
                answer = wire.answer(method.upper())
                break
            except NoAnswer:
                wire.close()
                # A kept connection may have been closed while nothing was on it; a new one may not.
                if attempt == 2 or strange:
                    raise
        if answer.closes or len(self._wires) >= KEPT:
            wire.close()
        else:
            self._wires.append(wire)
        self.judge(answer, method=method.upper(), strange=strange)
        return answer

    def connect(self) -> Wire:
        """A connection of its own."""
        return Wire(address(self._server), patience=HANGS)

    def note(self, text: str) -> None:
        """Remember what is about to be sent."""
        self._history.append(text)
        self.counts.requests += 1

    def judge(self, answer: Answer, *, method: str, strange: bool) -> None:
        """What holds for every answer."""
        self.counts.statuses[answer.status] = self.counts.statuses.get(answer.status, 0) + 1
        self._history.append(f"    -> {answer.status} {dict(answer.fields)} {answer.body[:300]!r}")
        if answer.status < 400:
            return
        if answer.status == 503:
            self.expect((answer.header("retry-after") or "").isdigit(), "503 without Retry-After", answer)
            return
        # Before the application there is no more than a status; only what is no HTTP/1.1 of ours gets there.
        if strange and answer.status in (400, 403, 431, 501) and answer.closes and not answer.header("x-request-id"):
            return
        if method == "" and not answer.body:
            return  # may have been HEAD
        wrong = problem(answer, method)
        self.expect(wrong is None, f"error: {wrong}", answer)

    def expect(self, holds: bool, what: str, answer: Answer) -> None:
        """Fail with the answer unless what is promised holds."""
        if not holds:
            raise Failure(f"{what}: {answer.status} {dict(answer.fields)} {answer.body[:1000]!r}")
