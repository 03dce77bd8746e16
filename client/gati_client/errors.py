"""What goes wrong, as a tree; each says in one line what happened and, where one is known, the remedy.

    GatiError          1  failed
    ├── Usage          2  asked for what makes no sense
    ├── NotFound       3  not there, or not for this caller
    ├── Denied         4  credentials missing, wrong, too narrow, or not given to whom asks for them
    ├── Conflict       5  it is there already, or changed meanwhile
    ├── Integrity      6  bytes or answers are not what they claim to be
    └── Network        7  no answer, a broken one, or one that says: later

The numbers are the exit codes of the command `gati`.
"""

from __future__ import annotations

from typing import ClassVar


class GatiError(Exception):
    """Base of all errors that this package raises on purpose.

    `remedy` says what to do about it, or is empty. Where a server said so, `code` is the code of its error
    (`MANIFEST_UNKNOWN`, …), `detail` what came with it, and `status` the HTTP status.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, remedy: str = "", code: str = "", detail: object = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code
        self.detail = detail
        self.status = status

    def __str__(self) -> str:
        """One line, without control characters: what servers say may end up on a terminal."""
        return printable(self.message)


class Usage(GatiError):
    """Asked for what makes no sense."""

    exit_code = 2


class NotFound(GatiError):
    """Not there, or not for this caller: registries do not tell the two apart."""

    exit_code = 3


class Denied(GatiError):
    """Credentials are missing, wrong or too narrow; or they would have gone to somebody who must not have them."""

    exit_code = 4


class Conflict(GatiError):
    """It is there already, or it changed meanwhile."""

    exit_code = 5


class Integrity(GatiError):
    """Bytes or answers are not what they claim to be."""

    exit_code = 6


class Network(GatiError):
    """No answer, a broken one, or one that says: later."""

    exit_code = 7


def printable(text: str, limit: int = 1000) -> str:
    """The text in one line: control characters (escape sequences of terminals among them) and line ends are spaces."""
    line = "".join(each if each.isprintable() else " " for each in text[:limit])
    return " ".join(line.split())
