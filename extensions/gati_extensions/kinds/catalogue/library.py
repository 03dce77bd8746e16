"""Libraries: code that others build with."""

from __future__ import annotations

from pydantic import Field

from gati_extensions.kinds.fields import Manifest, Text, Words, facts
from gati_extensions.kinds.kind import Facts, Kind


class Library(Manifest):
    """The manifest of a library."""

    language: Text = ""
    entry: Text = ""
    exports: Words = Field(default_factory=list)


def _describe(found: Library) -> Facts:
    own = [found.language] if found.language else []
    return facts(
        found,
        type=found.language,
        languages=tuple(dict.fromkeys([*own, *found.languages])),
        words={"exports": tuple(found.exports)},
    )


KIND = Kind.own("library", "Code that others build with.", Library, _describe)
