"""The tree of commands, and how the program ends."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Annotated, Any

import typer

from gati_client.cli.frame import App, choose, common, current
from gati_client.cli.tree import Group, Make, makers
from gati_client.errors import GatiError

MODULES: dict[str, tuple[str, ...]] = {
    "session": ("login", "logout", "whoami"),
    "registry": ("registry",),
    "packing": ("publish", "pack", "unpack", "cache"),
    "project": (
        *("add", "remove", "install", "update", "outdated"),
        *("resolve", "tree", "why", "audit", "diff", "deps", "lock"),
    ),
    "init": ("init",),
    "finding": ("search",),
    "publishing": ("validate", "info", "list"),
    "states": (
        "unpublish",
        "republish",
        "deprecate",
        "undeprecate",
        "yank",
        "unyank",
        "archive",
        "restore",
        "star",
        "unstar",
        "rate",
    ),
    "versions": ("version",),
    "namespaces": ("namespace",),
    "organizations": ("org",),
    "keys": ("key",),
    "moving": ("copy", "export", "import"),
    "doctor": ("doctor",),
    "reference": ("completion", "man"),
}
"""Which commands are in the `app` of which module. One that is a group is an `App` added to it by `add_typer`."""

KINDS = (
    "module",
    "plugin",
    "model",
    "agent",
    "template",
    "snapshot",
    "transformer",
    "spec",
    "service",
    "config",
    "library",
    "theme",
    "pipeline",
    "prompt",
    "dataset",
)
"""Kinds of artifacts that have a group of commands: `gati module publish`. What they all have is in `kinds.app`;
`create.app_for(kind)` adds the scaffolds, and `snapshot.app` what snapshots alone have."""


def _module(name: str) -> Any:
    return importlib.import_module(f"gati_client.cli.{name}")


class Kind(Group):
    """The group of a kind."""

    @cached_property
    def makers(self) -> Mapping[str, Make]:
        """What a later module has replaces what an earlier one has."""
        found = {**makers(_module("kinds").app), **makers(_module("create").app_for(self.name))}
        if self.name == "snapshot":
            found |= makers(_module("snapshot").app)
        return found

    def invoke(self, ctx: Any) -> Any:
        """What follows is about this kind."""
        choose(str(self.name))
        return super().invoke(ctx)


class Root(Group):
    """Commands by the table above, whose modules are imported when they are asked for."""

    @cached_property
    def makers(self) -> Mapping[str, Make]:
        """All, in the order of the table."""
        return {
            **{name: partial(_of, module, name) for module, names in MODULES.items() for name in names},
            **{kind: partial(_kind, kind) for kind in KINDS},
        }


def _of(module: str, name: str) -> Any:
    return makers(_module(module).app)[name]()


def _kind(kind: str) -> Kind:
    about = f"Publish, find and install artifacts of the kind {kind}."
    return Kind(name=kind, help=about, no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gati {version('gati-registry')}")
        raise typer.Exit


app = App(cls=Root)


@app.callback()
@common
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Publish, find and install artifacts of every kind in an OCI registry."""


def main() -> int:
    """Run; returns the exit code. Errors are one line with the remedy; a traceback comes with --debug alone."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # to look for them takes as long as a request
    if "_GATI_COMPLETE" in os.environ:
        from typer import _completion_classes as completion

        completion._sanitize_help_text = lambda text: text  # none has rich's tags, and rich takes long to import
        completion.completion_init()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what a terminal's encoding lacks is no reason to stop
    try:
        code = typer.main.get_group(app).main(prog_name="gati", standalone_mode=False)
        sys.stdout.flush()
    except GatiError as error:
        return _failed(str(error), error.remedy, error.exit_code)
    except BrokenPipeError:
        # Who reads our output has had enough; nothing more may be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except typer.Abort:
        return _failed("stopped", "", 1)
    except OSError as error:
        return _failed(*_of_system(error), 1)
    except Exception as error:
        if hasattr(error, "format_message"):
            return _misused(error)
        return _failed(f"{type(error).__name__}: {error}", "--debug shows where", 1)
    return code if isinstance(code, int) else 0


def _of_system(error: OSError) -> tuple[str, str]:
    """What the machine did not let us do, and the remedy."""
    if not error.strerror:
        return f"{type(error).__name__}: {error}", "--debug shows where"
    where = f"{error.filename}: " if error.filename is not None else ""  # a write does not know its file's name
    return f"{where}{error.strerror.lower()}", _REMEDIES.get(error.errno or 0, "--debug shows where")


_REMEDIES = {
    errno.EACCES: "make it yours, or use another folder",
    errno.EPERM: "make it yours, or use another folder",
    errno.EROFS: "use a folder that can be written",
    errno.ENOSPC: "make room; gati cache prune gives some back",
    errno.EDQUOT: "make room; gati cache prune gives some back",
    errno.EFBIG: "allow larger files there: ulimit -f, or the file system's own limit",
    errno.ENOTDIR: "a folder is needed there",
    errno.EISDIR: "a file is needed there",
    errno.EEXIST: "something else is there",
    errno.ENOENT: "check the name",
}


def _failed(message: str, remedy: str, code: int) -> int:
    """Say why on standard error."""
    if current().debug:
        import traceback

        traceback.print_exc()
    if remedy:
        # A sentence of its own, or a part of one: both go on in the same line.
        first = remedy[0].lower() if remedy[1:2].islower() else remedy[0]
        message = f"{message}; {first}{remedy[1:].rstrip('.')}"
    sys.stderr.write(f"gati: {message}\n")
    return code


def _misused(error: Any) -> int:
    """What the parser of arguments did not like, or a group without a command: that shows its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    where = error.ctx.command_path if getattr(error, "ctx", None) is not None else "gati"
    return _failed(error.format_message().replace("Value error, ", "").rstrip("."), f"see {where} --help", 2)
