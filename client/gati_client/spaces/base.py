"""What all namespaces of a client share: requests to extensions, lists by cursor, a word about what is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, Field, ValidationError

from gati_client.answers import Answer, refusal
from gati_client.errors import GatiError, Integrity, NotFound, printable
from gati_client.models import Model
from gati_client.names import check_repository
from gati_client.transport import Transport

M = TypeVar("M", bound=BaseModel)
Features = Callable[[], Awaitable[frozenset[str]]]
Query = Mapping[str, str | int | bool | Sequence[str] | None]

_MAX_PAGES = 100_000


class _Items(Model):
    items: list[dict[str, object]]
    next: str | None = Field(default=None)


class Space:
    """A namespace of a client. Those of extensions work with registries that have the extension `needs`."""

    needs = ""

    def __init__(self, transport: Transport, features: Features) -> None:
        self._transport = transport
        self._features = features

    async def _get(self, model: type[M], path: str, query: Query | None = None) -> M:
        return read(model, await self._ask("GET", path + _query(query)))

    async def _send(
        self,
        method: str,
        path: str,
        model: type[M],
        body: BaseModel | None = None,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> M:
        return read(model, await self._ask(method, path + _query(query), body, headers))

    async def _do(self, method: str, path: str, body: BaseModel | None = None, *, query: Query | None = None) -> None:
        await self._ask(method, path + _query(query), body)

    async def _items(self, model: type[M], path: str, query: Query | None = None) -> AsyncIterator[M]:
        """A list that goes on by cursors, each taken once."""
        cursor: str | None = None
        seen: set[str] = set()
        for _ in range(_MAX_PAGES):
            page = await self._get(_Items, path, {**(query or {}), "cursor": cursor})
            for item in page.items:
                yield _valid(model, item)
            cursor = page.next
            if cursor is None:
                return
            if cursor in seen:
                break
            seen.add(cursor)
        raise Integrity(f"{self._transport.host} gives the pages of a list in circles")

    async def _ask(
        self, method: str, path: str, body: BaseModel | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        content: bytes | None = None
        sent = {"Accept": "application/json", **(headers or {})}
        if body is not None:
            content = body.model_dump_json(exclude_unset=True, by_alias=True).encode()
            sent["Content-Type"] = "application/json"
        try:
            return await self._transport.ask(
                method,
                path,
                action=f"{method} {path.partition('?')[0]}",
                headers=sent,
                content=content,
                expected=(200, 201, 202, 204),
            )
        except GatiError as error:
            if self.needs and error.status in (404, 405) and self.needs not in await self._features():
                raise GatiError(
                    f"this needs the extension {self.needs}, which {self._transport.host} does not have",
                    remedy="Use a Gati registry with that extension enabled.",
                ) from None
            raise

    async def _form(self, path: str, form: Mapping[str, str]) -> Answer:
        """A form of OAuth, which has errors of its own: `{"error": …}`."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        body = urlencode(list(form.items())).encode()
        answer = await self._transport.ask(
            "POST", path, action=f"POST {path}", headers=headers, content=body, expected=(200, 400, 403, 404, 429)
        )
        if answer.status == 200:
            return answer
        document = answer.json()
        code = document.get("error") if isinstance(document, dict) else None
        if not isinstance(code, str):
            raise refusal(self._transport.host, f"POST {path}", answer.status, answer.body)
        raise GatiError(printable(f"{self._transport.host}: {code}"), code=printable(code), status=answer.status)


def read(model: type[M], answer: Answer) -> M:
    """The body of an answer as a model.

    Raises:
        Integrity: it is something else.
    """
    return _valid(model, answer.json())


def repository_path(repository: str, rest: str) -> str:
    """The path of what an extension has for a repository."""
    return f"/v2/{check_repository(repository)}/_ext/{rest}"


def part(text: str) -> str:
    """One part of a path, whatever stands in it."""
    if text in ("", ".", ".."):
        raise NotFound(f"there is nothing by the name {text!r}")
    return quote(text, safe="")


def namespace_path(text: str) -> str:
    """The path of a namespace, such as `orgs/acme`."""
    return "/".join(part(each) for each in text.strip("/").split("/"))


def _query(query: Query | None) -> str:
    pairs: list[tuple[str, str]] = []
    for key, value in (query or {}).items():
        if isinstance(value, bool):
            pairs.append((key, str(value).lower()))
        elif isinstance(value, str | int):
            pairs.append((key, str(value)))
        elif value is not None:
            pairs += [(key, each) for each in value]
    return f"?{urlencode(pairs)}" if pairs else ""


def _valid(model: type[M], document: object) -> M:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        place = ".".join(str(each) for each in error.errors()[0]["loc"])
        raise Integrity(
            f"the registry answers in a way that this version does not understand ({model.__name__}: {place})",
            remedy="Is the client much older or newer than the registry?",
        ) from None
