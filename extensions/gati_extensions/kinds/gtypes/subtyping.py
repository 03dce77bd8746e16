"""Whether what is of one type can be handed to whoever takes another one.

Structural: fields count, names of types do not. What an object type says of itself is what a value brings: an open
object is taken to bring its declared fields and no others, but admits any others where it is the one that takes (as in
TypeScript). So `{email, nick}` fits `{email}`, and `{email}` fits `{email, nick?}`.

The answer is sound; it is no where only a look at all cases together would show it (an object whose field is a union,
against a union of objects).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gati_extensions.kinds.gtypes.reading import Budget
from gati_extensions.kinds.gtypes.tree import (
    DEPTH,
    Array,
    BadType,
    Boolean,
    Enum,
    GType,
    Intersection,
    Name,
    Node,
    Number,
    Object,
    Simple,
    Text,
    Tuple,
    Union,
)


def fits(given: GType, wanted: GType, budget: Budget, *, brands: bool = True) -> bool:
    """Whether all that is of `given` is taken where `wanted` is. Without `brands` these do not matter.

    Raises:
        BadType: the budget is spent.
    """
    return _Comparing(given.nodes, wanted.nodes, budget, brands).fits(0, 0)


class _Comparing:
    def __init__(self, given: Sequence[Node], wanted: Sequence[Node], budget: Budget, brands: bool) -> None:
        self._given = given
        self._wanted = wanted
        self._budget = budget
        self._brands = brands
        self._known: dict[tuple[int, int], bool] = {}
        self._believed: list[tuple[int, int]] = []
        self._depth = 0

    def fits(self, given: int, wanted: int) -> bool:
        """Of two nodes; a pair that comes again within itself holds if nothing else speaks against it."""
        pair = (given, wanted)
        if (known := self._known.get(pair)) is not None:
            return known
        self._budget.spend(1)
        if self._depth > DEPTH:
            raise BadType("", f"is nested deeper than {DEPTH} levels")
        mark = len(self._believed)
        self._known[pair] = True
        self._believed.append(pair)
        self._depth += 1
        found = self._compare(self._given[given], self._wanted[wanted], given, wanted)
        self._depth -= 1
        if not found:  # and what was believed because of this pair is not known any more
            for one in self._believed[mark:]:
                del self._known[one]
            del self._believed[mark:]
            self._known[pair] = False
        return found

    def _compare(self, given: Node, wanted: Node, here: int, there: int) -> bool:
        if wanted == Simple("any"):
            return True
        if isinstance(given, Union):
            return all(self.fits(member, there) for member in given.members)
        if isinstance(wanted, Intersection):
            return all(self.fits(here, member) for member in wanted.members)
        if isinstance(given, Enum):
            return all(self._takes(there, json.loads(value), set()) for value in given.values)
        if isinstance(given, Boolean) and isinstance(wanted, Union | Enum) and not given.brand and self._either(there):
            return True
        if isinstance(wanted, Union) and any(self.fits(here, member) for member in wanted.members):
            return True
        if isinstance(given, Intersection):
            return any(self.fits(member, there) for member in given.members)
        return self._alike(given, wanted)

    def _alike(self, given: Node, wanted: Node) -> bool:
        """Two nodes, neither of which is a combination of others."""
        if isinstance(given, Text) and isinstance(wanted, Text):
            return (
                self._brand(given.brand, wanted.brand)
                and given.shortest >= wanted.shortest
                and _at_most(given.longest, wanted.longest)
                and set(wanted.patterns) <= set(given.patterns)
                and set(wanted.formats) <= set(given.formats)
            )
        if isinstance(given, Number) and isinstance(wanted, Number):
            least = wanted.least is None or (given.least is not None and given.least >= wanted.least)
            return self._brand(given.brand, wanted.brand) and least and _at_most(given.most, wanted.most)
        if isinstance(given, Boolean) and isinstance(wanted, Boolean):
            return self._brand(given.brand, wanted.brand)
        if isinstance(given, Array) and isinstance(wanted, Array):
            length = given.fewest >= wanted.fewest and _at_most(given.most, wanted.most)
            return length and self.fits(given.items, wanted.items)
        if isinstance(given, Tuple) and isinstance(wanted, Array):
            length = len(given.items) >= wanted.fewest and _at_most(len(given.items), wanted.most)
            return length and all(self.fits(item, wanted.items) for item in given.items)
        if isinstance(given, Tuple) and isinstance(wanted, Tuple):
            pairs = zip(given.items, wanted.items, strict=False)
            return len(given.items) == len(wanted.items) and all(self.fits(*pair) for pair in pairs)
        if isinstance(given, Object) and isinstance(wanted, Object):
            return self._objects(given, wanted)
        return isinstance(given, Simple | Name) and given == wanted

    def _objects(self, given: Object, wanted: Object) -> bool:
        mine = {field.name: field for field in given.fields}
        theirs = {field.name: field for field in wanted.fields}
        self._budget.spend(len(mine) + len(theirs))
        rest = None if given.rest is None or self._given[given.rest] == Simple("any") else given.rest
        for name, field in theirs.items():
            own = mine.get(name)
            if field.required and (own is None or not own.required):
                return False
            if own is None and rest is not None and not self.fits(rest, field.type):
                return False
            if own is not None and not self.fits(own.type, field.type):
                return False
        more = [field.type for name, field in mine.items() if name not in theirs]
        more += [] if rest is None else [rest]
        if wanted.rest is None:
            return not more
        return all(self.fits(one, wanted.rest) for one in more)

    def _takes(self, wanted: int, value: Any, seen: set[int]) -> bool:
        """Whether a value that is no list or object is of a type."""
        node = self._wanted[wanted]
        self._budget.spend(1)
        if isinstance(node, Union | Intersection):
            if wanted in seen:
                return False
            seen = seen | {wanted}
            found = (self._takes(member, value, seen) for member in node.members)
            return any(found) if isinstance(node, Union) else all(found)
        if isinstance(node, Enum):
            return any(type(one) is type(value) and one == value for one in map(json.loads, node.values))
        if isinstance(node, Boolean):
            return isinstance(value, bool) and self._brand("", node.brand)
        if isinstance(node, Text):  # patterns of strangers are not run
            plain = isinstance(value, str) and not node.patterns and not node.formats and self._brand("", node.brand)
            return plain and node.shortest <= len(value) and _at_most(len(value), node.longest)
        if isinstance(node, Number):
            plain = isinstance(value, int | float) and not isinstance(value, bool) and self._brand("", node.brand)
            return plain and (node.least is None or value >= node.least) and _at_most(value, node.most)
        return node == Simple("any")

    def _either(self, wanted: int) -> bool:
        """Whether both true and false are taken."""
        return self._takes(wanted, True, set()) and self._takes(wanted, False, set())

    def _brand(self, given: str, wanted: str) -> bool:
        return not self._brands or not wanted or given == wanted


def _at_most(given: float | None, wanted: float | None) -> bool:
    return wanted is None or (given is not None and given <= wanted)
