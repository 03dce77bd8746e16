"""`Warning` headers: words for people that a client shows beside a good answer.

Source: distribution-spec, section "Warnings" (RFC 7234 section 5.5).
"""

from __future__ import annotations

from collections.abc import Iterable

from gati_registry.http.exchange import Header

MAX_BYTES = 4096
"""All warnings of one answer together."""


def warnings(texts: Iterable[str]) -> list[Header]:
    """Headers for these texts, as many as fit. Anything but printable ASCII is replaced."""
    headers: list[Header] = []
    room = MAX_BYTES
    for text in texts:
        plain = "".join(c if " " <= c <= "~" else "?" for c in text).replace("\\", "\\\\").replace('"', '\\"')
        value = f'299 - "{plain}"'.encode("ascii")
        room -= len(value)
        if room < 0:
            break
        headers.append((b"warning", value))
    return headers
