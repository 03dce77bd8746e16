"""Entries as their readers see them: names for pseudonyms, and what was sealed, as long as it can be opened."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gati_extensions.audit import store
from gati_extensions.audit.model import Entry, Filter
from gati_extensions.audit.patch import difference
from gati_extensions.audit.persons import MARK, NO_NAME, Person, unseal
from gati_extensions.audit.record import Line, namespace_of
from gati_extensions.audit.store import Query
from gati_registry.extension import Transaction

_PSEUDONYM = re.compile(rf"{MARK}[0-9a-f]{{32}}")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to spreadsheets (OWASP, CSV injection)."""


def rfc3339(time: int) -> str:
    """Milliseconds as a time of day, UTC."""
    return datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def query_of(tx: Transaction, asked: Filter, within: str | None = None) -> Query:
    """What a reader asks for, in terms of pseudonyms. `within` bounds it to a namespace."""
    namespace = within if within is not None else asked.namespace
    if within is not None and asked.namespace is not None and asked.namespace != within:
        namespace = asked.namespace if asked.namespace.startswith(f"{within}/") else None
    paths = await _paths(tx, namespace) if namespace is not None else None
    if within is not None and namespace is None:
        paths = []
    return Query(
        actors=tuple(await pseudonyms(tx, asked.actor)) if asked.actor is not None else None,
        action=asked.action,
        category=asked.category,
        prefixes=tuple(await _paths(tx, asked.resource)) if asked.resource is not None else None,
        within=tuple((path, namespace_of(path)) for path in paths) if paths is not None else None,
        decision=asked.decision,
        status=asked.status,
        request_id=asked.request_id,
        since=_ms(asked.since) if asked.since is not None else 0,
        until=_ms(asked.until) if asked.until is not None else 2**62,
    )


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)


async def pseudonyms(tx: Transaction, name: str) -> list[str]:
    """All that stand for this name; a pseudonym stands for itself."""
    if _PSEUDONYM.fullmatch(name):
        return [name]
    if name == NO_NAME:
        return []
    rows = await tx.all("SELECT id FROM audit_person WHERE name = :name ORDER BY id", name=name)
    return [row[0] for row in rows]


async def _paths(tx: Transaction, path: str) -> list[str]:
    """A path as resources may have it: with each pseudonym of the user whose it is, and as it is."""
    first, _, rest = path.partition("/")
    end = next((at for at, char in enumerate(rest) if char in "#/:@"), len(rest))
    if first != "users" or not rest[:end]:
        return [path]
    return [path, *(f"users/{known}{rest[end:]}" for known in await pseudonyms(tx, rest[:end]))]


async def persons_of(tx: Transaction, lines: Iterable[Line]) -> dict[str, Person]:
    """Everybody whom the lines name, by pseudonym; under "" whoever has no name."""
    ids: set[str] = set()
    for line in lines:
        ids |= {found for found in (line.actor, line.subject) if found is not None} | {
            *_PSEUDONYM.findall(line.resource)
        }
    return {
        person.name if person.name == NO_NAME else person.id: person for person in await store.persons(tx, sorted(ids))
    }


def shown(line: Line, persons: Mapping[str, Person], *, origins: bool) -> Entry:
    """An entry; without `origins`, not from where its actor came."""
    origin = _origin(line, persons) if origins else {}
    changes, detail = _changes(line, persons)
    return Entry(
        id=line.id,
        event_id=line.event_id,
        time=rfc3339(line.time),
        category=line.category,  # type: ignore[arg-type]  # the model checks it
        action=line.action,
        actor=_name(line.actor, persons),
        credential=origin.get("credential"),
        method=line.method,
        ip=origin.get("ip"),
        user_agent=origin.get("user_agent"),
        path=origin.get("path"),
        resource=_named(line.resource, persons),
        namespace=_named(line.namespace, persons),
        subject=_name(line.subject, persons),
        changes=changes,
        detail=detail,
        request_id=line.request_id,
        decision=line.decision,  # type: ignore[arg-type]
        status=line.status,
        duration_ms=line.duration_us / 1000,
    )


def _name(pseudonym: str | None, persons: Mapping[str, Person]) -> str | None:
    if pseudonym is None:
        return None
    person = persons.get(pseudonym)
    return person.name if person is not None and person.name is not None else pseudonym


def _named(text: str, persons: Mapping[str, Person]) -> str:
    return _PSEUDONYM.sub(lambda found: str(_name(found[0], persons)), text)


def _behind(pseudonym: str | None, persons: Mapping[str, Person]) -> Person | None:
    return persons.get(NO_NAME if pseudonym is None else pseudonym)


def _origin(line: Line, persons: Mapping[str, Person]) -> Mapping[str, str]:
    actor = _behind(line.actor, persons)
    if actor is None:
        return {}
    if line.shared is not None:
        sealed, place, about = line.shared
        found = unseal(actor.key, sealed, about)
        return found[place] if found is not None else {}
    return (unseal(actor.key, line.origin, actor.id) or {}) if line.origin is not None else {}


def _changes(line: Line, persons: Mapping[str, Person]) -> tuple[list[dict[str, Any]] | None, dict[str, Any] | None]:
    """The changes as JSON Patch, and what else there is to tell."""
    detail = json.loads(line.detail) if line.detail is not None else None
    if line.changes is not None:
        if line.subject is None:
            found = json.loads(line.changes)
        else:
            subject = _behind(line.subject, persons)
            found = unseal(subject.key if subject is not None else None, line.changes, line.event_id)
        return (found["patch"], found["detail"] or None) if found is not None else (None, None)
    if line.action in {"tag.move", "tag.delete"} and detail is not None:
        before, after = ({"digest": detail[name]} if name in detail else None for name in ("previous", "digest"))
        return difference(before, after), detail
    return None, detail


# --- export -----------------------------------------------------------------------------------------------------


FIELDS = tuple(Entry.model_fields)


def json_lines(entries: Sequence[Entry]) -> bytes:
    """One JSON object a line."""
    return b"".join(entry.model_dump_json().encode() + b"\n" for entry in entries)


def csv_head() -> bytes:
    """The names of the columns."""
    return _csv([FIELDS])


def csv_lines(entries: Sequence[Entry]) -> bytes:
    """One row each (RFC 4180); what is no text is JSON."""
    return _csv([[_cell(value) for value in entry.model_dump().values()] for entry in entries])


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    file = io.StringIO()
    csv.writer(file, lineterminator="\r\n").writerows(rows)
    return file.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
