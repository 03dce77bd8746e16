"""Configuration: the official suite's `OCI_*` switches with their meaning and their defaults by spec version.

Precedence, highest first: command-line flags, environment, YAML file, the official suite's older variables,
defaults. A value that cannot be read, or a switch that does not exist, is a `ConfigError`: a run with a typing
mistake in its configuration must not look like a run.

Source: distribution-spec, conformance/config.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

DEFAULT_FILE = "oci-conformance.yaml"
MASK = "***"


class ConfigError(Exception):
    """The configuration cannot be used; the message names the setting."""


@dataclass(frozen=True, slots=True)
class Switch:
    """One on/off setting: its key in YAML files, its variable, and its default at spec version 1.1."""

    key: str
    variable: str
    default: bool


SWITCHES = {
    switch.key: switch
    for switch in (
        Switch("apis.ping", "OCI_API_PING", True),
        Switch("apis.pull", "OCI_API_PULL", True),
        Switch("apis.push", "OCI_API_PUSH", True),
        Switch("apis.blobs.atomic", "OCI_API_BLOBS_ATOMIC", True),
        Switch("apis.blobs.delete", "OCI_API_BLOBS_DELETE", True),
        Switch("apis.blobs.digestHeader", "OCI_API_BLOBS_DIGEST_HEADER", False),
        Switch("apis.blobs.mountAnonymous", "OCI_API_BLOBS_MOUNT_ANONYMOUS", True),
        Switch("apis.blobs.uploadCancel", "OCI_API_BLOBS_UPLOAD_CANCEL", False),
        Switch("apis.manifests.atomic", "OCI_API_MANIFESTS_ATOMIC", True),
        Switch("apis.manifests.delete", "OCI_API_MANIFESTS_DELETE", True),
        Switch("apis.manifests.digestHeader", "OCI_API_MANIFESTS_DIGEST_HEADER", False),
        Switch("apis.manifests.tagParam", "OCI_API_MANIFESTS_TAG_PARAM", False),
        Switch("apis.tags.atomic", "OCI_API_TAGS_ATOMIC", True),
        Switch("apis.tags.delete", "OCI_API_TAGS_DELETE", True),
        Switch("apis.tags.list", "OCI_API_TAGS_LIST", True),
        Switch("apis.referrer", "OCI_API_REFERRER", True),
        Switch("data.image", "OCI_DATA_IMAGE", True),
        Switch("data.index", "OCI_DATA_INDEX", True),
        Switch("data.indexList", "OCI_DATA_INDEX_LIST", True),
        Switch("data.sparse", "OCI_DATA_SPARSE", False),
        Switch("data.artifact", "OCI_DATA_ARTIFACT", True),
        Switch("data.subject", "OCI_DATA_SUBJECT", True),
        Switch("data.subjectMissing", "OCI_DATA_SUBJECT_MISSING", True),
        Switch("data.artifactList", "OCI_DATA_ARTIFACT_LIST", True),
        Switch("data.subjectList", "OCI_DATA_SUBJECT_LIST", True),
        Switch("data.dataField", "OCI_DATA_DATA_FIELD", True),
        Switch("data.nondistributable", "OCI_DATA_NONDISTRIBUTABLE", True),
        Switch("data.customFields", "OCI_DATA_CUSTOM_FIELDS", True),
        Switch("data.noLayers", "OCI_DATA_NO_LAYERS", True),
        Switch("data.emptyBlob", "OCI_DATA_EMPTY_BLOB", True),
        Switch("data.sha512", "OCI_DATA_SHA512", True),
    )
}

# What each spec version changes in the defaults above; the names a user may write, and the one reports show.
_DEV = {
    "apis.blobs.uploadCancel": True,
    "apis.blobs.digestHeader": True,
    "apis.manifests.digestHeader": True,
    "apis.manifests.tagParam": True,
}
VERSIONS: dict[str, tuple[str, dict[str, bool]]] = {
    "dev": ("1.1+dev", _DEV),
    "1.1+dev": ("1.1+dev", _DEV),
    "": ("1.1", {}),
    "stable": ("1.1", {}),
    "1.1": ("1.1", {}),
    "1.0": ("1.0", {"apis.blobs.mountAnonymous": False, "apis.referrer": False}),
}

# YAML key, variable, attribute of Config.
_TEXTS = (
    ("registry", "OCI_REGISTRY", "registry"),
    ("tls", "OCI_TLS", "tls"),
    ("repo1", "OCI_REPO1", "repo1"),
    ("repo2", "OCI_REPO2", "repo2"),
    ("username", "OCI_USERNAME", "username"),
    ("password", "OCI_PASSWORD", "password"),
    ("logging", "OCI_LOG", "logging"),
    ("resultsDir", "OCI_RESULTS_DIR", "results_dir"),
    ("filterTest", "OCI_FILTER_TEST", "filter_test"),
)
_LISTS = ("tags", "manifests", "blobs", "referrers")
# Keys that the official program writes into its reports; harmless in a file.
_IGNORED_KEYS = {"commit", "legacy", "version"}
# Older variables of the official suite, and the switches each stands for.
_LEGACY_SWITCHES = {
    "OCI_TEST_PULL": ("apis.pull",),
    "OCI_TEST_PUSH": ("apis.push",),
    "OCI_TEST_CONTENT_DISCOVERY": ("apis.tags.list", "apis.referrer"),
    "OCI_TEST_CONTENT_MANAGEMENT": ("apis.tags.delete", "apis.manifests.delete", "apis.blobs.delete"),
}


@dataclass(frozen=True)
class Config:
    """One run's settings. `switches` holds every key of `SWITCHES`."""

    registry: str = "localhost:5000"
    tls: str = "enabled"  # enabled, insecure (any certificate) or disabled (plain HTTP)
    repo1: str = "conformance/repo1"
    repo2: str = "conformance/repo2"
    username: str = ""
    password: str = ""
    cache_auth: bool = True
    logging: str = "warn"
    results_dir: str = "./results"
    filter_test: str = ""
    version: str = "1.1"
    switches: Mapping[str, bool] = field(default_factory=dict)
    read_only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Scheme, host and port of the registry, without a final slash."""
        return f"{'http' if self.tls == 'disabled' else 'https'}://{self.registry}"

    def off(self, requirement: str) -> str:
        """Why a requirement of a case is not met; empty when it is.

        A requirement is a key of `SWITCHES`, `version.1.1`, `version.dev` or `credentials`.
        """
        if requirement == "credentials":
            return "" if self.username and self.password else "OCI_USERNAME and OCI_PASSWORD are not given"
        if requirement.startswith("version."):
            wanted = requirement.removeprefix("version.")
            order = ["1.0", "1.1", "1.1+dev"]
            known = order.index(self.version) >= order.index(VERSIONS[wanted][0])
            return "" if known else f"newer than OCI_VERSION={self.version}: it came with {wanted}"
        switch = SWITCHES[requirement]
        return "" if self.switches[requirement] else f"{switch.variable} is off at OCI_VERSION={self.version}"

    def as_yaml(self) -> dict[str, Any]:
        """The configuration as the official report writes it, credentials masked."""
        tree: dict[str, Any] = {
            "registry": self.registry,
            "tls": self.tls,
            "repo1": self.repo1,
            "repo2": self.repo2,
            "username": MASK if self.username else "",
            "password": MASK if self.password else "",
            "cacheAuth": self.cache_auth,
            "logging": self.logging,
        }
        for key, value in self.switches.items():
            *parents, leaf = key.split(".")
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = value
        tree["roData"] = {name: list(self.read_only.get(name, ())) for name in _LISTS}
        return tree | {"resultsDir": self.results_dir, "version": self.version}


def load(environment: Mapping[str, str], *, directory: Path = Path(), version: str = "") -> Config:
    """Read the configuration. `version` (a flag) goes before the environment's and the file's.

    Raises:
        ConfigError: a value cannot be read, or a switch does not exist.
    """
    document = _read_file(environment, directory)
    wanted = version or environment.get("OCI_VERSION", "") or str(document.get("version", ""))
    if wanted not in VERSIONS:
        raise ConfigError(f"OCI_VERSION={wanted}: use 1.0, 1.1, stable or dev")
    name, changes = VERSIONS[wanted]
    switches = {key: switch.default for key, switch in SWITCHES.items()} | changes
    config = Config(version=name)

    config = _apply_legacy(config, switches, environment)
    config = _apply_document(config, switches, document)
    config = _apply_environment(config, switches, environment)
    if config.tls not in ("enabled", "insecure", "disabled"):
        raise ConfigError(f"OCI_TLS={config.tls}: use enabled, insecure or disabled")
    return replace(config, switches=switches)


def parse_bool(name: str, value: str) -> bool:
    """A boolean as Go's strconv.ParseBool reads it. Raises ConfigError."""
    if value in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if value in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ConfigError(f"{name}={value}: use true or false")


