"""Databases with very much in them, without pushing all of it: the rows that pushes would have made, written in bulk.

What is stored is a function of numbers alone: repository `n` holds `content(n, manifests)`. Who pushes exactly that
over HTTP gets the same rows (a test compares them, table by table), but for their times.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import apsw
import psycopg

from bench.artifacts import EMPTY, Blob, image_manifest, index_of
from gati_registry.domain import manifest as rules
from gati_registry.domain.referrers import encode
from gati_registry.values.digest import Digest

CYCLE = 5
"""Of five manifests three are images, the fourth an index of two of them, the fifth a referrer of that, untagged."""

_AT_ONCE = 2_000
"""Manifests (about) written by one transaction."""

Row = tuple[Any, ...]

CORE: Mapping[str, Sequence[str]] = {
    "repository": ("id", "name", "created_at"),
    "blob": ("id", "digest", "size", "created_at", "data"),
    "link": ("repository_id", "blob_id"),
    "manifest": (
        *("id", "repository_id", "digest", "media_type", "size", "subject", "artifact_type", "descriptor"),
        *("pushed_at", "data"),
    ),
    "reference": ("repository_id", "digest", "manifest_id"),
    "tag": ("repository_id", "name", "manifest_id", "moved_at"),
}
"""The columns that are written, in an order that foreign keys allow. The others stay NULL, as after a push."""

NAMESPACES: Mapping[str, Sequence[str]] = {
    "identity_account": ("id", "name", "kind", "created_at"),
    "namespaces_node": ("path", "visibility", "description", "labels", "created_at", "changed_at"),
    "namespaces_member": ("path", "kind", "subject", "name", "role", "added_at"),
    "namespaces_repository": ("name", "visibility", "bytes", "manifests"),
    "namespaces_usage": ("path", "bytes", "artifacts"),
}
"""What the extensions identity and namespaces keep of a private organization with members and a repository."""

KINDS: Mapping[str, Sequence[str]] = {
    "kinds_artifact": (
        "repository",
        "digest",
        "kind",
        "media_type",
        "subject",
        "size",
        "content",
        "facts",
        "pushed_at",
    ),
    "kinds_tag": ("repository", "tag", "digest", "moved_at"),
    "kinds_move": ("repository", "tag", "moved_at", "number", "after"),
    "kinds_repository": ("name", "kind", "latest", "digest", "title", "description", "created_at", "updated_at"),
}
"""What the extension kinds keeps of artifacts that nobody described."""

MEMBERS = 3
"""Of each namespace, among `USERS` in all."""

USERS = 500


@dataclass(frozen=True, slots=True)
class Item:
    """A manifest of a repository, the blobs to be pushed before it, and its tag."""

    manifest: Blob
    blobs: tuple[Blob, ...]
    tag: str | None


def repository(number: int) -> str:
    """The name of a repository; each lies in an organization of its own."""
    return f"{namespace(number)}/app"


def namespace(number: int) -> str:
    """The organization's namespace that a repository lies in."""
    return f"orgs/o{number:06d}"


def tag(position: int) -> str:
    """The tag of the manifest at a position of its repository."""
    return f"v{position:06d}"


def content(number: int, manifests: int) -> Iterator[Item]:
    """What a repository holds, in the order of its pushes."""
    earlier: list[Blob] = []
    for position in range(manifests):
        kind = position % CYCLE
        own = {"repository": repository(number), "position": str(position)}
        if kind == 3:
            made = Item(index_of(earlier[-2:], own), (), tag(position))
        elif kind == 4:
            referrer = image_manifest(
                EMPTY, [EMPTY], artifact_type="application/vnd.bench.note", subject=earlier[-1], annotations=own
            )
            made = Item(referrer, (EMPTY,), None)
        else:
            layer = Blob.of(f"{number} {position}".encode())
            made = Item(image_manifest(EMPTY, [layer], annotations=own), (EMPTY, layer), tag(position))
        earlier.append(made.manifest)
        yield made


