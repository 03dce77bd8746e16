"""What changed between two versions of an artifact, file by file."""

from __future__ import annotations

import difflib
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MAX_TEXT = 1024 * 1024
"""Bytes of a file whose lines are compared."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that differs. Sizes are in bytes; None where it is not there."""

    path: str
    change: Literal["added", "removed", "changed", "mode"]
    before: int | None
    after: int | None


def compare(before: Path, after: Path) -> list[Difference]:
    """Differences of two folders, by path."""
    old, new = dict(_files(before)), dict(_files(after))
    out = []
    for path in sorted({*old, *new}):
        if path not in new:
            out.append(Difference(path, "removed", old[path].stat().st_size, None))
        elif path not in old:
            out.append(Difference(path, "added", None, new[path].stat().st_size))
        else:
            one, other = old[path].stat(), new[path].stat()
            if one.st_size != other.st_size or _digest(old[path]) != _digest(new[path]):
                out.append(Difference(path, "changed", one.st_size, other.st_size))
            elif (one.st_mode ^ other.st_mode) & 0o100:
                out.append(Difference(path, "mode", one.st_size, other.st_size))
    return out


def patch(before: Path, after: Path, differences: list[Difference]) -> Iterator[str]:
    """Lines of a unified diff; of what is no text, that it differs."""
    for one in differences:
        old, new = _lines(before / one.path), _lines(after / one.path)
        if old is None or new is None:
            yield f"Binary files a/{one.path} and b/{one.path} differ\n"
            continue
        names = (
            "/dev/null" if one.before is None else f"a/{one.path}",
            "/dev/null" if one.after is None else f"b/{one.path}",
        )
        for line in difflib.unified_diff(old, new, *names):
            yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(folder).as_posix(), path


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _lines(path: Path) -> list[str] | None:
    if not path.exists():
        return []
    if path.stat().st_size > MAX_TEXT:
        return None
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else list(io.StringIO(text, newline="\n"))  # lines as patch knows them
