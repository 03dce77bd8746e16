"""`gati key`: API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from gati_client.cli.api import some
from gati_client.cli.frame import App, confirm, connect, emit, say

app = App()
key = App(help="API keys, for programs.")
app.add_typer(key, name="key")

_COLUMNS = ("id", "name", "scopes", "path", "expires_at", "used_at")


@key.command()
async def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, publish, delete, admin or operate; read if absent.")
    ] = None,
    path: Annotated[str, typer.Option(help="The namespace or repository that it is bound to.")] = "",
    days: Annotated[int | None, typer.Option(min=1, help="How long it lives; for ever, if absent.")] = None,
    account: Annotated[str, typer.Option(help="For one of your robots; for yourself, if absent.")] = "",
) -> None:
    """Make an API key. Its secret is shown now and never again."""
    from gati_client.models import NewKey

    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    wanted = NewKey(name=name, scopes=scope or ["read"], path=path, expires_at=expires, account=account)
    async with connect() as client:
        emit(await client.keys.create(wanted), ("id", "name", "scopes", "path", "expires_at", "key"))
    say("the key is not shown again")


@key.command("list")
async def list_(account: Annotated[str, typer.Option(help="Those of one of your robots.")] = "") -> None:
    """Your API keys, without their secrets."""
    async with connect() as client:
        emit(await some(client.keys.list(account or None)), _COLUMNS, wide=("account", "created_at"))


@key.command()
async def revoke(identifier: Annotated[str, typer.Argument(metavar="ID", help="Its id, as the list has it.")]) -> None:
    """End an API key at once."""
    confirm(f"Revoke {identifier}?")
    async with connect() as client:
        await client.keys.revoke(identifier)
    say(f"{identifier} is revoked")
