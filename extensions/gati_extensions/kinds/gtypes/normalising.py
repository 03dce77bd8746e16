"""From a spelling to its type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gati_extensions.kinds.gtypes.reading import Budget, Reader, Scope
from gati_extensions.kinds.gtypes.settling import settle
from gati_extensions.kinds.gtypes.tree import GType

STEPS = 100_000
"""Work for the types of one request or manifest; some tenths of a second."""


def scope_of(named: Mapping[str, Any], places: Callable[[str], str] = str) -> Scope:
    """Where references are looked up: types by name, and the JSON pointers at which these stand."""
    return Scope(named, places)


def normalise(value: Any, *, pointer: str = "", scope: Scope | None = None, budget: Budget | None = None) -> GType:
    """The type that a spelling means. `scope` has the types that it may name; all else that it names is kept as a name.

    Raises:
        BadType: it is no GType, or one that costs more than the budget.
    """
    budget = budget if budget is not None else Budget(STEPS)
    reader = Reader(budget)
    root = reader.read(value, pointer, scope or Scope({}, str))
    found = settle(reader.raw, root, budget)
    budget.spend(len(found.canonical) // 16)  # what is shared is written once for each type that has it
    return found
