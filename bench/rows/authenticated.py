"""The manifest again, from servers that ask for a name and a password."""

from __future__ import annotations

from bench.artifacts import EMPTY
from bench.model import Row, Scale, Values
from bench.push import push_all, push_blob, push_manifest
from bench.rows.manifests import ACCEPT, MANIFEST, NAME, TAG
from bench.rows.reading import get_rate, rate_metrics
from bench.stacks import BASIC, Server

_AUTHORIZATION = f"Authorization: Basic {BASIC}"


def _measure(server: Server, scale: Scale, _round: int) -> Values:
    secured = Server(server.stack, server.home.parent / f"{server.stack.name}-secured", secured=True)
    secured.start()
    try:
        headers = _AUTHORIZATION + "\r\n"
        push_all(secured.address, [push_blob(NAME, EMPTY, headers)])
        push_all(secured.address, [push_manifest(NAME, MANIFEST, TAG, headers)])
        return get_rate(secured, f"/v2/{NAME}/manifests/{TAG}", scale, [ACCEPT, _AUTHORIZATION])
    finally:
        secured.stop()


AUTHENTICATED = Row(
    "manifest-basic",
    "GET by tag with Basic credentials. The peers hash the password with bcrypt on each request (an htpasswd "
    "file at its default cost, 5), so this row says more about password checks than about serving.",
    rate_metrics(),
    _measure,
)
