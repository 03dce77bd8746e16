"""`.gatiignore` against git itself."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from gati_client.pack.archive import listed
from gati_client.pack.ignore import Ignore, parse
from tests.client.packs import lay

NAMES = ("a", "b.txt", "foo", "foo.log", "x y", "#hash", "!bang", "build", "[z]", "c-1")
PATTERNS = (
    *("*.log", "!foo.log", "/foo", "foo/", "a/", "**/foo", "foo/**", "a/**/b.txt", "**", "*", "!*/", "!*.txt", "?"),
    *(
        "[a-c]*",
        "[!a]",
        "[^a-z]",
        "x\\ y",
        "x y ",
        "\\#hash",
        "\\!bang",
        "#comment",
        "",
        "build/*",
        "!build/a",
        "a/foo",
    ),
    *("/a/*.txt", "foo*", "*o", "[[:upper:]]", "\\[z\\]", "[]]", "[z-a]", "c[-1]1", "**/a/**", "a**", "***", "/"),
    *(
        "//",
        "a//b",
        "[abc",
        "foo\\",
        "c-[0-9]",
        "/*",
        "!/a",
        "!/a/",
        "*/foo",
        "?oo",
        "fo[!x]/*",
        "*o*.*",
        "[*]",
        "*[z]*",
    ),
)


@pytest.mark.parametrize("seed", range(12))
def test_as_git_does(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    folder = tmp_path / "tree"
    for depth in (1, 2, 3):
        for _ in range(25):
            path = folder.joinpath(*(chance.choice(NAMES) for _ in range(depth)))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("x")
            except OSError:
                continue  # a file is where a folder would be
    places = [folder, *[path for path in sorted(folder.iterdir()) if path.is_dir()][:2]]
    for place in places:
        lines = chance.sample(PATTERNS, 6)
        (place / ".gatiignore").write_text("\n".join(lines) + "\n")
        (place / ".gitignore").write_text("\n".join(lines) + "\n")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    command = ["git", "-c", "core.excludesFile=/dev/null", "ls-files", "-z", "--others", "--exclude-standard"]
    found = subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout.decode().split("\0")
    expected = {name for name in found if name and not name.endswith(".gatiignore")}
    assert {file.name for file in listed(folder, Ignore())} == expected


def test_what_is_left_out_anyway(tmp_path: Path) -> None:
    names = ("a.js", ".git/config", "gati_modules/x/a", "node_modules/x/a", "b.pyc", "sub/.git", ".DS_Store", "y.tmp")
    folder = lay(tmp_path, {**dict.fromkeys(names, ""), "sub/.gatiignore": "*.tmp\n", "sub/x.tmp": ""})
    assert [file.name for file in listed(folder)] == ["a.js", "y.tmp"]
    (folder / ".gatiignore").write_text("!node_modules/\n!.git/\n")
    assert [file.name for file in listed(folder)] == ["a.js", "node_modules/x/a", "y.tmp"]


def test_a_pattern_that_could_take_forever() -> None:
    (rule,) = parse(["*a" * 12 + "b"])
    assert not rule.matches("a" * 40, False)
