"""What was decided is held for requests with the same head, and for nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gati_registry.auth.open import OpenAuthorizer
from gati_registry.bootstrap import build
from gati_registry.domain.access import Identity
from gati_registry.http.exchange import CERTIFICATE
from gati_registry.http.extensions import ExtensionRouter
from gati_registry.http.locations import Locations
from gati_registry.http.memo import MEMO, SHORT, Memo
from gati_registry.http.registry import RegistryApp
from gati_registry.ports import Request
from gati_registry.service.observers import Observers
from gati_registry.settings import Settings
from tests.core.support import FakeClock

pytestmark = pytest.mark.anyio


class Asked:
    """An authenticator, and requests with one head to the application that asks it."""

    def __init__(self) -> None:
        self.times = 0
        self.revision = b"1"
        self.clock = FakeClock()
        self.memo = Memo()
        self.app: RegistryApp

    async def authenticate(self, request: Request) -> Identity | None:
        self.times += 1
        return Identity("somebody")

    async def ask(self, peer: str = "192.0.2.1", certificate: bytes | None = None, method: str = "GET") -> None:
        scope: dict[str, Any] = {
            "type": "http", "method": method, "path": "/v2/", "raw_path": b"/v2/", "query_string": b"", "headers": [],
            "client": (peer, 1), "scheme": "http", MEMO: self.memo, CERTIFICATE: certificate,
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Mapping[str, Any]) -> None:
            assert message.get("status", 200) == 200

        await self.app(scope, receive, send)


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    """An application that everybody may ask everything."""
    made = Asked()
    async with build(Settings(data=tmp_path / "data", open=True)) as registry:
        made.app = RegistryApp(
            registry.endpoints,
            ExtensionRouter(),
            made,
            OpenAuthorizer(),
            Observers(),
            Locations(None, ()),
            revision=lambda: made.revision,
            clock=made.clock,
        )
        yield made


async def test_the_same_head_from_the_same_peer_is_asked_once(asked: Asked) -> None:
    for _ in range(3):
        await asked.ask()
    assert asked.times == 1


@pytest.mark.parametrize("other", [{"peer": "192.0.2.2"}, {"certificate": b"another"}])
async def test_it_is_asked_again_for_another_peer_or_certificate(asked: Asked, other: dict[str, Any]) -> None:
    await asked.ask()
    await asked.ask(**other)
    assert asked.times == 2
    await asked.ask()
    assert asked.times == 3


async def test_it_is_asked_again_after_a_commit_and_after_a_while(asked: Asked) -> None:
    await asked.ask()
    asked.revision = b"2"
    await asked.ask()
    assert asked.times == 2
    asked.clock.advance(SHORT / 1000)
    await asked.ask()
    assert asked.times == 3
