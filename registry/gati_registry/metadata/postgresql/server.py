"""One PostgreSQL connection: how it is opened, what is asked of the server, and how its errors are told."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import conninfo, errors
from psycopg.types.numeric import Int8Dumper

from gati_registry.errors import Unavailable
from gati_registry.metadata.migrate import MigrationError
from gati_registry.metadata.sql import Row

log = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Row]

OLDEST = 130000
"""Older major versions are no longer supported by their makers (https://www.postgresql.org/support/versioning/)."""

MAX_SKEW = 10.0
"""Seconds by which the clocks of a replica and of the database may differ. Replicas know of each other by times that
they write into rows: with clocks far apart, a lease that one has taken (a minute at least) has ended for another."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the connections of one process. Times in seconds.

    `wait` is for a connection of the pool, `connect` for the server to take one, `unit` for a whole unit of work,
    `scan` for one that reads many rows, `migration` for one migration and `lock` for the locks that it needs. A read
    replica is used as long as it is no more than `lag` behind.
    """

    pool_min: int = 1
    pool_max: int = 10
    wait: float = 5
    connect: float = 5
    unit: float = 15
    scan: float = 120
    migration: float = 600
    lock: float = 5
    lag: float = 10


class _Integers(Int8Dumper):
    """All integers are bigint, whatever their value: so a statement is prepared once."""


@dataclass(frozen=True, slots=True)
class Server:
    """Which database it is, as libpq is told, and how long anything may take. Holds the password: never shown."""

    parameters: Mapping[str, str] = field(repr=False)
    limits: Limits

    @classmethod
    def parse(cls, url: str, limits: Limits, defaults: Mapping[str, str] | None = None) -> Server:
        """The URL's own parameters, over those that are given and ours.

        Raises:
            ValueError: it is no connection URI. The message holds nothing of it.
        """
        try:
            given = conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # libpq's words would quote the part that it did not understand, which may be the password.
            raise ValueError(
                "it is no connection URI; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE,"
                " special characters percent-encoded"
            ) from None
        ours = {
            "application_name": "gati-registry",
            "connect_timeout": str(round(limits.connect)),
            # A server that is cut off from us is noticed within the time that a unit of work has.
            "tcp_user_timeout": str(round(limits.unit * 1000)),
            "keepalives_idle": "30",
            "keepalives_interval": "5",
            "keepalives_count": "3",
        }
        return cls(
            {
                name: str(value)
                for name, value in (ours | dict(defaults or {}) | given | {"client_encoding": "utf8"}).items()
            },
            limits,
        )

    def __str__(self) -> str:
        """For people; without the password."""
        host = self.parameters.get("host") or self.parameters.get("hostaddr") or "the local socket"
        port = self.parameters.get("port")
        database, user = (self.parameters.get(name) or "(default)" for name in ("dbname", "user"))
        return f"database {database} at {host}{f':{port}' if port else ''} as user {user}"


async def connect(server: Server) -> Connection:
    """A connection to a server that may be trusted, outside of the pool.

    Raises:
        Unavailable: it is not there, does not want us, or loses what it has acknowledged.
    """
    try:
        connection: Connection = await psycopg.AsyncConnection.connect(
            conninfo.make_conninfo("", **server.parameters), autocommit=True
        )
    except psycopg.Error as error:
        raise refused(error, server) from error
    timer = asyncio.get_running_loop().call_later(server.limits.unit, cut, connection)
    try:
        await _check(connection, server)
    except psycopg.Error as error:
        await connection.close()
        raise refused(error, server) from error
    except BaseException:
        await connection.close()
        raise
    finally:
        timer.cancel()
    return connection


async def configure(connection: Connection, limits: Limits) -> None:
    """Make a session safe: it only reads unless a transaction says otherwise, and the server gives up when we do."""
    connection.prepare_threshold = 2
    connection.prepared_max = 500
    connection.adapters.register_dumper(int, _Integers)
    milliseconds, seconds = round(limits.unit * 1000), max(1, round(limits.unit))
    await connection.execute(
        "SELECT set_config('default_transaction_read_only', 'on', false),"
        " set_config('statement_timeout', %(limit)s, false),"
        # Compiling a statement of a search takes 10 ms and more, each time, and saves nothing of that.
        " set_config('jit', 'off', false),"
        " set_config('idle_in_transaction_session_timeout', %(limit)s, false),"
        # Where the network broke between a statement and the message that ends its series, neither of these two runs,
        # and a server that hears nothing of our end would keep the transaction's locks for hours: it has to ask for us.
        " set_config('tcp_user_timeout', %(limit)s, false), set_config('tcp_keepalives_idle', %(seconds)s, false),"
        " set_config('tcp_keepalives_interval', %(interval)s, false), set_config('tcp_keepalives_count', '3', false),"
        # A session's own value: a commit stays durable whatever is changed for the server meanwhile.
        " set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'"
        " ELSE current_setting('synchronous_commit') END, false)",
        {"limit": str(milliseconds), "seconds": str(seconds), "interval": str(max(1, seconds // 3))},
    )


async def _check(connection: Connection, server: Server) -> None:
    """Refuse a server that loses or garbles what it has acknowledged; warn of what we mend ourselves.

    Raises:
        Unavailable: it is too old, a standby, not in UTF-8, runs without fsync, or its clock is not ours.
    """
    asked = time.time()
    cursor = await connection.execute(
        "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),"
        " current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),"
        " pg_is_in_recovery(), extract(epoch FROM clock_timestamp())::float8"
    )
    answered = time.time()
    row = await cursor.fetchone()
    assert row is not None
    version, encoding, fsync, full_page_writes, synchronous_commit, standby, clock = row
    skew = max(asked - clock, clock - answered)  # at least; how long the answer was under way nobody knows
    problem = None
    if version < OLDEST:
        problem = f"the server is PostgreSQL {version // 10000}, {OLDEST // 10000} or newer is needed"
    elif standby:
        problem = "the server is a standby, which takes no writes; name the primary (target_session_attrs=read-write)"
    elif encoding != "UTF8":
        problem = f"the database's encoding is {encoding}; create it with ENCODING 'UTF8'"
    elif fsync != "on":
        problem = "the server runs with fsync=off, a power cut would lose acknowledged pushes; turn it on"
    elif skew > MAX_SKEW:
        problem = f"its clock and this machine's differ by {skew:.0f} s, {MAX_SKEW:.0f} are borne; set both by NTP"
    if problem is not None:
        raise Unavailable(f"metadata_url: {server}: {problem}")
    if full_page_writes != "on":
        log.warning("%s: full_page_writes is off; unless its file system writes pages atomically, turn it on", server)
    if synchronous_commit == "off":
        log.warning("%s: synchronous_commit is off; it is turned on for the registry's own sessions", server)


def refused(error: psycopg.Error, server: Server) -> Unavailable:
    """Why there is no connection, in one line."""
    return Unavailable(f"metadata_url: no connection to {server}: {' '.join(str(error).split())}")


def told(error: psycopg.Error) -> Unavailable:
    """What a caller is told of a failure that is not the statement's own; the log has the rest."""
    log.error("database error: %s: %s", type(error).__name__, _first_line(error))
    if isinstance(error, errors.DiskFull):
        return Unavailable("the disk of the database is full; nothing was written", retry_after=30)
    if isinstance(error, errors.InsufficientPrivilege):
        return Unavailable("the database refuses the registry a right that it needs", retry_after=30)
    return Unavailable("the database does not answer")


def migration_failed(error: psycopg.Error, step: str) -> MigrationError:
    """Why a migration did not run, in one line; none of it is left."""
    if isinstance(error, errors.LockNotAvailable):
        return MigrationError(f"{step} did not get its locks in time; end long transactions and start again")
    if isinstance(error, errors.InsufficientPrivilege):
        return MigrationError(f"{step}: {_first_line(error)}; grant the user of metadata_url CREATE on the schema")
    return MigrationError(f"{step} failed: {_first_line(error)}")


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0]


def lost(connection: Connection, error: psycopg.Error) -> bool:
    """Whether the error means the end of the connection, and not of one statement."""
    if isinstance(error, errors.FeatureNotSupported) and "cached plan" in str(error):
        return True  # a migration changed what a prepared statement returns; a new session prepares it anew
    return connection.closed or isinstance(
        error,
        errors.AdminShutdown | errors.CrashShutdown | errors.CannotConnectNow | errors.IdleInTransactionSessionTimeout,
    )


def about_a_statement(error: psycopg.Error) -> bool:
    """Whether the error is the unit of work's own; after any other nothing can be said of it but that it failed."""
    return isinstance(
        error,
        errors.DataError | errors.IntegrityError | errors.ProgrammingError | errors.NotSupportedError,
    ) and not isinstance(error, errors.InsufficientPrivilege)


def gone(connection: Connection) -> bool:
    """Whether an idle connection is dead, or about to be: a server speaks unasked only to say goodbye."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def cut(connection: Connection) -> None:
    """Break a connection off, whatever it waits for; who uses it sees the server as gone."""
    if connection.closed:
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        try:
            duplicate.shutdown(socket.SHUT_RDWR)
        except OSError:
            log.debug("the connection was gone already")
