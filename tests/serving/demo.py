"""A small application under the real edge, supervisor and servers.

It has what a registry's endpoints have and what tests need to hold still: slow uploads and downloads, answers before
the body's end, errors, a handler that does not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from gati_registry.__main__ import parser
from gati_registry.errors import ClientDisconnected, Code, RegistryError, Unavailable
from gati_registry.http.edge import Edge
from gati_registry.http.exchange import RECEIVE_INTO, ZEROCOPY, Receive, ReceiveInto, Scope, Send
from gati_registry.http.observe.health import routes
from gati_registry.http.observe.logs import configure
from gati_registry.http.observe.metrics import Metrics
from gati_registry.serving import serve
from gati_registry.settings import Settings, load

CHUNK = 64 * 1024


async def _hello(_: Request) -> Response:
    return JSONResponse({"pid": os.getpid()})


async def _sink(request: Request) -> Response:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
    return JSONResponse({"received": received, "pid": os.getpid()})


_running = _cancelled = 0


async def _into(request: Request) -> Response:
    # A body that goes into views of a given size; each `turn`-th piece comes by `receive`. GET: how many run.
    global _running
    if request.method == "GET":
        return JSONResponse(_running)
    _running += 1
    try:
        return await _take(request)
    finally:
        _running -= 1


async def _take(request: Request) -> Response:
    view = memoryview(bytearray(int(request.query_params["view"])))
    turn = int(request.query_params.get("turn", "0"))
    into: ReceiveInto = request.scope["extensions"][RECEIVE_INTO]
    hasher, received = hashlib.sha256(), 0
    for number in itertools.count(1):
        if turn and number % turn == 0:
            message = await request.receive()
            part = message.get("body", b"")
        else:
            message = await into(view)
            part = view[: message.get("size", 0)]
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        hasher.update(part)
        received += len(part)
        if not message["more_body"]:
            break
        await asyncio.sleep(float(request.query_params.get("pause", "0")))
    return JSONResponse({"received": received, "sha256": hasher.hexdigest()})


async def _cancel(request: Request) -> Response:
    # Takes back a view that is being filled, and looks whether anything comes into it afterwards. GET: how often.
    global _cancelled
    if request.method == "GET":
        return JSONResponse(_cancelled)
    view = memoryview(bytearray(int(request.query_params["view"])))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await request.scope["extensions"][RECEIVE_INTO](view)
    before = bytes(view)
    _cancelled += 1
    rest = 0
    async for chunk in request.stream():
        rest += len(chunk)
    return JSONResponse({"came": before.count(1), "untouched": view == before, "rest": rest})


async def _source(request: Request) -> Response:
    size = int(request.query_params["size"])
    pause = float(request.query_params.get("pause", "0"))

    async def content() -> AsyncIterator[bytes]:
        for start in range(0, size, CHUNK):
            yield bytes(min(CHUNK, size - start))
            await asyncio.sleep(pause)

    return StreamingResponse(content(), headers={"content-length": str(size)})


async def _refuse(request: Request) -> Response:
    raise RegistryError(Code.UNAUTHORIZED, status=int(request.query_params.get("status", "401")))


async def _unread(request: Request) -> Response:
    # A handler that is busy with something else and does not take its body.
    await asyncio.sleep(float(request.query_params["seconds"]))
    return PlainTextResponse("late")


async def _error(_: Request) -> Response:
    raise ValueError("Authorization: Bearer abcdef123456")


async def _gone(_: Request) -> Response:
    raise Unavailable("the database does not answer", retry_after=7)


async def _broken(_: Request) -> Response:
    async def content() -> AsyncIterator[bytes]:
        yield bytes(1000)
        raise ValueError("in the middle")

    return StreamingResponse(content(), headers={"content-length": "2000"})


async def _scope(request: Request) -> Response:
    types = {name: type(value).__name__ for name, value in request.scope.items()}
    return JSONResponse({"types": types, "values": {name: repr(value) for name, value in request.scope.items()}})


async def _stream(request: Request) -> Response:
    # Without a Content-Length.
    async def content() -> AsyncIterator[bytes]:
        for part in (b"one,", b"", b"two,"):
            yield part
            await asyncio.sleep(0.01)
        if "broken" in request.query_params:
            raise ValueError("in the middle")
        yield b"three"

    return StreamingResponse(content(), int(request.query_params.get("status", "200")))


async def _odd(request: Request) -> Response:
    # Answers that no application should give; what they are made of comes from the query.
    query = request.query_params
    headers = {"content-length": query.get("length", "4"), query.get("name", "x-a"): query.get("value", "b")}
    return StreamingResponse(_twice(b"ab" if query.get("parts") == "two" else b"abcd"), headers=headers)


async def _twice(part: bytes) -> AsyncIterator[bytes]:
    yield part
    if len(part) == 2:
        yield part


class _File:
    """Stretches of the file that `DEMO_FILE` names, sent by the kernel: `?part=OFFSET-COUNT&part=…[&length=N]`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode())
        headers = [(b"content-length", length.encode()) for length in query.get("length", ())]
        *first, last = [[int(number) for number in part.split("-")] for part in query["part"]]
        with self._open() as file:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for offset, count in first:
                await send({"type": ZEROCOPY, "file": file, "offset": offset, "count": count, "more_body": True})
                await send({"type": "http.response.body", "body": b"|", "more_body": True})
            await send({"type": ZEROCOPY, "file": file, "offset": last[0], "count": last[1]})

    def _open(self) -> BinaryIO:
        return Path(os.environ["DEMO_FILE"]).open("rb")


