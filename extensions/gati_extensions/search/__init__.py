"""search: what the registry holds is found, by everybody who may pull it.

change in kinds ──note (store/queue)──▶ jobs.Indexer ──gathering──▶ SearchIndex (store/, in the database)
GET search ──language──▶ expression ──query──▶ SearchIndex ──▶ hits, facets, total: of what the caller may see
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gati_extensions.kinds.api import Catalogue
from gati_extensions.search.ports import SearchIndex
from gati_extensions.search.settings import SearchSettings
from gati_registry.extension import Command, Contribution, Extension, Job, Kernel, Operation, Visible, on

if TYPE_CHECKING:
    from gati_extensions.search.opensearch import OpenSearchIndex


def _contribute(kernel: Kernel, settings: SearchSettings) -> Contribution:
    from gati_extensions.search import jobs, routes
    from gati_extensions.search.gathering import Gathering
    from gati_extensions.search.hooks import Levels
    from gati_extensions.search.query import Searching
    from gati_extensions.search.store import queue
    from gati_extensions.search.types.index import Methods
    from gati_extensions.search.types.routes import SignatureSearch

    catalogue, namespaces = kernel.apis["kinds"], kernel.apis["namespaces"]
    outside = _outside(kernel, settings) if kernel.search_url is not None else None
    index, embedding = _semantic(kernel, settings, outside or _embedded(kernel))
    gathering = Gathering(catalogue, namespaces, readme=settings.readme)
    catalogue.watch(queue.note)
    namespaces.watch(lambda tx, name: queue.note(tx, name, False))
    methods = Methods(kernel.database, catalogue)
    indexer = jobs.Indexer(kernel, index, catalogue, gathering, methods)
    builder = jobs.Builder(kernel, index, catalogue, gathering, methods)
    searching = Searching(kernel, index, settings, catalogue, namespaces)
    return Contribution(
        [*routes.registry_routes(searching), *SignatureSearch(kernel, catalogue).routes()],
        routes.repository_routes(kernel, catalogue),
        projections=[(on(Operation.STATE_CHANGE), Levels())],
        jobs=[
            Job("search.index", jobs.INTERVAL, indexer, indexer.due),
            Job("search.build", jobs.BUILD_INTERVAL, builder, builder.due),
            Job("search.downloads", jobs.DOWNLOADS_INTERVAL, indexer.follow, indexer.downloaded),
            *embedding,
        ],
        prepare=builder.prepare,
        close=outside.close if outside is not None else None,
        api=searching,
    )


def _semantic(kernel: Kernel, settings: SearchSettings, index: SearchIndex) -> tuple[SearchIndex, list[Job]]:
    """The index, by meaning too if that is wanted, and what it does aside.

    Raises:
        ValueError: the extra is missing.
    """
    if not settings.semantic:
        return index, []
    from gati_extensions.search.semantic.index import SemanticIndex, require

    require()
    semantic = SemanticIndex(index, kernel.database)
    return semantic, [Job("search.embed", 1.0, semantic.embed, semantic.waiting)]


def _embedded(kernel: Kernel) -> SearchIndex:
    from gati_extensions.search.store.fts5 import Fts5
    from gati_extensions.search.store.index import TableIndex
    from gati_extensions.search.store.tsvector import TsVector

    # Where replicas share the database it is PostgreSQL.
    return TableIndex(kernel.database, kernel.clock, TsVector() if kernel.folder is None else Fts5())


def _outside(kernel: Kernel, settings: SearchSettings) -> OpenSearchIndex:
    """Raises ValueError where the extra is missing, or a file."""
    from gati_extensions.search.opensearch import OpenSearchIndex, Server

    assert kernel.search_url is not None
    catalogue: Catalogue = kernel.apis["kinds"]
    file = settings.opensearch_password_file
    try:
        password = file.read_text(encoding="utf-8").partition("\n")[0] if file is not None else ""
    except OSError as error:
        raise ValueError(f"opensearch_password_file cannot be read: {error.strerror}") from None
    server = Server.parse(
        kernel.search_url,
        user=settings.opensearch_user,
        password=password,
        ca_file=settings.opensearch_ca_file,
        timeout=settings.opensearch_timeout,
    )
    server.require()

    async def existing(names: Sequence[str], visible: Visible) -> Sequence[str]:
        return await kernel.database.scan(lambda tx: catalogue.existing(tx, names, visible))

    return OpenSearchIndex(server, existing, prefix=settings.opensearch_prefix)


async def _rebuild(kernel: Kernel, _: argparse.Namespace) -> int:
    from gati_extensions.search.jobs import command

    return await command(kernel)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["rebuild"], help="make the index anew from what the database holds")


extension = Extension(
    name="search",
    summary="Search: full text, filters, facets, suggestions; downloads of each version.",
    contribute=_contribute,
    settings=SearchSettings,
    requires=("identity", "namespaces", "kinds"),
    permissions={
        "search.search": "Search in what you may pull: everybody.",
        "search.downloads": "See how often a repository's versions were downloaded.",
    },
    migrations="gati_extensions.search.migrations",
    commands=[Command("search", "make the search index anew", _rebuild, _arguments)],
)
