"""What requests with the same head share.

Clients repeat themselves byte for byte: a node that pulls, a proxy that revalidates, a probe. What follows from a head
alone is found out once; what was decided about it is kept as long as nobody commits anything, and a quarter of a second
at most, so that what depends on the time of day (a token's end, a rule's hours) is never much older.

`serving/heads.py` makes one for each head and leaves it in the scope; a request that comes without has one of its own.
"""

from __future__ import annotations

from typing import Any

MEMO = "gati.memo"
"""The scope's key of a `Memo`."""

SHORT = 250
"""Milliseconds for which what was decided is kept at most; what others keep by themselves may be older already."""


class Memo:
    """One head's. `about`, `headers` and `found` belong to the edge, to `Exchange` and to the router."""

    __slots__ = ("__weakref__", "_held", "_revision", "_since", "about", "found", "headers")

    def __init__(self) -> None:
        self.about: Any = None
        self.headers: dict[bytes, str] | None = None
        self.found: Any = None
        self._revision: bytes | None = None
        self._since = 0
        self._held: dict[str, Any] = {}

    def held(self, revision: bytes | None, now: int) -> dict[str, Any]:
        """What was decided at this revision of the database, to be looked into and added to; empty without one.

        Both are read before anything else is: a commit in between makes an entry old, never wrongly young. `now` is in
        milliseconds, by a clock that may be set back.
        """
        if revision is None:
            return {}
        if revision != self._revision or not 0 <= now - self._since < SHORT:
            self._revision, self._since, self._held = revision, now, {}
        return self._held
