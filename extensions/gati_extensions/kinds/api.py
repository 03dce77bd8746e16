"""What those who add kinds need, and what extensions that require `kinds` get: `kernel.apis["kinds"]` is a `Kinds`."""

from __future__ import annotations

from gati_extensions.kinds.fields import Manifest, Part, dependencies, facts, references
from gati_extensions.kinds.files import File, Files, Malformed, Window
from gati_extensions.kinds.kind import GROUP, UNKNOWN, Dependency, Facts, Kind, Kinds

__all__ = ["GROUP", "UNKNOWN", "Dependency", "Facts", "File", "Files", "Kind", "Kinds", "Malformed", "Manifest",
           "Part", "Window", "dependencies", "facts", "references"]  # fmt: skip
