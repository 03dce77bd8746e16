"""Trusted publishing and client certificates with two replicas on PostgreSQL."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gati_registry.bootstrap import build
from tests.core.support import FakeClock
from tests.extensions.access.support import World, basic, peopled
from tests.extensions.identity.authority import Authority
from tests.extensions.identity.issuer import Issuer
from tests.extensions.identity.test_publishers import (
    APP,
    TRUSTED,
    audience,
    certificate,
    exchanged,
    issuer,
    issuer_server,
    test_a_build_publishes,
    test_a_token_is_exchanged_once,
    test_one_of_many_at_once,
    trust,
)
from tests.support.postgresql import PostgresServer

__all__ = [
    "certificate",
    "issuer",
    "issuer_server",
    "test_a_build_publishes",
    "test_a_token_is_exchanged_once",
    "test_one_of_many_at_once",
]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(postgresql: PostgresServer, folder: Path, clock: FakeClock, issuer: Issuer) -> AsyncIterator[World]:
    """A replica that reaches the issuer; alice owns acme."""
    settings = {
        "identity.allowed_networks": "127.0.0.0/8",
        "identity.issuer_ca": str(issuer.ca),
        "proxy.trusted": "127.0.0.0/8",
        "proxy.client_cert": "true",
    }
    async with peopled(folder, clock, "alice", "bob", server=postgresql, settings=settings) as built:
        yield built


async def test_what_one_replica_revokes_ends_in_another(
    site: World, clock: FakeClock, issuer: Issuer, tmp_path: Path
) -> None:
    """Publishers and certificates: here at once, there when what is remembered is old."""
    made = await trust(site, issuer)
    build_token = (await exchanged(site, issuer.sign(issuer.github(clock.now(), await audience(site))))).client.headers
    own = Authority(tmp_path, "authority").issue("ci")
    alice = site.user("alice")
    await alice.done("POST", "identity/robots", {"owner": "acme", "name": "ci"})
    body = {"account": "acme+ci", "certificate": own.pem, "scopes": ["read"]}
    await alice.done("POST", "identity/certificates", body)
    shown = {"Client-Cert": f":{base64.b64encode(own.der).decode()}:"}
    token = build_token["Authorization"].removeprefix("Bearer ")
    async with build(site.registry.settings, clock=clock) as registry:
        another = World(registry)
        assert (await another.with_headers(basic("gati", token)).push(APP)).status == 201
        assert (await another.with_headers(shown).get("/v2/")).status == 200
        assert (await alice.delete(f"{TRUSTED}/{made['id']}")).status == 204
        assert (await site.admin.put(f"identity/revoked-certificates/{own.fingerprint}")).status == 204
        time.sleep(1)  # noqa: ASYNC251 - nothing may help it along
        for replica in (site, another):
            assert (await replica.bearer(token).pull(APP)).status == 401
            assert (await replica.with_headers(shown).get("/v2/")).status == 401
