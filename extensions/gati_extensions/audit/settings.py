"""The section `[audit]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from gati_registry.extension import Model


def _setting(default: Any, description: str, *, unit: str = "", **limits: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"unit": unit}, **limits)


class AuditSettings(Model):
    """The audit log: who did what, in a tree of hashes that nobody can change unnoticed."""

    reads: str = _setting(
        "on", "Whether pulls are logged: `on`, `off`, or the share of them that is, e.g. `0.1`. Refusals always are."
    )
    retention: int = _setting(2557, "How long entries are kept; their hashes stay. 0: for ever.", unit="days", ge=0)
    checkpoint_interval: float = _setting(
        10.0, "A checkpoint is signed at least this often while the log grows.", unit="seconds", ge=1, le=86400
    )
    checkpoint_entries: int = _setting(10_000, "…and after this many leaves.", unit="leaves", ge=1)
    key_file: Path | None = _setting(
        None,
        "Ed25519 private key (PEM) that signs checkpoints, kept away from the database. Absent: made at the first "
        "start and kept in the database.",
    )

    @field_validator("reads")
    @classmethod
    def _share(cls, value: str) -> str:
        if value not in {"on", "off"}:
            try:
                share = float(value)
            except ValueError:
                share = 0.0
            if not 0 < share < 1:
                raise ValueError("expected on, off, or a share between 0 and 1")
        return value

    @property
    def share(self) -> float:
        """The share of reads that are logged."""
        known = {"on": 1.0, "off": 0.0}
        return known[self.reads] if self.reads in known else float(self.reads)
