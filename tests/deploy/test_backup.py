"""Backups in the chart and in compose: the commands are such, and the containers have what they need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gati_registry.__main__ import parser
from tests.deploy.chart import EVERYTHING, S3, Object, pod_of, render
from tests.deploy.test_compose import COMPOSE, SERVICES, filled

EMBEDDED: Mapping[str, Any] = {"backup": {"enabled": True, "to": S3, "secret": {"name": "backup"}}}


@pytest.mark.client
@pytest.mark.parametrize(("values", "follows"), [(EVERYTHING, None), (EMBEDDED, 60.0)], ids=["shared", "embedded"])
def test_the_chart_backs_up(tmp_path: Path, values: Mapping[str, Any], follows: float | None) -> None:
    objects = render(tmp_path, values)
    registry = pod_of(objects)
    pod: Object = registry if follows else objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = (found for found in pod["containers"] if found["name"] == "backup")
    (server,) = (found for found in registry["containers"] if found["name"] == "registry")
    # The same registry, from the same image, with as little as it may do.
    for name in ("image", "env", "securityContext"):
        assert container[name] == server[name]
    for name in ("automountServiceAccountToken", "enableServiceLinks"):
        assert pod[name] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    arguments = parser().parse_args(container["args"])
    assert (arguments.command, arguments.action, arguments.to) == ("backup", "make", S3)
    assert arguments.follow == follows
    assert arguments.keep_daily == (7 if follows else 14)
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(arguments.key_file) == f"{mounts['backup']}/key"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["backup"]["secret"]["items"][0]["path"] == "key"
    claims = {
        claim["metadata"]["name"]
        for claim in objects.get("StatefulSet", {}).get("spec", {}).get("volumeClaimTemplates", [])
    }
    assert mounts.keys() <= volumes.keys() | claims
    if follows:
        assert mounts["data"] == "/var/lib/gati"


@pytest.mark.client
def test_no_request_reaches_a_backup(tmp_path: Path) -> None:
    objects = render(tmp_path, EVERYTHING)
    labels = objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert not objects["Service"]["spec"]["selector"].items() <= labels.items()
    assert len(objects["CronJob"]["metadata"]["name"]) <= 52  # Kubernetes adds eleven characters for each job


def test_compose_backs_up() -> None:
    service, replica = SERVICES["backup"], SERVICES["registry-1"]
    assert service["profiles"] == ["backup"]
    assert (service["image"], service["environment"]) == (replica["image"], replica["environment"])
    arguments = parser().parse_args([filled(word, {}) for word in service["command"]])
    assert (arguments.command, arguments.follow) == ("backup", 60.0)
    # What the place is in is a volume, which takes over the owner that the image gives this folder.
    (volume,) = service["volumes"]
    name, _, folder = volume.partition(":")
    assert name in COMPOSE["volumes"]
    assert Path(arguments.to).is_relative_to(folder)
    image = (Path(__file__).parents[2] / "deploy/Containerfile").read_text()
    assert re.search(rf"^COPY .*--chown=65532:65532 .* {re.escape(folder)}$", image, re.MULTILINE)
    assert {f"/run/secrets/{secret}" for secret in service["secrets"]} == {str(arguments.key_file)}
    assert set(service["secrets"]) <= COMPOSE["secrets"].keys()
