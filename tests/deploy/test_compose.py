"""The compose file, and how it fits the server's settings and nginx's configuration."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from gati_registry.loader import sections
from gati_registry.serving.supervisor import CLOSING
from gati_registry.settings import Settings, load
from tests.deploy.files import DEPLOY, REPOSITORY, read_yaml, version
from tests.support.minio import PASSWORD, USER, MinioServer

COMPOSE: Mapping[str, Any] = read_yaml(DEPLOY / "compose.yaml")
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
REPLICAS = ("registry-1", "registry-2")
# `${NAME:-default}` and `${NAME:?complaint}`, the two forms in use.
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+):([-?])([^}]*)\}")


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text as compose fills it in from the environment."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if name in values:
            return values[name]
        assert kind == "-", f"{name} has no default: {rest}"
        return rest

    return VARIABLE.sub(value, text)


def settings_of(replica: str) -> Settings:
    """What the replica's server would read; the image adds the address and the data folder."""
    secrets = {"POSTGRES_PASSWORD": "a", "S3_ACCESS_KEY": "b", "S3_SECRET_KEY": "c"}
    environment = {name: filled(value, secrets) for name, value in SERVICES[replica]["environment"].items()}
    return load({"listen": "0.0.0.0:5000"}, environment, extensions=sections).settings


@pytest.mark.parametrize("name", SERVICES)
def test_containers_can_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


def test_only_nginx_is_reachable_and_by_default_from_here_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published.keys() == {"nginx"}
    assert [filled(port, {}) for port in published["nginx"]] == ["127.0.0.1:8080:8080"]
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert {name for name, service in SERVICES.items() if "outside" in service["networks"]} == {"nginx"}


@pytest.mark.parametrize("replica", REPLICAS)
def test_the_server_takes_the_settings(replica: str) -> None:
    settings = settings_of(replica)
    assert settings.shared_metadata
    assert settings.bucket is not None
    assert settings.bucket.endpoint == "http://minio:9000"
    secrets = {f"/run/secrets/{name}" for name in SERVICES[replica]["secrets"]}
    assert {str(settings.admin_password_file)} == secrets
    assert set(SERVICES[replica]["secrets"]) <= COMPOSE["secrets"].keys()


@pytest.mark.parametrize("replica", REPLICAS)
def test_a_replica_gets_the_time_that_its_transfers_have(replica: str) -> None:
    settings = settings_of(replica)
    given = float(SERVICES[replica]["stop_grace_period"].removesuffix("s"))
    assert given > settings.shutdown.delay + settings.shutdown.grace + CLOSING


def test_nginx_and_replicas_know_each_other() -> None:
    """The names that nginx's configuration has are services with fixed addresses; they believe nginx alone."""
    text = (DEPLOY / "nginx.conf").read_text()
    upstream = re.findall(r"^\s*server ([\w-]+):5000\b", text, re.MULTILINE)
    assert tuple(upstream) == REPLICAS
    address = {name: SERVICES[name]["networks"]["inside"]["ipv4_address"] for name in ("nginx", *REPLICAS)}
    assert len(set(address.values())) == len(address)
    for replica in REPLICAS:
        (trusted,) = settings_of(replica).proxy.trusted
        assert trusted.num_addresses == 1
        assert ip_address(address["nginx"]) in trusted
    assert re.search(r"^\s*listen 8080;", text, re.MULTILINE)
    timeouts = {int(seconds) for seconds in re.findall(r"fail_timeout=(\d+)s", text)}
    assert max(timeouts) < min(settings_of(replica).shutdown.delay for replica in REPLICAS)


def test_no_secret_stands_in_the_file() -> None:
    """Passwords come from the environment, which has no default for them, and are in no URL."""
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD$|SECRET|ACCESS_KEY", variable):
                assert VARIABLE.fullmatch(value), (name, variable)
                assert ":?" in value
            assert not re.search("://[^/]*:[^/]*@", value), (name, variable)
    example = (DEPLOY / "example.env").read_text()
    needed = set(re.findall(r"\$\{([A-Z0-9_]+):\?", (DEPLOY / "compose.yaml").read_text()))
    assert needed <= set(re.findall(r"^([A-Z0-9_]+)=", example, re.MULTILINE))


def test_images_are_pinned() -> None:
    for name, service in SERVICES.items():
        image = filled(service["image"], {})
        assert re.fullmatch(r"[\w./-]+:[\w.-]+", image), name
        assert not image.endswith(":latest")
        if image.startswith("gati-registry:"):
            assert image == f"gati-registry:{version()}"
    build = SERVICES["registry-1"]["build"]
    context = (DEPLOY / build["context"]).resolve()
    assert context == REPOSITORY
    assert (context / build["dockerfile"]).is_file()


def test_alerts_know_the_limit_of_memory() -> None:
    assert {SERVICES[replica]["mem_limit"] for replica in REPLICAS} == {"1g"}
    assert f"vector({1024**3})" in (DEPLOY / "prometheus" / "alerts.yaml").read_text()


@pytest.mark.client
def test_the_bucket_is_made_once(tmp_path: Path) -> None:
    """The one-shot's program, run against a real server; a second run changes nothing."""
    (script,) = SERVICES["bucket"]["command"]
    server = MinioServer(tmp_path / "minio")
    try:
        server.start()
        assert "minio:9000" in script
        program = script.replace("minio:9000", f"127.0.0.1:{server.port}")
        for _ in range(2):
            environment = {"S3_ACCESS_KEY": USER, "S3_SECRET_KEY": PASSWORD, "PATH": ""}
            subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
        assert server.client.bucket_exists("registry")
        assert settings_of("registry-1").bucket == settings_of("registry-2").bucket
    finally:
        server.stop()
