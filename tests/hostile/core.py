"""The registry that these tests are about: the core alone, so that every trace in its database is the core's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.support.server import RegistryProcess, running


def core(
    data: Path, *, args: Sequence[str] = ("--open",), env: Mapping[str, str] | None = None
) -> AbstractContextManager[RegistryProcess]:
    """A server without extensions for the length of a `with` block."""
    return running(data, args=args, env={"GATI_EXTENSIONS": "", **(env or {})})
