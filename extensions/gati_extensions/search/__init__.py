"""search: what the registry holds is found, by everybody who may pull it.

change in kinds ──note (store/queue)──▶ jobs.Indexer ──gathering──▶ SearchIndex (store/, in the database)
GET search ──language──▶ expression ──query──▶ SearchIndex ──▶ hits, facets, total: of what the caller may see
"""

from __future__ import annotations

import argparse

from gati_extensions.search.ports import SearchIndex
from gati_extensions.search.settings import SearchSettings
from gati_registry.extension import Command, Contribution, Extension, Job, Kernel, Operation, on


def _contribute(kernel: Kernel, settings: SearchSettings) -> Contribution:
    from gati_extensions.search import jobs, routes
    from gati_extensions.search.gathering import Gathering
    from gati_extensions.search.hooks import Levels
    from gati_extensions.search.query import Searching
    from gati_extensions.search.store import queue
    from gati_extensions.search.types.index import Methods
    from gati_extensions.search.types.routes import SignatureSearch

    catalogue, namespaces = kernel.apis["kinds"], kernel.apis["namespaces"]
    index = _index(kernel)
    gathering = Gathering(catalogue, namespaces, readme=settings.readme)
    catalogue.watch(queue.note)
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
        ],
        prepare=builder.prepare if kernel.search_url is None else None,
        api=searching,
    )


def _index(kernel: Kernel) -> SearchIndex:
    from gati_extensions.search.store.fts5 import Fts5
    from gati_extensions.search.store.index import TableIndex
    from gati_extensions.search.store.tsvector import TsVector

    if kernel.search_url is not None:
        raise ValueError("search_url: this version has no driver for it; leave it unset for the embedded index")
    # Where replicas share the database it is PostgreSQL.
    return TableIndex(kernel.database, kernel.clock, TsVector() if kernel.folder is None else Fts5())


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
