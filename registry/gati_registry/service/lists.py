"""Lists: tags, the catalog, referrers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from gati_registry.domain import referrers as rules
from gati_registry.domain.access import Visible
from gati_registry.domain.paging import Cursor, Page
from gati_registry.ports import Metadata, Transaction
from gati_registry.service.cache import RevisionCache
from gati_registry.service.manifests import unknown_repository
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName

CACHED_PAGES = 16
"""Pages of referrers kept as finished answers; each at most 4 MiB."""

CACHED_NAMES = 256
"""Pages of tags and of repositories that are kept."""


class ListService:
    """Use cases of end-8, end-12 and the catalog. `page_size` bounds every page's items."""

    def __init__(self, metadata: Metadata, page_size: int) -> None:
        self._metadata = metadata
        self._page_size = page_size
        self._pages: RevisionCache[tuple[str, str, str | None, str, str | None], tuple[bytes, str | None]] = (
            RevisionCache(metadata.revision, CACHED_PAGES)
        )
        self._tags: RevisionCache[tuple[str, Cursor, str | None], Sequence[str]] = RevisionCache(
            metadata.revision, CACHED_NAMES
        )
        self._names: RevisionCache[tuple[str, int, Visible], Sequence[tuple[str, bool]]] = RevisionCache(
            metadata.revision, CACHED_NAMES
        )

    async def tags(self, repository: RepositoryName, cursor: Cursor, hidden: str | None = None) -> Page[str]:
        """A page of a repository's tags in bytewise order, without those of manifests that are `hidden`.

        Raises:
            RegistryError: NAME_UNKNOWN.
        """

        async def work(tx: Transaction) -> Sequence[str]:
            repository_id = await tx.repositories.find(repository)
            if repository_id is None:
                raise unknown_repository(repository)
            return await tx.tags.page(repository_id, cursor.last, cursor.limit + 1, hidden) if cursor.limit else ()

        found = await self._tags.get((repository, cursor, hidden), lambda: self._metadata.read(work))
        return Page(found[: cursor.limit], more=len(found) > cursor.limit)

    async def catalog(
        self, cursor: Cursor, among: Visible, visible: Callable[[RepositoryName], Awaitable[bool]]
    ) -> Page[str]:
        """A page of the repositories that the caller may see, in bytewise order: those `among` which they are to be
        looked for and that are `visible`."""
        items: list[str] = []
        last = cursor.last
        while cursor.limit:
            wanted = cursor.limit + 1 - len(items)
            after = last
            batch = await self._names.get(
                (after, wanted, among),
                lambda: self._metadata.scan(lambda tx: tx.repositories.page(after, wanted, among)),  # noqa: B023
            )
            items += [name for name, holds in batch if holds and await visible(RepositoryName(name))]
            if len(batch) < wanted or len(items) > cursor.limit:
                break
            last = batch[-1][0]
        return Page(items[: cursor.limit], more=len(items) > cursor.limit)

    async def referrers(
        self,
        repository: RepositoryName,
        subject: Digest,
        artifact_type: str | None,
        after: str,
        hidden: str | None = None,
    ) -> tuple[bytes, str | None]:
        """An image index of manifests whose subject is `subject`; with the digest after which the next page begins.

        Empty where there are none, also for a repository that was never seen.
        """

        async def load() -> tuple[bytes, str | None]:
            found = await self._metadata.scan(
                lambda tx: tx.manifests.referrers(
                    repository, subject, artifact_type, after, self._page_size + 1, hidden
                )
            )
            fitting = min(rules.fitting([text for _, text in found]), self._page_size)
            body = rules.index([text for _, text in found[:fitting]])
            return body, (found[fitting - 1][0] if len(found) > fitting else None)

        return await self._pages.get((repository, subject, artifact_type, after, hidden), load)
