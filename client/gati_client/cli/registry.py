"""`gati registry`: the registries that have a name on this machine."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from gati_client import config
from gati_client.cli import session
from gati_client.cli.finding import searched
from gati_client.cli.frame import App, configuration, connect, current, emit, say
from gati_client.errors import Conflict, NotFound
from gati_client.hosts import registry_url

app = App()
registry = App(help="Registries that have a name on this machine.")
app.add_typer(registry, name="registry")
registry.command()(session.login)
registry.command()(session.logout)

Named = Annotated[str, typer.Argument(help="What you call it.")]


@registry.command()
def add(
    name: Named,
    url: Annotated[str, typer.Argument(help="Its URL or host:port.")],
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow plain HTTP beyond this machine.")] = False,
) -> None:
    """Give a registry a name. The first one becomes the default."""
    registry_url(url, insecure=insecure)  # says what is wrong with it now, not at its first use

    def added(known: config.Config) -> config.Config:
        if name in known.registries and not current().force:
            raise Conflict(f"{name} is {known.registries[name].url}", remedy="say --force to replace it")
        registries = {**known.registries, name: config.Registry(url, insecure)}
        return dataclasses.replace(known, registries=registries, default=known.default or name)

    config.change(added, current().config, new=True)
    say(f"{name} is {url}")


@registry.command()
def use(name: Named) -> None:
    """Make a registry the default."""

    def used(known: config.Config) -> config.Config:
        _check(name, known)
        return dataclasses.replace(known, default=name)

    config.change(used, current().config)
    say(f"{name} is the default now")


@registry.command("list")
def list_() -> None:
    """The registries that have a name."""
    known = configuration()
    emit(
        [
            {"name": name, "url": entry.url, "insecure": entry.insecure, "default": name == known.default}
            for name, entry in sorted(known.registries.items())
        ],
        ("name", "url", "default"),
        wide=("insecure",),
    )


@registry.command()
def remove(name: Named) -> None:
    """Forget a registry; logins stay."""

    def removed(known: config.Config) -> config.Config:
        _check(name, known)
        registries = {key: entry for key, entry in known.registries.items() if key != name}
        return dataclasses.replace(
            known, registries=registries, default=None if known.default == name else known.default
        )

    config.change(removed, current().config)


def _check(name: str, known: config.Config) -> None:
    if name not in known.registries:
        raise NotFound(f"there is no registry {name}", remedy="gati registry list shows those there are")


@registry.command()
async def stats() -> None:
    """How many artifacts of which kind there are, as far as you may see, and what the registry can do."""
    async with connect() as client:
        found = await searched(client, {"limit": 1})
        emit(
            {
                "registry": client.host,
                "artifacts": found["total"],
                "kinds": {entry["value"]: entry["count"] for entry in found["facets"].get("kind", [])},
                "features": sorted(await client.features()),
            }
        )
