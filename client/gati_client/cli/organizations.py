"""`gati org`: organizations, their members and teams."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gati_client.cli.api import some
from gati_client.cli.frame import App, connect, emit, say, sure

app = App()
org = App(help="Organizations, their members and teams.")
app.add_typer(org, name="org")

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
    from gati_client.models import NewOrg

    async with connect() as client:
        made = await client.orgs.create(NewOrg(name=name, display=display, url=url, email=email))
        emit(made, _COLUMNS)


@org.command("list")
async def list_() -> None:
    """Your organizations."""
    async with connect() as client:
        emit(await some(client.orgs.list()), _COLUMNS, wide=("url", "email"))


@org.command()
async def get(name: Organization) -> None:
    """An organization."""
    async with connect() as client:
        emit(await client.orgs.get(name), (*_COLUMNS, "url", "email"))


@org.command()
async def delete(name: Organization) -> None:
    """Delete an organization; its name stays taken."""
    async with connect() as client:
        await sure(f"Delete the organization {name}?", lambda: client.orgs.get(name))
        await client.orgs.delete(name)
    say(f"{name} is deleted")


@org.command()
async def members(name: Organization) -> None:
    """Its members."""
    async with connect() as client:
        emit(await some(client.orgs.members(name)), ("name", "kind", "role", "since"))


@org.command("member-add")
async def member_add(
    name: Organization,
    account: Account,
    role: Annotated[Literal["owner", "member"], typer.Option(help="What they may.")] = "member",
) -> None:
    """Add a member, or change their role."""
    from gati_client.models import Role

    async with connect() as client:
        emit(await client.orgs.put_member(name, account, Role(role=role)))


@org.command("member-remove")
async def member_remove(name: Organization, account: Account) -> None:
    """Remove a member, or leave."""
    async with connect() as client:
        await client.orgs.delete_member(name, account)
    say(f"{account} is no member of {name}")


@org.command()
async def teams(name: Organization) -> None:
    """Its teams."""
    async with connect() as client:
        emit(await some(client.orgs.teams(name)), ("name", "description", "created_at"))
