"""`.gatiignore`: what does not go into a pack, written as git's `.gitignore` is.

Source: git-scm.com/docs/gitignore, "PATTERN FORMAT".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gati_client.errors import Usage

FILE = ".gatiignore"
NEVER = frozenset({".git", ".hg", ".svn", ".jj", "gati_modules", FILE})
"""Folders and files (git's work trees have a file `.git`) that go into no pack."""
DEFAULTS = (
    ".DS_Store", "Thumbs.db", "__pycache__/", "*.py[co]", ".venv/", "node_modules/", ".gati/", "*.swp", "*~",
    ".mypy_cache/", ".pytest_cache/", ".ruff_cache/",
)  # fmt: skip
"""Left out too; a `!pattern` takes one back."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A line: `base` is the folder of its file, with a `/` at the end, or empty."""

    base: str
    pattern: re.Pattern[str]
    negated: bool
    folders_only: bool

    def matches(self, path: str, folder: bool) -> bool:
        """Whether the line speaks of this path, relative to the pack's root."""
        if (self.folders_only and not folder) or not path.startswith(self.base):
            return False
        return self.pattern.fullmatch(path, len(self.base)) is not None


class Ignore:
    """All rules that hold in a folder: the later one wins."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = tuple(rules)

    @classmethod
    def defaults(cls, more: Iterable[str] = ()) -> Ignore:
        """What is left out anyway, and `more` patterns."""
        return cls(parse([*DEFAULTS, *more]))

    def within(self, folder: Path, base: str) -> Ignore:
        """With the rules of a folder's own file, if it has one."""
        file = folder / FILE
        if not file.is_file():
            return self
        return Ignore((*self._rules, *parse(file.read_text(encoding="utf-8-sig").splitlines(), base)))

    def __call__(self, path: str, *, folder: bool) -> bool:
        """Whether this is left out. A folder that is takes all below with it."""
        if path.rpartition("/")[2] in NEVER:
            return True
        for rule in reversed(self._rules):
            if rule.matches(path, folder):
                return not rule.negated
        return False


def parse(lines: Iterable[str], base: str = "") -> list[Rule]:
    """The rules of a file in the folder `base`."""
    out = []
    for line in lines:
        text = _trimmed(line)
        if not text or text.startswith("#"):
            continue
        negated = text.startswith("!")
        text = text[1:] if negated else text
        text = text[1:] if text.startswith(("\\#", "\\!")) else text
        folders_only = text.endswith("/")
        text = text.rstrip("/") if folders_only else text
        if not text:
            continue
        anchored = "/" in text
        expression = _expression(text.removeprefix("/"))
        if expression is not None:
            pattern = re.compile(expression if anchored else f"(?:.*/)?{expression}", re.DOTALL)
            out.append(Rule(base, pattern, negated, folders_only))
    return out


def _trimmed(line: str) -> str:
    """Without spaces at the end, but those that a backslash keeps."""
    text = line.rstrip("\r\n")
    while text.endswith(" ") and not _escaped(text[:-1]):
        text = text[:-1]
    return text


def _escaped(text: str) -> bool:
    """Whether what follows is escaped: an odd number of backslashes ends the text."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


MAX_STARS = 4
"""`**` in one pattern: what each of them stands for is tried out."""

_LITERALS = re.compile(r"\\.|\[[!^]?\]?[^\]]*\]")


def _expression(glob: str) -> str | None:
    """A regular expression for git's wildcards; None where git matches nothing.

    What stands between two `*` is taken where it first fits, for good (an atomic group): only the last piece of a name
    has a fixed place, so nothing has to be tried twice.
    """
    if len(re.findall(r"(?:^|(?<=/))\*\*(?=/|$)", glob)) > MAX_STARS:
        raise Usage(f"{FILE}: a pattern has at most {MAX_STARS} `**`", remedy="write several patterns")
    out, position, open_ = "", 0, False

    def closed() -> str:
        return ")" if open_ else ""

    while position < len(glob):
        if glob.startswith("**/", position) and (position == 0 or glob[position - 1] == "/"):
            out += "(?:.*/)?"
            position += 3
        elif glob[position:] == "**" and glob[:position].endswith("/"):
            out += ".+"
            position += 2
        elif glob[position] == "*":
            while position < len(glob) and glob[position] == "*":
                position += 1
            end = glob.find("/", position)
            last = "*" not in _LITERALS.sub("", glob[position : end if end >= 0 else None])
            out += closed() + ("[^/]*" if last else "(?>[^/]*?")
            open_ = not last
        elif glob[position] == "?":
            out += "[^/]"
            position += 1
        elif glob[position] == "[":
            found = _class(glob, position)
            if found is None:
                return None
            out += found[0]
            position = found[1]
        elif glob[position] == "\\":
            if position + 1 == len(glob):
                return None
            out += re.escape(glob[position + 1])
            position += 2
        else:
            if glob[position] == "/":
                out, open_ = out + closed(), False
            out += re.escape(glob[position])
            position += 1
    return out + closed()


_POSIX = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r"\s",
    "xdigit": "0-9a-fA-F", "punct": "!-/:-@\\[-`{-~", "blank": " \\t",
}  # fmt: skip


def _class(glob: str, start: int) -> tuple[str, int] | None:
    """A bracket expression and the position after it."""
    position = start + 1
    negated = glob[position : position + 1] in ("!", "^") and position < len(glob)
    position += negated
    parts, first = "", True
    while position < len(glob):
        character = glob[position]
        if character == "]" and not first:
            if not parts:
                return "[^/]" if negated else "(?!)", position + 1
            return f"(?!/)[{'^' if negated else ''}{parts}]", position + 1
        first = False
        if glob.startswith("[:", position) and (end := glob.find(":]", position)) > 0:
            known = _POSIX.get(glob[position + 2 : end])
            if known is None:
                return None
            parts += known
            position = end + 2
            continue
        low, position = _literal(glob, position)
        if low is None:
            return None
        if glob[position : position + 1] == "-" and glob[position + 1 : position + 2] not in ("", "]"):
            high, position = _literal(glob, position + 1)
            if high is None:
                return None
            if low <= high:  # a range the wrong way round holds nothing
                parts += f"{re.escape(low)}-{re.escape(high)}"
        else:
            parts += re.escape(low)
    return None


def _literal(glob: str, position: int) -> tuple[str | None, int]:
    if glob[position] == "\\":
        return (glob[position + 1], position + 2) if position + 1 < len(glob) else (None, position)
    return glob[position], position + 1