class Kernel:
    """The demo's answer to `health.Observed`."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.edge: Edge | None = None
        self.probes: Mapping[str, Callable[[], Awaitable[None]]] = {"database": self._probe}

    @property
    def draining(self) -> bool:
        return self.edge is not None and self.edge.draining

    async def gauges(self) -> Mapping[str, float]:
        return {"gati_uploads_open": 3}

    async def _probe(self) -> None:
        if os.environ.get("DEMO_DATABASE") == "gone":
            raise ConnectionError("no database")


def create_app(settings: Settings) -> Edge:
    """The demo, wrapped as the registry is."""
    metrics = Metrics()
    kernel = Kernel(metrics)

    @contextlib.asynccontextmanager
    async def lifespan(_: Router) -> AsyncIterator[None]:
        if os.environ.get("DEMO_START") == "fails":
            raise RuntimeError("it cannot start")
        yield

    # A router alone: with all of Starlette an exception would get Starlette's own answer.
    app = Router(
        routes=[
            Route("/hello", _hello),
            Route("/sink", _sink, methods=["PUT", "POST"]),
            Route("/into", _into, methods=["GET", "PUT"]),
            Route("/cancel", _cancel, methods=["GET", "PUT"]),
            Route("/source", _source),
            Route("/refuse", _refuse, methods=["GET", "PUT"]),
            Route("/unread", _unread, methods=["PUT"]),
            Route("/error", _error),
            Route("/gone", _gone),
            Route("/broken", _broken),
            Route("/scope", _scope),
            Route("/stream", _stream),
            Route("/odd", _odd),
            Route("/file", _File()),
            *routes(kernel),
        ],
        lifespan=lifespan,
    )
    kernel.edge = Edge(app, settings, metrics)
    return kernel.edge


if __name__ == "__main__":
    # Started as a wrapper of the registry's own command, whose flags it takes: `… serve --listen … --data …`.
    arguments = parser().parse_args(sys.argv[sys.argv.index("serve") :])
    flags = {name: getattr(arguments, name) for name in ("data", "listen", "open", "server", "workers")}
    found = load({**flags, "tls.cert": arguments.tls_cert, "tls.key": arguments.tls_key}).settings
    configure(found.log)
    sys.exit(serve(found, create_app))
