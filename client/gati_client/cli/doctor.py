"""`gati doctor`: what stands between this machine and a registry, each line with its remedy."""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gati_client.cli.api import own_namespace
from gati_client.cli.frame import App, configuration, connect, current, emit
from gati_client.errors import GatiError

if TYPE_CHECKING:
    from gati_client.client import Client

app = App()

CLOCK_SECONDS = 60
"""Tokens and certificates tolerate about this much."""

LEAST_FREE = 1 << 30
"""Bytes that the cache's disk should have."""


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at."""

    check: str
    state: Literal["ok", "warning", "failed"]
    said: str
    remedy: str = ""


@app.command()
async def doctor(
    registry: Annotated[str | None, typer.Argument(help="URL, host:port or name; the default one, if absent.")] = None,
) -> int:
    """Look at configuration, connection, clock, credentials and versions; says what to do about each.

    Exit code 1 if something fails; warnings do not count.
    """
    lines = [line async for line in _looked(registry)]
    emit(lines, ("check", "state", "said", "remedy"))
    return 1 if any(line.state == "failed" for line in lines) else 0


async def _looked(registry: str | None) -> AsyncIterator[Line]:
    from importlib.metadata import version

    yield Line("gati", "ok", f"{version('gati-registry')} on Python {platform.python_version()}, {platform.platform()}")
    try:
        known = configuration()
        yield Line("configuration", "ok", f"registry {known.registry(registry or current().registry).url}")
    except GatiError as error:
        yield Line("configuration", "failed", str(error), error.remedy)
        return
    yield _cache()
    try:
        async with connect(registry=registry) as client:
            connection, clock = await _reached(client)
            yield connection
            if connection.state == "failed":
                return
            if clock is not None:
                yield clock
            login = await _login(client)
            yield login
            if login.state != "failed":
                yield await _features(client)
    except GatiError as error:
        yield Line("connection", "failed", str(error), error.remedy)


def _cache() -> Line:
    from gati_client.cache import default_root

    folder = there = default_root()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Line("cache", "failed", f"{folder} cannot be written", f"make {there} yours, or set XDG_CACHE_HOME")
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE:
        return Line("cache", "warning", f"{folder} has {free >> 20} MiB left", "gati cache prune makes room")
    return Line("cache", "ok", f"{folder}, {free >> 30} GiB free")


async def _reached(client: Client) -> tuple[Line, Line | None]:
    """Whether the registry answers, and whether its clock and ours agree."""
    import httpx

    try:
        began = time.monotonic()
        answer = await client.transport.greet()
        took = time.monotonic() - began
    except httpx.HTTPError as error:
        return Line("connection", "failed", f"{client.transport.url}: {error}", _remedy(str(error))), None
    if answer.status_code not in (200, 401):
        said = f"{client.transport.url}/v2/ answered {answer.status_code}"
        return Line("connection", "failed", said, "is this the address of a registry?"), None
    reached = Line("connection", "ok", f"{client.transport.url} answers within {took * 1000:.0f} ms")
    if "Date" not in answer.headers:
        return reached, None
    ahead = time.time() - parsedate_to_datetime(answer.headers["Date"]).timestamp()
    if abs(ahead) > CLOCK_SECONDS:
        said = f"this machine is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the registry"
        return reached, Line("clock", "warning", said, "let the time be set by NTP: tokens may be refused")
    return reached, Line("clock", "ok", "agrees with the registry's")


def _remedy(said: str) -> str:
    if "CERTIFICATE" in said:
        return "SSL_CERT_FILE names the authority that signed its certificate"
    if "SSL" in said or "TLS" in said:
        return "does it speak HTTPS? gati registry add NAME URL --insecure allows plain HTTP"
    return "is it running, and is the address right? HTTPS_PROXY names a proxy"


async def _login(client: Client) -> Line:
    from gati_client.credentials import DockerCredentials

    try:
        found = await DockerCredentials(token=current().token).get(client.host)
    except GatiError as error:
        return Line("credentials", "failed", str(error), error.remedy)
    if found is None:
        return Line("credentials", "warning", f"no login at {client.host}", "gati login, unless you only read")
    try:
        await client.transport.ask("GET", "/v2/", action="log in")
        namespace = await own_namespace(client)
    except GatiError as error:
        return Line("credentials", "failed", str(error), "gati login")
    return Line(
        "credentials", "ok", f"the login at {client.host} is accepted" + (f": {namespace}" if namespace else "")
    )


async def _features(client: Client) -> Line:
    found = sorted(await client.features())
    if not found:
        return Line("features", "warning", "a plain OCI registry", "search, resolve and the like need a Gati registry")
    return Line("features", "ok", ", ".join(found))
