"""A replica in the moment at which its network breaks: `python -m tests.faults.holder URL SQL`.

It has sent the statements that begin a transaction and lock rows, and not yet the message that ends their series.
"""

from __future__ import annotations

import asyncio
import sys

from gati_registry.metadata.postgresql.server import Limits, Server, configure, connect


async def main(url: str, sql: str) -> None:
    """Never ends by itself; prints a line when the rows are locked."""
    limits = Limits(unit=2, connect=2)
    connection = await connect(Server.parse(url, limits))
    await configure(connection, limits)
    raw = connection.pgconn
    raw.enter_pipeline_mode()
    for statement in ("BEGIN READ WRITE", sql):
        raw.send_query_params(statement.encode(), None)
    raw.send_flush_request()
    while raw.flush():
        pass
    results = 0
    while results < 2:  # BEGIN's, and that of the lock
        raw.consume_input()
        while not raw.is_busy() and (result := raw.get_result()) is not None:
            assert not result.error_message, result.error_message
            results += 1
            raw.get_result()  # what separates it from the next
        await asyncio.sleep(0.01)
    print("locked", flush=True)
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
