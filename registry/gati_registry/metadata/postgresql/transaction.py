"""A transaction on PostgreSQL as the shared SQL sees it, and how a unit of work is driven."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from psycopg import AsyncRawCursor
from psycopg.pq import Format

from gati_registry.metadata.postgresql.server import Connection
from gati_registry.metadata.postgresql.statements import compiled
from gati_registry.metadata.sql import Row
from gati_registry.metadata.sql.blobs import SqlBlobs
from gati_registry.metadata.sql.garbage import SqlGarbage, SqlInventory
from gati_registry.metadata.sql.keys import SqlBlobKeys, SqlKeys, SqlStagedKeys
from gati_registry.metadata.sql.leases import SqlLeases
from gati_registry.metadata.sql.manifests import SqlManifests, SqlTags
from gati_registry.metadata.sql.outbox import SqlOutbox
from gati_registry.metadata.sql.repositories import SqlRepositories
from gati_registry.metadata.sql.uploads import SqlUploads
from gati_registry.ports import Transaction

T = TypeVar("T")


class PostgresTransaction:
    """`ports.Transaction` over one connection.

    With `begin` it changes rows, and locks those that it reads to change them; the statement is sent together with the
    first one. Without, it only reads. What is not waited for goes out with the next statement that is, in one round
    trip.
    """

    __slots__ = (
        "_cursor",
        "_later",
        "_unread",
        "asking",
        "blob_keys",
        "blobs",
        "concurrent",
        "garbage",
        "inventory",
        "keys",
        "leases",
        "manifests",
        "outbox",
        "repositories",
        "staged_keys",
        "tags",
        "uploads",
        "used",
    )

    def __init__(self, connection: Connection, begin: str | None = None) -> None:
        self._cursor: AsyncRawCursor[Row] = AsyncRawCursor(connection)
        self._cursor.format = Format.BINARY  # bytes come as they are
        self._unread: AsyncRawCursor[Row] = self._cursor if begin is None else AsyncRawCursor(connection)
        self._later: list[tuple[str, list[Any]]] = [] if begin is None else [(begin, [])]
        self.concurrent = begin is not None
        self.asking = False
        self.used = False
        self.repositories = SqlRepositories(self)
        self.blobs = SqlBlobs(self)
        self.manifests = SqlManifests(self)
        self.tags = SqlTags(self)
        self.uploads = SqlUploads(self)
        self.garbage = SqlGarbage(self)
        self.inventory = SqlInventory(self)
        self.leases = SqlLeases(self)
        self.outbox = SqlOutbox(self)
        self.keys = SqlKeys(self)
        self.blob_keys = SqlBlobKeys(self)
        self.staged_keys = SqlStagedKeys(self)

    async def one(self, sql: str, **values: Any) -> Row | None:
        await self._execute(sql, values)
        return await self._cursor.fetchone()

    async def all(self, sql: str, **values: Any) -> list[Row]:
        await self._execute(sql, values)
        return await self._cursor.fetchall()

    async def run(self, sql: str, **values: Any) -> int:
        await self._execute(sql, values)
        return self._cursor.rowcount

    async def send(self, sql: str, **values: Any) -> None:
        if not self.concurrent:
            await self._execute(sql, values)  # refused, as all that writes is here
            return
        text, names = compiled(sql)
        self.used = True
        self._later.append((text, [values[name] for name in names]))

    def items(self, parameter: str) -> str:
        return f"jsonb_array_elements_text(CAST(:{parameter} AS jsonb)) AS item (value)"

    async def held(self, sql: str, strength: str, **values: Any) -> list[Row]:
        return await self.all(f"{sql} FOR {strength}" if self.concurrent else sql, **values)

    async def serialise(self, name: str) -> None:
        if self.concurrent:
            key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
            await self.one("SELECT 1 FROM pg_advisory_xact_lock(:key)", key=key)

    async def _execute(self, sql: str, values: dict[str, Any]) -> None:
        text, names = compiled(sql)
        self.asking = True
        try:
            await self._together(self._cursor, text, [self._value(values[name]) for name in names])
        finally:
            self.asking = False

    async def flush(self) -> None:
        """Execute what was sent last, and with it all that waits."""
        await self._together(self._unread, *self._later.pop())

    async def commit(self) -> None:
        """The end. Where a statement fails that went out together with it, nothing is committed."""
        await self._together(self._unread, "COMMIT", [])

    async def _together(self, cursor: AsyncRawCursor[Row], text: str, arguments: list[Any]) -> None:
        self.used = True
        if not self._later:
            await cursor.execute(text, arguments)
            return
        earlier, self._later = self._later, []
        async with cursor.connection.pipeline():  # all in one round trip
            for statement, its in earlier:
                await self._unread.execute(statement, its)
            await cursor.execute(text, arguments)

    def _value(self, value: Any) -> Any:
        # A client may ask for what follows "v1\0" in a list. PostgreSQL has no NUL in text; nothing that we store has
        # U+0001, so it compares the same. What is written is taken as it is, or refused.
        if not self.concurrent and isinstance(value, str) and "\0" in value:
            return value.replace("\0", "\x01")
        return value


class Driven(Awaitable[T], Generic[T]):
    """A unit of work that may wait for its transaction and for nothing else, as on SQLite.

    Otherwise it would hold its locks for as long as whatever it waits for.
    """

    def __init__(self, work: Coroutine[Any, Any, T], tx: PostgresTransaction) -> None:
        self._work = work
        self._tx = tx

    def __await__(self) -> Generator[Any, Any, T]:
        work = self._work
        try:
            waits_for = work.send(None)
            while True:
                if not self._tx.asking:
                    work.close()
                    raise RuntimeError("a unit of work awaited something other than its transaction")
                try:
                    answer = yield waits_for
                except BaseException as error:
                    waits_for = work.throw(error)
                else:
                    waits_for = work.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result


def is_transaction(tx: PostgresTransaction) -> Transaction:
    """The type checker's proof that the adapter fits its port."""
    return tx
