"""Routes of the extension API as data, and what their handlers get and give.

A route names its permission, its models and its limits; what can be checked before the handler runs is checked here,
once for all of them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gati_registry.domain.access import Action, Caller, Identity
from gati_registry.errors import Code, RegistryError
from gati_registry.http.exchange import Exchange, RequestBody
from gati_registry.values.reference import RepositoryName

T = TypeVar("T")

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_PARAMETER = re.compile(r"\{([a-z_]+)(:path)?\}")
_FORM_FIELDS = 100
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""The escape that JSON writes U+0000 with, unless its backslash is itself escaped."""


class Model(BaseModel):
    """Base of the extension API's models: unknown fields are refused, values never appear in errors."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        str_strip_whitespace=False,
        defer_build=True,  # most of them are never asked for in a process: a start need not wait for them
    )


class Page(Model, Generic[T]):
    """One page of a list; `next` is the cursor of the following one."""

    items: list[T]
    next: str | None = None


class Paging(Model):
    """The query of a list."""

    limit: int = Field(50, ge=1, le=1000, description="Most items in the answer.")
    cursor: str = Field("", max_length=1024, pattern=r"^[^\x00]*$", description="`next` of the page before.")


@dataclass(frozen=True, slots=True)
class Permission:
    """What a route asks of its caller: a name for documentation, the action, and on what.

    `on` is the path parameter that holds a namespace or repository; empty: the route's own repository, or the registry.
    """

    name: str
    action: Action
    on: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is more than a model. A body that is an iterator is streamed."""

    status: int = 200
    body: bytes | BaseModel | AsyncIterator[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    cookies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A checked request on its way to a route's handler. `body` and `query` are of the models that the route names."""

    exchange: Exchange
    caller: Caller
    parameters: Mapping[str, str]
    repository: RepositoryName | None
    body: Any
    query: Any
    max_body: int

    @property
    def identity(self) -> Identity:
        """Who calls."""
        return self.caller.identity

    @property
    def origin(self) -> str:
        """Scheme, host and port under which the client reached us."""
        return self.exchange.origin

    @property
    def method(self) -> str:
        """GET, POST, …"""
        return self.exchange.method

    def header(self, name: str) -> str | None:
        """A header."""
        return self.exchange.header(name.lower().encode("latin-1"))

    async def read(self) -> bytes:
        """The whole body of a route without a body model.

        Raises:
            RegistryError: 413.
        """
        return await RequestBody(self.exchange).whole(self.max_body)

    async def form(self) -> dict[str, list[str]]:
        """The fields of an HTML form (`application/x-www-form-urlencoded`).

        Raises:
            RegistryError: it is none.
        """
        kind = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise RegistryError(Code.INVALID, "send the fields as application/x-www-form-urlencoded", status=415)
        try:
            text = (await self.read()).decode("ascii")
            return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=_FORM_FIELDS)
        except (ValueError, UnicodeError):
            raise RegistryError(Code.INVALID, "malformed form; percent-encode its fields as UTF-8") from None


Handler = Callable[[Call], Awaitable[BaseModel | Answer | None]]
"""Answers a call: with a model (status of the route), an `Answer`, or None (204)."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path of an extension.

    `path` is below the extension's prefix (of a root route: the whole path), with `{name}` for one segment and
    `{name:path}` for several. `max_body` is in bytes.
    """

    method: str
    path: str
    permission: Permission
    handler: Handler
    summary: str
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    max_body: int = 256 * 1024

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"{self.path}: no such method {self.method}")
        if self.permission.on and self.permission.on not in self.parameters:
            raise ValueError(f"{self.path}: the permission names {self.permission.on}, which is no parameter")

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the path's parameters."""
        return tuple(name for name, _ in _PARAMETER.findall(self.path))

    def pattern(self, prefix: str) -> re.Pattern[str]:
        """Matches the raw path below `/v2/` (or the whole, for root routes)."""
        out, position = re.escape(prefix), 0
        for found in _PARAMETER.finditer(self.path):
            out += re.escape(self.path[position : found.start()])
            out += f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})"
            position = found.end()
        return re.compile(out + re.escape(self.path[position:]))


async def read_body(route: Route, exchange: Exchange) -> BaseModel | None:
    """The body as the route's model.

    Raises:
        RegistryError: it does not fit; each entry of the detail names a field and what is wrong with it.
    """
    if route.body is None:
        return None
    kind = (exchange.header(b"content-type") or "").partition(";")[0].strip().lower()
    if not (kind == "application/json" or kind.endswith("+json")):
        raise RegistryError(Code.INVALID, "send the body as JSON, with Content-Type: application/json", status=415)
    data = await RequestBody(exchange).whole(route.max_body)
    if _NUL.search(data) is not None:
        raise RegistryError(Code.INVALID, "the body holds the character U+0000, which no database stores as text")
    try:
        return route.body.model_validate_json(data)
    except ValidationError as error:
        raise invalid(error, "the body") from None


def read_query(route: Route, exchange: Exchange) -> BaseModel | None:
    """The query as the route's model; a parameter that the model lacks is nobody's business.

    Raises:
        RegistryError: INVALID.
    """
    if route.query is None:
        return None
    values: dict[str, Any] = {}
    for name, info in route.query.model_fields.items():
        found = exchange.queries(info.alias or name)
        if found:
            values[info.alias or name] = found if "list" in str(info.annotation) else found[0]
    try:
        return route.query.model_validate(values)
    except ValidationError as error:
        raise invalid(error, "the query") from None


def invalid(error: ValidationError, what: str) -> RegistryError:
    """INVALID with the fields that are wrong, as JSON pointers; never with their values."""
    problems = [
        {
            "field": "/" + "/".join(str(part) for part in problem["loc"]),
            "problem": problem["msg"].removeprefix("Value error, "),
        }
        for problem in error.errors(include_url=False, include_context=False, include_input=False)[:20]
    ]
    first = problems[0]
    return RegistryError(Code.INVALID, f"{what} is not valid: {first['field']}: {first['problem']}", detail=problems)
