"""What an artifact's methods take and give, out of the `gtypes` of its manifest.

A module names its methods under `exports`. Other kinds write pairs: `input` and `output` (or `request` and `response`)
for what they are as a whole, the same below the name of a method, or `LoginRequest` beside `LoginResponse`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gati_extensions.kinds.gtypes.normalising import STEPS, normalise, scope_of
from gati_extensions.kinds.gtypes.reading import Budget, escaped, is_type
from gati_extensions.kinds.gtypes.tree import BadType, GType

PAIRS = (("input", "output"), ("request", "response"))
"""What stands for what is taken and what is given."""


@dataclass(frozen=True, slots=True)
class Method:
    """What a method takes and gives; None where that is not told."""

    takes: GType | None = None
    gives: GType | None = None


@dataclass(frozen=True, slots=True)
class Signatures:
    """The types of an artifact by name, its methods by name ("" is the artifact as a whole), and doubts."""

    types: Mapping[str, GType] = field(default_factory=dict)
    methods: Mapping[str, Method] = field(default_factory=dict)
    problems: Sequence[str] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON: types by hash, and who has which."""
        found = [
            *self.types.values(),
            *(one for method in self.methods.values() for one in (method.takes, method.gives)),
        ]
        return {
            "types": {name: one.hash for name, one in self.types.items()},
            "methods": {
                name: {"takes": one.takes and one.takes.hash, "gives": one.gives and one.gives.hash}
                for name, one in self.methods.items()
            },
            "definitions": {one.hash: one.plain() for one in found if one is not None},
        }


NONE = Signatures()
"""Of what has none."""


def signatures(written: Any, exports: Mapping[str, tuple[str | None, str | None]], pointer: str) -> Signatures:
    """Of `gtypes` as a manifest has them, an object or a list of named ones; `exports` name types by method.

    Raises:
        BadType: one of them means to be a GType and is none.
    """
    entries, places = _entries(written, pointer)
    named = {name: value for name, value in entries.items() if is_type(value)}
    scope = scope_of(named, places.__getitem__)
    budget = Budget(STEPS)
    types: dict[str, GType] = {}
    problems = []
    for name, value in entries.items():
        if name in named:
            try:
                types[name] = normalise(value, pointer=places[name], scope=scope, budget=budget)
            except BadType as error:
                if budget.left < 0 or not isinstance(value, str):
                    raise BadType(error.pointer or pointer, error.problem) from None
                problems.append(f"{error.pointer}: {error.problem}")  # a text may be a form of others' own
                named.pop(name)

    def of(value: Any, place: str) -> GType | None:
        return None if value is None else normalise(value, pointer=place, scope=scope, budget=budget)

    methods = {name: Method(of(takes, pointer), of(gives, pointer)) for name, (takes, gives) in exports.items()}
    for name, value in entries.items():
        if name not in named and not isinstance(value, str):
            pair = _pair(value)
            if pair is None:
                problems.append(f"{places[name]}: is no GType; it was kept as it is")
            else:
                methods[name] = Method(*(of(value.get(one), f"{places[name]}/{one}") for one in pair))
    return Signatures(types, methods or dict(_paired(types)), tuple(problems))


def _entries(written: Any, pointer: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Types by name, and where each stands."""
    if isinstance(written, Mapping):
        return dict(written), {name: f"{pointer}/{escaped(name)}" for name in written}
    entries, places = {}, {}
    for number, value in enumerate(written if isinstance(written, list) else []):
        name = value.get("name") if isinstance(value, Mapping) else None
        if isinstance(name, str) and name:
            entries[name], places[name] = value, f"{pointer}/{number}"
    return entries, places


def _pair(value: Any) -> tuple[str, str] | None:
    if isinstance(value, Mapping):
        for pair in PAIRS:
            if any(one in value for one in pair) and all(one not in value or is_type(value[one]) for one in pair):
                return pair
    return None


def _paired(types: Mapping[str, GType]) -> Mapping[str, Method]:
    """Methods that the names of types tell."""
    found: dict[str, Method] = {}
    for before, after in PAIRS:
        for name, type_ in types.items():
            for suffix, mine in ((before, True), (after, False)):
                stem = name[: -len(suffix)]
                if name.lower().endswith(suffix) and (not stem or name[-len(suffix)].isupper()):
                    known = found.get(stem, Method())
                    found[stem] = Method(type_, known.gives) if mine else Method(known.takes, type_)
    return found
