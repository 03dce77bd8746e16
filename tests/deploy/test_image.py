"""The Containerfile: what a build would take, and what a container of the image may do."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from pathlib import Path

from gati_registry.settings import catalogue, sections
from tests.deploy.files import DEPLOY, REPOSITORY, project, version


def instructions() -> list[tuple[str, str]]:
    """Instruction and arguments of each line, continued lines joined."""
    text = (DEPLOY / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def last_stage() -> list[tuple[str, str]]:
    """Of the image itself."""
    found = instructions()
    start = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def argument(name: str) -> str:
    """An ARG's default."""
    (value,) = [rest.partition("=")[2].strip('"') for what, rest in instructions() if rest.startswith(f"{name}=")]
    return value


def test_it_runs_as_a_user_without_rights_and_ends_by_sigterm() -> None:
    image = dict(last_stage())
    user, _, group = image["USER"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert image["STOPSIGNAL"] == "SIGTERM"
    # The exec form: the server itself is process 1, and gets the signal.
    assert json.loads(image["ENTRYPOINT"]) == ["gati-registry"]
    assert json.loads(image["CMD"]) == ["serve"]
    assert "HEALTHCHECK" not in image
    assert image["VOLUME"] == "/var/lib/gati"


def test_the_image_is_made_of_what_the_lock_file_says() -> None:
    assert [rest for name, rest in last_stage() if name in ("RUN", "ADD")] == []
    runs = [rest for name, rest in instructions() if name == "RUN" and " sync " in rest]
    assert runs
    assert all("--frozen" in run and "--no-default-groups" in run for run in runs)
    assert "--no-editable" in runs[-1]


def test_versions_are_those_of_the_project() -> None:
    assert argument("VERSION") == version()
    makefile = (REPOSITORY / "Makefile").read_text()
    assert f"UV_VERSION := {argument('UV_VERSION')}\n" in makefile


def test_the_extras_are_those_that_settings_ask_for() -> None:
    extras = set(argument("EXTRAS").split())
    assert extras <= project()["project"]["optional-dependencies"].keys()
    words = [setting.description for setting in catalogue()] + [text for _, text in sections()]
    assert extras == {name for text in words for name in re.findall(r"extra `(\w+)`", text)}


def test_all_that_is_copied_is_in_the_context_and_no_more() -> None:
    lines = (REPOSITORY / ".containerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    taken = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = [rest.split()[:-1] for name, rest in instructions() if name == "COPY" and "--from" not in rest]
    assert {source for sources in copied for source in sources} == taken
    assert all((REPOSITORY / source).exists() for source in taken)
    packages = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {Path(package).parts[0] for package in packages} <= taken
    assert any(fnmatch("registry/gati_registry/__pycache__", rule) for rule in rules)
    assert (REPOSITORY / ".dockerignore").read_text() == (REPOSITORY / ".containerignore").read_text()
