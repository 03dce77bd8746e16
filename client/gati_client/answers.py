"""What a registry answered, and what its refusals mean here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gati_client.errors import Conflict, Denied, GatiError, Integrity, Network, NotFound, printable

_BY_CODE: dict[str, type[GatiError]] = {"DIGEST_INVALID": Integrity, "SIZE_INVALID": Integrity}
_BY_STATUS: dict[int, type[GatiError]] = {
    401: Denied,
    403: Denied,
    404: NotFound,
    408: Network,
    409: Conflict,
    410: NotFound,
    412: Conflict,
    429: Network,
    500: Network,
    502: Network,
    503: Network,
    504: Network,
}
_REMEDIES = {
    401: "Log in with `gati login`, or set GATI_TOKEN.",
    403: "Ask who owns the namespace for the right to do this.",
    413: "It is larger than this registry takes: ask its operator for its limit.",
    429: "The registry's limit is reached: try again later.",
}
_ROLES = {
    "pull": "reader",
    "push": "publisher, or contributor for a draft,",
    "delete": "publisher",
    "publish": "publisher",
    "maintain": "maintainer",
    "administer": "admin",
}
"""Which role may do what a registry of ours names as the action that it refused."""

BEYOND = "Check the name: it is not there, or the login that you have may not do this."
"""For who has logged in: a registry that hides what it has answers them as it answers strangers."""

_NO_NAME = "Check the name: `gati search` finds what you may see."


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, parsed.

        Raises:
            Integrity: it is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Integrity("the registry's answer is not JSON", remedy="Is the address that of a registry?") from None


def refusal(host: str, action: str, status: int, body: bytes, *, logged_in: bool = False) -> GatiError:
    """The error that an answer means; `body` is as much as was read of it, and may be anything."""
    code, message, detail = _first(body)
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status, GatiError)
    text = f"{host} refused to {action}: {status}"
    if code or message:
        text += f" {code}: {message}" if message else f" {code}"
    remedy = BEYOND if status == 401 and logged_in else _REMEDIES.get(status, "")
    if status == 403 and isinstance(detail, dict):
        role, place = _ROLES.get(str(detail.get("action"))), detail.get("resource")
        if role and isinstance(place, str):
            where = printable(place, 300)
            remedy = f"It needs the role {role} at {where}: ask who administers that (a key needs the scope, too)"
    if code == "NAME_UNKNOWN":
        remedy = _NO_NAME
    elif status in (401, 403) and "; " in message:
        remedy = ""  # the registry has said its own
    return kind(printable(text), remedy=remedy, code=code, detail=detail, status=status)


def _first(body: bytes) -> tuple[str, str, object]:
    """Code, message and detail of the first error in the specification's shape, or empty ones."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return "", "", None
    errors = document.get("errors") if isinstance(document, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return "", "", None
    code, message = first.get("code"), first.get("message")
    return (
        printable(code, 100) if isinstance(code, str) else "",
        printable(message) if isinstance(message, str) else "",
        first.get("detail"),
    )
