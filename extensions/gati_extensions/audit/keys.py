"""The keys that sign checkpoints: made at the first start and kept in the database, or read from a file."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from gati_extensions.audit.notes import PublicKey, Signer, make_key
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Transaction

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Keys:
    """The newest key signs; older ones stay for what they signed. All have the log's one name."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._signer: Signer | None = None

    async def signer(self, tx: Transaction, now: int) -> Signer:
        """The key that signs now; made and stored where there is none.

        Raises:
            RegistryError: the key's file cannot be used.
        """
        row = await tx.one("SELECT public, private FROM audit_key ORDER BY made_at DESC, public LIMIT 1")
        newest = PublicKey.parse(row[0]) if row else None
        name = newest.name if newest else f"gati.audit/{secrets.token_hex(8)}"
        if self._signer is not None and self._signer.public == newest:
            return self._signer
        if self._file is not None:
            found = Signer(name, _read(self._file))
        elif row is not None and row[1] is not None:
            found = Signer.from_bytes(name, bytes(row[1]))
        else:
            found = Signer.from_bytes(name, private := make_key())
        if found.public != newest:
            await tx.run(
                "INSERT INTO audit_key (public, private, made_at) VALUES (:public, :private, :now)"
                " ON CONFLICT (public) DO UPDATE SET made_at = :now",
                public=str(found.public),
                private=None if self._file is not None else private,
                now=now,
            )
        self._signer = found
        return found

    @staticmethod
    async def public(tx: Transaction) -> list[PublicKey]:
        """All keys, newest first."""
        rows = await tx.all("SELECT public FROM audit_key ORDER BY made_at DESC, public")
        return [PublicKey.parse(row[0]) for row in rows]


def _read(file: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (OSError, TypeError, ValueError) as error:
        raise RegistryError(
            Code.INVALID, f"audit.key_file: cannot be read ({type(error).__name__}); name a PEM file without passphrase"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise RegistryError(
            Code.INVALID, "audit.key_file: holds no Ed25519 key; `openssl genpkey -algorithm ed25519` makes one"
        )
    return key
