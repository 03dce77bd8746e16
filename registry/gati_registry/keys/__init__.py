"""Master keys: `ports.MasterKey` on a file.

An id names a version of the master key together with where it is: `file:2026-11-28-1f0c`.
"""

from gati_registry.keys.file import FileMasterKey

__all__ = ["FileMasterKey"]
