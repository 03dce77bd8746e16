"""How the tree of commands grows: a command is made when it is asked for, and reads its words without pydantic.

A call needs one command of more than a hundred, each with a dozen options. Typer makes all of a group at once, and
reads every value, defaults too, through a pydantic adapter of its own; importing pydantic takes longer than all else
that a plain call does. So a `Group` knows its commands by name and makes each when it is asked for, and what is
plainly right is read here. All else goes to Typer's own reading, which also says what is wrong with it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from typer._coercion import RuntimeParam, TypeDescriptor, build_runtime_param
from typer._param_types import coerce_cli_path
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_from_info, get_command_name

from gati_client.cli.frame import common

Make = Callable[[], Any]
"""Makes a command."""


def _plainly(params: list[Any]) -> list[Any]:
    """Options and arguments, `--help` among them, which are to be read by `Plain` and shown by `metavar`."""
    for param in params:
        if param._runtime_param is None:
            descriptor = param.type_descriptor
            param._runtime_param = Plain(descriptor.parameter_info, descriptor.annotation, descriptor)
            param.metavar = metavar(param)
            if param.param_type_name == "argument":
                param.display_type_rich = _no_type  # `NAME` alone, not `NAME <str>`
    return params


def metavar(param: Any) -> str:
    """What help shows for the value of an option or argument: what was declared, its choices, or a word; nothing for a
    flag."""
    if param.metavar is not None:
        return str(param.metavar)
    if getattr(param, "is_flag", False):
        return ""
    kind = param.type_descriptor.annotation
    kind = get_args(kind)[0] if get_origin(kind) is list else kind
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    if param.param_type_name == "option":
        return _VALUES.get(kind) or str(max(param.opts, key=len)).lstrip("-").replace("-", "_").upper()
    return str(param.name).upper()


_VALUES = {int: "N", datetime: "TIME", Path: "PATH"}


def _no_type(ctx: Any) -> None:
    """No type at all."""


class Command(TyperCommand):
    """One command."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All of them."""
        return _plainly(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`[OPTIONS] NAME [FOLDER]`; Typer's `{NAME}` would look like something to type."""
        return [piece.strip("{}").replace("}...", "...") for piece in super().collect_usage_pieces(ctx)]


class Group(TyperGroup):
    """Commands that are made when they are asked for."""

    @cached_property
    def makers(self) -> Mapping[str, Make]:
        """What makes each command, by name, in the order in which they are listed; none here."""
        return {}

    def get_params(self, ctx: Any) -> list[Any]:
        """All of them."""
        return _plainly(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all."""
        return [*self.makers]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One of them, or None."""
        if cmd_name not in self.commands and cmd_name in self.makers:
            self.commands[cmd_name] = self.makers[cmd_name]()
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """With all commands known where none fits: one of them may be meant."""
        if args and self.get_command(ctx, args[0]) is None:
            for name in self.list_commands(ctx):
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)


class Declared(Group):
    """The commands that are declared on an app."""

    def __init__(self, app: typer.Typer, name: str) -> None:
        super().__init__(name=name, help=app.info.help, no_args_is_help=True)
        self._app = app

    @cached_property
    def makers(self) -> Mapping[str, Make]:
        """See `makers`."""
        return makers(self._app)


def makers(app: typer.Typer) -> dict[str, Make]:
    """What makes the commands and the groups of an app, by name, in the order in which they were declared."""
    found: dict[str, Make] = {}
    for info in app.registered_commands:
        assert info.callback is not None
        found[info.name or get_command_name(info.callback.__name__)] = partial(_command, info)
    for group in app.registered_groups:
        assert group.typer_instance is not None
        found[str(group.name)] = partial(Declared, group.typer_instance, str(group.name))
    return found


def _command(info: Any) -> Any:
    """A command with the common options."""
    info = copy.copy(info)
    info.callback, info.cls = common(info.callback), Command
    return get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode="rich")


@dataclass(frozen=True)
class Plain(RuntimeParam):
    """Reads text, numbers, choices, paths, and lists of these; and lets defaults be what they are."""

    descriptor: TypeDescriptor

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return self._read(self.annotation, value, param, ctx)
        except ValueError:
            return build_runtime_param(self.descriptor)._coerce_value(value, param=param, ctx=ctx)

    def _read(self, kind: Any, value: Any, param: Any, ctx: Any) -> Any:
        """Raises ValueError for what is not plainly right."""
        if get_origin(kind) is list and isinstance(value, list | tuple):
            return [self._read(get_args(kind)[0], item, param, ctx) for item in value]
        if kind in (str, bool, int) and type(value) is kind:
            return value
        if get_origin(kind) is Literal and value in get_args(kind):
            return value
        if kind is Path and isinstance(value, str | Path):
            return coerce_cli_path(Path(value), self.parameter_info, path_type=Path, param=param, ctx=ctx)
        if kind is int and isinstance(value, str) and value.isascii():
            number, least, most = int(value), self.parameter_info.min, self.parameter_info.max
            if (least is None or least <= number) and (most is None or number <= most):
                return number
        raise ValueError
