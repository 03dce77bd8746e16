"""`/livez`, `/readyz` and `/metrics`. They need no credentials and tell nothing of what is stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gati_registry.http.observe.metrics import Metrics

logger = logging.getLogger(__name__)

# A backend that takes longer (seconds) is as good as gone.
PATIENCE = 5.0


class Observed(Protocol):
    """What the endpoints ask of the kernel."""

    @property
    def metrics(self) -> Metrics:
        """This worker's numbers."""

    @property
    def draining(self) -> bool:
        """Whether SIGTERM came."""

    @property
    def probes(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Checks by name, `database` and `blobs` among them; one that raises makes the worker not ready."""

    async def gauges(self) -> Mapping[str, float]:
        """Values of `metrics.SCRAPE_GAUGES`, as of now."""


def routes(kernel: Observed) -> list[Route]:
    """The three endpoints."""

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "alive"}, headers=_FRESH)

    async def readyz(_: Request) -> Response:
        names = list(kernel.probes)
        results = await asyncio.gather(*(_probe(name, kernel.probes[name]) for name in names))
        checks = {name: "ok" if fine else "failed" for name, fine in zip(names, results, strict=True)}
        ready = all(results) and not kernel.draining
        status = "draining" if kernel.draining else "ready" if ready else "not ready"
        return JSONResponse({"status": status, "checks": checks}, 200 if ready else 503, headers=_FRESH)

    async def metrics(_: Request) -> Response:
        try:
            async with asyncio.timeout(PATIENCE):
                gauges = await kernel.gauges()
        except Exception:
            # The numbers of this process are still worth having when the database is gone.
            logger.warning("gauges are left out of /metrics", exc_info=True)
            gauges = {}
        content, media_type = kernel.metrics.exposition(gauges)
        return Response(content, media_type=media_type, headers=_FRESH)

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]


_FRESH = {"Cache-Control": "no-store"}


async def _probe(name: str, probe: Callable[[], Awaitable[None]]) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            await probe()
    except Exception:
        logger.warning("%s does not answer", name, exc_info=True)
        return False
    return True
