"""Container images, of OCI and of docker: what their config says."""

from __future__ import annotations

from typing import Any

from gati_extensions.kinds.kind import Facts, Kind

_SHOWN = 200


def _describe(config: dict[str, Any]) -> Facts:
    """Of an image's config. Source: image-spec config.md. Whatever has another form there is left out."""
    run = _object(config.get("config"))
    labels = {key: value for key, value in _object(run.get("Labels")).items() if isinstance(value, str)}
    history = [
        {
            "created": step.get("created"),
            "by": _text(step.get("created_by"))[:2000],
            "empty": step.get("empty_layer") is True,
        }
        for step in _list(config.get("history"))[:_SHOWN]
        if isinstance(step, dict)
    ]
    platform = "/".join(
        part for name in ("os", "architecture", "variant") if isinstance(part := config.get(name), str) and part
    )
    wanted = ("Entrypoint", "Cmd", "WorkingDir", "User", "ExposedPorts", "Volumes", "StopSignal")
    return Facts(
        title=labels.get("org.opencontainers.image.title", ""),
        version=labels.get("org.opencontainers.image.version", ""),
        description=labels.get("org.opencontainers.image.description", ""),
        authors=tuple(filter(None, [labels.get("org.opencontainers.image.authors") or _text(config.get("author"))])),
        license=labels.get("org.opencontainers.image.licenses", ""),
        homepage=labels.get("org.opencontainers.image.url", ""),
        source=labels.get("org.opencontainers.image.source", ""),
        platforms=(platform,) if platform else (),
        details={
            "created": _text(config.get("created")),
            "run": {name: run[name] for name in wanted if name in run},
            "environment": [entry.partition("=")[0] for entry in _list(run.get("Env")) if isinstance(entry, str)],
            "labels": dict(list(labels.items())[:_SHOWN]),
            "history": history,
        },
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


KIND = Kind(
    "image",
    "A container image.",
    config_types=(
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    ),
    foreign=_describe,
)
