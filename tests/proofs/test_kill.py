"""kill -9: whatever was acknowledged is there after a restart, byte for byte; nothing is there in part."""

from __future__ import annotations

import contextlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.proofs.journal import Key
from tests.proofs.pusher import KIB, Content, Pusher, Sizes
from tests.proofs.sizes import size
from tests.proofs.verify import verify
from tests.support.server import RegistryProcess

CLIENTS = 6
SAMPLE = 60  # older keys of each client that are looked at after each round
VERIFY_EVERY = 10  # rounds


def sizes(chance: random.Random) -> Sizes:
    """Mostly a few hundred KiB, now and then up to 8 MiB: enough to be killed within, little to keep."""
    return Sizes(large=(64 * KIB + 1, chance.choice((KIB * KIB, KIB * KIB, 8 * KIB * KIB))))


@pytest.mark.proof
@pytest.mark.timeout(7200)
def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    rounds, chance = size("KILL_ROUNDS", 200), random.Random(size("SEED", 1))
    server = RegistryProcess(tmp_path / "data")
    pushers = [Pusher(server.host, f"c{n}", random.Random(chance.random())) for n in range(CLIENTS)]
    answered, last = 0, [set[Key]() for _ in pushers]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(CLIENTS) as threads:
        for pusher in pushers:
            stack.callback(pusher.close)
        stack.callback(server.kill)
        for number in range(rounds):
            server.args = ["--open", "--workers", str((1, 3)[number % 2])]
            server.start()
            try:
                list(
                    threads.map(
                        Pusher.check,
                        pushers,
                        [_keys(p, chance, of) for p, of in zip(pushers, last, strict=True)],
                    )
                )
                common = [Content(chance.getrandbits(64), chance.choice((KIB, 300 * KIB))) for _ in range(4)]
                for pusher in pushers:
                    pusher.common, pusher.sizes = common, sizes(chance)
                    pusher.exchanges.clear()
                running = [threads.submit(pusher.work_until_interrupted) for pusher in pushers]
                time.sleep(chance.uniform(0.05, 1.5))  # the random moment
            finally:
                server.kill()
            for future in running:
                future.result()
            last = [{key for exchange in pusher.exchanges for key in exchange.change} for pusher in pushers]
            answered += sum(len(pusher.exchanges) for pusher in pushers)
            if (number + 1) % VERIFY_EVERY == 0:
                assert verify(server.data)[0] == 0
        server.start()
        list(threads.map(Pusher.check, pushers, [set(pusher.journal.confirmed) for pusher in pushers]))
        server.terminate()
        assert verify(server.data)[0] == 0
    kept = sum(value is not None for pusher in pushers for value in pusher.journal.confirmed.values())
    assert answered > rounds
    print(f"\nkill -9: {rounds} rounds, {answered} acknowledged changes, {kept} things kept, 0 lost")


def _keys(pusher: Pusher, chance: random.Random, last: set[Key]) -> set[Key]:
    """What the last round touched, and a sample of what earlier ones did."""
    older = list(pusher.journal.confirmed)
    return last.union(chance.sample(older, min(SAMPLE, len(older))))
