"""Alert rules and dashboard: Prometheus' own tool reads them, and the server really has what they name."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gati_registry.http.observe.metrics import COUNTERS, GAUGES, SCRAPE_GAUGES
from tests.clients.programs import require
from tests.deploy.files import DEPLOY, read_yaml
from tests.support.server import running

ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"

# What Prometheus itself adds for each target.
SYNTHETIC = {"up"}


def rules() -> list[dict[str, Any]]:
    """Every rule, alerts and recordings."""
    return [rule for group in read_yaml(ALERTS)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Every panel that shows something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Where each expression stands, and the expression with Grafana's variables filled in."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            filled = target["expr"].replace("$__rate_interval", "5m")
            yield panel["title"], re.sub(r"\$(job|instance)\b", ".*", filled)


def names(expression: str) -> set[str]:
    """The metrics that an expression names; recorded ones are not among them."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    return set(re.findall(r"(?<![\w:])(?:gati_[a-z0-9_]+|up)(?![\w:])", bare))


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all samples at /metrics of a server."""
    with running(tmp_path_factory.mktemp("metrics") / "data") as server:
        for path in ("/v2/", "/metrics"):  # the first look at /metrics has requests to tell of
            with urllib.request.urlopen(server.url + path, timeout=30) as answer:
                text = answer.read().decode()
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def test_every_metric_that_is_named_is_exposed(exposed: set[str]) -> None:
    for where, expression in expressions():
        missing = names(expression) - exposed - SYNTHETIC
        assert not missing, (where, missing)


def test_every_metric_of_the_server_is_on_the_dashboard() -> None:
    shown = {name for panel in panels() for target in panel["targets"] for name in names(target["expr"])}
    assert shown >= {*COUNTERS, *GAUGES, *SCRAPE_GAUGES}


def test_recorded_names_are_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = {name for rule in rules() for name in re.findall(r"\bgati_registry:[a-z0-9_:]+", rule["expr"])}
    assert used <= recorded


def test_labels_that_are_selected_exist(exposed: set[str]) -> None:
    """A selector by a label that no sample has would silently match nothing, or everything."""
    known = {"job", "instance", "route", "method", "status", "le", "worker"}
    for where, expression in expressions():
        selected = set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"", expression))
        assert selected <= known, (where, selected)


def test_alerts_say_what_to_do() -> None:
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]


@pytest.mark.client
def test_alerts_fire_when_they_should() -> None:
    result = subprocess.run(
        [require("promtool"), "test", "rules", "tests.yaml"],
        cwd=ALERTS.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_alert_has_a_unit_test() -> None:
    tested = (ALERTS.parent / "tests.yaml").read_text()
    for rule in rules():
        if "alert" in rule:
            assert f"alertname: {rule['alert']}" in tested or f'alertname="{rule["alert"]}"' in tested, rule["alert"]


@pytest.mark.client
def test_every_expression_is_promql(tmp_path: Path) -> None:
    """Those of the dashboard as rules of a file, since that is what promtool checks."""
    recordings = [{"record": f"shown:{turn}", "expr": expr} for turn, (_, expr) in enumerate(expressions())]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": recordings}]}))
    for file in (tmp_path / "rules.yaml", ALERTS):
        result = subprocess.run(
            [require("promtool"), "check", "rules", "--lint-fatal", file],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr


def test_the_dashboard_is_one() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["uid"] == "gati-registry"
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in panels():
        assert panel["description"], panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
