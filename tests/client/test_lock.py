"""gati.lock as text: what is written, and what is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gati_client.errors import Conflict, Integrity, NotFound, Usage
from gati_client.project import lock as locks
from gati_client.project import manifest as manifests
from gati_client.project import ranges
from gati_client.project.lock import Lock, Package
from gati_client.project.tree import walk, why
from gati_extensions.kinds.api import parse_version
from gati_extensions.resolve import ranges as theirs
from gati_registry.errors import RegistryError

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")
APPLICATION = manifests.Application({"name": "shop", "version": "1.0.0", "dependencies": {"orgs/acme/app": "^1.0.0"},
                                     "devDependencies": {"library/lint": "*"}})  # fmt: skip
LOCK = Lock(APPLICATION.root, {
    "orgs/acme/app@1.2.0": Package(ONE, "http://127.0.0.1:5000", "module", {"users/bob/log": "2.0.0+b1"}),
    "users/bob/log@2.0.0+b1": Package(TWO, "http://127.0.0.1:5000", "module", {}, "2026-01-01T00:00:00Z"),
    "library/lint@0.1.0": Package(THREE, "http://127.0.0.1:5000", "plugin", {"users/bob/log": "2.0.0+b1"}),
})  # fmt: skip


def test_as_it_is_written(tmp_path: Path) -> None:
    assert locks.save(tmp_path, LOCK)
    text = (tmp_path / "gati.lock").read_text()
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    document = json.loads(text)
    assert list(document) == ["version", "root", "packages"]
    assert list(document["packages"]) == ["library/lint@0.1.0", "orgs/acme/app@1.2.0", "users/bob/log@2.0.0+b1"]
    assert document["root"]["dependencies"] == {"orgs/acme/app": "^1.0.0"}
    package = document["packages"]["users/bob/log@2.0.0+b1"]
    assert list(package) == ["registry", "kind", "digest", "integrity", "dependencies", "approved_at"]
    assert package["integrity"] == "sha256-IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI="
    assert locks.load(tmp_path) == LOCK
    assert not locks.save(tmp_path, LOCK)


def at(*path: str) -> Callable[[dict[str, Any], Any], None]:
    """Sets what lies at a path."""

    def change(document: dict[str, Any], value: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


APP, LOG = ("packages", "orgs/acme/app@1.2.0"), ("packages", "users/bob/log@2.0.0+b1")
TAMPERED: list[tuple[tuple[str, ...], Any, str]] = [
    (("version",), 0, "version is 0"),
    (("version",), 2, "is of version 2"),
    (("root", "dependencies"), {"orgs/../app": "^1.0.0"}, "gati.lock is refused: 'orgs/../app' is no name"),
    (("packages",), [], "objects"),
    (("root",), 1, "objects"),
    (("root", "dependencies"), {"a": 1}, "texts"),
    (("root", "dependencies", "library/more"), "*", "not in it"),
    (("root", "dependencies", "orgs/acme/app"), "^2.0.0", "not what"),
    ((*APP, "digest"), TWO, "differ"),
    ((*APP, "digest"), "md5:0", "no digest"),
    ((*APP, "digest"), "sha256:" + "1" * 63 + "g", "no digest"),
    ((*APP, "integrity"), "sha256-AAAA", "differ"),
    ((*APP, "integrity"), None, "differ"),
    ((*APP, "registry"), 5, "texts"),
    ((*APP, "dependencies"), {"users/bob/log": "3.0.0"}, "not in it"),
    ((*APP, "dependencies"), ["x"], "texts"),
    ((*APP, "approved_at"), 5, "must be a time"),
    (APP, "x", "no digest"),
    (("packages", "library/evil@1.0.0"), Package(ONE).document(), "nobody wants"),
    (("packages", "../../evil@1.0.0"), {"digest": ONE}, "not written"),
    (("packages", "orgs/acme/app@9.0.0"), Package(ONE).document(), "one version"),
    (("packages", "orgs/acme/app"), {"digest": ONE}, "not written"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "words"), TAMPERED, ids=["/".join(path) + " " + str(value)[:20] for path, value, _ in TAMPERED]
)
def test_tampered(tmp_path: Path, path: tuple[str, ...], value: Any, words: str) -> None:
    document = copy.deepcopy(LOCK.document())
    at(*path)(document, value)
    (tmp_path / "gati.lock").write_text(json.dumps(document))
    with pytest.raises(Integrity) as raised:
        locks.load(tmp_path)
    assert words in str(raised.value), raised.value
    assert raised.value.exit_code == 6


def test_of_a_later_gati(tmp_path: Path) -> None:
    """Nobody is told to throw it away."""
    (tmp_path / "gati.lock").write_text(json.dumps({**LOCK.document(), "version": 2}))
    with pytest.raises(Integrity) as caught:
        locks.load(tmp_path)
    assert caught.value.remedy == "use a newer gati"


def test_texts_that_are_none(tmp_path: Path) -> None:
    text = json.dumps(LOCK.document(), indent=2)
    for bad, words in (
        (text[:-5], "no JSON"),
        (text.replace('  "root"', '<<<<<<< HEAD\n  "root"'), "conflict of a merge"),
        (text.replace('"version": 1,', '"version": 1, "version": 1,'), "twice"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no JSON object"),
        ("\xff\xfe", "JSON"),
    ):
        (tmp_path / "gati.lock").write_bytes(bad.encode("latin-1"))
        with pytest.raises(Integrity, match=words):
            locks.load(tmp_path)


def test_packages_inside_packages() -> None:
    root = {"dependencies": {"orgs/a/x": "*", "orgs/a/x/y": "*"}}
    lock = Lock(root, {"orgs/a/x@1.0.0": Package(ONE), "orgs/a/x/y@1.0.0": Package(TWO)})
    with pytest.raises(Conflict, match="inside"):
        locks.nested(lock)


def test_short_names() -> None:
    root = {"dependencies": {"log": "*", "acme/app": "*", "@acme/other": "*"}}
    packages = {
        "library/log@1.0.0": Package(ONE),
        "orgs/acme/app@1.0.0": Package(TWO),
        "orgs/acme/other@1.0.0": Package(THREE),
    }
    assert len(locks.parse(Lock(root, packages).document()).packages) == 3


def test_tree_and_why() -> None:
    assert [(node.key, node.depth, node.dev, node.again) for node in walk(LOCK)] == [
        ("orgs/acme/app@1.2.0", 0, False, False),
        ("users/bob/log@2.0.0+b1", 1, False, False),
        ("library/lint@0.1.0", 0, True, False),
        ("users/bob/log@2.0.0+b1", 1, True, False),
    ]
    assert why(LOCK, "users/bob/log") == [
        ["orgs/acme/app@1.2.0", "users/bob/log@2.0.0+b1"], ["library/lint@0.1.0", "users/bob/log@2.0.0+b1"],
    ]  # fmt: skip
    with pytest.raises(NotFound):
        why(LOCK, "library/other")


def test_without_what_is_for_developers() -> None:
    assert set(LOCK.needed(dev=False)) == {"orgs/acme/app@1.2.0", "users/bob/log@2.0.0+b1"}


def test_gati_json(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        manifests.load(tmp_path)
    (tmp_path / "gati.json").write_text(
        '{"name": "a", "own": [1], "dependencies": {"x": "1"}, "devDependencies": {"y": "2"}}'
    )
    changed = manifests.load(tmp_path).with_dependencies({"y": "3", "a": "1"}).without({"x"})
    manifests.save(tmp_path, changed)
    assert json.loads((tmp_path / "gati.json").read_text()) == {
        "name": "a", "own": [1], "dependencies": {"a": "1", "y": "3"}, "devDependencies": {},
    }  # fmt: skip
    for bad in ('{"dependencies": []}', '{"dependencies": {"x": 1}}', '{"approve": "yes"}', "[]", "{"):
        (tmp_path / "gati.json").write_text(bad)
        with pytest.raises(Usage):
            manifests.load(tmp_path)


VERSIONS = ("0.0.0", "0.0.1", "0.1.0", "0.2.3", "1.0.0-alpha", "1.0.0-alpha.2", "1.0.0-alpha.10", "1.0.0", "1.0.1-rc.1",
            "1.2.3", "1.2.3+b", "1.3.0", "2.0.0-0", "2.0.0", "10.0.0")  # fmt: skip
RANGES = (
    *("*", "", "x", "1", "1.x", "1.2", "1.2.x", "1.2.3", "=1.2.3", "v1.2.3", "^1.2", "^0.2.3", "^0.0.1", "^0", "^0.0"),
    *("~1.2", "~1", "~1.2.3", "~>1.2", ">1", ">1.2", ">=1.2", "<2", "<=1.2", "<2.0.0", ">=1.0.0-alpha <1.0.1"),
    *("1.0 - 2.0", "1.0.0 - 1.2.3", "1 - 2", "^1.0.0 || ^2.0.0", "<0.0.1", ">x", "<*", ">= 1.2 < 2", "1.0.1-rc.1"),
    *("^1.0.0-alpha.2", "nonsense", "latest", "1.2.3.4", "^^1", ">=", "1 ||", ONE),
)


@pytest.mark.parametrize("text", RANGES)
def test_ranges_are_the_registrys(text: str) -> None:
    """The same verdicts as the resolver's; what names a release rather than a range is for the registry to judge."""
    try:
        range_ = theirs.parse(text)
    except (theirs.BadRange, RegistryError):
        assert ranges.parse(text) is None
        return
    for version in VERSIONS:
        own = parse_version(version)
        assert own is not None
        if range_.channel or range_.digest:
            assert ranges.admits(text, version) is None
        else:
            assert ranges.admits(text, version) == range_.admits(own), (text, version)
