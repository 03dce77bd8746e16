"""`POST types`: methods that take X and give Y."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from gati_extensions.kinds.api import (
    BadType,
    Budget,
    Catalogue,
    GType,
    fits,
    given_keys,
    normalise,
    scope_of,
    unbranded,
    wanted_keys,
)
from gati_extensions.search.types import store
from gati_extensions.search.types.store import Row
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Call, Kernel, Model, Permission, Route, Transaction

SEARCH = Permission("search.search", Action.PUBLIC)

CANDIDATES = 1000
"""Types that are compared with the one that is asked for."""
METHODS = 2000
"""Methods that are ranked."""
STEPS = 2000
"""Work for one comparison."""
MATCHES = ("exact", "equal", "subtype")
AT_ONCE = 2


class TypesQuery(Model):
    """What a method shall take, and what it shall give: GTypes in any spelling. A list is several arguments."""

    takes: Any = None
    gives: Any = None
    definitions: Annotated[dict[str, Any], Field(max_length=1000)] = Field(
        default_factory=dict, description="Types that these may name."
    )
    kind: Annotated[str, StringConstraints(max_length=64)] | None = None
    limit: int = Field(20, ge=1, le=100)
    cursor: str = Field("", max_length=2048)


class MethodHit(Model):
    """A method; the name "" is the artifact as a whole. `match`: exact, equal but for brands, or it fits."""

    repository: str
    kind: str
    version: str
    digest: str
    method: str
    match: Literal["exact", "equal", "subtype"]
    takes: dict[str, Any] | None
    gives: dict[str, Any] | None


class TypesPage(Model):
    """A page. Not `complete`: there were more candidates than are looked at; ask for something narrower."""

    items: list[MethodHit]
    next: str | None
    complete: bool


@dataclass(frozen=True, slots=True)
class Side:
    """One half of a question: `takes` or `gives`, and the type."""

    name: str
    type: GType
    shape: GType

    def rank(self, hash_: str, shape: str, body: str) -> int | None:
        """How well a method's type answers; None: not at all."""
        if hash_ == self.type.hash:
            return 0
        if shape == self.shape.hash:
            return 1
        budget = Budget(STEPS)
        try:
            theirs = normalise(json.loads(body), budget=Budget(50 * STEPS))
            # What is taken must take what the caller has; what is given must be what the caller wants.
            given, wanted = (self.type, theirs) if self.name == "takes" else (theirs, self.type)
            return 2 if fits(given, wanted, budget) else None
        except BadType:
            return None


