"""Files of an HTML form as `curl -F` sends them (`multipart/form-data`), from a body that is in memory anyway.

Source: RFC 7578, RFC 2046 section 5.1.
"""

from __future__ import annotations

import re

from gati_registry.errors import Code, RegistryError

MOST_PARTS = 10
MOST_HEADERS = 4096
"""Bytes of one part's headers."""

_BOUNDARY = re.compile(r"""boundary=(?:"([^"\r\n]{1,70})"|([A-Za-z0-9'()+_,./:=?-]{1,70}))\s*(?:;|$)""", re.IGNORECASE)
_NAME = re.compile(
    rb"""content-disposition:\s*form-data\s*;(?:[^\r\n]*;)?\s*name="([^"\r\n]{1,100})\"""", re.IGNORECASE
)


def parts(content_type: str, body: bytes) -> dict[str, bytes]:
    """The form's fields by name, each as its bytes.

    Raises:
        RegistryError: INVALID; 415 where it is no such form.
    """
    kind = content_type.partition(";")[0].strip().lower()
    found = _BOUNDARY.search(content_type)
    if kind != "multipart/form-data" or found is None:
        raise RegistryError(Code.INVALID, "send the files as multipart/form-data (curl -F)", status=415)
    mark = b"--" + (found[1] or found[2]).encode("latin-1")
    out: dict[str, bytes] = {}
    # The first boundary begins the body, or a line after a preamble; every other one begins a line.
    at = 0 if body.startswith(mark) else body.find(b"\r\n" + mark) + 2
    if at == 1:
        raise _malformed("the boundary does not occur")
    while True:
        at += len(mark)
        if body.startswith(b"--", at):
            return out
        start = body.find(b"\r\n", at)
        end = body.find(b"\r\n" + mark, at)
        if start < 0 or end < 0 or body[at:start].strip(b" \t"):
            raise _malformed("a part does not end")
        head_end = body.find(b"\r\n\r\n", start, min(start + MOST_HEADERS, end + 4))
        name = _NAME.search(body, start, head_end) if head_end >= 0 else None
        if name is None:
            raise _malformed("a part has no name")
        key = name[1].decode("utf-8", "replace")
        if key in out:
            raise _malformed(f"the field {key!r} is there twice")
        if len(out) >= MOST_PARTS:
            raise _malformed(f"there are more than {MOST_PARTS} fields")
        out[key] = body[head_end + 4 : end]
        at = end + 2


def _malformed(problem: str) -> RegistryError:
    return RegistryError(Code.INVALID, f"malformed multipart/form-data: {problem}")
