"""Blobs as files.

    <root>/blobs/<algorithm>/<first two hex digits>/<hex>.<generation>   published, read-only from then on
    <root>/staged/<name>                                                 being uploaded
    <root>/quarantine/<algorithm>-<hex>.<generation>                     damaged, kept for people to look at

A blob is written under a staged name, synced, linked under its stored name and that folder synced; only then does a
row name it, and after that the staged name goes. The generation is random, so a stored name never comes back: a late
unlink cannot hit new bytes.

Crash points of a push: a staged file without a row, or a published file without a row. Neither is served; the
collector finds both by walking the folders and removes them once they are old and nobody writes to them.
"""

from gati_registry.storage.filesystem.store import FilesystemBlobs, make_folder, sync_folder

__all__ = ["FilesystemBlobs", "make_folder", "sync_folder"]
