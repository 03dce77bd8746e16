"""`gati.json`: what an application asks for.

    {"name": "shop", "version": "1.0.0", "dependencies": {"orgs/acme/log": "^1.2"}, "devDependencies": {},
     "gati": "1.4.0", "approve": true}

`gati` is the version of Gati that it runs with; `approve` lets a first import of anything ask. All else in it stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gati_client.errors import NotFound, Usage
from gati_client.project import files

FILE = "gati.json"
_LISTS = ("dependencies", "devDependencies")


@dataclass(frozen=True, slots=True)
class Application:
    """The file as it is written, checked."""

    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dependencies(self) -> Mapping[str, str]:
        """Ranges by name."""
        return self._wanted("dependencies")

    @property
    def dev_dependencies(self) -> Mapping[str, str]:
        """Ranges by name, for who works on the application."""
        return self._wanted("devDependencies")

    def _wanted(self, key: str) -> Mapping[str, str]:
        wanted: Mapping[str, str] = self.document.get(key, {})
        return wanted

    @property
    def approve(self) -> bool:
        """Whether a first import has to be approved."""
        return bool(self.document.get("approve", False))

    @property
    def root(self) -> dict[str, Any]:
        """What the lock repeats of it."""
        out = {key: self.document[key] for key in ("name", "version") if key in self.document}
        return out | {key: dict(sorted(self.document[key].items())) for key in _LISTS if self.document.get(key)}

    def with_dependencies(self, more: Mapping[str, str], *, dev: bool = False) -> Application:
        """Asking for these too; a name is in one of both lists."""
        kept = self.without(more).document
        key = _LISTS[dev]
        return Application({**kept, key: dict(sorted({**kept.get(key, {}), **more}.items()))})

    def without(self, names: Mapping[str, Any] | set[str]) -> Application:
        """Asking for these no more."""
        lists = {
            key: {name: text for name, text in self.document[key].items() if name not in names}
            for key in _LISTS
            if key in self.document
        }
        return Application({**self.document, **lists})


def load(folder: Path) -> Application:
    """The application of a folder.

    Raises:
        NotFound: there is no gati.json.
        Usage: it is not what it should be.
    """
    try:
        document = files.read(folder / FILE, Usage)
    except NotFound:
        raise NotFound(f"there is no {FILE} in {folder}", remedy="gati add NAME makes one") from None
    for key in _LISTS:
        entries = document.get(key, {})
        if not isinstance(entries, dict) or not all(isinstance(text, str) for text in entries.values()):
            raise Usage(f"{FILE}: {key} must be an object of ranges by name")
    for key, kind in (("name", str), ("version", str), ("gati", str), ("approve", bool)):
        if not isinstance(document.get(key, kind()), kind):
            raise Usage(f"{FILE}: {key} must be {'true or false' if kind is bool else 'a text'}")
    return Application(document)


def save(folder: Path, application: Application) -> None:
    """Write it."""
    files.write(folder / FILE, dict(application.document))
