"""Helm charts: Chart.yaml, as helm puts it into the config, and the values in the archive."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gati_extensions.kinds.archive import member
from gati_extensions.kinds.files import Files, Malformed
from gati_extensions.kinds.kind import Dependency, Facts, Kind

CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_LARGEST = 1024 * 1024


def _describe(chart: dict[str, Any]) -> Facts:
    """Source: helm.sh/docs/topics/charts, the Chart.yaml file."""
    people = [person["name"] for person in _list(chart, "maintainers") if isinstance(person.get("name"), str)]
    wanted = [
        Dependency(entry["name"], str(entry.get("version", "*")), optional=bool(entry.get("condition")), kind="chart")
        for entry in _list(chart, "dependencies")
        if isinstance(entry.get("name"), str)
    ]
    sources = chart.get("sources")
    return Facts(
        name=_text(chart, "name"),
        version=_text(chart, "version"),
        description=_text(chart, "description"),
        type=_text(chart, "type") or "application",
        authors=tuple(people),
        keywords=tuple(word for word in chart.get("keywords") or () if isinstance(word, str)),
        homepage=_text(chart, "home"),
        source=sources[0] if isinstance(sources, list) and sources and isinstance(sources[0], str) else "",
        dependencies=tuple(wanted),
        words={"kube_version": (_text(chart, "kubeVersion"),) if chart.get("kubeVersion") else ()},
        details={"app_version": _text(chart, "appVersion"), "icon": _text(chart, "icon")},
    )


async def _inspect(facts: Facts, files: Files) -> Facts:
    for file in files.of_type(CONTENT):
        try:
            values = await member(file, lambda path: path.count("/") == 1 and path.endswith("/values.yaml"), _LARGEST)
        except Malformed as error:
            return facts.with_problems(f"the chart's archive cannot be read: {error}")
        if values is not None:
            text = values.decode("utf-8", "replace")
            return replace(facts, details={**facts.details, "values": text[:65536]})
    return facts


def _list(chart: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = chart.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _text(chart: dict[str, Any], name: str) -> str:
    found = chart.get(name)
    return found if isinstance(found, str) else ""


KIND = Kind(
    "chart",
    "A Helm chart.",
    config_types=("application/vnd.cncf.helm.config.v1+json",),
    layer_types=(CONTENT,),
    foreign=_describe,
    inspect=_inspect,
)
