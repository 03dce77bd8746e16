"""What the program says of itself: completion, the man page, and docs/commands.md, all out of the tree of commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer

from gati_client.cli.frame import COMMON, App
from gati_client.cli.tree import metavar

EXIT_CODES = (
    (0, "done"),
    (1, "failed"),
    (2, "wrong usage"),
    (3, "not found"),
    (4, "denied"),
    (5, "conflict: it is there already, or changed meanwhile"),
    (6, "integrity: what came is not what was promised"),
    (7, "network: the registry cannot be reached"),
)

ENVIRONMENT = (
    ("GATI_REGISTRY", "the registry, as --registry says it"),
    ("GATI_NAMESPACE", "where bare names are"),
    ("GATI_TOKEN", "an API key or token for the registry that is chosen; comes before stored logins"),
    ("XDG_CONFIG_HOME", "gati/config.toml lies there; ~/.config if absent"),
    ("XDG_CACHE_HOME", "gati/ there is the cache; ~/.cache if absent"),
    ("DOCKER_CONFIG", "folder of docker's config.json, which holds the logins; ~/.docker if absent"),
    ("NO_COLOR", "no colours"),
    ("HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "proxies"),
    ("SSL_CERT_FILE", "authorities that are trusted in place of the system's"),
)

app = App()


@app.command()
def completion(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="For which shell.")]) -> None:
    """Print a script that completes commands and options.

    bash: source <(gati completion bash)
    """
    from typer._completion_shared import get_completion_script

    sys.stdout.write(get_completion_script(prog_name="gati", complete_var="_GATI_COMPLETE", shell=shell) + "\n")


@app.command()
def man(
    markdown: Annotated[bool, typer.Option("--markdown", help="The reference as Markdown instead.")] = False,
) -> None:
    """Print the manual: gati man | man -l -"""
    sys.stdout.write(as_markdown() if markdown else as_roff())


# --- the tree ---------------------------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its words, groups left out, in the order of `gati --help`."""
    from gati_client.cli import root

    tree: Any = typer.main.get_group(root.app)
    context = typer.Context(tree, info_name="gati")
    first, *others = (tree.get_command(context, kind) for kind in root.KINDS)
    told = {name: _told(first.get_command(context, name)) for name in first.list_commands(context)}

    def walk(group: Any, words: str) -> Iterator[tuple[str, Any]]:
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            if found.hidden or (group in others and told.get(name) == _told(found)):
                continue  # what all kinds have is told with the first of them
            if hasattr(found, "list_commands"):
                yield from walk(found, f"{words} {name}")
            else:
                yield f"{words} {name}", found

    yield from walk(tree, "gati")


def _told(command: Any) -> tuple[str, list[str]]:
    """What would be said of a command, but for the kind in its words."""
    return command.callback.__module__ if command.callback else "", [str(param.name) for param in command.params]


def _arguments(command: Any) -> list[Any]:
    return [param for param in command.params if param.param_type_name == "argument"]


def _options(command: Any) -> list[Any]:
    """Its own; the common ones are told once."""
    return [
        param
        for param in command.params
        if param.param_type_name == "option" and not param.hidden and not param.name.startswith(COMMON)
    ]


def _usage(words: str, command: Any) -> str:
    parts = [words]
    for param in _arguments(command):
        name = metavar(param) + ("..." if param.nargs == -1 else "")
        parts.append(name if param.required else f"[{name}]")
    return " ".join([*parts, *(["[OPTIONS]"] if _options(command) else [])])


def _spelling(option: Any) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names} {metavar(option)}"


def _common() -> list[Any]:
    from gati_client.cli import root

    return [param for param in typer.main.get_group(root.app).params if str(param.name).startswith(COMMON)]


def as_markdown() -> str:
    """docs/commands.md."""
    lines = [
        "# Commands of gati",
        "",
        "Made from the program by `gati man --markdown`; `gati man` is the same as a man page.",
        "",
        "Results go to standard output, words about them to standard error. The fields of `--output json` are stable.",
        "",
        "## Common options",
        "",
        "Every command takes these, before or after its own words.",
        "",
        "| option | |",
        "|---|---|",
        *(f"| `{_cell(_spelling(option))}` | {_cell(option.help)} |" for option in _common()),
        "",
        "## Exit codes and environment",
        "",
        "| code | |",
        "|---|---|",
        *(f"| {code} | {meaning} |" for code, meaning in EXIT_CODES),
        "",
        "| variable | |",
        "|---|---|",
        *(f"| `{name}` | {meaning} |" for name, meaning in ENVIRONMENT),
    ]
    chapter = ""
    for words, command in commands():
        if (first := words.split()[1]) != chapter:
            chapter = first
            lines += ["", f"## {chapter}"]
        lines += ["", f"### `{_usage(words, command)}`", "", command.help or ""]
        rows = [(f"`{metavar(param)}`", param.help) for param in _arguments(command) if param.help]
        rows += [(f"`{_spelling(option)}`", option.help) for option in _options(command)]
        if rows:
            lines += ["", "| | |", "|---|---|", *(f"| {_cell(name)} | {_cell(text)} |" for name, text in rows)]
    return "\n".join(lines) + "\n"


def _cell(text: str | None) -> str:
    return (text or "").replace("\n", " ").replace("|", "\\|")


def as_roff() -> str:
    """The man page.

    Source: groff_man(7).
    """
    from importlib.metadata import version

    lines = [
        f'.TH GATI 1 "" "gati {version("gati-registry")}" "User Commands"',
        ".SH NAME",
        "gati \\- publish, find and install artifacts of every kind in an OCI registry",
        ".SH SYNOPSIS",
        ".B gati",
        "[OPTIONS] COMMAND [ARGUMENTS]",
        ".SH COMMANDS",
    ]
    for words, command in commands():
        lines += [".TP", f".B {_roff(_usage(words, command))}", *_prose(command.help or "")]
        for option in _options(command):
            lines += [".RS", ".TP", f".B {_roff(_spelling(option))}", *_prose(option.help or ""), ".RE"]
    lines += [".SH COMMON OPTIONS"]
    for option in _common():
        lines += [".TP", f".B {_roff(_spelling(option))}", *_prose(option.help or "")]
    lines += [".SH EXIT STATUS"]
    for code, meaning in EXIT_CODES:
        lines += [".TP", f".B {code}", *_prose(meaning)]
    lines += [".SH ENVIRONMENT"]
    for name, meaning in ENVIRONMENT:
        lines += [".TP", f".B {_roff(name)}", *_prose(meaning)]
    return "\n".join(lines) + "\n"


def _roff(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


def _prose(text: str) -> list[str]:
    """Lines of text; a blank one is a paragraph, and one that begins like a request is none."""
    lines = [_roff(line.strip()) for line in text.strip().splitlines()]
    return [".IP" if not line else f"\\&{line}" if line[0] in ".'" else line for line in lines] or ["\\&"]
