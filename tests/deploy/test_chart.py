"""The Helm chart: linted, rendered with several values, and what comes out held against the server's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gati_registry.loader import sections
from gati_registry.serving.supervisor import CLOSING
from gati_registry.settings import Postgresql, Settings, SettingsError, load
from tests.deploy.chart import CHART, EVERYTHING, S3, SHARED, Object, environment_of, helm, pod_of, render
from tests.deploy.files import DEPLOY, read_yaml, version

pytestmark = pytest.mark.client

WAYS: Mapping[str, Mapping[str, Any]] = {
    "embedded": {},
    "embedded, blobs in S3": {"blobs": SHARED["blobs"], "admin": {"secret": {"name": "admin"}}},
    "shared": SHARED,
    "everything": EVERYTHING,
}


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """One way to run it after the other."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def objects(way: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Object]:
    """What that way makes, by kind."""
    return render(tmp_path_factory.mktemp("helm"), WAYS[way])


def settings_of(objects: Mapping[str, Object]) -> Settings:
    """The settings that the server would read, values from Secrets being made up."""
    secrets = {"GATI_METADATA_URL": "postgresql://user:password@host/database"}
    given = {name: value or secrets.get(name, "secret") for name, value in environment_of(objects).items()}
    return load(environment=given, extensions=sections).settings


def test_helm_finds_nothing_wrong(way: str, tmp_path: Path) -> None:
    result = helm(tmp_path, "lint", WAYS[way], "--strict")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_kinds_fit_the_way(way: str, objects: Mapping[str, Object]) -> None:
    always = {"Service", "ServiceAccount", "NetworkPolicy"}
    kinds = {
        "shared": {"Deployment", "PodDisruptionBudget"},
        "everything": {
            "Deployment",
            "PodDisruptionBudget",
            "HorizontalPodAutoscaler",
            "Ingress",
            "ServiceMonitor",
            "CronJob",
        },
    }
    assert objects.keys() == always | kinds.get(way, {"StatefulSet"})


