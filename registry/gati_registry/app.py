"""The ASGI application.

Edge (request id, limits, log, metrics)
├── /livez, /readyz, /metrics   Starlette
└── everything else             RegistryApp: the specification's endpoints, extensions' routes
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.routing import Router

from gati_registry.bootstrap import Registry, build
from gati_registry.http.edge import Edge
from gati_registry.http.exchange import Receive, Scope, Send
from gati_registry.http.observe.health import routes as health_routes
from gati_registry.http.observe.metrics import Metrics
from gati_registry.jobs import Job, run_forever
from gati_registry.ports import Transaction
from gati_registry.settings import Settings

log = logging.getLogger(__name__)


class Application:
    """One worker's application; its backends are open between lifespan's startup and shutdown."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.metrics = Metrics()
        self._edge = Edge(self._dispatch, settings, self.metrics)
        self._registry: Registry | None = None
        self._web = Router(health_routes(self), redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._edge(scope, receive, send)

    def drain(self) -> None:
        """SIGTERM came: not ready any more, but what runs is finished."""
        self._edge.drain()

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        path: str = scope["path"]
        if path in _OBSERVED:
            await self._web(scope, receive, send)
        else:
            assert self._registry is not None, "lifespan startup came first"
            await self._registry.app(scope, receive, send)

    # --- lifespan -----------------------------------------------------------------------------------------------

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with build(self._settings, count=self.metrics.add) as registry:
            self._registry = registry
            jobs = [
                asyncio.create_task(run_forever(job, registry.metadata, registry.clock), name=job.name)
                for job in (*self._jobs(registry), *registry.extensions.all("jobs"))
            ]
            jobs.append(asyncio.create_task(registry.observers.run(), name="observers"))
            if registry.extensions.all("reactions"):
                jobs.append(asyncio.create_task(registry.dispatcher.run(), name="outbox"))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            for task in jobs:
                task.cancel()
            for task in jobs:
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await send({"type": "lifespan.shutdown.complete"})

    def _jobs(self, registry: Registry) -> list[Job]:
        interval = self._settings.gc.interval
        return [Job("gc", interval, lambda: self._collect(registry))] if interval else []

    async def _collect(self, registry: Registry) -> None:
        try:
            report = await registry.collector.run()
        except BaseException:
            self.metrics.add("gati_gc_failures_total")
            raise
        self.metrics.add("gati_gc_runs_total")
        self.metrics.add("gati_gc_deleted_total", report.claimed)
        self.metrics.add("gati_gc_freed_bytes_total", report.freed_bytes)
        self.metrics.add("gati_uploads_expired_total", report.expired_uploads)
        log.info("garbage collection: %s", report)

    # --- what the health endpoints ask ------------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        """Whether SIGTERM came."""
        return self._edge.draining

    @property
    def probes(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Checks of the backends."""
        if self._registry is None:
            return {}
        own: dict[str, Callable[[], Awaitable[None]]] = {
            "database": self._registry.metadata.check,
            "blobs": self._registry.blobs.check,
        }
        for extension, part in self._registry.extensions.parts:
            own |= {f"{extension.name}.{name}": probe for name, probe in (part.health or {}).items()}
        return own

    async def gauges(self) -> Mapping[str, float]:
        """Numbers that only the database knows."""
        assert self._registry is not None

        async def count(tx: Transaction) -> float:
            row = await tx.one("SELECT count(*) FROM upload WHERE touched_at IS NOT NULL")
            assert row is not None
            return float(row[0])

        return {"gati_uploads_open": await self._registry.metadata.scan(count, may_lag=True)}


_OBSERVED = frozenset({"/livez", "/readyz", "/metrics"})


def create_app(settings: Settings) -> Application:
    """The ASGI application for these settings. Backends open at lifespan's startup, after any fork."""
    return Application(settings)
