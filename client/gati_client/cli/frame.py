"""What all commands share: the common options, the context they make, how results and words are written, exit codes.

A module of commands has one `app = App()` and declares on it; a command may be `async`. Every command takes the common
options by itself and reads them from `current()`:

    app = App()

    @app.command()
    async def resolve(names: list[str]) -> None:
        "What would be installed."
        async with connect() as client:
            emit(await client.resolve(...))

Results go to standard output by `emit`, words about them to standard error by `say`; errors are `GatiError`s and end
the program with their exit code. Imports of the SDK belong into the commands: `gati --help` imports every module.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from gati_client.cli.output import cell, console, show, write
from gati_client.errors import Usage

if TYPE_CHECKING:
    from gati_client.auth import Credentials
    from gati_client.client import Client
    from gati_client.config import Config
    from gati_client.transfer import Progress

T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])
Output = Literal["table", "wide", "json", "yaml"]


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What the common options and the environment say."""

    registry: str | None = None
    namespace: str | None = None
    token: str | None = dataclasses.field(default=None, repr=False)
    output: Output = "table"
    filter: tuple[str, ...] = ()
    selector: str | None = None
    label: tuple[str, ...] = ()
    yes: bool = False
    force: bool = False
    debug: bool = False
    quiet: bool = False
    verbose: bool = False
    config: Path | None = None
    kind: str | None = None
    """Which kind the command is about: `gati module list`."""

    @property
    def labels(self) -> dict[str, str]:
        """`--label key=value`, as often as given."""
        return dict(_pair(text, "--label") for text in self.label)


_current: ContextVar[Context] = ContextVar("current")


def current() -> Context:
    """The context of the command that runs."""
    return _current.get(None) or Context()


def choose(kind: str) -> None:
    """Let the command that runs be about a kind."""
    _current.set(dataclasses.replace(current(), kind=kind))


# --- common options -------------------------------------------------------------------------------------------------

_PANEL = "Common options"


def _option(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=_PANEL, show_default=False, **more)


_OPTIONS: dict[str, tuple[Any, Any]] = {
    "registry": (
        str | None,
        _option("--registry", help="A registry: URL, host:port or name.", envvar="GATI_REGISTRY"),
    ),
    "namespace": (str | None, _option("--namespace", help="Where bare names are.", envvar="GATI_NAMESPACE")),
    "token": (str | None, _option("--token", help="An API key or token, for this once.", envvar="GATI_TOKEN")),
    "output": (Output | None, _option("--output", "-o", help="How results are written.")),
    "filter": (
        list[str] | None,
        _option("--filter", metavar="FIELD=TEXT", help="Only rows with that, or FIELD~PART."),
    ),
    "selector": (str | None, _option("--selector", metavar="KEY=VALUE,…", help="Only what has these labels.")),
    "label": (list[str] | None, _option("--label", metavar="KEY=VALUE", help="A label to set.")),
    "yes": (bool | None, _option("--yes", "-y", help="Answer every question with yes.")),
    "force": (bool | None, _option("--force", help="Also where that overwrites or breaks something.")),
    "debug": (bool | None, _option("--debug", help="Show requests, and where errors come from.")),
    "quiet": (bool | None, _option("--quiet", "-q", help="Results and errors alone.")),
    "verbose": (bool | None, _option("--verbose", "-v", help="Show requests.")),
    "config": (Path | None, _option("--config", metavar="FILE", help="A file in place of the usual config.toml.")),
}
COMMON = "common_"
"""How the names of the common options begin, among a command's own."""

_PARAMETERS = [
    inspect.Parameter(COMMON + name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])
    for name, (kind, option) in _OPTIONS.items()
]


def common(function: Function) -> Function:
    """Let a command take the common options; of what is said twice, the later counts. Runs coroutines to their end."""
    signature = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        given = {name: values.pop(COMMON + name) for name in _OPTIONS}
        said: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if value
        }
        _current.set(dataclasses.replace(current(), **said))
        if current().verbose or current().debug:
            _show_requests()
        result = function(**values)
        return run(result) if inspect.iscoroutine(result) else result

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in signature.parameters.values()]
    command.__signature__ = signature.replace(parameters=[*parameters, *_PARAMETERS])  # type: ignore[attr-defined]  # inspect reads it, typeshed lacks it
    return command  # type: ignore[return-value]  # the same callable, called with what Typer reads off its signature


class App(typer.Typer):
    """A group of commands, `def` or `async def`, each of which takes the common options (see `tree`)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            no_args_is_help=True,
            add_completion=False,
            pretty_exceptions_enable=False,
            rich_markup_mode="rich",
            **options,
        )


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end."""
    import asyncio

    return asyncio.run(work)


