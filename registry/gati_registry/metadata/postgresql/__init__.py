"""The shared database of many replicas: PostgreSQL through psycopg 3."""

from gati_registry.metadata.postgresql.engine import PostgresMetadata
from gati_registry.metadata.postgresql.schema import inspect
from gati_registry.metadata.postgresql.server import Limits, Server

__all__ = ["Limits", "PostgresMetadata", "Server", "inspect"]
