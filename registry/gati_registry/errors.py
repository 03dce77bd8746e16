"""The registry's errors: one table of codes, one exception that carries a row of it.

    RegistryError            an answer in the protocol's own error format
    └── Unavailable          a backend is gone or full; 503 with Retry-After

Source: distribution-spec, section "Error Codes".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A row of the table: the code on the wire, its usual status and message, and where it is specified."""

    status: int
    message: str
    source: str


class Code(Enum):
    """Every error code that the registry can answer with."""

    BLOB_UNKNOWN = ErrorCode(404, "blob unknown to this repository", "code-1")
    BLOB_UPLOAD_INVALID = ErrorCode(400, "blob upload invalid", "code-2")
    BLOB_UPLOAD_UNKNOWN = ErrorCode(404, "blob upload unknown; start a new one", "code-3")
    DIGEST_INVALID = ErrorCode(400, "digest malformed or not that of the content", "code-4")
    MANIFEST_BLOB_UNKNOWN = ErrorCode(400, "manifest refers to content unknown to this repository", "code-5")
    MANIFEST_INVALID = ErrorCode(400, "manifest invalid", "code-6")
    MANIFEST_UNKNOWN = ErrorCode(404, "manifest unknown to this repository", "code-7")
    NAME_INVALID = ErrorCode(400, "invalid repository name", "code-8")
    NAME_UNKNOWN = ErrorCode(404, "repository unknown to this registry", "code-9")
    SIZE_INVALID = ErrorCode(400, "length given did not match the content", "code-10")
    UNAUTHORIZED = ErrorCode(401, "authentication required", "code-11")
    DENIED = ErrorCode(403, "access denied", "code-12")
    UNSUPPORTED = ErrorCode(405, "operation unsupported", "code-13")
    TOOMANYREQUESTS = ErrorCode(429, "too many requests", "code-14")
    # Not in the specification's table: those of the extension API, and those of 5xx answers.
    INVALID = ErrorCode(400, "the request is not valid", "own")
    NOT_FOUND = ErrorCode(404, "there is no such thing", "own")
    CONFLICT = ErrorCode(409, "this contradicts the present state", "own")
    PRECONDITION_FAILED = ErrorCode(412, "it was changed meanwhile; read it again", "own")
    UNAVAILABLE = ErrorCode(503, "a backend is unavailable; retry later", "own")
    UNKNOWN = ErrorCode(500, "unexpected error; quote the request id to the operator", "own")


class RegistryError(Exception):
    """An answer in the protocol's error format.

    `detail` is free JSON that helps the client mend its request; it never holds a secret. `more` are further entries
    of the same answer, e.g. one per missing blob.
    """

    def __init__(
        self,
        code: Code,
        message: str | None = None,
        *,
        detail: Any = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        more: Sequence[RegistryError] = (),
    ) -> None:
        self.code = code
        self.message = message or code.value.message
        self.detail = detail
        self.status = status or code.value.status
        self.headers = dict(headers or {})
        self.more = tuple(more)
        super().__init__(f"{code.name}: {self.message}")

    def entry(self) -> dict[str, Any]:
        """This error as one element of the answer's `errors` list."""
        entry: dict[str, Any] = {"code": self.code.name, "message": self.message}
        if self.detail is not None:
            entry["detail"] = self.detail
        return entry

    def body(self) -> bytes:
        """The whole answer's JSON body."""
        return json.dumps({"errors": [self.entry(), *(e.entry() for e in self.more)]}).encode()


class ClientDisconnected(Exception):
    """The client went away before its request or our answer was whole."""


class Unavailable(RegistryError):
    """A backend is gone, full or too slow; the client may retry after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        super().__init__(Code.UNAVAILABLE, message, headers={"Retry-After": str(retry_after)})
