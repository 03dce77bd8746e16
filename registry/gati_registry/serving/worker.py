"""One worker: an event loop, an application and an HTTP server on one listening socket, until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import uvloop

from gati_registry.serving.application import ApplicationFactory
from gati_registry.serving.process import tune_collector
from gati_registry.settings import Settings

logger = logging.getLogger(__name__)

EXIT_FORCED = 1
# Seconds in which further signals are echoes of the first: `timeout` sends two at once, systemd one to each process.
ECHO = 1.0


class Impatience:
    """Tells the second SIGTERM, which means "at once", from an echo of the first."""

    def __init__(self) -> None:
        self._first = 0.0

    def signalled(self) -> bool:
        """Note a signal; whether it is enough of waiting."""
        now = time.monotonic()
        if not self._first:
            self._first = now
        return now - self._first > ECHO


def run_worker(
    settings: Settings,
    create_app: ApplicationFactory,
    listener: socket.socket,
    ready: Callable[[], None],
    *,
    lifeline: int | None = None,
) -> None:
    """Serve until SIGTERM (or SIGINT, without a supervisor), finish what runs, return.

    Args:
        listener: bound and listening; closed at the end.
        ready: called once, when requests are answered.
        lifeline: descriptor that reads end-of-file when the supervisor is gone; then as at SIGTERM. None: no
            supervisor.

    Raises:
        Exception: whatever kept the application or the server from starting.
    """

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_exception)
        stop = asyncio.Event()
        if lifeline is None:
            impatience = Impatience()

            def terminate() -> None:
                if impatience.signalled():
                    # Whatever was acknowledged is on disk.
                    os._exit(EXIT_FORCED)
                stop.set()

            loop.add_signal_handler(signal.SIGTERM, terminate)
            loop.add_signal_handler(signal.SIGINT, terminate)
        else:
            # However often: systemd and Ctrl-C signal the whole group, and the supervisor does so again. It also
            # decides when it is enough, by SIGKILL.
            loop.add_signal_handler(signal.SIGTERM, stop.set)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            loop.add_reader(lifeline, _orphaned, loop, lifeline, stop)
        app = create_app(settings)

        async def until_stopped() -> None:
            tune_collector()
            ready()
            await stop.wait()
            app.drain()
            await asyncio.sleep(settings.shutdown.delay)

        if settings.server == "uvicorn":
            from gati_registry.serving.uvicorn import run
        else:
            from gati_registry.serving.hypercorn import run
        await run(app, settings, listener, until_stopped)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def _orphaned(loop: asyncio.AbstractEventLoop, lifeline: int, stop: asyncio.Event) -> None:
    loop.remove_reader(lifeline)
    stop.set()


def _log_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    exception = context.get("exception")
    if isinstance(exception, ssl.SSLError | ConnectionError | TimeoutError):
        logger.debug("connection failed: %s", type(exception).__name__)
    else:
        logger.error("%s", context.get("message", "error in the event loop"), exc_info=exception)