class Target(Protocol):
    """A database whose schema is there."""

    def one(self, sql: str) -> Any:
        """The first value of the first row."""

    def run(self, sql: str) -> None:
        """Statements without an answer."""

    def write(self, rows: Mapping[str, Sequence[Row]], columns: Mapping[str, Sequence[str]]) -> None:
        """Add rows to tables, in one transaction."""

    def finish(self) -> None:
        """What the engine does now and then by itself, at once: it is not to happen during a measurement."""


@dataclass
class Filler:
    """Adds repositories to a database. Numbers are given once."""

    target: Target
    namespaces: bool = False
    kinds: bool = False
    now: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def _columns(self) -> Mapping[str, Sequence[str]]:
        return {**CORE, **(NAMESPACES if self.namespaces else {}), **(KINDS if self.kinds else {})}

    def fill(self, repositories: Iterable[tuple[int, int]]) -> int:
        """Store repositories, given by number and how many manifests each holds; the rows that were written."""
        ids = {name: self._last(name) for name, columns in self._columns.items() if columns[0] == "id"}
        empty = self.target.one(f"SELECT max(id) FROM blob WHERE digest = '{EMPTY.digest}'")
        written = 0
        rows = _Rows(self.now, ids, empty, self._columns)
        if self.namespaces:
            rows.add_users()
        for number, manifests in repositories:
            size = rows.add(number, manifests)
            if self.namespaces:
                rows.add_namespace(number, size, manifests)
            if self.kinds:
                rows.add_artifacts(number, manifests)
            if len(rows.tables["manifest"]) >= _AT_ONCE:
                written += self._flush(rows)
        written += self._flush(rows)
        self.target.finish()
        return written

    def _last(self, table: str) -> int:
        return self.target.one(f"SELECT max(id) FROM {table}") or 0

    def _flush(self, rows: _Rows) -> int:
        count = sum(map(len, rows.tables.values()))
        if count:
            self.target.write(rows.tables, self._columns)
            rows.tables = {name: [] for name in self._columns}
        return count


