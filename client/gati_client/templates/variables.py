"""What a template asks for, and what answers fit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from gati_client.errors import GatiError, Usage

Type = Literal["string", "integer", "number", "boolean", "choice", "list", "secret"]
Matches = Callable[[str, str], bool]
"""Whether a pattern (a regular expression by a stranger) fits the whole of a text."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_YES = ("y", "yes", "true", "on", "1")
_NO = ("n", "no", "false", "off", "0")


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, alias_generator=to_camel)


class Variable(_Part):
    """A value that is asked for, as the manifest of the template has it.

    `min` and `max` are of the value of numbers, of the length of texts, of how many a list has. A list with `options`
    is a choice of several.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
    description: str = ""
    type: Type = "string"
    required: bool = False
    options: list[Any] = Field(default_factory=list)
    default: Any = None
    pattern: str = ""
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _options(self) -> Variable:
        if self.type == "choice" and not self.options:
            raise ValueError("a choice needs `options`")
        return self

    @property
    def empty(self) -> Any:
        """What it is where there is neither answer nor default."""
        return {"string": "", "secret": "", "boolean": False, "list": []}.get(self.type)

    @property
    def fallback(self) -> Any:
        """The default, as it is written, or what stands for none."""
        return self.empty if self.default is None else self.default


class Description(_Part):
    """What the manifest of a template (`gati-template.json`) says that rendering needs."""

    name: str = ""
    version: str = ""
    engine: str = "jinja2"
    variables: Annotated[list[Variable], Field(max_length=1000)] = Field(default_factory=list)
    files: Annotated[list[str | dict[str, Any]], Field(max_length=100_000)] = Field(default_factory=list)
    verbatim: Annotated[list[str], Field(max_length=1000)] = Field(default_factory=list)
    includes_modules: Annotated[list[str], Field(max_length=1000)] = Field(default_factory=list)
    hooks: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def read(cls, config: bytes) -> Description:
        """Of the manifest's bytes.

        Raises:
            GatiError: it is no template's, or of an engine that is not rendered here.
        """
        try:
            found = cls.model_validate_json(config)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = "/".join(str(part) for part in first["loc"])
            raise GatiError(f"the template's manifest does not fit: {where}: {first['msg']}") from None
        if found.engine != "jinja2":
            raise GatiError(
                f"the template {found.name} is written for {found.engine[:30]!r}, which gati does not render",
                remedy="gati renders jinja2 alone; fetch the files by `gati template install` and use its own tool",
            )
        names = [variable.name for variable in found.variables]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise GatiError(f"the template's manifest does not fit: the variable {twice} is there twice")
        return found


def parse(variable: Variable, text: str) -> Any:
    """What somebody typed, as a value of the variable's type; `check` says whether it fits.

    Raises:
        Usage: it is no such value.
    """
    stripped = text.strip()
    match variable.type:
        case "integer":
            if _INTEGER.fullmatch(stripped) is None:
                raise _misfit(variable, "must be a whole number")
            return int(stripped)
        case "number":
            if _NUMBER.fullmatch(stripped) is None:
                raise _misfit(variable, "must be a number")
            return float(stripped)
        case "boolean":
            if stripped.lower() not in (*_YES, *_NO):
                raise _misfit(variable, "must be yes or no")
            return stripped.lower() in _YES
        case "choice":
            return _option(variable, stripped)
        case "list":
            entries = [entry.strip() for entry in text.split(",") if entry.strip()]
            return [_option(variable, entry) for entry in entries] if variable.options else entries
    return text


def _option(variable: Variable, text: str) -> Any:
    """By its text or its number in the list."""
    for option in variable.options:
        if show(option) == text:
            return option
    if text.isascii() and text.isdigit() and 0 < int(text[:9]) <= len(variable.options):
        return variable.options[int(text) - 1]
    raise _misfit(variable, f"must be one of {', '.join(map(show, variable.options[:50]))}")


def check(variable: Variable, value: Any, matches: Matches) -> Any:
    """The value as it goes into the template.

    Raises:
        Usage: it is not of the variable's type, or not within its bounds. A secret is not told.
    """
    if value is None or value == "" or value == []:
        if variable.required:
            raise _misfit(variable, "must be given")
        return variable.empty
    measured: float | None = None
    match variable.type:
        case "integer":
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if not isinstance(value, int) or isinstance(value, bool):
                raise _misfit(variable, "must be a whole number")
            measured = value
        case "number":
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
                raise _misfit(variable, "must be a number")
            measured = value
        case "boolean":
            if not isinstance(value, bool):
                raise _misfit(variable, "must be true or false")
        case "choice":
            _among(variable, [value])
        case "list":
            if not isinstance(value, list):
                raise _misfit(variable, "must be a list")
            if variable.options:
                _among(variable, value)
            elif not all(isinstance(entry, (str, int, float, bool)) for entry in value):
                raise _misfit(variable, "must be a list of texts and numbers")
            measured = len(value)
        case _:
            if not isinstance(value, str):
                raise _misfit(variable, "must be a text")
            measured = len(value)
    _bounds(variable, measured)
    if variable.pattern:
        for text in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
            if isinstance(text, str) and not matches(variable.pattern, text):
                raise _misfit(variable, f"must fit the pattern {plain(variable.pattern)}")
    return value


def _bounds(variable: Variable, measured: float | None) -> None:
    if measured is None:
        return
    what = {"string": "characters", "secret": "characters", "list": "entries"}.get(variable.type, "")
    if variable.min is not None and measured < variable.min:
        raise _misfit(variable, f"must be at least {variable.min:g} {what}".rstrip())
    if variable.max is not None and measured > variable.max:
        raise _misfit(variable, f"must be at most {variable.max:g} {what}".rstrip())


def _among(variable: Variable, values: Sequence[Any]) -> None:
    # True == 1 in Python; here they are different options.
    known = [(type(option), option) for option in variable.options]
    if any((type(value), value) not in known for value in values):
        raise _misfit(variable, f"must be one of {', '.join(map(show, variable.options[:50]))}")


def _misfit(variable: Variable, why: str) -> Usage:
    return Usage(f"the variable {variable.name} {why}")


def show(value: Any) -> str:
    """A value as people read and type it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(show, value))
    return plain(str(value))


def plain(text: str) -> str:
    """Without what could steer a terminal: texts of templates come from strangers."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:2000])


def known(variables: Sequence[Variable], answers: Mapping[str, Any], where: str) -> None:
    """Every answer is one to a question.

    Raises:
        Usage: naming the first that is not.
    """
    names = [variable.name for variable in variables]
    if strange := next((name for name in answers if name not in names), None):
        raise Usage(
            f"{where}: the template asks for no {plain(str(strange))}",
            remedy=f"it asks for {', '.join(names) or 'nothing'}",
        )
