"""Locks between processes. The kernel frees them with their process, however that ends."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

_FIRST_WAIT, _LONGEST_WAIT = 0.005, 0.2  # seconds between two looks


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Share a lock on a file, which is made and stays. Blocks while somebody holds it alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(path, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def beside(file: Path) -> Iterator[None]:
    """Hold the lock of a file that is about to be read, changed and written; its folder is made, for this user alone.
    Blocks while somebody else holds it."""
    folder = file.resolve().parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _held(folder / ".gati.lock", fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _held(path: Path, how: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def locked(path: Path, *, shared: bool = False) -> AsyncIterator[None]:
    """Hold a lock on a file, which is made and stays; also between tasks of one process.

    It is looked at again and again: a thread that waits for it could not be cancelled.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o666)
    try:
        wait = _FIRST_WAIT
        while True:
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
        yield
    finally:
        os.close(descriptor)
