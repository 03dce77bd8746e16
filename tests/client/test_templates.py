"""Projects of templates: what is asked, what is rendered, what hostile templates do not get, updates."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gati_client.errors import Conflict, GatiError, Usage
from gati_client.templates import project
from gati_client.templates.answering import Given, answers
from gati_client.templates.fetching import local
from gati_client.templates.hooks import commands
from gati_client.templates.merging import merge
from gati_client.templates.sandbox import Limits, Sandbox
from gati_client.templates.update import apply, plan
from gati_client.templates.variables import Description, Variable, check, parse

SANDBOX = Sandbox()


def template(folder: Path, contents: dict[str, str | bytes], **manifest: Any) -> project.Template:
    """A template in a folder; its files are below `template/`."""
    for name, data in contents.items():
        target = folder / "template" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.encode() if isinstance(data, str) else data)
    document = {"name": "t", "version": "1.0.0", "templateType": "app", **manifest}
    (folder / project.MANIFEST).write_text(json.dumps(document))
    return local(folder)


def rendered(
    folder: Path, contents: dict[str, str | bytes], values: dict[str, Any], **manifest: Any
) -> dict[str, bytes]:
    """What comes out, by path."""
    made = project.render(template(folder, contents, **manifest), values, SANDBOX)
    return {path: file.data for path, file in made.items()}


# --- rendering ------------------------------------------------------------------------------------------------------


def test_names_and_texts(tmp_path: Path) -> None:
    made = rendered(
        tmp_path,
        {
            "README.md": "# {{ name }}\n",
            "src/{{ name }}.py.jinja": "{% for each in parts %}{{ each | upper }}\r\n{% endfor %}",
            "{% if tests %}tests{% endif %}/{{ name }}.txt": "left out",
            "logo.bin": b"\0{{ name }}",
            ".github/ci.yml": "${{ secrets.TOKEN }}\n",
            "shared.j2": "{% include 'part.txt' %}",
            "part.txt": "a part",
        },
        {"name": "shop", "parts": ["a", "b"], "tests": False},
        verbatim=[".github/*"],
    )
    assert made == {
        "README.md": b"# shop\n",
        "src/shop.py": b"A\r\nB\r\n",
        "logo.bin": b"\0{{ name }}",
        ".github/ci.yml": b"${{ secrets.TOKEN }}\n",
        "shared": b"a part",
        "part.txt": b"a part",
    }


def test_without_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("{{ x }}")
    (tmp_path / project.MANIFEST).write_text(json.dumps({"name": "t", "version": "1.0.0", "files": ["a.txt"]}))
    made = project.render(local(tmp_path), {"x": "1"}, SANDBOX)
    assert {path: file.data for path, file in made.items()} == {"a.txt": b"1"}


def test_programs_and_modules(tmp_path: Path) -> None:
    folder = template(tmp_path, {"run.sh": "#!/bin/sh\n"}, includesModules=["@acme/log@^1.2"]).folder
    (folder / "template/run.sh").chmod(0o755)
    made = project.render(local(folder), {}, SANDBOX)
    project.write(made, tmp_path / "out")
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert json.loads((tmp_path / "out/gati.json").read_text()) == {"dependencies": {"orgs/acme/log": "^1.2"}}


@pytest.mark.parametrize("engine", ["handlebars", "eta", "ejs"])
def test_other_engines(engine: str, tmp_path: Path) -> None:
    with pytest.raises(GatiError, match=f"{engine}.* does not render") as caught:
        template(tmp_path, {}, engine=engine)
    assert "jinja2" in caught.value.remedy


def test_faults_are_told_where(tmp_path: Path) -> None:
    with pytest.raises(GatiError, match=r"'a\.txt' line 2: "):
        rendered(tmp_path / "1", {"a.txt": "x\n{% if %}"}, {})
    with pytest.raises(GatiError, match=r"'b\.txt': uses what is not there: 'nobody'"):
        rendered(tmp_path / "2", {"b.txt": "{{ nobody }}"}, {})


# --- hostile templates ----------------------------------------------------------------------------------------------

REACHING = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ x.__init__.__globals__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(x) }}",
    "{{ self.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__['os'].system('touch /tmp/x') }}",
    "{{ range.__self__ }}",
    "{% set y = x.append(1) %}{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{% include '/etc/passwd' %}",
    "{% include '../../etc/passwd' %}",
    "{% import 'os' as os %}",
]


@pytest.mark.parametrize("text", REACHING)
def test_sandbox_holds(text: str, tmp_path: Path) -> None:
    with pytest.raises(GatiError, match="the template's file"):
        rendered(tmp_path, {"a.txt": text}, {"x": ["1"]})
    with pytest.raises(GatiError, match="the template's file"):
        rendered(tmp_path / "name", {"a.txt": "x"}, {"x": ["1"]}, files=[{"path": "a.txt", "target": text}])


EATING = [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 'x' * 10**10 }}",
    "{{ 10 ** (10 ** 10) }}",
    "{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% include 'a.txt' %}",
    "{{ [[]] * 10**9 }}",
    "{{ '%0999999999d' % 1 }}",
    "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
]


@pytest.mark.parametrize("text", EATING)
def test_limits_hold(text: str, tmp_path: Path) -> None:
    small = Sandbox(Limits(memory=300 * 1024**2, cpu=2, output=1024**2))
    with pytest.raises(GatiError, match="the template"):
        project.render(template(tmp_path, {"a.txt": text}), {}, small)


def test_patterns_that_take_for_ever() -> None:
    small = Sandbox(Limits(cpu=1))
    with pytest.raises(GatiError, match="more time"):
        small.matches("(a+)+b", "a" * 60)
    with pytest.raises(GatiError, match="no regular expression"):
        small.matches("(", "")


@pytest.mark.parametrize(
    "target",
    [
        "../out", "/etc/out", "a/../../out", "..\\out", "C:/out", "a\nb", "{{ up }}", "a/{{ up }}/x",
        ".git/hooks/pre-commit", "x/.GIT/config", ".git./config",
        ".g\u200cit/config", "GIT~1/config", ".git::$INDEX_ALLOCATION/config",
        ".gati/template.json", "a" * 300, "{{ absolute }}/x",
    ],
)  # fmt: skip
def test_nothing_outside(target: str, tmp_path: Path) -> None:
    values = {"up": "../../out", "absolute": "/etc"}
    with pytest.raises(GatiError, match="refused"):
        rendered(tmp_path, {"a.txt": "x"}, values, files=[{"path": "a.txt", "target": target}])


def test_names_that_collide(tmp_path: Path) -> None:
    with pytest.raises(GatiError, match="same file on some systems"):
        rendered(tmp_path / "1", {"a.txt": "1", "{{ 'A' }}.txt": "2"}, {})
    with pytest.raises(GatiError, match="twice"):
        rendered(tmp_path / "2", {"a.txt": "1", "{{ 'a' }}.txt": "2"}, {})
    with pytest.raises(GatiError, match="a file and a folder"):
        rendered(tmp_path / "3", {"a": "1", "{{ 'a' }}/b": "2"}, {})


def test_links_are_neither_read_nor_followed(tmp_path: Path) -> None:
    found = template(tmp_path / "t", {"a.txt": "x"})
    (tmp_path / "t/template/link").symlink_to("/etc/passwd")
    with pytest.raises(GatiError, match="no plain file"):
        project.render(found, {}, SANDBOX)
    (tmp_path / "outside").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/sub").symlink_to(tmp_path / "outside")
    with pytest.raises(GatiError, match="symbolic link"):
        project.write({"sub/a.txt": project.File(b"x")}, tmp_path / "mine")
    (tmp_path / "mine/b.txt").symlink_to(tmp_path / "outside/b.txt")
    project.write({"b.txt": project.File(b"x")}, tmp_path / "mine", force=True)
    assert not list((tmp_path / "outside").iterdir())


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("mine")
    with pytest.raises(Conflict, match=r"b\.txt"):
        project.write({"a.txt": project.File(b"x"), "b.txt": project.File(b"x")}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


# --- variables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "typed", "value"),
    [
        ({"type": "string"}, " a b ", " a b "),
        ({"type": "integer"}, " -12 ", -12),
        ({"type": "number"}, "1.5e3", 1500.0),
        ({"type": "boolean"}, "Yes", True),
        ({"type": "boolean"}, "off", False),
        ({"type": "choice", "options": ["a", 2, True]}, "2", 2),
        ({"type": "choice", "options": ["a", 2, True]}, "1", "a"),
        ({"type": "choice", "options": ["a", 2, True]}, "yes", True),
        ({"type": "list"}, "a, b,,c ", ["a", "b", "c"]),
        ({"type": "list", "options": ["x", "y", "z"]}, "x,3", ["x", "z"]),
        ({"type": "secret"}, "s3cret", "s3cret"),
    ],
)
def test_what_is_typed(variable: dict[str, Any], typed: str, value: Any) -> None:
    found = Variable(name="v", **variable)
    parsed = check(found, parse(found, typed), SANDBOX.matches)
    assert (type(parsed), parsed) == (type(value), value)


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ({"type": "string", "required": True}, "", "must be given"),
        ({"type": "string", "min": 3}, "ab", "at least 3 characters"),
        ({"type": "string", "pattern": "[a-z]+"}, "a1", "pattern"),
        ({"type": "string"}, 5, "must be a text"),
        ({"type": "integer", "min": 1, "max": 65535}, 0, "at least 1"),
        ({"type": "integer", "max": 65535}, 65536, "at most 65535"),
        ({"type": "integer"}, 1.5, "whole number"),
        ({"type": "integer"}, True, "whole number"),
        ({"type": "number"}, "1", "a number"),
        ({"type": "number"}, float("nan"), "a number"),
        ({"type": "boolean"}, "yes", "true or false"),
        ({"type": "choice", "options": ["a", "b"]}, "c", "one of a, b"),
        ({"type": "choice", "options": [1]}, True, "one of 1"),
        ({"type": "list", "options": ["a"]}, ["a", "b"], "one of a"),
        ({"type": "list", "max": 1}, ["a", "b"], "at most 1 entries"),
        ({"type": "list"}, "a", "a list"),
        ({"type": "list", "pattern": "[a-z]+"}, ["a", "1"], "pattern"),
        ({"type": "secret", "min": 8}, "short", "at least 8"),
    ],
)
def test_what_does_not_fit(variable: dict[str, Any], value: Any, why: str) -> None:
    with pytest.raises(Usage, match=why) as caught:
        check(Variable(name="v", **variable), value, SANDBOX.matches)
    assert variable["type"] != "secret" or str(value) not in str(caught.value)


def test_answers_from_everywhere() -> None:
    variables = [
        Variable(name="name", required=True, pattern="[a-z]+"),
        Variable(name="service", default="{{ name }}-service"),
        Variable(name="port", type="integer", default=8080),
        Variable(name="parts", type="list", options=["a", "b"], default=["b"]),
        Variable(name="old"),
    ]
    given = Given({"name": "shop"}, {"port": "81"}, {"old": "kept", "port": 1})
    assert answers(variables, given, SANDBOX, None) == {
        "name": "shop", "service": "shop-service", "port": 81, "parts": ["b"], "old": "kept",
    }  # fmt: skip
    with pytest.raises(Usage, match="name must be given"):
        answers(variables, Given(), SANDBOX, None)
    with pytest.raises(Usage, match="asks for no stranger"):
        answers(variables, Given({"stranger": 1}), SANDBOX, None)
    typed = iter(["SHOP", "shop", None, "no", "80", "1,2", None])
    told: list[str] = []

    def ask(variable: Variable, default: Any, wrong: str) -> str | None:
        told.append(wrong)
        return next(typed)

    asked = answers(variables, Given(), SANDBOX, ask)
    assert asked == {"name": "shop", "service": "shop-service", "port": 80, "parts": ["a", "b"], "old": ""}
    assert [bool(wrong) for wrong in told] == [False, True, False, False, True, False, False]
    before = Given({"name": "shop"}, before={"port": "no number any more"})
    with pytest.raises(Usage, match="port must be a whole number"):
        answers(variables, before, SANDBOX, None)
    typed = iter([None, "82", None, None])
    assert answers(variables, before, SANDBOX, ask)["port"] == 82


def test_secrets_are_not_kept(tmp_path: Path) -> None:
    found = template(tmp_path, {}, variables=[{"name": "key", "type": "secret"}, {"name": "name"}])
    data = project.record(found, {"key": "s3cret", "name": "shop"}).data
    assert b"s3cret" not in data
    assert json.loads(data)["answers"] == {"name": "shop"}


def test_hooks_are_words() -> None:
    description = Description(
        hooks={"post": ["echo {{ name }}", ["printf", "%s", "{{ name }}"]], "preGenerate": "true"}
    )
    values = {"name": "a b; rm -rf $HOME"}
    assert commands(description, "post", values, SANDBOX) == [
        ["echo", "a b; rm -rf $HOME"], ["printf", "%s", "a b; rm -rf $HOME"],
    ]  # fmt: skip
    assert commands(description, "pre", values, SANDBOX) == [["true"]]
    with pytest.raises(GatiError, match="no command"):
        commands(Description(hooks={"post": [{"run": "x"}]}), "post", {}, SANDBOX)


# --- merging and updates --------------------------------------------------------------------------------------------

LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n"]), max_size=8).map("".join)


@given(LINES, LINES)
@settings(deadline=None)
def test_one_side_alone(base: str, other: str) -> None:
    assert merge(base, other, base).text == other
    assert merge(base, base, other).text == other
    assert merge(base, other, other).text == other


@given(LINES, LINES, LINES)
@settings(deadline=None)
def test_conflicts_hold_both(base: str, ours: str, theirs: str) -> None:
    merged = merge(base, ours, theirs)
    mine, other, where = [], [], "both"
    for line in merged.text.splitlines(keepends=True):
        where = {"<": "mine", "=": "other", ">": "both"}.get(line[0], where)
        if line[0] not in "<=>":
            mine += [line] if where != "other" else []
            other += [line] if where != "mine" else []
    assert merged.text.count("<<<<<<< yours\n") == merged.conflicts == merged.text.count(">>>>>>> template\n")
    # With our side of each conflict nothing of ours is lost where theirs changed nothing, and the other way round.
    if theirs == base:
        assert "".join(mine) == ours
    if ours == base:
        assert "".join(other) == theirs


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_as_git_merges(tmp_path: Path) -> None:
    base = "".join(f"line {number}\n" for number in range(12))
    ours = base.replace("line 2\n", "mine\n").replace("line 9\n", "mine too\nand more\n")
    theirs = base.replace("line 5\n", "").replace("line 9\n", "theirs\n") + "end\n"
    paths = [tmp_path / name for name in ("ours", "base", "theirs")]
    for path, text in zip(paths, (ours, base, theirs), strict=True):
        path.write_text(text)
    command = ["git", "merge-file", "-p", "-L", "yours", "-L", "base", "-L", "template", *map(str, paths)]
    merged = merge(base, ours, theirs)
    assert merged.text == subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert merged.conflicts == 1


def test_every_case_of_an_update(tmp_path: Path) -> None:
    F = project.File
    ten = "".join(f"{number}\n" for number in range(10))
    old = {name: F(b"old\n") for name in ("same", "gone", "gone-changed", "updated", "removed-by-user", "clash")}
    old |= {"both": F(ten.encode()), "logo": F(b"\0old")}
    new = {
        "same": F(b"old\n"), "updated": F(b"new\n", True), "removed-by-user": F(b"new\n"), "clash": F(b"new\n"),
        "both": F(ten.replace("9", "nine").encode()), "logo": F(b"\0new"), "added": F(b"new\n"), "there": F(b"new\n"),
    }  # fmt: skip
    project.write(old, tmp_path)
    (tmp_path / "removed-by-user").unlink()
    for name, text in {
        "gone-changed": "mine\n", "clash": "mine\n", "both": ten.replace("0", "zero"), "logo": "\0mine",
        "there": "mine\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    steps = plan(tmp_path, old, new, "t 2.0.0")
    assert {step.path: step.what for step in steps} == {
        "gone": "removed", "gone-changed": "kept", "updated": "updated", "removed-by-user": "kept", "clash": "conflict",
        "both": "merged", "logo": "conflict", "added": "added", "there": "conflict",
    }  # fmt: skip
    apply(tmp_path, steps)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {
        "same": "old\n", "gone-changed": "mine\n", "updated": "new\n", "added": "new\n", "logo": "\0mine",
        "logo.new": "\0new", "both": ten.replace("0", "zero").replace("9", "nine"),
        "clash": "<<<<<<< yours\nmine\n=======\nnew\n>>>>>>> t 2.0.0\n",
        "there": "<<<<<<< yours\nmine\n=======\nnew\n>>>>>>> t 2.0.0\n",
    }  # fmt: skip
    assert os.access(tmp_path / "updated", os.X_OK)
    with pytest.raises(Conflict, match="marks of a conflict"):
        plan(tmp_path, new, {**new, "clash": F(b"newer\n")}, "t 3.0.0")
