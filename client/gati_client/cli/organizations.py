"""`gati org`: organizations, their members and teams."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gati_client.cli.api import ask, connected_to, pages
from gati_client.cli.frame import App, confirm, emit, say

app = App()
org = App(help="Organizations, their members and teams.")
app.add_typer(org, name="org")

_ORGS = "/v2/_ext/identity/orgs"
_COLUMNS = ("name", "display", "namespace", "created_at")

Organization = Annotated[str, typer.Argument(metavar="ORG", help="Which organization.")]
Account = Annotated[str, typer.Argument(metavar="NAME", help="Whose account.")]


@org.command()
async def create(
    name: Organization,
    display: Annotated[str, typer.Option(help="Its name in full.")] = "",
    url: Annotated[str | None, typer.Option(help="Its pages.")] = None,
    email: Annotated[str | None, typer.Option(help="Its address.")] = None,
) -> None:
    """Make an organization, which you own."""
    body = {"name": name, "display": display, "url": url, "email": email}
    async with connected_to() as client:
        emit(await ask(client, "POST", _ORGS, body=body), _COLUMNS)


@org.command("list")
async def list_() -> None:
    """Your organizations."""
    async with connected_to() as client:
        emit(await pages(client, _ORGS, 1000), _COLUMNS, wide=("url", "email"))


@org.command()
async def get(name: Organization) -> None:
    """An organization."""
    async with connected_to() as client:
        emit(await ask(client, "GET", f"{_ORGS}/{name}"), (*_COLUMNS, "url", "email"))


@org.command()
async def delete(name: Organization) -> None:
    """Delete an organization; its name stays taken."""
    confirm(f"Delete the organization {name}?")
    async with connected_to() as client:
        await ask(client, "DELETE", f"{_ORGS}/{name}")
    say(f"{name} is deleted")


@org.command()
async def members(name: Organization) -> None:
    """Its members."""
    async with connected_to() as client:
        emit(await pages(client, f"{_ORGS}/{name}/members", 1000), ("name", "kind", "role", "since"))


@org.command("member-add")
async def member_add(
    name: Organization,
    account: Account,
    role: Annotated[Literal["owner", "member"], typer.Option(help="What they may.")] = "member",
) -> None:
    """Add a member, or change their role."""
    async with connected_to() as client:
        emit(await ask(client, "PUT", f"{_ORGS}/{name}/members/{account}", body={"role": role}))


@org.command("member-remove")
async def member_remove(name: Organization, account: Account) -> None:
    """Remove a member, or leave."""
    async with connected_to() as client:
        await ask(client, "DELETE", f"{_ORGS}/{name}/members/{account}")
    say(f"{account} is no member of {name}")


@org.command()
async def teams(name: Organization) -> None:
    """Its teams."""
    async with connected_to() as client:
        emit(await pages(client, f"{_ORGS}/{name}/teams", 1000), ("name", "description", "created_at"))
