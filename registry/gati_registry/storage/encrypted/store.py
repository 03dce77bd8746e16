"""A blob store with encryption around it: `ports.BlobStore` and `ports.Housekeeping` over another one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from gati_registry.ports import BlobReader, BlobStore, Housekeeping, StagedKey, StagedReading, StagedWriter
from gati_registry.storage.encrypted.frames import Frames, new_key, unwrap, wrap
from gati_registry.storage.encrypted.keyring import Keyring, staged_context
from gati_registry.storage.encrypted.reader import EncryptedReader
from gati_registry.storage.encrypted.writer import EncryptedWriter
from gati_registry.values.digest import Digest, new_hash

if TYPE_CHECKING:
    from hashlib import _Hash

THREADS = 4
"""Threads for encryption and hashing; both release the interpreter lock."""

REMEMBERED = 256
"""Running hashes kept between the chunks of uploads; the oldest is read again if it is needed after all."""

_READ = 1024 * 1024


class Inner(BlobStore, Housekeeping, StagedReading, Protocol):
    """What a store has to offer to be encrypted."""

    def close(self) -> None:
        """Let go of it."""


class EncryptedBlobs:
    """Encrypted blobs in another store; plain ones that are there already are served as they are.

    With `encrypting`, what comes new is encrypted. Owns `inner`. One event loop; must be closed.
    """

    def __init__(self, inner: Inner, ring: Keyring, *, encrypting: bool) -> None:
        self._inner = inner
        self._ring = ring
        self._encrypting = encrypting
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="encryption")
        self._writers: dict[str, EncryptedWriter] = {}
        self._hashes: OrderedDict[tuple[str, int], tuple[str | None, _Hash]] = OrderedDict()

    # --- staging ------------------------------------------------------------------------------------------------

    async def stage(
        self, name: str, offset: int, *, algorithm: str | None, expected: int | None, owner: str = ""
    ) -> StagedWriter:
        if offset == 0:
            if not self._encrypting:
                return await self._inner.stage(name, 0, algorithm=algorithm, expected=expected, owner=owner)
            opened, rest, tail = Frames(new_key()), b"", b""
        else:
            key = await self._find(name, offset)
            if key is None:
                return await self._plain(name).stage(name, offset, algorithm=algorithm, expected=expected, owner=owner)
            (opened, rest), tail = await self._opened(key), key.tail
        inner = await self._inner.stage(
            name,
            opened.sealed_size(offset - len(rest)),
            algorithm=None,
            expected=None if expected is None else opened.sealed_size(len(rest) + expected),
            owner=owner,
        )
        writer = EncryptedWriter(
            name,
            inner,
            opened,
            offset,
            rest,
            tail,
            hasher=new_hash(algorithm) if offset == 0 and algorithm else self._recall(name, offset, algorithm),
            algorithm=algorithm,
            executor=self._executor,
            keep=self._keep,
            remember=lambda end, running: self._remember(name, end, algorithm, running),
            closed=self._closed,
        )
        self._writers[name] = writer
        return writer

    def _plain(self, name: str) -> Inner:
        """Where an upload goes on that was begun without encryption."""
        if self._encrypting:
            raise FileNotFoundError(name)  # its client begins anew, and encrypted
        return self._inner

    async def digest_staged(self, name: str, size: int, algorithm: str) -> str:
        recalled = self._recall(name, size, algorithm)
        if recalled is not None:
            return recalled.hexdigest()
        key = await self._find(name, size)
        if key is None:
            return await self._plain(name).digest_staged(name, size, algorithm)
        opened = await self._sealed(key)
        reader = EncryptedReader(
            await self._inner.open_staged(name, opened.sealed_size(size)), opened, size, self._executor
        )
        loop, hasher, position = asyncio.get_running_loop(), new_hash(algorithm), 0
        try:
            while chunk := await reader.read(position, _READ):
                await loop.run_in_executor(self._executor, hasher.update, chunk)
                position += len(chunk)
        finally:
            reader.close()
        return hasher.hexdigest()

    async def copy_staged(self, source: str, target: str, size: int) -> None:
        key = await self._find(source, size)
        if key is None:
            await self._plain(source).copy_staged(source, target, size)
            return
        opened, rest = await self._opened(key)
        await self._inner.copy_staged(source, target, opened.sealed_size(size - len(rest)))
        await self._save(target, size, opened, key.tail, None)
        kept = self._hashes.get((source, size))
        if kept is not None:
            self._remember(target, size, *kept)

    async def publish(self, name: str, digest: Digest, size: int) -> str:
        key = await self._find(name, size)
        if key is None:
            return await self._plain(name).publish(name, digest, size)
        opened = await self._sealed(key)
        stored_name = await self._inner.publish(name, digest, opened.sealed_size(size))
        self._ring.published(stored_name, opened)
        return stored_name

    async def discard(self, name: str) -> None:
        for key in [key for key in self._hashes if key[0] == name]:
            del self._hashes[key]
        # The key first: a name is found by its bytes.
        await self._ring.metadata.write(lambda tx: tx.staged_keys.forget(name))
        await self._inner.discard(name)

    # --- blobs --------------------------------------------------------------------------------------------------

    async def open(self, stored_name: str) -> BlobReader:
        found = await self._ring.opening(stored_name)
        inner = await self._inner.open(stored_name)
        if found is None:
            return inner
        size, opened = found
        return EncryptedReader(inner, opened, size, self._executor)

    async def remove(self, stored_name: str) -> None:
        self._ring.settled(stored_name)
        await self._inner.remove(stored_name)

    async def check(self) -> None:
        await self._inner.check()

    def close(self) -> None:
        """Let go of the threads, and of the store."""
        self._executor.shutdown(wait=True)
        self._inner.close()

    # --- housekeeping -------------------------------------------------------------------------------------------

    def strays(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        return self._inner.strays(older_than=older_than)

    def staged(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        return self._inner.staged(older_than=older_than)

    async def quarantine(self, stored_name: str) -> None:
        await self._inner.quarantine(stored_name)

    # --- inside -------------------------------------------------------------------------------------------------

    async def _find(self, name: str, size: int) -> StagedKey | None:
        return await self._ring.metadata.read(lambda tx: tx.staged_keys.find(name, size))

    async def _opened(self, key: StagedKey) -> tuple[Frames, bytes]:
        """What opens staged bytes, and the rest of them that makes no frame."""

        opened = Frames(unwrap(self._ring.uploads, key.wrapped, staged_context(key.name)))
        return opened, opened.open(key.received // opened.frame, key.tail) if key.tail else b""

    async def _keep(self, writer: EncryptedWriter, before: int | None) -> None:
        await self._save(writer.name, writer.received, writer.frames, writer.tail, before)

    async def _save(self, name: str, received: int, opened: Frames, tail: bytes, before: int | None) -> None:
        staged = StagedKey(name, received, wrap(self._ring.uploads, opened.key, staged_context(name)), tail)
        await self._ring.metadata.write(lambda tx: tx.staged_keys.keep(staged, before))

    async def _sealed(self, key: StagedKey) -> Frames:
        """Make sure that the store has the last frame of staged bytes too."""
        writer = self._writers.get(key.name)
        if writer is not None and writer.has(key.received):
            await writer.seal()
            return writer.frames
        opened, rest = await self._opened(key)
        if key.tail:
            start = opened.sealed_size(key.received - len(rest))
            inner = await self._inner.stage(key.name, start, algorithm=None, expected=len(key.tail))
            try:
                await inner.write(key.tail)
                await inner.sync()
            finally:
                await inner.close()
        return opened

    def _closed(self, writer: EncryptedWriter) -> None:
        if self._writers.get(writer.name) is writer:
            del self._writers[writer.name]

    def _remember(self, name: str, end: int, algorithm: str | None, running: _Hash) -> None:
        self._hashes[name, end] = (algorithm, running.copy())
        while len(self._hashes) > REMEMBERED:
            self._hashes.popitem(last=False)

    def _recall(self, name: str, offset: int, algorithm: str | None) -> _Hash | None:
        kept = self._hashes.get((name, offset))
        return kept[1].copy() if kept and kept[0] == algorithm else None