def test_pods_are_restricted(objects: Mapping[str, Object]) -> None:
    """As https://kubernetes.io/docs/concepts/security/pod-security-standards/ wants it of "restricted", and more."""
    pod = pod_of(objects)
    context = pod["securityContext"]
    assert context["runAsNonRoot"]
    assert context["runAsUser"] > 0
    assert context["fsGroup"] == context["runAsUser"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert not any("hostPath" in volume for volume in pod["volumes"])
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
        assert container["resources"]["limits"]["memory"]


def test_the_settings_are_ones_that_the_server_takes(objects: Mapping[str, Object], way: str) -> None:
    settings = settings_of(objects)
    assert settings.shared_metadata == (way in {"shared", "everything"})
    assert settings.address == ("0.0.0.0", 5000)
    assert (settings.bucket is not None) == (way != "embedded")
    mounts = {mount["mountPath"]: mount for mount in pod_of(objects)["containers"][0]["volumeMounts"]}
    assert {"/tmp", str(settings.data)} <= mounts.keys()
    for path in (settings.admin_password_file, settings.tls.cert, settings.tls.key):
        assert path is None or mounts[str(path.parent)]["readOnly"]


def test_values_reach_the_server(tmp_path: Path) -> None:
    settings = settings_of(render(tmp_path, EVERYTHING))
    assert [str(network) for network in settings.proxy.trusted] == ["10.0.0.0/8", "fd00::/8"]
    assert settings.public_url == "https://registry.example.org"
    assert settings.gc.grace == 604800
    assert settings.uploads.expiry == 1209600.5
    assert settings.log.reads is False
    assert settings.extensions == ("identity", "audit")
    assert settings.workers == 2
    assert (settings.shutdown.delay, settings.shutdown.grace) == (20, 900)
    assert settings.blobs_url == S3


def test_every_mount_has_its_volume(objects: Mapping[str, Object]) -> None:
    pod = pod_of(objects)
    claims = objects.get("StatefulSet", {"spec": {}})["spec"].get("volumeClaimTemplates", [])
    volumes = [volume["name"] for volume in pod["volumes"]] + [claim["metadata"]["name"] for claim in claims]
    assert sorted(volumes) == sorted(mount["name"] for mount in pod["containers"][0]["volumeMounts"])


def test_a_pod_gets_the_time_that_its_transfers_have(objects: Mapping[str, Object]) -> None:
    settings = settings_of(objects)
    needed = settings.shutdown.delay + settings.shutdown.grace + CLOSING
    assert pod_of(objects)["terminationGracePeriodSeconds"] > needed


def test_probes(objects: Mapping[str, Object]) -> None:
    settings = settings_of(objects)
    (container,) = pod_of(objects)["containers"]
    scheme = "HTTPS" if settings.tls.cert else "HTTP"
    paths = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        assert container[probe]["httpGet"] == {"path": path, "port": "http", "scheme": scheme}
    # The start may migrate the schema; and proxies learn that a pod goes before it stops taking requests.
    startup, ready = container["startupProbe"], container["readinessProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > Postgresql().migration_timeout
    assert ready["periodSeconds"] * ready["failureThreshold"] < settings.shutdown.delay


def test_the_variables_that_kubernetes_adds_would_stop_the_start(objects: Mapping[str, Object]) -> None:
    """A Service of this name makes them in every pod that does not refuse them."""
    with pytest.raises(SettingsError):
        load(environment={"GATI_REGISTRY_SERVICE_HOST": "10.0.0.1"})
    assert pod_of(objects)["enableServiceLinks"] is False


def test_selectors_find_the_pods(objects: Mapping[str, Object]) -> None:
    workload = objects.get("Deployment") or objects["StatefulSet"]
    labels = workload["spec"]["template"]["metadata"]["labels"].items()
    selectors = [workload["spec"]["selector"]["matchLabels"], objects["Service"]["spec"]["selector"]]
    selectors.append(objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"])
    if "PodDisruptionBudget" in objects:
        selectors.append(objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"])
    for selector in selectors:
        assert selector
        assert selector.items() <= labels
    if "ServiceMonitor" in objects:
        wanted = objects["ServiceMonitor"]["spec"]["selector"]["matchLabels"].items()
        assert wanted <= objects["Service"]["metadata"]["labels"].items()


def test_an_upgrade_takes_no_replica_away_before_another_is_there(tmp_path: Path) -> None:
    objects = render(tmp_path, SHARED)
    rolling = objects["Deployment"]["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxUnavailable": 0, "maxSurge": 1}
    assert objects["Deployment"]["spec"]["replicas"] == 2


def test_an_autoscaled_deployment_leaves_the_number_alone(tmp_path: Path) -> None:
    objects = render(tmp_path, EVERYTHING)
    assert "replicas" not in objects["Deployment"]["spec"]
    target = objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": objects["Deployment"]["metadata"]["name"]}


def test_an_ingress_lets_layers_through(tmp_path: Path) -> None:
    annotations = render(tmp_path, EVERYTHING)["Ingress"]["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io/"
    assert annotations[f"{prefix}proxy-body-size"] == "0"
    assert annotations[f"{prefix}proxy-request-buffering"] == annotations[f"{prefix}proxy-buffering"] == "off"
    assert annotations[f"{prefix}backend-protocol"] == "HTTPS"


def test_egress_is_closed_where_somebody_says_what_is_open(tmp_path: Path) -> None:
    policy = render(tmp_path, EVERYTHING)["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == {53, 5432, 9000}
    assert policy["ingress"][0]["from"] == EVERYTHING["networkPolicy"]["from"]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"database": {"secret": {"name": "database"}}}, "blobs.url"),
        ({"autoscaling": {"enabled": True}}, "autoscaling.enabled"),
        ({"databse": {}}, "databse"),
        ({"database": {"url": "postgresql://user:password@host/database"}}, "url"),
        ({"blobs": {"url": "s3:/bucket"}}, "blobs/url"),
        ({"backup": {"enabled": True, "secret": {"name": "backup"}}}, "backup.to"),
        ({"backup": {"enabled": True, "to": S3}}, "backup.secret.name"),
        ({"backup": {"enabled": True, "to": "bucket"}}, "to"),
        ({"replicas": 0}, "replicas"),
        ({"settings": {"listen": "127.0.0.1:1"}}, "listen"),
        ({"settings": {"gc.grace": {"days": 1}}}, "grace"),
        ({"image": {"digest": "latest"}}, "digest"),
    ],
)
def test_values_that_cannot_work_are_refused(tmp_path: Path, values: Mapping[str, Any], named: str) -> None:
    result = helm(tmp_path, "template", values, "release")
    assert result.returncode != 0
    assert named in result.stderr


def test_the_chart_is_of_this_version() -> None:
    chart = read_yaml(CHART / "Chart.yaml")
    assert chart["appVersion"] == version()


def test_alerts_know_the_chart_s_limit_of_memory() -> None:
    """The registry does not tell what it may use: the alert's constant is the default of the chart."""
    limit = read_yaml(CHART / "values.yaml")["resources"]["limits"]["memory"]
    assert limit == "1Gi"
    assert f"vector({1024**3})" in (DEPLOY / "prometheus" / "alerts.yaml").read_text()
