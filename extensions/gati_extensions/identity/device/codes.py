"""Codes that people type: eight letters, none of which is mistaken for another or makes a word.

Source: RFC 8628 section 6.1; 34.5 bits, which guessing by accounts that have to wait does not exhaust (section 5.1).
"""

from __future__ import annotations

import hashlib
import secrets

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH = 8


def make() -> str:
    """A new one, as it is shown: `BCDF-GHJK`."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def normal(text: str) -> str | None:
    """A code as it is shown, however it was typed; None if it cannot be one."""
    letters = "".join(letter for letter in text.upper() if letter not in "- ")
    if len(letters) != LENGTH or not set(letters) <= set(ALPHABET):
        return None
    return f"{letters[:4]}-{letters[4:]}"


def hashed(code: str) -> str:
    """What is stored of it."""
    return hashlib.sha256(f"device:{code}".encode()).hexdigest()
