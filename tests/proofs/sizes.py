"""How large the proofs are, and what they need: from the environment."""

from __future__ import annotations

import os
import shutil

import pytest


def size(name: str, default: int) -> int:
    """`GATI_PROOF_<name>`, a whole number; by default the full size, as `make proofs` runs it."""
    return int(os.environ.get(f"GATI_PROOF_{name}", default))


def required(program: str) -> str:
    """The path of a program; without it the test is skipped, and fails where CI=true."""
    return available(shutil.which(program), f"{program} is not installed")


def available(found: str | None, reason: str) -> str:
    """What a test needs; where it is missing the test is skipped with the reason; under CI=true it fails."""
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found