class _Rows:
    """Makes the rows; knows the numbers that were given last."""

    def __init__(self, now: int, last: Mapping[str, int], empty: int | None, tables: Iterable[str]) -> None:
        self.tables: dict[str, list[Row]] = {name: [] for name in tables}
        self._users: list[tuple[int, str]] = []
        self._now = now
        self._ids = {name: itertools.count(number + 1) for name, number in last.items()}
        self._empty = empty

    def add(self, number: int, manifests: int) -> int:
        """A repository; the bytes of all that is in it."""
        size = 0
        repository_id = next(self._ids["repository"])
        self.tables["repository"].append((repository_id, repository(number), self._now))
        linked: set[str] = set()
        for item in content(number, manifests):
            for blob in item.blobs:
                if blob.digest not in linked:
                    linked.add(blob.digest)
                    size += len(blob.data)
                    self.tables["link"].append((repository_id, self._blob(blob)))
            size += len(item.manifest.data)
            self._manifest(repository_id, item)
        return size

    def add_users(self) -> None:
        """Those who are members of the namespaces that are added next."""
        first = next(self._ids["identity_account"])
        self._users = [(first + number, f"u{first + number:07d}") for number in range(USERS)]
        self._ids["identity_account"] = itertools.count(first + USERS)
        self.tables["identity_account"] += [(number, name, "user", self._now) for number, name in self._users]

    def add_namespace(self, number: int, size: int, manifests: int) -> None:
        """The private organization that a repository lies in."""
        path = namespace(number)
        org = (next(self._ids["identity_account"]), path.rpartition("/")[2], "org", self._now)
        self.tables["identity_account"].append(org)
        self.tables["namespaces_node"].append((path, "private", "", "{}", self._now, self._now))
        for turn in range(MEMBERS):
            subject, name = self._users[(number * MEMBERS + turn) % USERS]
            self.tables["namespaces_member"].append((path, "user", subject, name, "reader", self._now))
        self.tables["namespaces_repository"].append((repository(number), "private", size, manifests))
        self.tables["namespaces_usage"].append((path, size, 1))

    def add_artifacts(self, number: int, manifests: int) -> None:
        """What a repository's manifests are taken for."""
        name, newest = repository(number), None
        for item in content(number, manifests):
            pushed, data = item.manifest, item.manifest.data
            body = json.loads(data)
            parts = ",".join(sorted(part["digest"] for part in body.get("layers") or body["manifests"]))
            subject = body.get("subject", {}).get("digest")
            same = Digest.of(parts.encode())
            self.tables["kinds_artifact"].append(
                (name, pushed.digest, "unknown", pushed.media_type, subject, len(data), same, "{}", self._now)
            )
            if item.tag is not None:
                self.tables["kinds_tag"].append((name, item.tag, pushed.digest, self._now))
                self.tables["kinds_move"].append((name, item.tag, self._now, 1, pushed.digest))
                newest = item
        if newest is not None:
            self.tables["kinds_repository"].append(
                (name, "unknown", newest.tag, newest.manifest.digest, "", "", self._now, self._now)
            )

    def _blob(self, blob: Blob) -> int:
        if blob is EMPTY and self._empty is not None:
            return self._empty
        blob_id = next(self._ids["blob"])
        self.tables["blob"].append((blob_id, blob.digest, len(blob.data), self._now, blob.data))
        if blob is EMPTY:
            self._empty = blob_id
        return blob_id

    def _manifest(self, repository_id: int, item: Item) -> None:
        pushed, data = item.manifest, item.manifest.data
        manifest_id = next(self._ids["manifest"])
        found = rules.parse(data, pushed.media_type)
        descriptor = encode(found.descriptor(Digest(pushed.digest), len(data))) if found.subject else None
        self.tables["manifest"].append(
            (
                *(manifest_id, repository_id, pushed.digest, found.media_type, len(data)),
                *(found.subject, found.artifact_type, descriptor, self._now, data),
            )
        )
        self.tables["reference"] += [(repository_id, digest, manifest_id) for digest in found.references]
        if item.tag is not None:
            self.tables["tag"].append((repository_id, item.tag, manifest_id, self._now))


class SqliteTarget:
    """An embedded database that no server has open."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        # Digests come in no order: their index is to stay in memory. Nothing is lost that cannot be filled again.
        self._connection.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; PRAGMA foreign_keys = OFF")

    def one(self, sql: str) -> Any:
        return next(iter(self._connection.execute(sql)))[0]

    def run(self, sql: str) -> None:
        self._connection.execute(sql).fetchall()

    def write(self, rows: Mapping[str, Sequence[Row]], columns: Mapping[str, Sequence[str]]) -> None:
        with self._connection:
            for table, names in columns.items():
                marks = ", ".join("?" * len(names))
                self._connection.executemany(
                    f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",
                    rows.get(table, ()),
                )

    def finish(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Let go; all is on the disk then."""
        self._connection.close()


class PostgresTarget:
    """A shared database, filled by COPY."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("SET synchronous_commit = off")

    def one(self, sql: str) -> Any:
        row = self._connection.execute(sql.encode()).fetchone()
        return row[0] if row is not None else None

    def run(self, sql: str) -> None:
        self._connection.execute(sql.encode())

    def write(self, rows: Mapping[str, Sequence[Row]], columns: Mapping[str, Sequence[str]]) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for table, names in columns.items():
                if rows.get(table):
                    with cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN".encode()) as copy:
                        for row in rows[table]:
                            copy.write_row(row)
                if names[0] == "id":  # COPY gives numbers and does not count them
                    cursor.execute(
                        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}".encode()
                    )

    def finish(self) -> None:
        self._connection.execute("VACUUM (ANALYZE)")
        self._connection.execute("CHECKPOINT")

    def close(self) -> None:
        """Let go."""
        self._connection.close()


def even(repositories: Iterable[int], manifests: int) -> Iterator[tuple[int, int]]:
    """As many manifests in each repository."""
    return ((number, manifests) for number in repositories)
