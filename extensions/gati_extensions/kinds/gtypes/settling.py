"""From the raw graph of `reading` to the smallest one in canonical order.

    aliases are followed · unions are flat, without duplicates · enums of a union are one · what may be undefined is an
    optional field · open objects that hold at once are one object · nodes that admit the same are one node · nodes are
    numbered as one comes to them from the root

Two nodes are one where no path tells them apart (as states of an automaton are), so a recursive type has one form too,
however often it was unrolled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gati_extensions.kinds.gtypes.canonical import canonical
from gati_extensions.kinds.gtypes.reading import Alias, Budget, Raw
from gati_extensions.kinds.gtypes.tree import (
    ANY,
    UNDEFINED,
    Array,
    BadType,
    Boolean,
    Enum,
    Field,
    GType,
    Intersection,
    Node,
    Number,
    Object,
    Text,
    Tuple,
    Union,
    children,
    leaf,
    object_of,
    with_children,
)


def settle(raw: Raw, root: int, budget: Budget) -> GType:
    """The type that stands at a node.

    Raises:
        BadType: a name means itself and nothing else, or the work goes beyond the budget.
    """
    return _Settling(raw, budget).run(root)


def unbranded(found: GType, budget: Budget) -> GType:
    """The type without its brands: what types that differ in names alone have in common."""
    if not any(isinstance(node, Text | Number | Boolean) and node.brand for node in found.nodes):
        return found
    raw = Raw([None] * len(found.nodes))
    for number, node in enumerate(found.nodes):
        plain = replace(node, brand="") if isinstance(node, Text | Number | Boolean) else node
        raw.nodes[number] = plain if children(plain) else Alias(raw.add(plain))
    return settle(raw, 0, budget)


class _Settling:
    def __init__(self, raw: Raw, budget: Budget) -> None:
        self._raw = raw
        self._budget = budget
        self._met: dict[frozenset[int], int] = {}
        self._parts: dict[int, frozenset[int]] = {}

    def run(self, root: int) -> GType:
        while True:
            while self._simplify(root):
                pass
            order = self._reachable(root)
            classes = self._classes(order)
            if not self._merge(order, classes):
                return self._numbered(self._find(root), classes)

    # --- the graph ----------------------------------------------------------------------------------------------

    def _find(self, number: int) -> int:
        """The node that a number means, behind its aliases."""
        seen: set[int] = set()
        while isinstance(node := self._raw.nodes[number], Alias):
            if number in seen:
                raise BadType(self._place(seen), "refers to itself and says nothing else")
            seen.add(number)
            number = node.target
        return number

    def _node(self, number: int) -> Node:
        node = self._raw.nodes[number]
        assert node is not None
        assert not isinstance(node, Alias)
        return node

    def _place(self, numbers: Iterable[int]) -> str:
        return next((self._raw.places[number] for number in numbers if number in self._raw.places), "")

    def _reachable(self, root: int) -> list[int]:
        """Nodes from the root on; their references go straight to nodes from now on."""
        found: dict[int, None] = {self._find(root): None}
        waiting = list(found)
        while waiting:
            number = waiting.pop()
            node = self._node(number)
            straight = [self._find(child) for child in children(node)]
            self._budget.spend(1 + len(straight))
            self._raw.nodes[number] = with_children(node, straight)
            fresh = [child for child in dict.fromkeys(straight) if child not in found]
            found.update(dict.fromkeys(fresh))
            waiting += fresh
        return list(found)

    # --- rules --------------------------------------------------------------------------------------------------

    def _simplify(self, root: int) -> bool:
        """Apply the rules once everywhere; whether that changed anything."""
        changed = False
        for number in self._reachable(root):
            node = self._node(number)
            if isinstance(node, Union):
                after: Node | Alias = self._union(number)
            elif isinstance(node, Intersection):
                after = self._intersection(number)
            elif isinstance(node, Object):
                after = Object(tuple(map(self._field, node.fields)), node.rest)
            else:
                continue
            if after != node:
                self._raw.nodes[number] = after
                changed = True
        return changed

    def _flat(self, number: int, kind: type[Union] | type[Intersection]) -> list[int]:
        """Members of a union (or intersection), through unions among them."""
        found: dict[int, None] = {}
        seen = {number}
        waiting = [number]
        while waiting:
            node = self._node(waiting.pop())
            assert isinstance(node, kind)
            self._budget.spend(len(node.members))
            for member in map(self._find, node.members):
                if not isinstance(self._node(member), kind):
                    found[member] = None
                elif member not in seen:
                    seen.add(member)
                    waiting.append(member)
        if not found:
            raise BadType(self._place(seen), "refers to itself and says nothing else")
        return list(found)

    def _union(self, number: int) -> Node | Alias:
        members = self._flat(number, Union)
        nodes = {member: self._node(member) for member in members}
        if ANY in nodes.values():
            return Alias(self._raw.add(ANY))
        values = [value for node in nodes.values() if isinstance(node, Enum) for value in node.values]
        if values:
            kept = set(values)
            either = {"true", "false"} <= kept or Boolean() in nodes.values()
            kept -= {"true", "false"} if either else set()
            members = [member for member, node in nodes.items() if not isinstance(node, Enum)]
            if either:
                members.append(self._raw.add(Boolean()))
            if kept:
                members.append(self._raw.add(Enum(tuple(sorted(kept)))))
        members = sorted(set(members))
        return Alias(members[0]) if len(members) == 1 else Union(tuple(members))

    def _field(self, field: Field) -> Field:
        """A field that may be undefined is one that may be left out."""
        node = self._node(field.type)
        if node == UNDEFINED:
            return Field(field.name, field.type, False)
        if not isinstance(node, Union):
            return field
        members = self._flat(field.type, Union)
        sent = [member for member in members if self._node(member) != UNDEFINED]
        if len(sent) == len(members):
            return field
        return Field(field.name, self._raw.add(Union(tuple(sent))), False)

    def _intersection(self, number: int) -> Node | Alias:
        members = [member for member in self._flat(number, Intersection) if self._node(member) != ANY]
        members = sorted(set(members))
        if not members:
            return Alias(self._raw.add(ANY))
        if len(members) == 1:
            return Alias(members[0])
        nodes = [self._node(member) for member in members]
        if not all(isinstance(node, Object) and self._open(node) for node in nodes):
            return Intersection(tuple(members))
        fields: dict[str, list[Field]] = {}
        for node in nodes:
            assert isinstance(node, Object)
            for field in node.fields:
                fields.setdefault(field.name, []).append(field)
        self._parts[number] = frozenset[int]().union(*map(self._parts_of, members))
        self._met.setdefault(self._parts[number], number)
        met = [
            Field(name, self._meet([one.type for one in found]), any(one.required for one in found))
            for name, found in fields.items()
        ]
        return object_of(met, self._raw.add(ANY))

    def _open(self, node: Object) -> bool:
        return node.rest is not None and self._node(self._find(node.rest)) == ANY

    def _meet(self, types: Sequence[int]) -> int:
        """The node of what is all of these; the same one for the same ones, so that recursion comes to an end."""
        key = frozenset[int]().union(*map(self._parts_of, types))
        if len(key) == 1:
            return next(iter(key))
        if key not in self._met:
            self._met[key] = self._raw.add(Intersection(tuple(sorted(key))))
        return self._met[key]

    def _parts_of(self, number: int) -> frozenset[int]:
        """The nodes that a node was an intersection of; else itself."""
        number = self._find(number)
        return self._parts.get(number) or frozenset({number})

    # --- equality -----------------------------------------------------------------------------------------------

    def _classes(self, order: Sequence[int]) -> dict[int, int]:
        """A number for each node: the same for nodes that admit the same, and independent of how they came here."""
        labels = {number: self._label(number) for number in order}
        ranks = {label: rank for rank, label in enumerate(sorted(set(labels.values())))}
        classes = {number: ranks[label] for number, label in labels.items()}
        while True:
            signed = {}
            for number in order:
                node = self._node(number)
                below = [classes[child] for child in children(node)]
                if isinstance(node, Union | Intersection):
                    below = sorted(set(below))
                self._budget.spend(1 + len(below))
                signed[number] = (classes[number], tuple(below))
            found = {signature: rank for rank, signature in enumerate(sorted(set(signed.values())))}
            if len(found) == len(set(classes.values())):
                return classes
            classes = {number: found[signature] for number, signature in signed.items()}

    def _label(self, number: int) -> str:
        """All that a node says apart from its children."""
        node = self._node(number)
        if isinstance(node, Array):
            return canonical(["array", node.fewest, node.most])
        if isinstance(node, Tuple):
            return canonical(["tuple", len(node.items)])
        if isinstance(node, Object):
            fields = [[field.name, field.required] for field in node.fields]
            return canonical(["object", fields, node.rest is not None])
        if isinstance(node, Union | Intersection):
            return canonical([type(node).__name__.lower()])
        return canonical(leaf(node))

    def _merge(self, order: Sequence[int], classes: dict[int, int]) -> bool:
        """Let unions name each of their members once; whether one had named some twice."""
        first: dict[int, int] = {}
        for number in order:
            first.setdefault(classes[number], number)
        merged = False
        for number in order:
            node = self._node(number)
            if isinstance(node, Union | Intersection):
                members = sorted({first[classes[member]] for member in node.members})
                if len(members) < len(node.members):
                    merged = True
                    self._raw.nodes[number] = with_children(node, members) if len(members) > 1 else Alias(members[0])
        return merged

    # --- the result ---------------------------------------------------------------------------------------------

    def _numbered(self, root: int, classes: dict[int, int]) -> GType:
        """One node of each class, in the order in which one comes to them from the root."""
        numbers: dict[int, int] = {}
        chosen: list[Node] = []
        waiting = [root]
        while waiting:
            number = waiting.pop()
            if classes[number] in numbers:
                continue
            numbers[classes[number]] = len(chosen)
            node = self._node(number)
            if isinstance(node, Union | Intersection):
                node = with_children(node, sorted(node.members, key=classes.__getitem__))
            chosen.append(node)
            waiting += reversed(children(node))
        return GType(
            tuple(with_children(node, [numbers[classes[child]] for child in children(node)]) for node in chosen)
        )
