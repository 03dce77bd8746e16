"""Which version of Gati is here."""

from __future__ import annotations

import json
from pathlib import Path

from gati_client.project.manifest import Application
from gati_client.project.ranges import Version

PACKAGES = ("@gati-framework/runtime", "@gati-framework/core", "@gati-framework/cli")
"""Any of these, as npm has installed them, tells it."""


def version(folder: Path, application: Application) -> str | None:
    """What gati.json says (`gati`), else what lies in `node_modules`; None where nobody knows."""
    said = application.document.get("gati")
    if isinstance(said, str) and said:
        return said
    for place in (folder, *folder.parents):
        for package in PACKAGES:
            try:
                found = json.loads((place / "node_modules" / package / "package.json").read_bytes())["version"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if isinstance(found, str) and Version.parse(found) is not None:
                return found
    return None
