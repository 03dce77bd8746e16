"""Understands what was stored while this extension was not there, or all of it again; beside everything else.

It goes by the manifests' numbers and notes how far it came, so that it goes on where it was stopped.
"""

from __future__ import annotations

from gati_extensions.kinds import store
from gati_extensions.kinds.kind import UNKNOWN, Facts
from gati_extensions.kinds.lines import Lines
from gati_extensions.kinds.understanding import Understanding, Understood
from gati_registry.domain import manifest as rules
from gati_registry.errors import RegistryError
from gati_registry.extension import Kernel, Transaction
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName, Tag

FACT = "kinds.built.2"
"""Another name lets all be understood again: of GTypes and methods nothing was kept before."""
DONE = "all"
BATCH = 100
INTERVAL = 5.0
"""Seconds between two looks at whether there is something to do."""


class Rebuild:
    """A job that is done once."""

    def __init__(self, kernel: Kernel, lines: Lines, understanding: Understanding) -> None:
        self._kernel = kernel
        self._lines = lines
        self._understanding = understanding

    async def due(self) -> bool:
        """Whether it was not done yet."""
        return await self._kernel.database.read(lambda tx: tx.leases.get_fact(FACT)) != DONE

    async def __call__(self) -> None:
        """Go on to the end."""
        text = await self._kernel.database.read(lambda tx: tx.leases.get_fact(FACT))
        after = int(text) if text is not None and text != DONE else 0
        while (last := await self.step(after)) is not None:
            after = last

    async def step(self, after: int) -> int | None:
        """The next manifests; the number of the last, or None at the end."""
        found = await self._kernel.database.scan(lambda tx: tx.inventory.manifests(after, BATCH))
        for _, name, digest, data in found:
            repository = RepositoryName(name)
            try:
                understood = await self._understanding.of(repository, bytes(data))
            except RegistryError as error:  # pushed before there was anybody to refuse it
                understood = Understood(UNKNOWN.name, Facts().with_problems(error.message), "")
            await self._keep(repository, digest, bytes(data), understood)
        last = found[-1][0] if found else None
        text = DONE if last is None else str(last)
        await self._kernel.database.write(lambda tx: tx.leases.set_fact(FACT, text))
        return last

    async def _keep(self, repository: RepositoryName, digest: Digest, data: bytes, understood: Understood) -> None:
        now = self._kernel.clock.now()

        async def work(tx: Transaction) -> None:
            row = await tx.manifests.find(repository, digest)
            if row is None:
                return
            try:
                subject = rules.parse(data, row.media_type).subject
            except RegistryError:
                subject = None
            await store.put_artifact(
                tx, repository, digest, understood, media_type=row.media_type, subject=subject, size=row.size, now=now,
                actor=None,
            )  # fmt: skip
            await self._tags(tx, repository, digest, now)

        await self._kernel.database.write(work)

    async def _tags(self, tx: Transaction, repository: RepositoryName, digest: Digest, now: int) -> None:
        """Tags of this manifest that are not noted. Each manifest looks at its own, so that none is left out."""
        noted = set(await store.tags_of(tx, repository, digest, 10_000))
        changed = False
        for tag in await tx.tags.naming(repository, digest, 10_000):
            if tag not in noted:
                before = await store.tagged(tx, repository, tag)
                await store.move(
                    tx, repository, Tag(tag), before.artifact.digest if before else None, digest, now=now, actor=None
                )
                changed = True
        if changed:
            await self._lines.refresh(tx, repository, now)


async def command(kernel: Kernel, _: object) -> int:
    """`gati-registry kinds rebuild`: the serving registry's job does it."""
    await kernel.database.write(lambda tx: tx.leases.set_fact(FACT, "0"))
    print("all that is stored will be understood again, beside the serving registry")  # noqa: T201 - a command prints
    return 0
