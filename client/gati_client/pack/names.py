"""Names of files in a pack: what is let in is the same file on every system, and nowhere outside its folder."""

from __future__ import annotations

import re
import unicodedata

MAX_PATH = 1024
MAX_COMPONENT = 255
MAX_DEPTH = 64
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")


class BadName(ValueError):
    """The message says what is wrong with it."""


def checked(path: str) -> str:
    """A path as it is written in a pack: relative, with `/`, without `.` and `..`, in Unicode's form NFC.

    A leading `./` and a trailing `/` go; the root itself is the empty text.

    Raises:
        BadName: it leads out of the folder, or means different files on different systems.
    """
    shown = repr(path[:200])
    if not path.isascii() and any("\ud800" <= character <= "\udfff" for character in path):
        raise BadName(f"the name {shown} is no UTF-8")
    if _CONTROL.search(path):
        raise BadName(f"the name {shown} holds control characters")
    if path.startswith("/") or _DRIVE.match(path):
        raise BadName(f"the name {shown} is absolute")
    if "\\" in path:
        raise BadName(f"the name {shown} holds a backslash, which some systems take for a folder's end")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadName(f"the name {shown} leads out of its folder")
    name = unicodedata.normalize("NFC", "/".join(parts))
    if len(parts) > MAX_DEPTH or len(name.encode()) > MAX_PATH:
        raise BadName(f"the name {shown} is deeper than {MAX_DEPTH} folders or longer than {MAX_PATH} bytes")
    if any(len(part.encode()) > MAX_COMPONENT for part in parts):
        raise BadName(f"a part of the name {shown} is longer than {MAX_COMPONENT} bytes")
    return name


def folded(name: str) -> str:
    """Equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


class Collisions:
    """Tells names that differ, but not everywhere: `A` and `a`, folders included."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def __len__(self) -> int:
        """How many files and folders there are."""
        return len(self._seen)

    def add(self, name: str) -> None:
        """One more file or folder.

        Raises:
            BadName: some systems take it for an earlier one.
        """
        parts = name.split("/")
        for end in range(1, len(parts) + 1):
            part = "/".join(parts[:end])
            before = self._seen.setdefault(folded(part), part)
            if before != part:
                raise BadName(f"the names {before[:200]!r} and {part[:200]!r} are the same file on some systems")
