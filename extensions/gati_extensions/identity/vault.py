"""Secrets that the database holds and has to give back: sealed with a key that lies elsewhere.

    sealed:<key's id>:<base64 of nonce and AES-256-GCM ciphertext, bound to its row>

The key is a line of a file: that of the setting `identity.secret_key_file`, or with an embedded database `identity.key`
in the data folder, made when it is first needed. Of several lines the first seals and all open, so that a key can be
replaced: write the new one above, start, and what is sealed with another is sealed anew. Without a key, which only a
shared database may be, secrets lie as they are.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from gati_extensions.identity.store import changed
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Database, Transaction

MARK = "sealed:"
FILE = "identity.key"

_KEY, _NONCE = 32, 12

ROWS = (("identity_signing_key", "kid", "private"), ("identity_totp", "account_id", "secret"))
"""What is sealed: table, name of the row, column."""


class Vault:
    """Seals and opens."""

    def __init__(self, file: Path | None, folder: Path | None) -> None:
        self._own = folder / FILE if file is None and folder is not None else None
        self._file = file or self._own
        self._keys: dict[str, bytes] = {}
        self.configured = file is not None
        """Whether an operator has said where the key is."""

    @property
    def protects(self) -> bool:
        """Whether there is, or will be, a key."""
        return self._file is not None

    def seal(self, text: str, about: str) -> str:
        """What is stored of a secret; `about` is the row that it belongs to.

        Raises:
            RegistryError: the key's file cannot be used.
        """
        if self._file is None:
            return text
        keys = self._read()
        if not keys:
            keys = self._make()
        name, key = next(iter(keys.items()))
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE)
        data = nonce + AESGCM(key).encrypt(nonce, text.encode(), about.encode())
        return f"{MARK}{name}:{base64.b64encode(data).decode()}"

    def open(self, stored: str, about: str) -> str | None:
        """The secret; None where it was sealed with a key that is not here, or for another row.

        Raises:
            RegistryError: the key's file cannot be used.
        """
        if not stored.startswith(MARK):
            return stored
        name, _, text = stored.removeprefix(MARK).partition(":")
        key = self._read().get(name)
        if key is None:
            return None
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            data = base64.b64decode(text, validate=True)
            return AESGCM(key).decrypt(data[:_NONCE], data[_NONCE:], about.encode()).decode()
        except (InvalidTag, binascii.Error):
            return None

    def is_current(self, stored: str) -> bool:
        """Whether it needs no sealing anew."""
        if self._file is None:
            return not stored.startswith(MARK)
        return stored.startswith(f"{MARK}{next(iter(self._read()), '-')}:")

    def _read(self) -> dict[str, bytes]:
        if not self._keys and self._file is not None:
            self._keys = self._parsed()
        return self._keys

    def _parsed(self) -> dict[str, bytes]:
        assert self._file is not None
        where = str(self._file) if self._own else "identity.secret_key_file"
        if self._own and not self._own.exists():
            return {}
        try:
            lines = self._file.read_text(encoding="ascii").split()
        except (OSError, UnicodeDecodeError) as error:
            raise RegistryError(Code.UNAVAILABLE, f"{where}: cannot be read ({type(error).__name__})") from None
        keys = {}
        for line in lines:
            with contextlib.suppress(binascii.Error):
                key = base64.b64decode(line, validate=True)
                if len(key) == _KEY:
                    keys[hashlib.sha256(key).hexdigest()[:12]] = key
                    continue
            raise RegistryError(
                Code.UNAVAILABLE, f"{where}: each line must be 32 random bytes in base64: openssl rand -base64 32"
            )
        if not keys:
            raise RegistryError(Code.UNAVAILABLE, f"{where}: holds no key; openssl rand -base64 32 makes one")
        return keys

    def _make(self) -> dict[str, bytes]:
        """The first key of an embedded database, for its owner alone to read; another process may be the quicker."""
        assert self._own is not None
        text = base64.b64encode(secrets.token_bytes(_KEY)) + b"\n"
        made = self._own.with_name(f"{FILE}.{secrets.token_hex(4)}")
        try:
            self._own.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(made, self._own)  # whole, or not there
            made.unlink()
        except OSError as error:
            raise RegistryError(Code.UNAVAILABLE, f"{self._own}: cannot be made ({type(error).__name__})") from None
        folder = os.open(self._own.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self._read()


def signing_key(kid: str) -> str:
    """What the private half of a signing key is bound to."""
    return f"identity_signing_key:{kid}"


def one_time(account_id: int) -> str:
    """What the secret of one-time passwords is bound to."""
    return f"identity_totp:{account_id}"


async def protect(database: Database, vault: Vault) -> list[str]:
    """Seal what lies in the clear or under an earlier key; before any worker starts. Lines for the operator.

    Raises:
        RegistryError: the key that was named does not open what there is.
    """

    async def look(tx: Transaction) -> list[tuple[str, str, str, str | int, str]]:
        return [
            (table, name, column, row[0], str(row[1]))
            for table, name, column in ROWS
            for row in await tx.all(f"SELECT {name}, {column} FROM {table}")  # noqa: S608 - constants of this module
        ]

    found = [one for one in await database.read(look) if not vault.is_current(one[4])]
    opened = [(one, vault.open(one[4], f"{one[0]}:{one[3]}")) for one in found]
    lost = [one for one, text in opened if text is None]
    if lost and vault.configured:
        raise RegistryError(
            Code.UNAVAILABLE,
            "identity.secret_key_file: does not open what the database holds; add the key that sealed it, as a line of "
            "its own",
        )
    fresh = [(one, vault.seal(text, f"{one[0]}:{one[3]}")) for one, text in opened if text is not None]

    async def replace(tx: Transaction) -> None:
        for (table, name, column, row, old), new in fresh:
            await tx.run(
                f"UPDATE {table} SET {column} = :new WHERE {name} = :row AND {column} = :old",  # noqa: S608 - as above
                new=new,
                row=row,
                old=old,
            )
        for table, _, _, row, _ in lost:
            if table == "identity_signing_key":  # another is made; what it signed ends
                await tx.run("DELETE FROM identity_signing_key WHERE kid = :row", row=row)
        await changed(tx)

    if fresh or lost:
        await database.write(replace)
    lines = []
    if lost:
        secrets_lost = sum(one[0] == "identity_totp" for one in lost)
        lines.append(
            f"identity: {len(lost) - secrets_lost} signing keys and {secrets_lost} one-time secrets were sealed with "
            "another key; put its file back (identity.key of the data folder, or identity.secret_key_file). Until then "
            "tokens have ended, and one-time codes do not work: log in with a recovery code"
        )
    if not vault.protects:
        lines.append(
            "identity: the keys that sign tokens and the secrets of one-time codes lie in the database in the clear; "
            "to seal them, set identity.secret_key_file to the same file on all replicas"
        )
    return lines
