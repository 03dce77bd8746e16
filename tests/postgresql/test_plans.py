"""How many rows statements touch does not grow with what is stored, as PostgreSQL itself counts them.

The plans are those of the registry's own sessions (auto_explain), made with the engine's statistics of tables in which
one repository holds far more than the average: what is right on average may be wrong there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from bench.filling import Filler, PostgresTarget, even

from gati_registry.bootstrap import build
from tests.core.scale import PAGE, sizes, walk
from tests.core.support import Client, FakeClock, configure, databases, scratch
from tests.extensions.access.support import world
from tests.extensions.scale import Few
from tests.support.postgresql import PostgresServer, running_postgresql

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

REPOSITORIES, MANIFESTS, LARGE = 4_000, 5, 6_000
NAMESPACES = 3_000

MOST = 1_500
"""Rows that a statement may read: a few batches of the collector. The tables hold twenty thousand and more."""

_ENTRY = re.compile(r"plan:\n((?:\t.*\n)+)")


@pytest.fixture(scope="module")
def explaining() -> Iterator[PostgresServer]:
    """A server that writes the plan of each statement to its log, where a database asks for it."""
    settings = (
        "session_preload_libraries = 'auto_explain'\nauto_explain.log_min_duration = -1\n"
        "auto_explain.log_analyze = on\nauto_explain.log_timing = off\nauto_explain.log_format = json\n"
        "auto_explain.log_parameter_max_length = 0\nautovacuum = off\nshared_buffers = 128MB\n"
    )
    with running_postgresql(settings=settings) as server:
        yield server


@pytest.fixture(scope="module")
def filled(explaining: PostgresServer) -> str:
    """The name of a database to copy."""
    explaining.execute("CREATE DATABASE filled TEMPLATE template0")
    asyncio.run(_make(explaining, "filled"))
    return "filled"


def _log(server: PostgresServer, after: int) -> str:
    path = "current_setting('data_directory') || '/../log'"
    ((text,),) = server.execute(f"SELECT pg_read_file({path}, {after}, (pg_stat_file({path})).size - {after})")
    return str(text)


def _size(server: PostgresServer) -> int:
    ((size,),) = server.execute("SELECT (pg_stat_file(current_setting('data_directory') || '/../log')).size")
    return int(str(size))


def _touched(plan: dict[str, Any]) -> int:
    """The most rows that one node of a plan read: those it gave and those it threw away."""
    own = plan["Actual Rows"] + sum(value for key, value in plan.items() if key.startswith("Rows Removed"))
    return max([int(own * plan["Actual Loops"]), *(_touched(inner) for inner in plan.get("Plans", ()))])


def _shape(plan: dict[str, Any], depth: int = 0) -> str:
    """A plan in few words."""
    words = [plan["Node Type"], plan.get("Relation Name", ""), plan.get("Index Name", ""), plan.get("Index Cond", "")]
    line = f"{'  ' * depth}{' '.join(filter(None, words))} rows={plan['Actual Rows']} loops={plan['Actual Loops']}\n"
    return line + "".join(_shape(inner, depth + 1) for inner in plan.get("Plans", ()))


def _heavy(server: PostgresServer, since: int) -> dict[str, str]:
    """Statements since then that read more rows than they may, with their plans."""
    entries = [json.loads(text) for text in _ENTRY.findall(_log(server, since))]
    assert len({entry["Query Text"] for entry in entries}) > 30, "the log has the plans"
    return {entry["Query Text"]: _shape(entry["Plan"]) for entry in entries if _touched(entry["Plan"]) > MOST}


def _told(heavy: dict[str, str]) -> str:
    return "\n".join(f"{sql}\n{shape}" for sql, shape in heavy.items())


async def _make(server: PostgresServer, name: str) -> None:
    with scratch() as folder, databases(lambda _: server.url(name)):
        async with build(configure(folder, page=PAGE)):
            pass  # makes the schema
    target = PostgresTarget(server.url(name))
    Filler(target).fill(sizes(REPOSITORIES, MANIFESTS, LARGE))
    target.close()


@contextlib.contextmanager
def _copy(server: PostgresServer, template: str, plans: str) -> Iterator[str]:
    """A database whose sessions tell their plans."""
    with server.database(template) as name:
        server.execute(f"ALTER DATABASE {name} SET plan_cache_mode = {plans}")
        server.execute(f"ALTER DATABASE {name} SET auto_explain.log_min_duration = 0")
        yield name


PLANS = pytest.mark.parametrize("plans", ["auto", "force_generic_plan"])


@PLANS
async def test_no_statement_reads_many_rows(explaining: PostgresServer, filled: str, plans: str) -> None:
    with _copy(explaining, filled, plans) as name, scratch() as folder, databases(lambda _: explaining.url(name)):
        begun, clock = _size(explaining), FakeClock()
        async with build(configure(folder, page=PAGE), clock=clock) as registry:
            client = Client(registry.app)
            middle = REPOSITORIES // 2
            # Statements have plans for all values only from their sixth time on.
            for number in (1, middle, *range(2, 8)):
                await walk(registry, client, number, LARGE if number == middle else MANIFESTS)
                clock.advance(1_000_000)
        heavy = _heavy(explaining, begun)
    assert not heavy, _told(heavy)


@pytest.fixture(scope="module")
def populated(explaining: PostgresServer) -> str:
    """The name of a database with many namespaces."""
    explaining.execute("CREATE DATABASE populated TEMPLATE template0")
    asyncio.run(_populate(explaining.url("populated")))
    return "populated"


async def _populate(url: str) -> None:
    with scratch() as folder:
        async with world(folder, metadata_url=url):
            pass  # makes the schema
    target = PostgresTarget(url)
    Filler(target, namespaces=True).fill(even(range(NAMESPACES), MANIFESTS))
    target.close()


@PLANS
async def test_nor_where_one_sees_few_of_many_namespaces(
    explaining: PostgresServer, populated: str, plans: str
) -> None:
    with _copy(explaining, populated, plans) as name, scratch() as folder:
        begun = _size(explaining)
        async with world(folder, metadata_url=explaining.url(name)) as site:
            few = Few(site, NAMESPACES, MANIFESTS)
            await few.join()
            for _, operation in few.operations():
                for _ in range(3):
                    await operation()
        heavy = _heavy(explaining, begun)
    assert not heavy, _told(heavy)
