"""What wants what, out of a lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gati_client.errors import NotFound
from gati_client.project.lock import Lock, repository


@dataclass(frozen=True, slots=True)
class Node:
    """A package in the tree; `again` where what is below it was shown before."""

    key: str
    wanted: str
    dev: bool
    depth: int
    again: bool


def walk(lock: Lock) -> Iterator[Node]:
    """The tree from the root down, in the lock's order."""
    seen: set[str] = set()

    def below(key: str, wanted: str, dev: bool, depth: int) -> Iterator[Node]:
        again = key in seen and bool(lock.packages[key].dependencies)
        yield Node(key, wanted, dev, depth, again)
        if key in seen:
            return
        seen.add(key)
        for name, version in sorted(lock.packages[key].dependencies.items()):
            yield from below(f"{name}@{version}", version, dev, depth + 1)

    for name, text, dev in _roots(lock):
        key = lock.named(repository(name))
        if key is not None:
            yield from below(key, text, dev, 0)


def why(lock: Lock, name: str, *, most: int = 20) -> list[list[str]]:
    """The ways from the root to a package, shortest first, each from the root down.

    Raises:
        NotFound: it is not in the lock.
    """
    key = lock.named(repository(name)) or (name if name in lock.packages else None)
    if key is None:
        raise NotFound(f"{name} is not in gati.lock", remedy="gati tree shows what is")
    parents: Mapping[str, list[str]] = {one: [] for one in lock.packages}
    for one, package in lock.packages.items():
        for wanted, version in package.dependencies.items():
            parents[f"{wanted}@{version}"].append(one)
    roots = {found for wanted, _, _ in _roots(lock) if (found := lock.named(repository(wanted))) is not None}
    out: list[list[str]] = []
    queue = [[key]]
    while queue and len(out) < most:
        path = queue.pop(0)
        if path[0] in roots:
            out.append(path)
        if len(queue) < 1000:
            queue += [[parent, *path] for parent in parents[path[0]] if parent not in path]
    return out


def _roots(lock: Lock) -> list[tuple[str, str, bool]]:
    return [
        (name, text, dev)
        for dev, key in ((False, "dependencies"), (True, "devDependencies"))
        for name, text in sorted(lock.root.get(key, {}).items())
    ]
