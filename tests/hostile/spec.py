"""What every refusal must look like.

Source: distribution-spec, section "Error Codes".
"""

from __future__ import annotations

import json

from tests.hostile.wire import Answer

CODES = frozenset(
    {
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "UNAUTHORIZED",
        "DENIED",
        "UNSUPPORTED",
        "TOOMANYREQUESTS",
    }
)


def problem(answer: Answer, method: str = "GET") -> str | None:
    """What is wrong with an answer of status 400 and above as an error of the specification; None: nothing."""
    if answer.status >= 500:
        return f"status {answer.status}"
    if answer.header("content-type") != "application/json":
        return f"content type {answer.header('content-type')}"
    if method == "HEAD":
        return None
    try:
        document = json.loads(answer.body)
    except ValueError as error:
        return f"body is not JSON: {error}"
    if not isinstance(document, dict) or set(document) != {"errors"}:
        return "body is not {'errors': …}"
    errors = document["errors"]
    if not isinstance(errors, list) or not errors:
        return "no list of errors"
    for entry in errors:
        if not isinstance(entry, dict) or not set(entry) <= {"code", "message", "detail"}:
            return f"entry {entry!r}"
        if entry.get("code") not in CODES or not isinstance(entry.get("message"), str) or not entry["message"]:
            return f"code or message of {entry!r}"
    return None


def assert_error(answer: Answer, status: int, code: str, method: str = "GET") -> None:
    """The answer is exactly this error, in the specification's form."""
    assert answer.status == status, (answer.status, answer.body[:500])
    assert problem(answer, method) is None, (problem(answer, method), answer.body[:500])
    if method != "HEAD":
        assert answer.json()["errors"][0]["code"] == code, answer.body[:500]


def code_of(answer: Answer) -> str:
    """The first error's code."""
    code: str = answer.json()["errors"][0]["code"]
    return code