class SignatureSearch:
    """The endpoint."""

    def __init__(self, kernel: Kernel, catalogue: Catalogue) -> None:
        self._kernel = kernel
        self._catalogue = catalogue
        self._turns: list[asyncio.Semaphore] = []

    def routes(self) -> Sequence[Route]:
        """Below `/v2/_ext/search/`."""
        return [
            Route("POST", "types", SEARCH, self.search, "Methods that take X and give Y, the exact ones first.",
                  body=TypesQuery, answer=TypesPage, max_body=256 * 1024),
        ]  # fmt: skip

    async def search(self, call: Call) -> TypesPage:
        """The handler."""
        asked: TypesQuery = call.body
        after = _after(asked.cursor)
        if not self._turns:
            self._turns.append(asyncio.Semaphore(AT_ONCE))
        async with self._turns[0]:
            sides = await asyncio.to_thread(_sides, asked)
            found, complete = await self._ranked(call, sides, asked.kind)
            page = [one for one in found if one[0] > after][: asked.limit + 1]
            return await self._page(page, asked.limit, complete)

    async def _ranked(
        self, call: Call, sides: Sequence[Side], kind: str | None
    ) -> tuple[list[tuple[tuple[int, str, str], Row]], bool]:
        """Methods in their order, and whether these are all."""
        database = self._kernel.database
        visible = await self._kernel.access.visible(call.identity)

        async def look(tx: Transaction) -> list[Sequence[tuple[str, str, str]]]:
            return [await store.candidates(tx, *_lookup(side), CANDIDATES + 1) for side in sides]

        looked = await database.scan(look)
        # From the side with fewer candidates: of its methods the other side is compared.
        first = min(range(len(sides)), key=lambda number: len(looked[number]))
        complete = len(looked[first]) <= CANDIDATES
        side, others = sides[first], [one for number, one in enumerate(sides) if number != first]
        ranks = await asyncio.to_thread(_compared, side, looked[first][:CANDIDATES])
        hashes = sorted(ranks, key=lambda hash_: (ranks[hash_], hash_))

        async def collect(tx: Transaction) -> tuple[Sequence[Row], Mapping[str, tuple[str, str]]]:
            rows = await store.methods(tx, side.name, hashes, kind, METHODS + 1, visible)
            wanted = {hash_ for row in rows for one in others if (hash_ := getattr(row, one.name)) is not None}
            return rows, await store.bodies(tx, sorted(wanted))

        rows, bodies = await database.scan(collect)
        complete = complete and len(rows) <= METHODS
        of_others = [
            await asyncio.to_thread(_compared, one, [(hash_, *body) for hash_, body in bodies.items()])
            for one in others
        ]
        found = []
        for row in rows[:METHODS]:
            all_ = [ranks.get(getattr(row, side.name))]
            all_ += [known.get(getattr(row, one.name)) for one, known in zip(others, of_others, strict=True)]
            if None not in all_:
                found.append(((max(rank for rank in all_ if rank is not None), row.repository, row.method), row))
        return sorted(found, key=lambda one: one[0]), complete

    async def _page(self, found: Sequence[tuple[tuple[int, str, str], Row]], limit: int, complete: bool) -> TypesPage:
        names = list(dict.fromkeys(row.repository for _, row in found[:limit]))
        hashes = sorted({hash_ for _, row in found[:limit] for hash_ in (row.takes, row.gives) if hash_ is not None})

        async def work(tx: Transaction) -> tuple[Mapping[str, str], Mapping[str, tuple[str, str]]]:
            signed = await self._catalogue.signed(tx, names)
            return {one.name: one.digest for one in signed}, await store.bodies(tx, hashes)

        current, bodies = await self._kernel.database.scan(work)

        def plain(hash_: str | None) -> dict[str, Any] | None:
            return json.loads(bodies[hash_][1]) if hash_ is not None and hash_ in bodies else None

        items = [
            MethodHit(
                repository=row.repository, kind=row.kind, version=row.version, digest=row.digest, method=row.method,
                match=MATCHES[place[0]],  # type: ignore[arg-type]  # one of the three
                takes=plain(row.takes), gives=plain(row.gives),
            )
            for place, row in found[:limit]
            # What was deleted, unpublished or replaced a moment ago is not shown while the index follows.
            if current.get(row.repository) == row.digest
        ]  # fmt: skip
        more = found[limit - 1][0] if len(found) > limit else None
        return TypesPage(items=items, next=_cursor(more) if more is not None else None, complete=complete)


def _sides(asked: TypesQuery) -> list[Side]:
    """What is asked for, normalised."""
    scope = scope_of(asked.definitions, lambda name: f"/definitions/{name}")
    sides = []
    try:
        for name, written in (("takes", asked.takes), ("gives", asked.gives)):
            if written is None:
                continue
            if isinstance(written, list):
                written = written[0] if len(written) == 1 else {"kind": "tuple", "items": written}
            found = normalise(written, pointer=f"/{name}", scope=scope)
            sides.append(Side(name, found, unbranded(found, Budget(100 * STEPS))))
    except BadType as error:
        raise RegistryError(Code.INVALID, str(error), detail={"pointer": error.pointer}) from None
    if not sides:
        raise RegistryError(Code.INVALID, "say what it shall take (`takes`) or give (`gives`)")
    return sides


def _lookup(side: Side) -> tuple[int, list[str], str, str]:
    # What takes is looked for by all that the caller brings; what gives, by the one thing that few give.
    takes = side.name == "takes"
    role, found = (store.TAKES, given_keys(side.type)) if takes else (store.GIVES, wanted_keys(side.type))
    return role, sorted(found), side.type.hash, side.shape.hash


def _compared(side: Side, types: Sequence[tuple[str, str, str]]) -> dict[str, int]:
    """Ranks of the types that answer a side."""
    found = {}
    for hash_, shape, body in types:
        rank = side.rank(hash_, shape, body)
        if rank is not None:
            found[hash_] = rank
    return found


def _cursor(place: tuple[int, str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _after(cursor: str) -> tuple[int, str, str]:
    if not cursor:
        return (-1, "", "")
    try:
        rank, repository, method = json.loads(base64.urlsafe_b64decode(cursor))
    except ValueError:
        rank = None
    if not isinstance(rank, int) or not isinstance(repository, str) or not isinstance(method, str):
        raise RegistryError(Code.INVALID, "cursor: take `next` of the page before")
    return (rank, repository, method)
