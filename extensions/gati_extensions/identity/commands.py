"""`gati-registry user …` and `gati-registry signing-key rotate`."""

from __future__ import annotations

import argparse
import json
import secrets
import sys

from gati_extensions.identity.names import checked_new
from gati_extensions.identity.parts import Parts, absent, described, taken
from gati_extensions.identity.passwords import ADMIN, LONGEST, SHORTEST, set_admin
from gati_extensions.identity.store import accounts
from gati_extensions.identity.store.accounts import AccountRow
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import NOBODY, Kernel, Transaction


def user_arguments(parser: argparse.ArgumentParser) -> None:
    """What `user` takes."""
    parser.add_argument("action", choices=("create", "password", "activate", "deactivate"))
    parser.add_argument("name")
    parser.add_argument("--admin", action="store_true", help="create: an administrator of the server")
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input; else one is made up"
    )


def signing_key_arguments(parser: argparse.ArgumentParser) -> None:
    """What `signing-key` takes."""
    parser.add_argument("action", choices=("rotate",))
    parser.add_argument("--revoke", action="store_true", help="tokens signed before end now, not by themselves")


async def user(kernel: Kernel, arguments: argparse.Namespace) -> int:
    """Make a user, or change its password or standing. A password that was made up is printed, once."""
    parts, name, made_up = Parts.build(kernel, kernel.settings), arguments.name, None
    if arguments.action in ("create", "password"):
        password = _read_password() if arguments.password_stdin else (made_up := secrets.token_urlsafe(18))
        if arguments.action == "create":
            await _create(parts, name, password, admin=arguments.admin)
        else:
            await _set_password(parts, name, password)
    else:
        await _set_active(parts, name, active=arguments.action == "activate")
    told = {"name": name, "action": arguments.action} | ({"password": made_up} if made_up else {})
    words = f"{arguments.action} {name}: done" + (f"; the password is {made_up}" if made_up else "")
    _print(arguments, told, words)
    return 0


async def signing_key(kernel: Kernel, arguments: argparse.Namespace) -> int:
    """Sign tokens with a new key. Those signed before stay good, unless they are revoked."""
    kid = await Parts.build(kernel, kernel.settings).tokens.rotate(revoke=arguments.revoke)
    _print(arguments, {"kid": kid}, f"tokens are signed with the new key {kid}")
    return 0


async def _create(parts: Parts, name: str, password: str, *, admin: bool) -> None:
    try:
        checked_new(name)
    except ValueError as error:
        raise RegistryError(Code.INVALID, f"the name {name[:50]!r} {error}") from None
    hashed, now = await parts.passwords.hash(password), parts.kernel.clock.now()

    async def work(tx: Transaction) -> None:
        made = await accounts.add(tx, name, "user", now, admin=admin, password=hashed)
        if made is None:
            raise taken("name", name)
        await parts.note(tx, NOBODY, "user", "create", name, namespace=made.namespace, after=described(made))

    await parts.revision.write(work)


async def _set_password(parts: Parts, name: str, password: str) -> None:
    passwords = parts.passwords
    hashed = await (passwords.hash_of_admin(password) if name == ADMIN else passwords.hash(password))

    async def work(tx: Transaction) -> None:
        account = await _user(tx, name)
        if name == ADMIN:
            await set_admin(tx, hashed)
        else:
            await accounts.set_password(tx, account.id, hashed)
        await accounts.end_all(tx, account.id)
        await parts.note(tx, NOBODY, "password", "update", name, namespace=account.namespace)

    await parts.revision.write(work)


async def _set_active(parts: Parts, name: str, *, active: bool) -> None:
    async def work(tx: Transaction) -> None:
        before = await _user(tx, name)
        if name == ADMIN and not active:
            raise RegistryError(Code.CONFLICT, "the user admin stays active")
        await accounts.set_standing(tx, before.id, admin=before.admin, active=active)
        if not active:
            await accounts.end_all(tx, before.id)
        after = {**described(before), "active": active}
        await parts.note(
            tx, NOBODY, "user", "update", name, namespace=before.namespace, before=described(before), after=after
        )

    await parts.revision.write(work)


async def _user(tx: Transaction, name: str) -> AccountRow:
    account = await accounts.find(tx, name)
    if account is None or account.kind != "user" or account.erased_at is not None:
        raise absent("user", name)
    return account


def _read_password() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not SHORTEST <= len(password) <= LONGEST:
        raise RegistryError(Code.INVALID, f"the password must have at least {SHORTEST} characters, {LONGEST} at most")
    return password


def _print(arguments: argparse.Namespace, told: dict[str, str | None], words: str) -> None:
    sys.stdout.write((json.dumps(told) if arguments.output == "json" else words) + "\n")
