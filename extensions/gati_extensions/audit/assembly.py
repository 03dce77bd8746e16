"""What the extension contributes, put together."""

from __future__ import annotations

from collections.abc import Iterable

from gati_extensions.audit import record
from gati_extensions.audit.keys import Keys
from gati_extensions.audit.privacy import Retention
from gati_extensions.audit.routes import Endpoints
from gati_extensions.audit.segments import ReadLog
from gati_extensions.audit.sequencer import Sequencer
from gati_extensions.audit.settings import AuditSettings
from gati_extensions.identity.api import Accounts
from gati_registry.extension import Contribution, Job, Kernel

SEQUENCE_SECONDS = 1.0
RETENTION_SECONDS = 3600.0


def contribution(kernel: Kernel, settings: AuditSettings) -> Contribution:
    """All parts."""
    accounts: Accounts = kernel.apis["identity"]
    database, clock = kernel.database, kernel.clock
    keys = Keys(settings.key_file)
    sequencer = Sequencer(
        database,
        accounts,
        clock,
        keys,
        interval=int(settings.checkpoint_interval * 1000),
        entries=settings.checkpoint_entries,
    )
    retention = Retention(database, kernel.core, clock, settings.retention)

    async def prepare() -> Iterable[str]:
        now = clock.now()
        await database.write(lambda tx: keys.signer(tx, now))
        return ()

    return Contribution(
        registry_routes=Endpoints(kernel, sequencer).routes(),
        projections=[(record.WRITTEN, record.Notes())],
        observers=[ReadLog(database, accounts, clock, settings.share)],
        jobs=[
            Job("audit.sequence", SEQUENCE_SECONDS, sequencer.run, sequencer.due),
            Job("audit.retention", RETENTION_SECONDS, retention.run),
        ],
        prepare=prepare,
    )
