"""A master key in a file of our own.

    # id                  key, 64 hexadecimal digits; the last line wraps, the others unwrap what they wrapped
    2026-01-01-9c41       5f0e…
    2026-11-28-1f0c       a3b7…

Only its owner may read it (0600). A running server notices that it was replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import stat
import time
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gati_registry.errors import Unavailable
from gati_registry.ports import Wrapped

DRIVER = "file:"
MOST = 65536
"""Bytes of a keys file that are read: hundreds of keys."""

_LINE = re.compile(r"(?P<id>[A-Za-z0-9._-]{1,64})\s+(?P<key>[0-9a-fA-F]{64})")
_NONCE = 12


class FileMasterKey:
    """`ports.MasterKey` on a keys file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, int, int] | None = None  # the file that `_keys` are from
        self._keys: dict[str, AESGCM] = {}

    async def current(self) -> str:
        return DRIVER + next(reversed(await self._load()))

    async def wrap(self, key: bytes, context: str) -> Wrapped:
        keys = await self._load()
        name, nonce = next(reversed(keys)), os.urandom(_NONCE)
        return Wrapped(DRIVER + name, nonce + keys[name].encrypt(nonce, key, _context(context)))

    async def unwrap(self, wrapped: Wrapped, context: str) -> bytes:
        name = wrapped.master.removeprefix(DRIVER)
        cipher = (await self._load()).get(name)
        if cipher is None:
            raise Unavailable(
                f"the master key {wrapped.master}, which wraps the registry's keys, is not in {self._path}; put it back"
            )
        try:
            return cipher.decrypt(wrapped.data[:_NONCE], wrapped.data[_NONCE:], _context(context))
        except (InvalidTag, ValueError):
            raise Unavailable(
                f"the master key {name} in {self._path} is not the one that wrapped the registry's keys; "
                "put the right one back"
            ) from None

    async def rotate(self) -> str:
        return DRIVER + await asyncio.to_thread(self._append)

    # --- inside -------------------------------------------------------------------------------------------------

    async def _load(self) -> dict[str, AESGCM]:
        return await asyncio.to_thread(self._loaded)

    def _loaded(self) -> dict[str, AESGCM]:
        """The keys by id, in the file's order; read again where the file is another one."""
        try:
            with open(self._path, "rb") as file:
                status = os.fstat(file.fileno())
                seen = (status.st_ino, status.st_mtime_ns, status.st_size)
                if seen == self._read:
                    return self._keys
                if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
                    raise Unavailable(f"encryption.file: others may read {self._path}; run: chmod 600 {self._path}")
                keys = _parse(file.read(MOST + 1))
        except FileNotFoundError:
            raise Unavailable(
                f"encryption.file: there is no {self._path}; make one with: gati-registry keys rotate"
            ) from None
        except OSError as error:
            raise Unavailable(f"encryption.file: {self._path} cannot be read ({error.strerror})") from None
        except ValueError as error:
            raise Unavailable(f"encryption.file: {self._path}: {error}") from None
        self._keys, self._read = keys, seen
        return keys

    def _append(self) -> str:
        """Add a key as the last line, or make the file; the new one takes the old one's place at once."""
        before = b""
        if self._path.exists():
            self._loaded()
            before = self._path.read_bytes()
            if before and not before.endswith(b"\n"):
                before += b"\n"
        name = f"{time.strftime('%Y-%m-%d', time.gmtime())}-{secrets.token_hex(2)}"
        fresh = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(before + f"{name} {secrets.token_hex(32)}\n".encode())
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(fresh, self._path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(fresh)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Unavailable(f"encryption.file: {self._path} cannot be written ({error.strerror})") from None
        return name


def _parse(text: bytes) -> dict[str, AESGCM]:
    keys: dict[str, AESGCM] = {}
    if len(text) > MOST:
        raise ValueError(f"has more than {MOST} bytes")
    for number, line in enumerate(text.decode("ascii", "replace").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"line {number} is not an id and 64 hexadecimal digits")
        if match["id"] in keys:
            raise ValueError(f"line {number} has an id that is there already")
        keys[match["id"]] = AESGCM(bytes.fromhex(match["key"]))
    if not keys:
        raise ValueError("holds no key")
    return keys


def _context(context: str) -> bytes:
    return f"gati namespace {context}".encode()