def _show_requests() -> None:
    """One line for each request, on standard error. Queries are left out: signed addresses have a secret in theirs."""
    import logging

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            match record.args:
                case (method, url, _, status, *_):
                    sys.stderr.write(f"{method} {str(url).partition('?')[0]} {status}\n")

    for name in ("httpx", "gati_client.transport"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [Lines()], False
        logger.setLevel(logging.INFO)


# --- the registry ---------------------------------------------------------------------------------------------------


def configuration() -> Config:
    """The file config.toml."""
    from gati_client import config

    return config.load(current().config)


def connect(
    context: Context | None = None,
    registry: str | None = None,
    *,
    credentials: Credentials | None = None,
    anonymous: bool = False,
) -> Client:
    """A client, for `async with`.

    Args:
        context: What options say; the running command's, if absent.
        registry: URL, host:port or name in place of what options, environment or configuration name.
        credentials: In place of docker's logins and GATI_TOKEN.
        anonymous: Without any.
    """
    from gati_client.client import Client
    from gati_client.credentials import DockerCredentials

    context = context or current()
    found = configuration().registry(registry or context.registry)
    if credentials is None and not anonymous:
        credentials = DockerCredentials(token=context.token)
    return Client(found.url, credentials=credentials, insecure=found.insecure)


# --- results and words ----------------------------------------------------------------------------------------------


def say(words: str) -> None:
    """Words about a result, on standard error; nothing with --quiet."""
    if not current().quiet:
        sys.stderr.write(f"{cell(words)}\n")


def confirm(question: str) -> None:
    """Go on only with the user's yes (or --yes).

    Raises:
        Usage: there is nobody to ask.
        typer.Abort: the answer is no.
    """
    if current().yes:
        return
    if not sys.stdin.isatty():
        raise Usage(f"{question} There is no terminal to ask on", remedy="say --yes")
    with asking():
        typer.confirm(question, abort=True, err=True)


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """While somebody is asked something: Ctrl-C ends that at once. asyncio would only take a note of it, and cancel
    when the answer has come."""
    import signal

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def sure(question: str, look: Callable[[], Awaitable[object]]) -> None:
    """As `confirm`; a question about what is not there is not asked: `look` says that first."""
    if not current().yes:
        await look()
        confirm(question)


def emit(value: Any, columns: Sequence[str] = (), *, wide: Sequence[str] = (), choosing: bool = True,
         none: str = "nothing found") -> None:  # fmt: skip
    """Write a result to standard output: rows (a sequence) as a table, one thing as its fields; `None` is nothing.

    Args:
        value: Pydantic models, dataclasses or mappings, or a sequence of these.
        columns: The fields that a table shows, in order; all, if empty. `a.b` is a field of a field.
        wide: What `--output wide` shows besides.
        choosing: Whether `--filter` and `--selector` choose among the rows; not, where the registry did.
        none: What is said where a table would have no rows; nothing, if empty.

    JSON and YAML always hold all fields.
    """
    if value is None:
        return
    rows = not isinstance(value, Mapping) and isinstance(value, Sequence) and not isinstance(value, str)
    plain = _plain(value)
    if rows and choosing:
        plain = [row for row in plain if _chosen(row)]
    output = current().output
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    if output == "json":
        sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=not unicode) + "\n")
    elif output == "yaml":
        import yaml

        sys.stdout.write(yaml.safe_dump(plain, sort_keys=False, allow_unicode=unicode))
    elif rows:
        _table(plain, [*columns, *(wide if output == "wide" else ())] if columns else (), none)
    elif isinstance(plain, Mapping):
        shown = [*columns, *wide] if columns and output != "wide" else [*plain]
        _fields({name: _at(plain, name) for name in shown})
    else:
        write(plain)


def _plain(value: Any) -> Any:
    """What JSON can hold."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(entry) for entry in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _at(row: Any, name: str) -> Any:
    for part in name.split("."):
        row = row.get(part) if isinstance(row, Mapping) else None
    return row


def _table(rows: Sequence[Any], columns: Sequence[str], none: str) -> None:
    if not rows:
        if none:
            say(none)
        return
    if not isinstance(rows[0], Mapping):
        for row in rows:
            write(row)
        return
    names = columns or list(rows[0])
    header = [name.rpartition(".")[2].upper() for name in names]
    show([[cell(_at(row, name)).replace("\n", " ") for name in names] for row in rows], header)


def _fields(fields: Mapping[str, Any]) -> None:
    show([[name.rpartition(".")[2], cell(value)] for name, value in fields.items()])


def _pair(text: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Usage(f"{option} {text}: not understood", remedy=f"write {option} KEY=VALUE")
    return key, value


def _chosen(row: Any) -> bool:
    """Whether --filter and --selector let a row through."""
    for text in current().filter:
        name, part = text.split("~", 1) if "~" in text.partition("=")[0] else (text, None)
        if part is not None:
            if part.lower() not in cell(_at(row, name)).lower():
                return False
            continue
        name, wanted = _pair(text, "--filter")
        if cell(_at(row, name)) != wanted:
            return False
    if current().selector:
        labels = _at(row, "labels")
        if labels is None:
            raise Usage("what is listed here has no labels", remedy="gati search --selector KEY=VALUE finds artifacts")
        return all(labels.get(key) == value for key, value in map(_selected, str(current().selector).split(",")))
    return True


def _selected(text: str) -> tuple[str, str]:
    return _pair(text, "--selector")


# --- progress -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def progress() -> Iterator[Progress | None]:
    """Bars with rate and time left, on a terminal; None where nobody would see them."""
    if current().quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    from rich import progress as bars

    shown = console(error=True)

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=shown, transient=True) as display:
        tasks: dict[str, bars.TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                label = what if len(what) <= 40 else f"{what[:19]}…{what[-20:]}"
                tasks[what] = display.add_task(label, total=total)
            display.update(tasks[what], completed=done, total=total)

        yield report
