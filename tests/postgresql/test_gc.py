"""Garbage collection beside everything else, on PostgreSQL: the same machine, a smaller number of histories."""

from __future__ import annotations

from gati_registry.settings import Settings
from tests.core.support import configure
from tests.core.test_gc import GarbageMachine, run_machine
from tests.support.postgresql import PostgresServer


def test_no_reachable_blob_goes_and_every_unreachable_one_does(server: PostgresServer, template: str) -> None:
    class PostgresMachine(GarbageMachine):
        """Each history has a database of its own."""

        def __init__(self) -> None:
            super().__init__()
            self.url = server.url(self.stack.enter_context(server.database(template)))

        def configured(self) -> Settings:
            return configure(self.folder).model_copy(update={"metadata_url": self.url})

    run_machine(5, 20, PostgresMachine)
