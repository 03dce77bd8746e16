"""`gati namespace`: namespaces, their members, policies and limits, and who did what in them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from gati_client.cli.api import ask, connected_to, pages
from gati_client.cli.frame import App, confirm, current, emit, say
from gati_client.errors import Usage

app = App()
namespace = App(help="Namespaces: members, policies, limits, audit.")
app.add_typer(namespace, name="namespace")

Path = Annotated[str, typer.Argument(help="Which namespace, such as orgs/acme or @acme.")]
Visibility = Annotated[Literal["public", "internal", "private"] | None, typer.Option(help="Who may see what is in it.")]

_COLUMNS = ("path", "visibility", "description")


def _at(path: str) -> str:
    """The endpoint of a namespace."""
    written = path.strip("/")
    if written.startswith("@user/"):
        written = f"users/{written[6:]}"
    elif written.startswith("@"):
        written = f"orgs/{written[1:]}"
    return f"/v2/_ext/namespaces/{written}"


async def _put(path: str, visibility: str | None, description: str) -> None:
    body = {"visibility": visibility, "description": description, "labels": current().labels}
    async with connected_to() as client:
        emit(await ask(client, "PUT", _at(path), body=body), (*_COLUMNS, "owner", "labels"))


@namespace.command()
async def create(
    path: Path,
    visibility: Visibility = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Make a namespace, or set its properties; --label gives it labels."""
    await _put(path, visibility, description)


@namespace.command()
async def get(path: Path) -> None:
    """A namespace."""
    async with connected_to() as client:
        emit(await ask(client, "GET", _at(path)), (*_COLUMNS, "owner", "labels", "verified"))


@namespace.command("list")
async def list_(limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1000) -> None:
    """Namespaces with settings that you may see."""
    async with connected_to() as client:
        emit(await pages(client, "/v2/_ext/namespaces", limit), _COLUMNS)


@namespace.command()
async def delete(path: Path) -> None:
    """Remove an empty namespace with all that is set at it."""
    confirm(f"Delete the namespace {path}?")
    async with connected_to() as client:
        await ask(client, "DELETE", _at(path))
    say(f"{path} is removed")


@namespace.command()
async def audit(
    path: Path,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    actor: Annotated[str | None, typer.Option(help="Only what this account did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action.")] = None,
    category: Annotated[Literal["read", "write", "delete", "admin"] | None, typer.Option(help="Only these.")] = None,
    since: Annotated[str | None, typer.Option(help="From then on, such as 2026-01-31T00:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Until then.")] = None,
) -> None:
    """Who did what in a namespace and below, newest first."""
    wanted = {"actor": actor, "action": action, "category": category, "since": since, "until": until}
    query = {name: value for name, value in wanted.items() if value}
    where = _at(path).removeprefix("/v2/_ext/namespaces/")
    async with connected_to() as client:
        found = await pages(client, f"/v2/_ext/audit/namespaces/{where}/entries", limit, query)
        emit(found, ("time", "actor", "action", "resource", "status"), wide=("method", "ip", "decision", "request_id"))


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
    roles = [_role(text) for text in give or []]
    async with connected_to() as client:
        for member, role in roles:
            await ask(client, "PUT", f"{_at(path)}/members/{member}", body={"role": role})
        for text in remove or []:
            await ask(client, "DELETE", f"{_at(path)}/members/{_member(text)}")
        emit(await pages(client, f"{_at(path)}/members", 1000), ("name", "kind", "role", "path", "added_at"))


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
    """Policies that hold at a namespace; with a name one is set or removed."""
    if name is None and (remove or enforcement or body):
        raise Usage("which policy?", remedy=f"write gati namespace policy {path} NAME")
    async with connected_to() as client:
        if name is not None and remove:
            await ask(client, "DELETE", f"{_at(path)}/policy/{name}")
        elif name is not None and (enforcement or body):
            said = {"enforcement": enforcement or "enforce", "body": _json(body or "{}")}
            await ask(client, "PUT", f"{_at(path)}/policy/{name}", body=said)
        found = (await ask(client, "GET", f"{_at(path)}/policy"))["items"]
        shown = [each for each in found if remove or name in (None, each["name"])]
        emit(shown, ("name", "enforcement", "path", "body"))


Limit = Annotated[int | None, typer.Option(min=-1, help="-1: none.")]


@namespace.command()
async def quota(
    path: Path,
    bytes_: Annotated[int | None, typer.Option("--bytes", min=-1, help="-1: none.")] = None,
    artifacts: Limit = None,
    bandwidth: Limit = None,
    calls: Limit = None,
    reset: Annotated[bool, typer.Option("--reset", help="Go back to the default limits.")] = False,
) -> None:
    """Limits of a namespace and what is used of them; with options they are set, those left out to the default."""
    body = {"bytes": bytes_, "artifacts": artifacts, "bandwidth": bandwidth, "calls": calls}
    async with connected_to() as client:
        if reset:
            await ask(client, "DELETE", f"{_at(path)}/quota")
        elif any(value is not None for value in body.values()):
            await ask(client, "PUT", f"{_at(path)}/quota", body=body)
        emit(await ask(client, "GET", f"{_at(path)}/quota"))


def _role(text: str) -> tuple[str, str]:
    member, equals, role = text.rpartition("=")
    if not member or not equals:
        raise Usage(f"--set {text}: not understood", remedy="write --set alice=publisher")
    return _member(member), role


def _member(text: str) -> str:
    """`kind/name`, as the endpoint has it."""
    kind, colon, name = text.partition(":")
    if not colon:
        kind, name = ("robot" if "+" in text else "user"), text
    if kind not in ("user", "robot", "team"):
        raise Usage(f"{text}: not understood", remedy="write alice, team:acme/core or acme+ci")
    return f"{kind}/{quote(name)}"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Usage(f"--body: {error}", remedy="""write JSON, such as '{"types": ["spdx"]}'""") from None
