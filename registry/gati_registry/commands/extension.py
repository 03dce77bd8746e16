"""`gati-registry extension list`: those that are installed, and which of them the settings enable;
`gati-registry extension new NAME`: lay out a new one as a distribution of its own, working and with tests."""

from __future__ import annotations

import argparse
import re
from importlib.resources import files
from pathlib import Path

from gati_registry.commands.context import loaded, print_json, print_table
from gati_registry.commands.options import ExitCode
from gati_registry.errors import Code, RegistryError
from gati_registry.loader import installed

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")

# Template → where it goes; `@PACKAGE@` is the name as Python writes it.
_LAYOUT = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "__init__.py": "src/gati_@PACKAGE@/__init__.py",
    "settings.py": "src/gati_@PACKAGE@/settings.py",
    "model.py": "src/gati_@PACKAGE@/model.py",
    "store.py": "src/gati_@PACKAGE@/store.py",
    "hooks.py": "src/gati_@PACKAGE@/hooks.py",
    "routes.py": "src/gati_@PACKAGE@/routes.py",
    "0001.sqlite.sql": "src/gati_@PACKAGE@/migrations/0001.sqlite.sql",
    "0001.postgresql.sql": "src/gati_@PACKAGE@/migrations/0001.postgresql.sql",
    "test_extension.py": "tests/test_@PACKAGE@.py",
}


def run(arguments: argparse.Namespace) -> int:
    """0; 1 where `new` cannot write."""
    return _new(arguments) if arguments.action == "new" else _list(arguments)


def _list(arguments: argparse.Namespace) -> int:
    wanted = loaded(arguments).settings.extensions
    rows = [
        {
            "name": name,
            "distribution": entry.dist.name if entry.dist else "",
            "enabled": wanted is None or name in wanted,
        }
        for name, entry in sorted(installed().items())
    ]
    if arguments.output == "json":
        print_json(rows)
    elif rows:
        print_table(rows, ("name", "distribution", "enabled"))
    else:
        print("no extensions are installed")
    return ExitCode.DONE


def _new(arguments: argparse.Namespace) -> int:
    name: str = arguments.name or ""
    if len(name) > 30 or not _NAME.fullmatch(name):
        raise RegistryError(
            Code.INVALID, "name the extension: lower-case letters and digits, joined by '-', at most 30 characters"
        )
    if name in installed():
        raise RegistryError(Code.CONFLICT, f"an extension {name} is installed already; choose another name")
    folder = Path(arguments.into) / f"gati-{name}"
    if folder.exists():
        raise RegistryError(Code.CONFLICT, f"{folder} is there already; choose another name or --into another folder")
    package = name.replace("-", "_")
    templates = files("gati_registry.commands") / "template"
    written = []
    for template, place in _LAYOUT.items():
        text = (templates / f"{template}.in").read_text(encoding="utf-8")
        text = text.replace("@NAME@", name).replace("@PACKAGE@", package).replace("@VARIABLE@", package.upper())
        path = folder / place.replace("@PACKAGE@", package)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(str(path))
    (folder / f"src/gati_{package}/migrations/__init__.py").touch()
    (folder / f"src/gati_{package}/py.typed").touch()
    if arguments.output == "json":
        print_json({"name": name, "folder": str(folder), "files": written})
    else:
        print(f"{folder}: pip install -e {folder}, then pytest in it; its README tells what is what")
    return ExitCode.DONE
