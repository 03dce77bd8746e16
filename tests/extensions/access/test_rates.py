"""Limits of rates: by user, key and address."""

from __future__ import annotations

from pathlib import Path

import pytest

from gati_extensions.access.rates import REMEMBERED, Buckets, network
from tests.core.support import FakeClock
from tests.extensions.access.support import World, peopled

pytestmark = pytest.mark.anyio


class Seconds:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_again() -> None:
    clock = Seconds()
    buckets = Buckets(2, 4, clock)
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    clock.now = 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    clock.now = 1000
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]


def test_memory_is_bounded() -> None:
    buckets = Buckets(1, 1, Seconds())
    for number in range(REMEMBERED + 100):
        buckets.take(str(number))
    assert len(buckets._kept) == REMEMBERED


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:10.1.2.3", "::ffff:10.1.2.3"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(address: str, expected: str) -> None:
    assert network(address) == expected


async def tries(site: World, user_count: int, **headers: str) -> list[int]:
    """Statuses of so many requests of alice."""
    return [(await site.user("alice", **headers).get("/v2/")).status for _ in range(user_count)]


async def test_a_user(folder: Path) -> None:
    async with peopled(
        folder, None, "alice", "bob", org=None, settings={"access.user_rate": 0.01, "access.burst": 800}
    ) as site:
        assert await tries(site, 9) == [200] * 8 + [429]
        answer = await site.user("alice").get("/v2/")
        assert (answer.codes, answer.headers["retry-after"]) == (["TOOMANYREQUESTS"], "100")
        assert (await site.user("bob").get("/v2/")).status == 200


async def test_an_address(folder: Path) -> None:
    async with peopled(
        folder, None, "alice", "bob", org=None, settings={"access.address_rate": 0.01, "access.burst": 300}
    ) as site:
        assert [(await site.nobody.get("/v2/")).status for _ in range(4)] == [401] * 3 + [429]
        assert (await site.user("alice").get("/v2/")).status == 200


async def test_a_key(folder: Path, clock: FakeClock) -> None:
    async with peopled(
        folder, clock, "alice", "bob", org=None, settings={"access.key_rate": 0.01, "access.burst": 300}
    ) as site:
        keys = [
            (await site.user("alice").done("POST", "identity/keys", {"name": "k", "scopes": ["read"]}))
            for _ in range(2)
        ]
        secrets = [next(v for v in key.values() if isinstance(v, str) and v.startswith("gati_")) for key in keys]
        assert [(await site.bearer(secrets[0]).get("/v2/")).status for _ in range(4)] == [200] * 3 + [429]
        assert (await site.bearer(secrets[1]).get("/v2/")).status == 200
        assert (await site.user("alice").get("/v2/")).status == 200
