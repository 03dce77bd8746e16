"""An index of search in OpenSearch, where the registry outgrows what its database finds.

mapping  a document as OpenSearch keeps it
asking   a query's tree as OpenSearch is asked
index    the port: candidates from OpenSearch, verdicts from the database, counts of what both leave
"""

from gati_extensions.search.opensearch.index import OpenSearchIndex
from gati_extensions.search.opensearch.server import Server

__all__ = ["OpenSearchIndex", "Server"]
