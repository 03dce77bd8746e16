"""A new user's first module, by the tutorial's own words: its blocks are run on real processes."""

from __future__ import annotations

import time
from pathlib import Path

from tests.client.documents import DOCS, blocks, follow
from tests.support.server import free_port

TUTORIAL = DOCS / "tutorial.md"


def test_by_its_own_words(tmp_path: Path) -> None:
    words = " ".join(blocks(TUTORIAL))
    for step in ("gati login", "gati module create", "gati module publish", "gati search", "gati module install"):
        assert step in words
    started = time.monotonic()
    said = follow(TUTORIAL, tmp_path, f"127.0.0.1:{free_port()}", {})
    print(f"first module: {time.monotonic() - started:.0f} s from the account to the locked install")
    assert "users/alice/greet" in said
    assert "Hello, ${name}!" in said
    assert (tmp_path / "shop/gati_modules/users/alice/greet/index.js").read_bytes() == (
        tmp_path / "greet/index.js"
    ).read_bytes()
