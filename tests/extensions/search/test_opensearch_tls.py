"""Search in an OpenSearch that is reached over TLS and asks for a password.

The node has no security plugin: nginx before it ends TLS and asks, as it would in front of a plain node.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.programs import require
from tests.core.support import FakeClock
from tests.extensions.access.support import World, populate, world
from tests.extensions.identity.authority import Authority
from tests.extensions.search.support import EXTENSIONS, indexed, job, names, publish
from tests.support.opensearch import OpenSearchNode
from tests.support.server import free_port, wait_for

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse"
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl; client_max_body_size 0;
    ssl_certificate {certificate}; ssl_certificate_key {certificate};
    auth_basic search; auth_basic_user_file {folder}/users;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Authorization "";
    location / {{ proxy_pass {node}; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Front:
    """What stands before the node: its URL, the authority that signed for it, and an authority that did not."""

    url: str
    authority: Path
    other: Path


@pytest.fixture(scope="module")
def front(opensearch_node: OpenSearchNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """An nginx that lets in `search` by its password."""
    folder, port = tmp_path_factory.mktemp("front"), free_port()
    authority = Authority(folder, "authority")
    issued = authority.issue("search.example", dns="localhost", server=True)
    (folder / "users").write_text(f"search:{{PLAIN}}{PASSWORD}\n")
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, certificate=issued.file, node=opensearch_node.url))
    account = "user root;" if os.geteuid() == 0 else ""
    with subprocess.Popen(
        [str(require("nginx")), "-c", str(config), "-g", account], stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(lambda: process.poll() is not None or (folder / "nginx.pid").exists())
            assert process.poll() is None, (folder / "error.log").read_text()
            yield Front(f"opensearch+https://localhost:{port}", authority.file, Authority(folder, "other").file)
        finally:
            process.terminate()


@contextlib.asynccontextmanager
async def site(
    folder: Path, clock: FakeClock, front: Front, *, password: str = PASSWORD, authority: Path | None = None
) -> AsyncIterator[World]:
    """A registry that searches there."""
    file = folder / "opensearch-password"
    file.write_text(f"{password}\n")
    settings = {
        "search_url": front.url,
        "search.opensearch_user": "search",
        "search.opensearch_password_file": str(file),
        "search.opensearch_ca_file": str(authority or front.authority),
        "search.opensearch_prefix": f"t{uuid.uuid4().hex}",
        "search.opensearch_timeout": "30",
    }
    async with world(folder, clock, extensions=EXTENSIONS, **settings) as built:
        await populate(built, "alice", org=None)
        yield built


async def test_all_goes_over_tls_with_the_password(folder: Path, clock: FakeClock, front: Front) -> None:
    async with site(folder, clock, front) as built:
        alice = built.user("alice")
        await publish(alice, "users/alice/speech", description="spoken words")
        await indexed(built)
        assert await names(alice, "spoken") == ["users/alice/speech"]


@pytest.mark.parametrize("wrong", ["password", "authority"])
async def test_who_is_not_let_in_or_does_not_trust_it_is_away(
    folder: Path, clock: FakeClock, front: Front, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    given = {"password": "battery staple"} if wrong == "password" else {}
    caplog.set_level("DEBUG")
    async with site(folder, clock, front, authority=front.other if wrong == "authority" else None, **given) as built:
        alice = built.user("alice")
        await publish(alice, "users/alice/speech", description="spoken words")
        refused = await alice.call("GET", "search?q=spoken")
        assert refused.status == 503
        assert refused.headers["retry-after"]
        with pytest.raises(Exception, match="UNAVAILABLE"):
            await job(built, "search.build").run()
    told = f"{refused.body!r} {caplog.text}"
    for secret in ("battery staple", "YmF0dGVyeSBzdGFwbGU", PASSWORD):
        assert secret not in told