def _read_file(environment: Mapping[str, str], directory: Path) -> dict[str, Any]:
    name = environment.get("OCI_CONFIGURATION")
    path = directory / (name or DEFAULT_FILE)
    if not name and not path.is_file():
        return {}
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"OCI_CONFIGURATION={path}: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"OCI_CONFIGURATION={path}: not a mapping")
    return document


def _apply_legacy(config: Config, switches: dict[str, bool], environment: Mapping[str, str]) -> Config:
    if root := environment.get("OCI_ROOT_URL", "").strip().lower().rstrip("/"):
        scheme, separator, host = root.rpartition("://")
        config = replace(config, registry=host, tls="disabled" if separator and scheme == "http" else "enabled")
    for variable, attribute in (("OCI_NAMESPACE", "repo1"), ("OCI_CROSSMOUNT_NAMESPACE", "repo2")):
        if value := environment.get(variable, "").strip().lower().rstrip("/"):
            texts: dict[str, Any] = {attribute: value}
            config = replace(config, **texts)
    for variable, keys in _LEGACY_SWITCHES.items():
        if value := environment.get(variable, ""):
            switches.update(dict.fromkeys(keys, parse_bool(variable, value)))
    return config


def _apply_document(config: Config, switches: dict[str, bool], document: dict[str, Any]) -> Config:
    changes: dict[str, Any] = {}
    texts = {key: attribute for key, _, attribute in _TEXTS}
    for key, value in _flatten(document):
        if key in switches:
            if not isinstance(value, bool):
                raise ConfigError(f"{key}: use true or false")
            switches[key] = value
        elif key in texts:
            changes[texts[key]] = str(value if value is not None else "")
        elif key == "cacheAuth":
            changes["cache_auth"] = bool(value)
        elif key.startswith("roData.") and key.removeprefix("roData.") in _LISTS:
            lists = changes.setdefault("read_only", {})
            lists[key.removeprefix("roData.")] = tuple(str(item) for item in value or ())
        elif key not in _IGNORED_KEYS:
            raise ConfigError(f"{key}: no such setting")
    return replace(config, **changes)


