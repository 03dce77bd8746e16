"""`gati namespace`: namespaces, their members, policies and limits, and who did what in them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gati_client.cli.api import moment, namespace_at, reaching_namespace, some
from gati_client.cli.frame import App, connect, current, emit, say, sure
from gati_client.errors import Usage

if TYPE_CHECKING:
    from gati_client.models import NamespaceItem

app = App()
namespace = App(help="Namespaces: members, policies, limits, audit.")
app.add_typer(namespace, name="namespace")

Path = Annotated[str, typer.Argument(help="Which namespace, such as orgs/acme, @acme or acme.")]
Visibility = Annotated[Literal["public", "internal", "private"] | None, typer.Option(help="Who may see what is in it.")]

_COLUMNS = ("path", "visibility", "description")


@namespace.command()
async def create(
    path: Path,
    visibility: Visibility = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Make a namespace, or set its properties; --label gives it labels."""
    from gati_client.models import NamespaceChange

    change = NamespaceChange(visibility=visibility, description=description, labels=current().labels)
    async with reaching_namespace(path) as (client, where):
        emit(await client.namespaces.put(where, change), (*_COLUMNS, "owner", "labels"))


@namespace.command()
async def get(path: Path) -> None:
    """A namespace."""
    async with reaching_namespace(path) as (client, where):
        emit(await client.namespaces.get(where), (*_COLUMNS, "owner", "labels", "verified"))


@namespace.command("list")
async def list_(
    parent: Annotated[str | None, typer.Argument(help="At and below this one, such as orgs/acme or @acme.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1000,
) -> None:
    """Namespaces with settings that you may see."""
    async with connect() as client:
        found = client.namespaces.list()
        if parent is not None:
            found = _below(found, await namespace_at(client, parent))
        emit(await some(found, limit), _COLUMNS)


async def _below(found: AsyncIterator[NamespaceItem], path: str) -> AsyncIterator[NamespaceItem]:
    async for each in found:
        if f"{each.path}/".startswith(f"{path}/"):
            yield each


@namespace.command()
async def delete(path: Path) -> None:
    """Remove an empty namespace with all that is set at it."""
    async with reaching_namespace(path) as (client, where):
        await sure(f"Delete the namespace {path}?", lambda: client.namespaces.get(where))
        await client.namespaces.delete(where)
    say(f"{path} is removed")


@namespace.command()
async def audit(
    path: Path,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    actor: Annotated[str | None, typer.Option(help="Only what this account did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action.")] = None,
    category: Annotated[Literal["read", "write", "delete", "admin"] | None, typer.Option(help="Only these.")] = None,
    since: Annotated[datetime | None, typer.Option(help="From then on, such as 2026-01-31.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Until then.")] = None,
) -> None:
    """Who did what in a namespace and below, newest first."""
    async with reaching_namespace(path) as (client, where):
        found = client.audit.entries(
            namespace=where,
            actor=actor,
            action=action,
            category=category,
            since=moment(since),
            until=moment(until),
        )
        columns = ("time", "actor", "action", "resource", "status")
        emit(await some(found, limit), columns, wide=("method", "ip", "decision", "request_id"))


@namespace.command()
async def members(
    path: Path,
    give: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="MEMBER=ROLE", help="Give alice, team:acme/core or acme+ci a role."),
    ] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="MEMBER", help="Take a role away.")] = None,
) -> None:
    """Who has which role: admin, publisher, maintainer, contributor, reader, or one of your own."""
    from gati_client.models import MemberChange

    roles = [_role(text) for text in give or []]
    async with reaching_namespace(path) as (client, where):
        for (kind, name), role in roles:
            await client.namespaces.put_member(where, kind, name, MemberChange(role=role))
        for text in remove or []:
            await client.namespaces.delete_member(where, *_member(text))
        found = await some(client.namespaces.members(where))
        emit(found, ("name", "kind", "role", "path", "added_at"))


@namespace.command()
async def policy(
    path: Path,
    name: Annotated[str | None, typer.Argument(help="Which policy to set or remove, such as kinds.versions.")] = None,
    enforcement: Annotated[
        Literal["off", "audit", "warn", "enforce"] | None, typer.Option(help="How it holds.")
    ] = None,
    body: Annotated[str | None, typer.Option(help="What it says, as JSON.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what is set here.")] = False,
) -> None:
    """Policies that hold at a namespace; with a name one is set or removed. What is not said of one stays as it is."""
    if name is None and (remove or enforcement or body):
        raise Usage("which policy?", remedy=f"write gati namespace policy {path} NAME")
    from gati_client.models import PolicyChange

    async with reaching_namespace(path) as (client, where):
        if name is not None and remove:
            await client.namespaces.delete_policy(where, name)
            say(f"{name} is not set at {where} any more")
        found = await client.namespaces.policies(where)
        if name is not None and (enforcement or body):
            here = [each.model_dump() for each in found if (each.name, each.path) == (name, where)]
            said = {"enforcement": enforcement, "body": None if body is None else _json(body)}
            change = {**(here[0] if here else {}), **{key: value for key, value in said.items() if value is not None}}
            found = [await client.namespaces.put_policy(where, name, PolicyChange.model_validate(change))]
        emit(
            [each for each in found if remove or name in (None, each.name)],
            ("name", "enforcement", "path", "body"),
            none="" if remove else "nothing found",
        )


@namespace.command()
async def quota(
    path: Path,
    bytes_: Annotated[int | None, typer.Option("--bytes", min=-1, help="Bytes in all; -1: no limit.")] = None,
    artifacts: Annotated[int | None, typer.Option(min=-1, help="How many artifacts; -1: no limit.")] = None,
    bandwidth: Annotated[int | None, typer.Option(min=-1, help="Bytes a month; -1: no limit.")] = None,
    calls: Annotated[int | None, typer.Option(min=-1, help="Calls of the API a month; -1: no limit.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Go back to the default limits.")] = False,
) -> None:
    """Limits of a namespace and what is used of them; with options they are set, those left out to the default."""
    from gati_client.models import QuotaChange

    limits = (bytes_, artifacts, bandwidth, calls)
    async with reaching_namespace(path) as (client, where):
        if reset:
            await client.namespaces.delete_quota(where)
        elif any(limit is not None for limit in limits):
            change = QuotaChange(bytes=bytes_, artifacts=artifacts, bandwidth=bandwidth, calls=calls)
            await client.namespaces.put_quota(where, change)
        emit(await client.namespaces.quota(where))


def _role(text: str) -> tuple[tuple[str, str], str]:
    member, equals, role = text.rpartition("=")
    if not member or not equals:
        raise Usage(f"--set {text}: not understood", remedy="write --set alice=publisher")
    return _member(member), role


def _member(text: str) -> tuple[str, str]:
    """Kind and name."""
    kind, colon, name = text.partition(":")
    if not colon:
        kind, name = ("robot" if "+" in text else "user"), text
    if kind not in ("user", "robot", "team"):
        raise Usage(f"{text}: not understood", remedy="write alice, team:acme/core or acme+ci")
    return kind, name


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Usage(f"--body: {error}", remedy="""write JSON, such as '{"types": ["spdx"]}'""") from None
