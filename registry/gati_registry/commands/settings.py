"""`gati-registry settings`: every setting with its value, where that came from, its default and its meaning."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from gati_registry.commands.context import loaded, print_json
from gati_registry.commands.options import ExitCode
from gati_registry.settings import Loaded, Models, Setting, catalogue, sections, show


def run(arguments: argparse.Namespace) -> int:
    """Always 0, unless the settings do not fit."""
    from gati_registry.loader import sections as extension_sections

    if arguments.output == "markdown":
        print(markdown(extension_sections(None)), end="")
        return ExitCode.DONE
    found = loaded(arguments)
    models = extension_sections(found.settings.extensions)
    if arguments.output == "json":
        print_json([_row(setting, found) for setting in catalogue(models)])
        return ExitCode.DONE
    for setting in catalogue(models):
        row = _row(setting, found)
        default = row["default"] or "none"
        unit = f" {setting.unit}" if setting.unit else ""
        print(
            f"{setting.name} = {row['value'] or 'none'}{unit}"
            f"    ({row['source']}; default: {default}; {setting.variable})"
        )
        print(f"    {setting.description}")
    return ExitCode.DONE


def markdown(extensions: Models) -> str:
    """`docs/settings.md`: written by this command, compared by a test."""
    return "\n".join(_markdown_lines(extensions)) + "\n"


def _row(setting: Setting, found: Loaded) -> dict[str, str]:
    return {
        "name": setting.name,
        "variable": setting.variable,
        "value": _without_password(show(found.value(setting.name))),
        "source": found.sources[setting.name],
        "default": setting.default,
        "unit": setting.unit,
        "type": setting.type.replace("`", ""),
        "description": setting.description,
    }


def _without_password(value: str) -> str:
    if "://" not in value:
        return value
    value = re.sub(r"(?i)([?&](?:ssl)?password=)[^&#]*", r"\1***", value)  # libpq takes it as a parameter too
    if not urlsplit(value).password:
        return value
    parts = urlsplit(value)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username}:***@{host}").geturl()


def _markdown_lines(extensions: Models) -> Iterator[str]:
    yield from (
        "# Settings",
        "",
        "<!-- Written by `gati-registry settings --output markdown`; a test compares. -->",
        "",
        "A value comes from the first of: flag, environment, TOML file (`--config FILE` or `GATI_CONFIG`), default.",
        "A name that is not in this list stops the start, wherever it stands, and so does a value that does not fit.",
        "`gati-registry settings` shows what a server would use and where each value comes from.",
        "The `gati` command's own variables (`GATI_REGISTRY`, `GATI_TOKEN`, `GATI_NAMESPACE`) are ignored.",
        "",
        "In TOML, `gc.grace` is `grace` in the section `[gc]`. Lists are arrays in TOML and comma-separated in the",
        "environment.",
    )
    explanations = dict(sections(extensions))
    section = None
    for setting in catalogue(extensions):
        current = setting.name.rpartition(".")[0]
        if current != section:
            section = current
            yield ""
            yield f"## `[{section}]`" if section else "## General"
            if section:
                yield ""
                yield explanations[section]
            yield ""
            yield "| setting | environment | type | default | meaning |"
            yield "|---|---|---|---|---|"
        default = f"`{setting.default}`" if setting.default else "none"
        kind = f"{setting.type}, {setting.unit}" if setting.unit else setting.type
        yield f"| `{setting.name}` | `{setting.variable}` | {kind} | {default} | {setting.description} |"
