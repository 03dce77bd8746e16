"""The process that renders: reads one request from standard input, writes the answer to standard output, both JSON.

What it runs was written by strangers. Jinja2's sandbox keeps templates from Python; limits on the process keep them
from eating the machine. It opens no file and no connection.
`gati_client.templates.sandbox` starts it.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, NoReturn


def limit(memory: int, cpu: int) -> None:
    """Bound this process: bytes of memory, seconds of CPU; no file may grow."""
    try:
        import resource
    except ImportError:  # not a Unix: the time that the parent waits is the bound
        return
    for name, most in (("RLIMIT_AS", memory), ("RLIMIT_CPU", cpu), ("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0)):
        try:
            resource.setrlimit(getattr(resource, name), (most, most))
        except (ValueError, OSError):  # some systems do not know all of them
            continue


class Refused(Exception):
    """The message goes to the user as it is."""


class _Budget:
    """How many characters may still be written."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, text: str) -> str:
        self.left -= len(text)
        if self.left < 0:
            raise Refused("makes more output than a project may have")
        return text


def _render(request: dict[str, Any]) -> dict[str, Any]:
    from jinja2 import DictLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    sources: dict[str, str] = {file["path"]: file["text"] for file in request["files"] if file["text"] is not None}
    # autoescape off: what is written here is source code, not web pages
    environment = ImmutableSandboxedEnvironment(
        loader=DictLoader(sources),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    # The same answers must always give the same files, or an update could not tell what the user changed.
    for name in ("lipsum", "cycler", "joiner"):
        del environment.globals[name]
    del environment.filters["random"]
    windows = environment.overlay(newline_sequence="\r\n")
    budget, context, made = _Budget(request["output"]), request["context"], []
    for file in request["files"]:
        name, text = file["path"], file["text"]
        with _named(name):
            target = _target(environment, file["target"], context, budget)
            if target is not None and text is not None:
                chosen = windows if "\r\n" in text else environment
                text = "".join(map(budget.take, chosen.get_template(name).generate(context)))
        made.append({"path": target, "text": text})
    return {"files": made}


def _target(environment: Any, template: str, context: dict[str, Any], budget: _Budget) -> str | None:
    """The path in the project; None where a part of it comes out empty: the file is left out."""
    from jinja2 import TemplateSyntaxError

    parts = template.split("/")
    try:
        made = [environment.from_string(part) for part in parts]
    except TemplateSyntaxError:  # an expression with a slash in it
        made = [environment.from_string(template)]
    texts = ["".join(map(budget.take, part.generate(context))) for part in made]
    # `a//b` has an empty part of its own, which means nothing
    empty = any(not text.strip() and source for source, text in zip(parts, texts, strict=False))
    return None if empty else "/".join(texts)


class _named:
    """Says in which file it went wrong."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or not isinstance(error, Exception):
            return
        from jinja2 import TemplateSyntaxError
        from jinja2.exceptions import SecurityError, UndefinedError

        line = f" line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
        where = f"the template's file {self.name[:200]!r}{line}"
        match error:
            case Refused():
                why = str(error)
            case SecurityError():
                why = f"reaches for what no template may: {error}"
            case MemoryError():
                why = "needs more memory than a template may"
            case RecursionError():
                why = "includes itself, or nests too deeply"
            case UndefinedError():
                why = f"uses what is not there: {error}"
            case _:
                why = str(error) or type(error).__name__
        raise Refused(f"{where} {why}" if isinstance(error, (Refused, MemoryError)) else f"{where}: {why}") from None


def _match(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"fits": re.fullmatch(request["pattern"], request["text"]) is not None}
    except (re.error, OverflowError, RecursionError):
        raise Refused(f"the template's pattern {request['pattern'][:100]!r} is no regular expression") from None


def main() -> NoReturn:
    """Answer one request: `render` or `match`."""
    request = json.load(sys.stdin.buffer)
    if request["do"] == "render":
        import jinja2.sandbox  # noqa: F401  # within the limits it could not leave its compiled modules for the next time
    try:
        limit(request["memory"], request["cpu"])
        answer = _render(request) if request["do"] == "render" else _match(request)
    except Refused as error:
        answer = {"refused": str(error)[:2000]}
    except MemoryError:
        answer = {"refused": "the template needs more memory than a template may"}
    sys.stdout.buffer.write(json.dumps(answer).encode())
    sys.stdout.buffer.flush()
    sys.exit(0)


if __name__ == "__main__":
    main()
