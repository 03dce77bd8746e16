"""The manifest again, from servers that ask who is there; beside what it costs where everybody may."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable

from bench.artifacts import EMPTY
from bench.model import Metric, Row, Scale, Target, Values
from bench.push import push_all, push_blob, push_image, push_manifest
from bench.rows.manifests import ACCEPT, MANIFEST, NAME, TAG
from bench.rows.reading import get_rate, rate_metrics
from bench.stacks import BASIC, Server, Unsupported

_BASIC = f"Authorization: Basic {BASIC}"
_TARGET = f"/v2/{NAME}/manifests/{TAG}"


def _by_password(_: Server) -> str:
    return _BASIC


def _by_token(secured: Server) -> str:
    if secured.stack.kind != "ours":
        raise Unsupported("has no token service of its own")
    header = dict([_BASIC.split(": ", 1)])
    status, body = secured.ask("GET", f"/token?service=bench&scope=repository:{NAME}:pull", header)
    if status != 200:
        raise Unsupported(f"gives no token ({status})")
    return f"Authorization: Bearer {json.loads(body)['token']}"


def _measure(server: Server, scale: Scale, _round: int, *, credentials: Callable[[Server], str]) -> Values:
    secured = Server(server.stack, server.home.parent / f"{server.stack.name}-secured", secured=True)
    secured.start()
    try:
        headers = _BASIC + "\r\n"
        push_all(secured.address, [push_blob(NAME, EMPTY, headers)])
        push_all(secured.address, [push_manifest(NAME, MANIFEST, TAG, headers)])
        found = get_rate(secured, _TARGET, scale, [ACCEPT, credentials(secured)])
    finally:
        secured.stop()
    # A moment later from the same program, where nobody needs to be known.
    known_to_nobody = get_rate(server, _TARGET, scale, [ACCEPT])
    return {
        **found,
        "rate-by-open": found["rate"] / known_to_nobody["rate"],
        "cpu-by-open": found["cpu"] / known_to_nobody["cpu"],
    }


def _prepare(server: Server, _scale: Scale) -> None:
    push_image(server.address, NAME, MANIFEST, TAG)


def _row(name: str, does: str, credentials: Callable[[Server], str]) -> Row:
    return Row(
        name,
        f"{does} `By the open` is the figure by that of the same GET from an open server, measured just after it.",
        (
            *rate_metrics(),
            Metric("rate-by-open", "rate by the open", "x", "more", (Target(0.9, None),)),
            Metric("cpu-by-open", "CPU by the open", "x", "less", (Target(1.1, None),)),
        ),
        functools.partial(_measure, credentials=credentials),
        _prepare,
    )


BY_PASSWORD = _row(
    "manifest-basic",
    "GET by tag of a private manifest with Basic credentials. The peers hash the password with bcrypt on each request "
    "(an htpasswd file at its default cost, 5), so this row says more about password checks than about serving.",
    _by_password,
)
BY_TOKEN = _row(
    "manifest-bearer",
    "GET by tag of a private manifest with a token of the registry's own token service.",
    _by_token,
)
