"""Secrets that the registry makes: API keys, refresh tokens, sessions, invitations, tokens of builds, codes of devices.

    gati_<30 characters of 62><6 of checksum>

178 random bits need no slow hash: SHA-256 is stored. The checksum lets scanners find leaked ones without asking us, and
lets us refuse mistyped ones without asking the database.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib

KEY, REFRESH, SESSION, INVITATION = "gati_", "gatir_", "gatis_", "gatii_"
EXCHANGED, DEVICE = "gatix_", "gatid_"

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH, _CHECK = 30, 6
_FORM = re.compile(rf"(gati[a-z]?_)([0-9A-Za-z]{{{_LENGTH}}})([0-9A-Za-z]{{{_CHECK}}})")


def make(prefix: str) -> str:
    """A new secret."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return prefix + body + _checksum(prefix + body)


def is_well_formed(text: str, prefix: str) -> bool:
    """Whether it could be one of ours."""
    found = _FORM.fullmatch(text)
    return found is not None and found[1] == prefix and _checksum(found[1] + found[2]) == found[3]


def hashed(text: str) -> str:
    """What is stored of it."""
    return hashlib.sha256(text.encode()).hexdigest()


def new_id(kind: str) -> str:
    """A public name for what a secret belongs to: `k_…`, `r_…`, `s_…`, `i_…`."""
    return f"{kind}_{secrets.token_hex(8)}"


def _checksum(text: str) -> str:
    number, out = zlib.crc32(text.encode()), ""
    for _ in range(_CHECK):
        number, digit = divmod(number, 62)
        out = _ALPHABET[digit] + out
    return out
