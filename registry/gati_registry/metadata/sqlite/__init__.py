"""SQLite through apsw: one writer thread with group commit, readers beside it."""

from gati_registry.metadata.sqlite.engine import SqliteMetadata

__all__ = ["SqliteMetadata"]
