"""How results look: fields and tables, folded and coloured on a terminal, aligned for other programs.

Rich is for terminals alone: it takes longer to import than what else a script's call does.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


@functools.cache
def console(*, error: bool = False) -> Console:
    """Standard output or error. Colour only on terminals and without NO_COLOR; what is piped is not wrapped."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else 32_767
    return Console(stderr=error, highlight=False, emoji=False, markup=False, soft_wrap=True, width=width)


def write(value: Any) -> None:
    """A line of standard output."""
    sys.stdout.write(f"{cell(value)}\n")


def cell(value: Any) -> str:
    """A field as people read it; control characters, which a registry could send to a terminal, are shown as `?`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        text = ", ".join(f"{key}={cell(entry)}" for key, entry in value.items())
    elif isinstance(value, (list, tuple)):
        text = ", ".join(cell(entry) for entry in value)
    else:
        text = str(value)
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def show(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> None:
    """A table. Without a header, the first column says what the second is."""
    if not (sys.stdout.isatty() or os.environ.get("FORCE_COLOR")):
        _align([header, *rows] if header else rows)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=bool(header))
    for name in header:
        table.add_column(name, overflow="fold")
    if not header:
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table, soft_wrap=False)


def _align(rows: Sequence[Sequence[str]]) -> None:
    """A table for other programs: nothing is folded, no line ends with blanks."""
    lines = [[text.split("\n") for text in row] for row in rows]
    widths = [max(map(_width, itertools.chain(*column))) for column in zip(*lines, strict=True)]
    for row in lines:
        for parts in itertools.zip_longest(*row, fillvalue=""):
            padded = (part + " " * (width - _width(part)) for part, width in zip(parts, widths, strict=True))
            sys.stdout.write("  ".join(padded).rstrip() + "\n")


def _width(text: str) -> int:
    """How many places it takes on a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata

    marks = sum(unicodedata.combining(letter) > 0 for letter in text)
    return len(text) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text) - marks
