"""What is done about credentials as time goes by."""

from __future__ import annotations

from gati_extensions.identity.backoff import FORGET
from gati_extensions.identity.parts import Parts
from gati_extensions.identity.store import credentials
from gati_registry.extension import Job

HOUR = 3600

RETIRED = 48 * HOUR * 1000
"""Milliseconds for which a retired key still verifies; longer than any token lives."""


def jobs(parts: Parts) -> list[Job]:
    """Replace the signing key when it is old; forget what has ended."""
    settings, clock = parts.settings, parts.kernel.clock

    async def rotate() -> None:
        await parts.tokens.rotate(older_than=settings.signing_key_age * 1000)

    async def forget() -> None:
        now = clock.now()
        await parts.revision.write(
            lambda tx: credentials.forget(
                tx,
                refresh=now - settings.refresh_idle * 1000,
                idle=now - settings.session_idle * 1000,
                begun=now - settings.session_max * 1000,
                retired=now - RETIRED,
                attempts=now - FORGET,
                ended=now,
            )
        )

    return [Job("identity.signing-key", HOUR, rotate), Job("identity.forget", HOUR, forget)]
