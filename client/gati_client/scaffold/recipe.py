"""What a kind's beginning is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Content = str | bytes


@dataclass(frozen=True, slots=True)
class About:
    """What the user said. `short` is the folder's name; `type` is empty where the kind has none."""

    kind: str
    name: str
    short: str
    type: str
    description: str
    author: str
    license: str

    def manifest(self) -> dict[str, Any]:
        """What the manifests of all kinds begin with."""
        return {
            "name": self.name,
            "version": "0.1.0",
            "description": self.description,
            **({"author": self.author} if self.author else {}),
            "license": self.license or "MIT",
            "keywords": [self.kind],
        }


@dataclass(frozen=True, slots=True)
class Made:
    """The kind's own fields of the manifest, files by path, what to do with them; `programs` are executable."""

    manifest: Mapping[str, Any]
    hint: str
    files: Mapping[str, Content] = field(default_factory=dict)
    programs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an artifact of a kind begins. The first type is the one of who names none."""

    kind: str
    make: Callable[[About], Made]
    types: tuple[str, ...] = ()
