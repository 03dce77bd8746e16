"""Settings: the official suite's names, meanings and defaults; nothing misspelt goes unseen."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
import yaml

from gati_conformance import __file__ as package
from gati_conformance.cases import GROUPS, all_cases
from gati_conformance.config import SWITCHES, Config, ConfigError, load
from gati_conformance.datasets import RECIPES
from gati_conformance.entries import OFFICIAL_ENTRIES, cases_by_entry
from gati_conformance.model import Level
from gati_conformance.runner import select

NOWHERE = Path("/nonexistent")
DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"


def _load(**environment: str) -> Config:
    return load(environment, directory=NOWHERE)


def _on(config: Config) -> set[str]:
    return {key for key, value in config.switches.items() if value}


def test_defaults_are_those_of_1_1() -> None:
    config = _load()
    assert (config.url, config.repo1, config.version) == ("https://localhost:5000", "conformance/repo1", "1.1")
    off = {
        "apis.blobs.digestHeader",
        "apis.blobs.uploadCancel",
        "apis.manifests.digestHeader",
        "apis.manifests.tagParam",
        "data.sparse",
    }
    assert set(SWITCHES) - _on(config) == off


def test_versions_gate_what_they_brought() -> None:
    old, stable, dev = _load(OCI_VERSION="1.0"), _load(OCI_VERSION="stable"), _load(OCI_VERSION="dev")
    assert _on(stable) - _on(old) == {"apis.blobs.mountAnonymous", "apis.referrer"}
    assert set(SWITCHES) - _on(dev) == {"data.sparse"}
    assert [config.off("version.1.1") == "" for config in (old, stable, dev)] == [False, True, True]
    assert [config.off("version.dev") == "" for config in (old, stable, dev)] == [False, False, True]


def test_the_environment_goes_before_the_file_and_the_file_before_older_names(tmp_path: Path) -> None:
    file = {"registry": "file:1", "tls": "disabled", "repo1": "file/one", "apis": {"blobs": {"delete": False}}}
    (tmp_path / "oci-conformance.yaml").write_text(yaml.safe_dump(file))
    environment = {"OCI_ROOT_URL": "https://old", "OCI_CROSSMOUNT_NAMESPACE": "old/two", "OCI_REPO1": "env/one"}
    config = load(environment, directory=tmp_path)
    assert (config.url, config.repo1, config.repo2) == ("http://file:1", "env/one", "old/two")
    assert not config.switches["apis.blobs.delete"]
    config = load(environment | {"OCI_API_BLOBS_DELETE": "T"}, directory=tmp_path)
    assert config.switches["apis.blobs.delete"]


def test_a_named_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("version: dev\nroData:\n  tags: [a, b]\n")
    config = load({"OCI_CONFIGURATION": str(tmp_path / "mine.yaml")}, directory=NOWHERE)
    assert (config.version, config.read_only["tags"]) == ("1.1+dev", ("a", "b"))


def test_older_names_of_switches() -> None:
    config = _load(OCI_TEST_CONTENT_MANAGEMENT="0", OCI_ROOT_URL="http://Host:80/", OCI_NAMESPACE="My/Repo")
    assert (config.url, config.repo1) == ("http://host:80", "my/repo")
    assert {"apis.tags.delete", "apis.manifests.delete", "apis.blobs.delete"}.isdisjoint(_on(config))


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({"OCI_VERSION": "2"}, "OCI_VERSION=2"),
        ({"OCI_TLS": "maybe"}, "OCI_TLS=maybe"),
        ({"OCI_API_PUSH": "yes"}, "OCI_API_PUSH=yes"),
        ({"OCI_DATA_SPARCE": "true"}, "OCI_DATA_SPARCE"),
        ({"OCI_CACHE_AUTH": "2"}, "OCI_CACHE_AUTH=2"),
    ],
)
def test_what_cannot_be_read_is_refused(environment: dict[str, str], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        load(environment, directory=NOWHERE)


@pytest.mark.parametrize(
    "text", ["registrie: x", "apis: {pull: maybe}", "apis: {blob: {delete: true}}", "- list", "a: [", "just text"]
)
def test_a_file_with_a_mistake_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "oci-conformance.yaml").write_text(text)
    with pytest.raises(ConfigError):
        load({}, directory=tmp_path)


def test_credentials_are_masked_in_reports() -> None:
    written = _load(OCI_USERNAME="alice", OCI_PASSWORD="hush").as_yaml()
    assert (written["username"], written["password"]) == ("***", "***")


def test_every_official_entry_is_decided_by_a_case() -> None:
    table = cases_by_entry(all_cases(_load()))
    assert set(table) == set(OFFICIAL_ENTRIES)
    assert all(table.values())


def test_cases_are_told_apart_and_order_themselves() -> None:
    cases = all_cases(_load())
    position = {case.id: number for number, case in enumerate(cases)}
    assert len(position) == len(cases)
    for case in cases:
        assert case.source, case.id
        assert case.title, case.id
        for earlier in (*case.after, *case.needs):
            assert position[earlier] < position[case.id], case.id
        for requirement in case.requires:
            _load().off(requirement)


def test_a_recipe_says_what_it_makes() -> None:
    """Which cases a data set has is known before it is made."""
    for recipe in RECIPES:
        made = recipe.make()
        subjects = ["subject" in manifest.document for manifest in made.manifests.values()]
        found = (bool(made.blobs), bool(made.manifests), bool(made.tags), not all(subjects), any(subjects))
        said = (recipe.blobs, recipe.manifests, recipe.tagged, recipe.plain, recipe.subject)
        assert found == said, recipe.group
        wrong = [digest for digest, manifest in made.manifests.items() if manifest.digest != digest]
        assert bool(wrong) == recipe.bad_digest, recipe.group


def test_read_only_content_adds_its_own_cases() -> None:
    digest = "sha256:" + "0" * 64
    config = _load(OCI_API_PUSH="false", OCI_RO_DATA_TAGS="a b", OCI_RO_DATA_BLOBS=digest)
    ids = [case.id for case in all_cases(config) if case.group == "read-only"]
    assert ids == [
        "read-only/tag-list",
        "read-only/head/manifest-by-tag",
        "read-only/head/blobs",
        "read-only/pull/manifest-by-tag",
        "read-only/pull/blobs",
    ]


def test_selection() -> None:
    config = _load()
    assert {case.level for case in select(config, level=Level.MUST)} == {Level.MUST}
    assert all(case.entries for case in select(config, official=True))
    assert {case.group for case in select(config, only=["ranges", "tags/n*"])} == {"ranges", "tags"}
    assert [case.id for case in select(config, only=["sha256-blobs/mount/delete-atomic"])] == [
        "sha256-blobs/mount/push",
        "sha256-blobs/mount/delete",
        "sha256-blobs/mount/delete-atomic",
    ]
    filtered = select(_load(OCI_FILTER_TEST="OCI Conformance Test/sha256 blobs"))
    assert {case.group for case in filtered} == {"sha256-blobs"}


def test_the_suite_knows_no_server() -> None:
    """It checks any registry, so it may share no code with ours."""
    allowed = {"gati_conformance", "httpx", "yaml"}
    for file in Path(package).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, file
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                assert top in allowed or top in sys.stdlib_module_names, f"{file}: {name}"


def test_the_document_is_up_to_date() -> None:
    """docs/conformance.md is made by --compare; a case that it lacks means that it has to be made again."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for group in GROUPS:
        assert f"### {group.name}\n" in text
        for case in group.cases:
            assert f"| `{case.id.partition('/')[2]}` | {case.title.replace('|', chr(92) + '|')}" in text.replace(
                "&lt;", "<"
            ), case.id
    for entry in OFFICIAL_ENTRIES:
        assert f"| {entry} | Pass |" in text, entry
