"""Begins an artifact of any kind: a folder whose manifest the registry takes as it is.

gati module create @acme/greet --type wasm   →   greet/gati-module.json, .gatiignore, README.md, module.wat, module.wasm
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gati_client.errors import Conflict, Usage
from gati_client.scaffold import code, content
from gati_client.scaffold.recipe import About, Content, Recipe

__all__ = ["KINDS", "Created", "create", "manifest_name"]

KINDS: Mapping[str, Recipe] = {recipe.kind: recipe for recipe in (*code.RECIPES, *content.RECIPES)}
"""What can be begun, by kind."""

IGNORED = """\
# What `gati publish` leaves out, written like a .gitignore.
.git/
.gati/
gati_modules/
node_modules/
__pycache__/
.env
.env.*
*.log
"""


@dataclass(frozen=True, slots=True)
class Created:
    """What was begun: its folder, and the files in it, sorted, relative to it."""

    folder: Path
    files: tuple[str, ...]


def manifest_name(kind: str) -> str:
    """The file that holds the manifest of a kind; its bytes are the config of what is pushed."""
    return f"gati-{kind}.json"


def create(
    kind: str,
    name: str,
    folder: Path,
    *,
    type: str | None = None,
    description: str = "",
    author: str = "",
    license: str = "",
    force: bool = False,
) -> Created:
    """Write the folder of a new artifact at version 0.1.0.

    `name` is written into the manifest as it is (`greet`, `@acme/greet`). What is in the folder already stays; with
    `force` files of the same names are replaced.

    Raises:
        Usage: there is no such kind or type.
        Conflict: one of the files is there already; nothing is written.
    """
    recipe = KINDS.get(kind)
    if recipe is None:
        raise Usage(f"{kind!r} is no kind that can be created", remedy=f"one of: {', '.join(KINDS)}")
    chosen = type or (recipe.types[0] if recipe.types else "")
    if chosen and chosen not in recipe.types:
        if not recipe.types:
            raise Usage(f"a {kind} has no types", remedy="leave out --type")
        raise Usage(f"{chosen!r} is no type of {kind}", remedy=f"one of: {', '.join(recipe.types)}")
    about = About(kind, name, folder.absolute().name, chosen, description or f"The {kind} {name}.", author, license)
    made = recipe.make(about)
    manifest = {**about.manifest(), **made.manifest}
    files: dict[str, Content] = {
        manifest_name(kind): json.dumps(manifest, indent=2, ensure_ascii=False) + "\n",
        ".gatiignore": IGNORED,
        "README.md": _readme(about, made.hint),
        **made.files,
    }
    there = sorted(path for path in files if (folder / path).exists() or (folder / path).is_symlink())
    if there and not force:
        raise Conflict(f"{folder} has {', '.join(there[:5])} already", remedy="take another folder, or --force")
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.encode() if isinstance(data, str) else data)
        if path in made.programs:
            target.chmod(0o755)
    return Created(folder, tuple(sorted(files)))


def _readme(about: About, hint: str) -> str:
    return f"""\
# {about.name}

{about.description}

{hint}

    gati {about.kind} publish            # in this folder
    gati {about.kind} install {about.name}
"""