def _apply_environment(config: Config, switches: dict[str, bool], environment: Mapping[str, str]) -> Config:
    by_variable = {switch.variable: switch.key for switch in SWITCHES.values()}
    lists = {f"OCI_RO_DATA_{name.upper()}": name for name in _LISTS}
    for variable, value in environment.items():
        if not variable.startswith(("OCI_API_", "OCI_DATA_", "OCI_RO_DATA_")):
            continue
        if variable not in by_variable and variable not in lists:
            raise ConfigError(f"{variable}: no such switch")
        if value and variable in by_variable:
            switches[by_variable[variable]] = parse_bool(variable, value)
    changes: dict[str, Any] = {
        attribute: environment[variable] for _, variable, attribute in _TEXTS if environment.get(variable)
    }
    if value := environment.get("OCI_CACHE_AUTH", ""):
        changes["cache_auth"] = parse_bool("OCI_CACHE_AUTH", value)
    given = {name: tuple(environment[var].split()) for var, name in lists.items() if environment.get(var)}
    return replace(config, **changes, read_only={**config.read_only, **given})


def _flatten(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in document.items():
        if isinstance(value, dict):
            pairs.extend(_flatten(value, f"{prefix}{key}."))
        else:
            pairs.append((f"{prefix}{key}", value))
    return pairs
