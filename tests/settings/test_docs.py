"""The reference of settings is the model's own words."""

from __future__ import annotations

from pathlib import Path

from gati_registry.commands.settings import markdown
from gati_registry.loader import sections
from gati_registry.settings import catalogue

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_every_setting_is_documented() -> None:
    for setting in catalogue(sections(None)):
        assert setting.description.endswith("."), setting.name
        number = setting.type in {"number", "integer"} and setting.name != "telemetry.success_ratio"
        assert bool(setting.unit) == number, f"{setting.name} has a unit if, and only if, it is a quantity"


def test_the_document_is_current() -> None:
    assert DOCS.read_text(encoding="utf-8") == markdown(sections(None)), (
        "write it with: gati-registry settings --output markdown > docs/settings.md"
    )
