"""`gati init`: a project of a template, and later what the template has become since."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gati_client.cli.frame import App, asking, current, emit, progress, say
from gati_client.cli.output import console
from gati_client.errors import Conflict, Usage

if TYPE_CHECKING:
    from gati_client.templates.answering import Ask, Given
    from gati_client.templates.project import Template
    from gati_client.templates.variables import Variable

app = App()


@app.command()
async def init(
    folder: Annotated[Path, typer.Argument(help="The project's folder.")] = Path(),
    template: Annotated[
        str | None, typer.Option("--template", "-t", help="NAME, NAME@VERSION, or a folder (./mine) to try.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option("--answers", help="A file (JSON, TOML, YAML) with answers, by name.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One answer.")] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Merge what a newer version of the project's template changed.")
    ] = False,
    allow_hooks: Annotated[
        bool, typer.Option("--allow-hooks", help="Run the template's commands without asking.")
    ] = False,
) -> None:
    """Begin a project: of a template, or with an empty gati.json."""
    from gati_client.templates.answering import Given, read

    texts = {}
    for pair in set_ or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise Usage(f"--set {pair}: not understood", remedy="write --set NAME=VALUE")
        texts[name] = value
    given = Given(read(answers) if answers else {}, texts)
    if update:
        await _update(folder, template, given)
    elif template is None:
        _bare(folder)
    else:
        await _begin(folder, template, given, allow_hooks)


def _bare(folder: Path) -> None:
    from gati_client.project import manifest

    if (folder / manifest.FILE).exists() and not current().force:
        raise Conflict(f"{folder / manifest.FILE} is there already", remedy="gati add NAME adds to it")
    folder.mkdir(parents=True, exist_ok=True)
    application = manifest.Application({"name": folder.absolute().name, "version": "0.1.0", "dependencies": {}})
    manifest.save(folder, application)
    emit({"folder": str(folder), "files": [manifest.FILE]})


async def _begin(folder: Path, wanted: str, given: Given, allow_hooks: bool) -> None:
    from gati_client.templates import hooks, project
    from gati_client.templates.answering import answers
    from gati_client.templates.sandbox import Sandbox

    sandbox = Sandbox()
    async with _template(wanted) as found:
        values = answers(found.description.variables, given, sandbox, _asking())
        files = project.render(found, values, sandbox)
        commands = {when: hooks.commands(found.description, when, values, sandbox) for when in ("pre", "post")}
        recorded = {**files, project.RECORD: project.record(found, values)}
        project.check(recorded, folder, force=current().force)  # before a hook runs
        agreed = _consent([*commands["pre"], *commands["post"]], allow_hooks)
        for command in commands["pre"] if agreed else ():
            hooks.run(command, folder)
        project.write(recorded, folder, force=current().force)
        for command in commands["post"] if agreed else ():
            hooks.run(command, folder)
    origin = found.origin
    emit(
        {
            "folder": str(folder),
            "template": origin.repository if origin else wanted,
            "version": found.description.version,
            "digest": origin.digest if origin else None,
            "files": [*files],
        }
    )
    if found.description.includes_modules:
        say(f"its modules are in gati.json: cd {folder} && gati install")


async def _update(folder: Path, wanted: str | None, given: Given) -> None:
    from gati_client.templates import project
    from gati_client.templates.answering import answers
    from gati_client.templates.sandbox import Sandbox
    from gati_client.templates.update import apply, plan

    before = project.recorded(folder)
    origin = before.origin
    if origin is None:
        raise Usage(
            "this project was made of a template's folder, whose earlier state nobody kept",
            remedy="publish the template and begin with gati init --template NAME",
        )
    sandbox = Sandbox()
    async with (
        _template(f"{origin.registry}/{origin.repository}@{origin.digest}", typed=False) as old,
        _template(wanted or f"{origin.registry}/{origin.repository}", typed=wanted is not None) as new,
    ):
        if new.origin is not None and new.origin.digest == origin.digest and not given.values and not given.texts:
            say(f"{origin.repository} {origin.version} is the newest already")
            emit([], ("what", "path"))
            return
        # What is new is asked, secrets again; what is asked no more still answers the old one.
        kept = {
            name: value
            for name, value in before.answers.items()
            if any(variable.name == name for variable in new.description.variables)
        }
        values = answers(new.description.variables, dataclasses.replace(given, before=kept), sandbox, _asking())
        # Of secrets nothing was kept: what is said now stands for what was said then.
        earlier = {
            variable.name: before.answers.get(variable.name, values.get(variable.name, variable.fallback))
            for variable in old.description.variables
        }
        steps = plan(
            folder,
            project.render(old, earlier, sandbox),
            project.render(new, values, sandbox),
            f"{origin.repository} {new.description.version}",
        )
        apply(folder, steps)
        project.write({project.RECORD: project.record(new, values)}, folder, force=True)
    emit([{"what": step.what, "path": step.path} for step in steps], ("what", "path"))
    say(f"{origin.repository}: {origin.version} → {new.description.version}")
    if conflicts := [step.path for step in steps if step.what == "conflict"]:
        raise Conflict(
            f"yours and the template's changes differ in {', '.join(conflicts[:10])}",
            remedy="settle what stands between <<<<<<< and >>>>>>> (or in NAME.new)",
        )


@asynccontextmanager
async def _template(wanted: str, *, typed: bool = True) -> AsyncIterator[Template]:
    """A template by name, or by a folder that is written as one (`.`, `./x`, `/x`); `typed` unless a record, which
    may come from anybody, names it."""
    from gati_client.cli.api import connect_named, placed
    from gati_client.names import Name
    from gati_client.templates import fetching

    if wanted.startswith(("/", "./", "../")) or wanted in (".", ".."):
        yield fetching.local(Path(wanted))
        return
    name = Name.parse(wanted)
    async with connect_named(name.registry, typed=typed) as client:
        repository, reference = await placed(client, wanted, name, publishing=False), name.digest or name.version
        with tempfile.TemporaryDirectory(prefix="gati-template-") as scratch:
            with progress() as report:
                found = await fetching.fetch(client, repository, reference, Path(scratch), report)
            yield found


def _asking() -> Ask | None:
    """Asks on the terminal; None where there is none, or with --yes."""
    if current().yes or not sys.stdin.isatty():
        return None
    return _ask


def _ask(variable: Variable, default: Any, wrong: str) -> str | None:
    from gati_client.templates.variables import plain, show

    screen = console(error=True)
    if wrong:
        screen.print(wrong)
    screen.print(plain(variable.description) or variable.name)
    for number, option in enumerate(variable.options, 1):
        screen.print(f"  {number}. {show(option)}")
    several = " (several, with commas between)" if variable.type == "list" else ""
    hint = f" [{show(default)}]" if default not in (None, "") and variable.type != "secret" else ""
    if variable.type == "boolean":
        hint = " [Y/n]" if default else " [y/N]"
    with asking():
        text: str = typer.prompt(
            f"{variable.name}{several}{hint}",
            default="",
            show_default=False,
            hide_input=variable.type == "secret",
            err=True,
        )
    return text or None


def _consent(commands: list[list[str]], allowed: bool) -> bool:
    """Whether the template's commands may run: they are shown, and asked for. `--yes` is no consent to them."""
    from gati_client.templates.hooks import shown

    if not commands:
        return False
    say("the template wants to run:")
    for command in commands:
        say(f"  {shown(command)}")
    if allowed:
        return True
    if current().yes or not sys.stdin.isatty():
        say("they are not run; --allow-hooks would")
        return False
    with asking():
        return typer.confirm("Run these commands?", default=False, err=True)
