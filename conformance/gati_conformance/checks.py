"""Checks on answers. Each raises `Failed` with what was expected and what came.

Source of codes and body: distribution-spec, "Error Codes".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from gati_conformance.client import Answer, mask
from gati_conformance.data import Content, Json, digest_of
from gati_conformance.model import Failed, Skipped, Unsupported

T = TypeVar("T")

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
_CODE = re.compile(r"[A-Z_]+")
_LINK = re.compile(r"<([^>]*)>\s*((?:;[^,]*)*)")


def require(condition: bool, message: str) -> None:
    """Raise Failed with the message unless the condition holds."""
    if not condition:
        raise Failed(message)


def status(answer: Answer, *expected: int) -> Answer:
    """The status is one of those; returns the answer."""
    if answer.status not in expected:
        wanted = " or ".join(map(str, expected))
        said = f": {mask(answer.body[:300].decode(errors='replace')).strip()}" if answer.body else ""
        raise Failed(f"{answer}: expected {wanted}, got {answer.status}{said}")
    return answer


def header(answer: Answer, name: str, expected: str) -> Answer:
    """One of the header's values is exactly that; returns the answer."""
    values = answer.headers.get_list(name)
    if expected not in values:
        raise Failed(f"{answer}: header {name} is {', '.join(values) or 'missing'}, expected {expected}")
    return answer


def digest_header(answer: Answer, expected: str, *, required: bool = True) -> Answer:
    """Docker-Content-Digest is that digest; when not required, it may be missing. Returns the answer."""
    if answer.header("docker-content-digest") or required:
        header(answer, "docker-content-digest", expected)
    return answer


def body(answer: Answer, expected: bytes) -> Answer:
    """The body is exactly those bytes; returns the answer."""
    if answer.body != expected:
        raise Failed(
            f"{answer}: the body differs: {len(answer.body)} bytes ({digest_of(answer.body)}), "
            f"expected {len(expected)} ({digest_of(expected)})"
        )
    return answer


def whole(answer: Answer, content: Content, *, digest_required: bool) -> Answer:
    """200 with the content's bytes, length and digest; for HEAD, without the bytes. Returns the answer."""
    status(answer, 200)
    header(answer, "content-length", str(len(content.data)))
    body(answer, b"" if answer.method == "HEAD" else content.data)
    return digest_header(answer, content.digest, required=digest_required)


def errors(answer: Answer) -> list[Json]:
    """The error list of a JSON body in the specification's form; none of its rules broken."""
    document = answer.json()
    found = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(found, list) or not found:
        raise Failed(f"{answer}: {answer.status} without a list of errors in its body")
    for item in found:
        if not isinstance(item, dict) or not isinstance(item.get("code"), str):
            raise Failed(f"{answer}: an error without a code: {item!r}")
        if not _CODE.fullmatch(item["code"]):
            raise Failed(f"{answer}: error code {item['code']!r} is not capitals and underscores")
        if not isinstance(item.get("message", ""), str):
            raise Failed(f"{answer}: the error's message is no text: {item!r}")
    return found


def error(answer: Answer, statuses: int | Iterable[int], *codes: str) -> list[Json]:
    """One of the statuses, with a body whose first error has one of the codes (none given: any of the spec)."""
    status(answer, *((statuses,) if isinstance(statuses, int) else statuses))
    found = errors(answer)
    allowed = codes or tuple(sorted(CODES))
    if found[0]["code"] not in allowed:
        raise Failed(f"{answer}: error code {found[0]['code']}, expected {' or '.join(allowed)}")
    return found


def error_if_json(answer: Answer, *statuses: int) -> None:
    """One of the statuses; an error's JSON body has the specification's form, any other body is allowed."""
    status(answer, *statuses)
    if answer.status >= 400 and answer.body and "json" in answer.header("content-type"):
        errors(answer)


def next_link(answer: Answer) -> str:
    """The target of the Link header with rel=next, made absolute; empty when there is none."""
    for match in _LINK.finditer(answer.header("link")):
        parameters = [part.strip() for part in match.group(2).split(";")]
        if any(re.fullmatch(r'rel="?next"?', part) for part in parameters):
            return str(answer.url.join(match.group(1)))
    require(not answer.header("link"), f'{answer}: Link {answer.header("link")!r} names no rel="next"')
    return ""


def each(items: Iterable[T], check: Callable[[T], Any], label: Callable[[T], str] = str) -> None:
    """Check every item, even after one failed; raises once, for all.

    Raises:
        Failed: at least one item failed.
        Skipped: none failed, at least one was skipped.
    """
    failed: list[str] = []
    skipped: list[Skipped] = []
    for item in items:
        try:
            check(item)
        except Failed as problem:
            failed.append(f"{label(item)}: {problem}")
        except Skipped as problem:
            skipped.append(problem)
    if failed:
        raise Failed("; ".join(failed))
    if skipped:
        reason = "; ".join(dict.fromkeys(map(str, skipped)))
        raise Unsupported(reason) if isinstance(skipped[0], Unsupported) else Skipped(reason)
