"""Namespaces' keys in this process: unwrapped once each, then at hand inside transactions, which may not wait.

What a transaction needs and is not here it names by `KeyNeeded`; its caller gets it and runs the transaction again.
Which key a namespace uses, and whether it was destroyed, the transaction itself reads from the database.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from gati_registry.errors import Code, RegistryError
from gati_registry.ports import Clock, EncryptedBlob, MasterKey, Metadata, Transaction, Work, Wrapped
from gati_registry.storage.encrypted import frames
from gati_registry.values.digest import Digest

T = TypeVar("T")

UPLOADS = ""
"""The namespace of bytes that belong to none yet: uploads under way."""

KEPT = 10_000
"""Namespaces' keys that a process holds; those that it has had longest leave first."""

ATTEMPTS = 1000
"""Keys that one transaction may turn out to need, one after the other."""


class KeyNeeded(Exception):
    """A unit of work needs a key that is not at hand: of this id, or the one that this namespace is to have."""

    def __init__(self, key_id: int | None = None, namespace: str | None = None) -> None:
        super().__init__()
        self.key_id = key_id
        self.namespace = namespace


class Keyring:
    """The keys of namespaces, and what is wrapped with them. One event loop.

    `metadata` is the database itself, without encryption around it.
    """

    def __init__(self, metadata: Metadata, master: MasterKey, clock: Clock) -> None:
        self.metadata = metadata
        self.master = master
        self._clock = clock
        self._keys: OrderedDict[int, bytes] = OrderedDict()
        self._uploads: bytes | None = None
        self._published: OrderedDict[str, frames.Frames] = OrderedDict()
        self._asking: dict[int | str, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Make sure that the master key is the right one, and that there is a key for uploads.

        Raises:
            Unavailable: the master key is not to be had, or is another one.
        """

        _, self._uploads = await self.run(self.metadata.write, lambda tx: self.current(tx, UPLOADS))

    async def run(self, execute: Callable[[Work[T]], Awaitable[T]], work: Work[T]) -> T:
        """Run a unit of work, as often as it takes until it has all keys that it needs."""
        for _ in range(ATTEMPTS):
            try:
                return await execute(work)
            except KeyNeeded as needed:
                if needed.key_id is not None:
                    await self._once(needed.key_id, self._fetch(needed.key_id))
                elif needed.namespace is not None:
                    await self._once(needed.namespace, self._make(needed.namespace))
        raise RegistryError(Code.UNKNOWN, f"one operation needs more than {ATTEMPTS} keys of namespaces")

    @property
    def uploads(self) -> bytes:
        """The key of what is under way. Nobody destroys it."""
        assert self._uploads is not None, "opened before it is used"
        return self._uploads

    # --- from the store to the transaction that makes a blob of the bytes ---------------------------------------

    def published(self, stored_name: str, opened: frames.Frames) -> None:
        """Bytes were published under a name; a row of this process is to follow at once."""
        self._published[stored_name] = opened
        while len(self._published) > KEPT:
            self._published.popitem(last=False)

    def of_published(self, stored_name: str) -> frames.Frames | None:
        """What opens them; None where they are plain."""
        return self._published.get(stored_name)

    def settled(self, stored_name: str) -> None:
        """They have a row, or are removed."""
        self._published.pop(stored_name, None)

    # --- within transactions ------------------------------------------------------------------------------------

    async def current(self, tx: Transaction, namespace: str) -> tuple[int, bytes]:
        """The id and the key that a namespace uses now.

        Raises:
            KeyNeeded: it has none yet, or it is not at hand.
        """
        key = await tx.keys.live(namespace)
        if key is None:
            raise KeyNeeded(namespace=namespace)
        return key.id, self.key(key.id)

    def key(self, key_id: int) -> bytes:
        """A namespace's key.

        Raises:
            KeyNeeded: it is not at hand.
        """
        found = self._keys.get(key_id)
        if found is None:
            raise KeyNeeded(key_id)
        return found

    def unwrapped(self, blob: EncryptedBlob) -> frames.Frames:
        """What opens a blob's frames.

        Raises:
            KeyNeeded: none of the keys that wrap the blob's is at hand.
            RegistryError: there is no such key any more, or it is damaged.
        """
        if not blob.wraps:
            raise RegistryError(Code.UNKNOWN, "the key of this blob was destroyed; push the blob again")
        key_id, wrapped = next((wrap for wrap in blob.wraps if wrap[0] in self._keys), blob.wraps[0])
        context = blob_context(blob.digest, blob.size, blob.frame_bytes)
        return frames.Frames(frames.unwrap(self.key(key_id), wrapped, context), blob.frame_bytes)

    async def share(self, tx: Transaction, blob: EncryptedBlob, opened: frames.Frames | None, namespace: str) -> None:
        """Give a namespace its copy of a blob's key, if it has none; `opened` is that key where it is known."""
        key_id, key = await self.current(tx, namespace)
        if any(wrap[0] == key_id for wrap in blob.wraps):
            return
        data_key = (opened or self.unwrapped(blob)).key
        context = blob_context(blob.digest, blob.size, blob.frame_bytes)
        await tx.blob_keys.add(blob.blob_id, key_id, frames.wrap(key, data_key, context))

    async def opening(self, stored_name: str) -> tuple[int, frames.Frames] | None:
        """The plain size of a blob, and what opens it; None where its bytes are plain.

        Raises:
            FileNotFoundError: no blob has this name any more.
            Unavailable: the key is not to be had now.
            RegistryError: it was destroyed.
        """

        async def work(tx: Transaction) -> tuple[int, frames.Frames] | None:
            blob = await tx.blob_keys.of_stored(stored_name)
            return None if blob is None else (blob.size, self.unwrapped(blob))

        return await self.run(self.metadata.read, work)

    async def opening_once(self, blob_id: int) -> frames.Frames | None:
        """What opened the bytes that a blob had, even if they were set aside; None where they were plain.

        Raises:
            Unavailable: the key is not to be had now.
            RegistryError: it was destroyed.
        """

        async def work(tx: Transaction) -> frames.Frames | None:
            blob = await tx.blob_keys.of(blob_id)
            return None if blob is None else self.unwrapped(blob)

        return await self.run(self.metadata.read, work)

    # --- outside ------------------------------------------------------------------------------------------------

    async def _once(self, wanted: int | str, ask: Coroutine[Any, Any, None]) -> None:
        """Ask for a key, or wait for who asks for the same one already."""
        task = self._asking.get(wanted)
        if task is None:
            task = self._asking[wanted] = asyncio.create_task(ask)
            task.add_done_callback(lambda _: self._asking.pop(wanted, None))
        else:
            ask.close()
        await asyncio.shield(task)

    async def _fetch(self, key_id: int) -> None:
        found = await self.metadata.read(lambda tx: tx.keys.find(key_id))
        if found is None:
            raise RegistryError(Code.UNKNOWN, "a key was destroyed at this moment; try again")
        self._keys[key_id] = await self.master.unwrap(Wrapped(found.master, found.wrapped), found.namespace)
        while len(self._keys) > KEPT:
            self._keys.popitem(last=False)

    async def _make(self, namespace: str) -> None:
        wrapped = await self.master.wrap(frames.new_key(), namespace)
        now = self._clock.now()
        await self.metadata.write(lambda tx: tx.keys.add(namespace, wrapped.master, wrapped.data, now))


def blob_context(digest: Digest, size: int, frame_bytes: int) -> str:
    """What a blob's wrapped key is bound to: content and length."""
    return f"gati blob {digest} {size} {frame_bytes}"


def staged_context(name: str) -> str:
    """What the wrapped key of staged bytes is bound to."""
    return f"gati staged {name}"


def session_context(upload_id: str) -> str:
    """What an upload session's own bytes are bound to."""
    return f"gati session {upload_id}"
