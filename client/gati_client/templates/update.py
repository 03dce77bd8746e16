"""An earlier project to a newer template: what the template changed is merged into what the user has.

Both versions are rendered with the same answers; what the old one gave is the base.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gati_client.errors import Conflict
from gati_client.templates.merging import OURS, THEIRS, merge
from gati_client.templates.project import File, inside, put

What = Literal["added", "updated", "merged", "removed", "conflict", "kept"]


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a file. Of a `conflict`, both versions are in it between marks, or, where it is no text, the
    template's stands beside it as `NAME.new`. `kept` is the user's, though the template has something else."""

    path: str
    what: What
    file: File | None = None


def plan(folder: Path, old: Mapping[str, File], new: Mapping[str, File], label: str) -> list[Step]:
    """What to do with each file that the template changed, by path. Nothing is written.

    Raises:
        Conflict: marks of an earlier conflict are still in a file.
    """
    steps = []
    for path in sorted({*old, *new}):
        target = inside(folder, path)
        mine = File(target.read_bytes(), os.access(target, os.X_OK)) if target.is_file() else None
        step = _step(path, old.get(path), mine, new.get(path), label)
        if step is not None:
            steps.append(step)
    return steps


def _step(path: str, base: File | None, mine: File | None, new: File | None, label: str) -> Step | None:
    if base == new or _same(mine, new):
        return None
    if mine is None:
        # The user removed it; a file that the template has only now is a new one.
        return Step(path, "added", new) if base is None else Step(path, "kept") if new is not None else None
    if _same(base, mine):
        return Step(path, "removed") if new is None else Step(path, "updated", new)
    if new is None:
        return Step(path, "kept")
    texts = [_text(file) for file in (base or File(b""), mine, new)]
    if any(text is None for text in texts):
        return Step(path, "conflict", new)
    before, own, other = (text or "" for text in texts)
    if any(line.startswith((f"{OURS} ", f"{THEIRS} ")) for line in own.splitlines()):
        raise Conflict(f"{path} still holds the marks of a conflict", remedy="settle it, then update again")
    merged = merge(before, own, other, theirs_name=label)
    executable = new.executable if base is None or new.executable != base.executable else mine.executable
    return Step(path, "conflict" if merged.conflicts else "merged", File(merged.text.encode(), executable))


def _same(one: File | None, other: File | None) -> bool:
    return one is not None and other is not None and one.data == other.data and one.executable == other.executable


def _text(file: File) -> str | None:
    if b"\0" in file.data:
        return None
    try:
        return file.data.decode()
    except UnicodeDecodeError:
        return None


def apply(folder: Path, steps: list[Step]) -> None:
    """Do what was planned."""
    for step in steps:
        target = inside(folder, step.path)
        if step.what == "removed":
            target.unlink()
        elif step.file is not None:
            beside = step.what == "conflict" and _text(step.file) is None
            put(target.with_name(f"{target.name}.new") if beside else target, step.file)
