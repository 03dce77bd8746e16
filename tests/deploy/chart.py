"""The Helm chart, rendered by helm, as objects."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.clients.programs import require
from tests.deploy.files import DEPLOY

CHART = DEPLOY / "helm" / "gati-registry"

Object = dict[str, Any]

S3 = "s3://bucket/prefix?endpoint=http://minio:9000&region=us-east-1"
SHARED: Mapping[str, Any] = {
    "database": {"secret": {"name": "database"}},
    "blobs": {"url": S3, "secret": {"name": "bucket"}},
}
EVERYTHING: Mapping[str, Any] = {
    **SHARED,
    "image": {"digest": "sha256:" + "0" * 64},
    "admin": {"secret": {"name": "admin"}},
    "tls": {"secret": "inside"},
    "trustedProxies": ["10.0.0.0/8", "fd00::/8"],
    "settings": {
        "gc.grace": 604800,
        "log.reads": False,
        "uploads.expiry": 1209600.5,
        "extensions": ["identity", "audit"],
    },
    "autoscaling": {"enabled": True},
    "ingress": {"enabled": True, "host": "registry.example.org", "tlsSecret": "outside"},
    "networkPolicy": {
        "from": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "egress": [{"ports": [{"port": 5432, "protocol": "TCP"}, {"port": 9000, "protocol": "TCP"}]}],
    },
    "backup": {"enabled": True, "to": S3, "secret": {"name": "backup"}, "keep": {"daily": 14}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "workers": 2,
    "shutdown": {"delaySeconds": 20, "graceSeconds": 900},
    "extraEnv": [{"name": "SSL_CERT_FILE", "value": "/run/ca/ca.crt"}],
    "podLabels": {"team": "platform"},
    "podAnnotations": {"note": "none"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "priorityClassName": "high",
    "imagePullSecrets": [{"name": "pull"}],
}


def helm(home: Path, command: str, values: Mapping[str, Any], *more: str) -> subprocess.CompletedProcess[str]:
    """`helm COMMAND … CHART` with the values as a file."""
    (home / "values.yaml").write_text(yaml.safe_dump(dict(values)))
    return subprocess.run(
        [require("helm"), command, *more, CHART, "--values", home / "values.yaml"],
        env={"HOME": str(home), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def render(home: Path, values: Mapping[str, Any]) -> dict[str, Object]:
    """What would be made in the cluster, by kind; each kind comes once."""
    result = helm(home, "template", values, "release")
    assert result.returncode == 0, result.stderr
    found = [document for document in yaml.safe_load_all(result.stdout) if document]
    by_kind = {document["kind"]: document for document in found}
    assert len(by_kind) == len(found)
    return by_kind


def pod_of(objects: Mapping[str, Object]) -> Object:
    """The pod's specification."""
    pod: Object = (objects.get("Deployment") or objects["StatefulSet"])["spec"]["template"]["spec"]
    return pod


def environment_of(objects: Mapping[str, Object]) -> dict[str, str | None]:
    """The container's variables; None where a Secret has the value."""
    (container,) = pod_of(objects)["containers"]
    names = [entry["name"] for entry in container["env"]]
    assert len(set(names)) == len(names), names
    return {entry["name"]: entry.get("value") for entry in container["env"]}
