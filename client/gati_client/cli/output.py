"""How results look: fields and tables, aligned; folded between words on a terminal that is narrow.

Rich is for bars of progress alone: it takes longer to import than what else a call does.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

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
    """A table. Without a header, the first column says what the second is.

    On a terminal that is too narrow cells of several words go on in further lines. No word is broken: names, digests
    and addresses can be copied, and a line that is still too long is the terminal's to wrap. Other programs get every
    row in one line.
    """
    lines = [header, *rows] if header else rows
    terminal = sys.stdout.isatty()
    if terminal:
        lines = _folded(lines, shutil.get_terminal_size().columns)
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    bold = (terminal or os.environ.get("FORCE_COLOR")) and not plain
    _align(lines, ("row" if header else "column") if bold else "")


_LEAST = 16  # places that a column of several words keeps


def _folded(rows: Sequence[Sequence[str]], room: int) -> Sequence[Sequence[str]]:
    """Cells with line ends in them, so that the rows take so many places if that can be."""
    columns = list(zip(*rows, strict=True))
    widths = [max(_width(line) for cell in column for line in cell.split("\n")) for column in columns]
    over = sum(widths) + 2 * (len(widths) - 1) - room
    if over <= 0:
        return rows
    yielding = [number for number, column in enumerate(columns) if any(" " in cell for cell in column)]
    while over > 0 and yielding:
        widest = max(yielding, key=widths.__getitem__)
        if widths[widest] <= _LEAST:
            break
        widths[widest], over = widths[widest] - 1, over - 1
    return [
        [_wrapped(cell, widths[number]) if number in yielding else cell for number, cell in enumerate(row)]
        for row in rows
    ]


def _wrapped(text: str, width: int) -> str:
    import textwrap

    wrap = functools.partial(textwrap.wrap, width=width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(line for part in text.split("\n") for line in wrap(part) or [""])


def _align(rows: Sequence[Sequence[str]], bold: Literal["row", "column", ""]) -> None:
    """Columns that begin at the same place, the first row or column bold; no line ends with blanks."""
    lines = [[text.split("\n") for text in row] for row in rows]
    widths = [max(map(_width, itertools.chain(*column))) for column in zip(*lines, strict=True)]
    for number, row in enumerate(lines):
        for parts in itertools.zip_longest(*row, fillvalue=""):
            padded = [part + " " * (width - _width(part)) for part, width in zip(parts, widths, strict=True)]
            line = "  ".join(padded).rstrip()
            end = len(parts[0]) if bold == "column" else len(line) if bold and not number else 0
            sys.stdout.write(f"\x1b[1m{line[:end]}\x1b[0m{line[end:]}\n" if end else f"{line}\n")


def _width(text: str) -> int:
    """How many places it takes on a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata

    marks = sum(unicodedata.combining(letter) > 0 for letter in text)
    return len(text) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text) - marks
