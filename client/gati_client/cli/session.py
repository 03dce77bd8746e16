"""`gati login`, `logout`, `whoami`."""

from __future__ import annotations

import contextlib
import platform
import sys
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer

from gati_client.cli.frame import App, asking, connect, current, emit, say
from gati_client.errors import Denied, GatiError, Network, NotFound, Usage, printable

if TYPE_CHECKING:
    from gati_client.client import Client

app = App()

Registry = Annotated[str | None, typer.Argument(help="URL, host:port or name; the default one, if absent.")]


@app.command()
async def login(
    registry: Registry = None,
    username: Annotated[str | None, typer.Option("--username", "-u", help="Whose password it is.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="Read an API key from standard input.")] = False,
    scope: Annotated[
        str,
        typer.Option(help="What the browser's login may do: read, publish, delete; admin: all, namespaces too."),
    ] = "publish delete",
    browser: Annotated[
        bool | None, typer.Option(help="Whether to open the browser; with one of these no terminal is needed.")
    ] = None,
) -> None:
    """Log in, for gati, docker and oras alike.

    Without options in the browser: a code is shown that you confirm there.
    The login is kept where docker keeps its own, in its credential helper if there is one.
    """
    import asyncio

    from gati_client.credentials import DockerCredentials

    async with connect(registry=registry, anonymous=True) as client:
        if token_stdin:
            name, secret = username or "", _line("API key")
        elif password_stdin or username:
            if not username:
                raise Usage("whose password is it?", remedy="say --username NAME")
            name, secret = username, _line("password") if password_stdin else _asked(username)
        elif token := current().token:
            name, secret = "", token
        elif sys.stdin.isatty() or browser is not None:
            name, secret = "", await _by_device(client, scope, open_browser=browser is not False)
        else:
            raise Usage("nothing to log in with", remedy="say --username and --password-stdin, or --token-stdin")
        host = client.host
        name = await _proved(host, registry, name, secret)
        place = await asyncio.to_thread(DockerCredentials().store, host, name, secret)
    say(f"logged in at {host} as {name}; kept in {place}")


@app.command()
async def logout(registry: Registry = None) -> None:
    """Forget the login at a registry."""
    import asyncio

    from gati_client.credentials import DockerCredentials

    async with connect(registry=registry, anonymous=True) as client:
        host = client.host
    if not await asyncio.to_thread(DockerCredentials().erase, host):
        raise NotFound(f"there is no login at {host}")
    say(f"logged out at {host}")


@app.command()
async def whoami(registry: Registry = None) -> None:
    """Who you are at a registry, and with what."""
    async with connect(registry=registry) as client:
        me = await client.account.me()
    emit(
        {
            "name": me.account.name,
            "registry": client.host,
            "namespace": me.account.namespace,
            "admin": me.account.admin,
            "method": me.method,
            "bounds": me.bounds,
            "organizations": me.organizations,
            "teams": me.teams,
        },
        ("name", "registry", "namespace", "method"),
    )


def _line(what: str) -> str:
    """One line of standard input: secrets never stand among the arguments, where others could read them."""
    found = sys.stdin.readline().rstrip("\r\n")
    if not found:
        raise Usage(f"standard input holds no {what}")
    return found


def _asked(username: str) -> str:
    if not sys.stdin.isatty():
        raise Usage("there is no terminal to ask for the password on", remedy="say --password-stdin")
    with asking():
        return str(typer.prompt(f"Password of {username}", hide_input=True, err=True))


async def _proved(host: str, registry: str | None, name: str, secret: str) -> str:
    """The account's name, once the registry has let it in.

    Raises:
        Denied: it has not.
    """
    from gati_client.auth import Credential, StaticCredentials

    credential = Credential(username=name, password=secret) if name else Credential(token=secret)
    async with (
        _knowing(host, name),
        connect(registry=registry, credentials=StaticCredentials(host, credential)) as client,
    ):
        if "identity" not in await client.features():
            # Another's registry: that it lets us in is all there is to know.
            await client.transport.ask("GET", "/v2/", action="log in")
            if not name:
                raise Usage(f"{host} has no names of accounts", remedy="say --username NAME")
            return name
        return (await client.account.me()).account.name


@contextlib.asynccontextmanager
async def _knowing(host: str, name: str) -> AsyncIterator[None]:
    """A refusal of a login is about what was given, not about a login that is lacking."""
    try:
        yield
    except Denied as error:
        if error.status != 401:
            raise
        said = f"{host} does not let {name} in with this password" if name else f"{host} does not know this API key"
        raise Denied(said, remedy="check it, and the address of the registry") from None


async def _by_device(client: Client, scope: str, *, open_browser: bool) -> str:
    """An API key, once somebody has confirmed the code in a browser (RFC 8628)."""
    import asyncio

    program = f"gati on {platform.node() or 'a machine'}"[:60]
    begun = await client.account.begin_device(program, scope.split())
    address = printable(begun.verification_uri_complete)
    # Not by `say`: with --quiet, too, nothing goes on without it.
    sys.stderr.write(f"Confirm the code {printable(begun.user_code)} at {address}\n")
    sys.stderr.flush()
    if open_browser and address.startswith(("https://", "http://")):  # a browser opens files and programs, too
        import webbrowser

        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(address)
    interval, end = begun.interval, time.monotonic() + begun.expires_in
    while time.monotonic() < end:
        await asyncio.sleep(interval)
        try:
            return (await client.account.device_token(program, begun.device_code)).access_token
        except GatiError as error:
            if error.code == "slow_down":
                interval += 5
            elif error.code == "access_denied":
                raise Denied("it was denied in the browser") from None
            elif error.code != "authorization_pending" and not isinstance(error, Network):
                raise
    raise Denied("nobody confirmed the code in time", remedy="run gati login again")
