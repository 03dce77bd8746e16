"""Somebody who is known elsewhere, and the account that is theirs here.

An account belongs to an identity by issuer and subject alone. Names and addresses are only what a new account may be
called: one that is taken is never taken over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gati_extensions.identity import groups, secret
from gati_extensions.identity.names import LONGEST, checked_new
from gati_extensions.identity.parts import Parts, described
from gati_extensions.identity.store import accounts, links
from gati_extensions.identity.store.accounts import AccountRow
from gati_extensions.identity.store.links import Link
from gati_extensions.identity.targets import targets
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Caller, Transaction


@dataclass(frozen=True, slots=True)
class External:
    """An identity as its provider tells it. `name` is what a new account is called, if that can be."""

    provider: str
    issuer: str
    subject: str
    name: str
    email: str | None = None
    display: str = ""
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a provider may bring about: new accounts, what groups mean. `chosen` is a name of the user's own choice."""

    create: bool
    mapping: Mapping[str, str] = field(default_factory=dict)
    chosen: str = ""


async def admit(parts: Parts, tx: Transaction, caller: Caller, who: External, terms: Terms) -> AccountRow:
    """The account of somebody who has just proven who they are; made if need be.

    Raises:
        RegistryError: DENIED, there is none and none is made, or it is out of use; CONFLICT, its name is taken.
    """
    now = parts.kernel.clock.now()
    link = await links.find(tx, who.issuer, who.subject)
    account = await accounts.get(tx, link.account_id) if link is not None else None
    if link is None or account is None:
        account = await _create(parts, tx, caller, who, terms, now)
        await link_to(parts, tx, caller, account, who)
    else:
        if not account.active:
            if link.suspended_at is None:
                raise RegistryError(Code.DENIED, "the account was put out of use; ask an administrator")
            await _reactivate(parts, tx, caller, account)
        await links.used(tx, link.id, who.name[:200], now)
    await groups.refresh(parts, tx, caller, account, who.provider, targets(terms.mapping, who.groups))
    found = await accounts.get(tx, account.id)
    assert found is not None
    return found


async def link_to(parts: Parts, tx: Transaction, caller: Caller, account: AccountRow, who: External) -> None:
    """Link an identity to an account.

    Raises:
        RegistryError: CONFLICT, it belongs to another.
    """
    now = parts.kernel.clock.now()
    link = Link(secret.new_id("l"), account.id, who.provider, who.issuer, who.subject, who.name[:200], now, now)
    if not await links.add(tx, link):
        raise RegistryError(Code.CONFLICT, "this identity is linked to an account already; unlink it there first")
    await parts.note(
        tx, caller, "link", "create", link.id, namespace=account.namespace, after={"provider": who.provider}
    )


async def suspend(parts: Parts, tx: Transaction, caller: Caller, link: Link) -> None:
    """The provider knows somebody no more: their account is out of use until they log in there again."""
    account = await accounts.get(tx, link.account_id)
    if account is None or not account.active:
        return
    await accounts.set_standing(tx, account.id, admin=account.admin, active=False)
    await links.suspend(tx, link.id, parts.kernel.clock.now())
    await accounts.end_all(tx, account.id)
    await _note_standing(parts, tx, caller, account, active=False)


def usable_name(text: str) -> str | None:
    """What an account may be called after a name elsewhere; None if nothing of it can stay."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.partition("@")[0].lower()).strip("-")[:LONGEST].rstrip("-")
    try:
        return checked_new(plain)
    except ValueError:
        return None


async def _create(parts: Parts, tx: Transaction, caller: Caller, who: External, terms: Terms, now: int) -> AccountRow:
    if not terms.create:
        raise RegistryError(
            Code.DENIED, "no account is linked to this identity; log in to yours and link it, or ask an administrator"
        )
    # A name of one's own choice only where the provider's cannot be: it is by those that people are known.
    for name in filter(None, (usable_name(who.name), usable_name(terms.chosen))):
        made = await accounts.add(tx, name, "user", now, email=who.email, display=who.display[:200])
        if made is not None:
            await parts.note(tx, caller, "user", "create", made.name, namespace=made.namespace, after=described(made))
            return made
    raise RegistryError(
        Code.CONFLICT,
        f"the name {who.name[:100]} is taken or cannot be one here: if the account is yours, log in to it and link this"
        " identity; else begin again with another name (?name=…)",
    )


async def _reactivate(parts: Parts, tx: Transaction, caller: Caller, account: AccountRow) -> None:
    await accounts.set_standing(tx, account.id, admin=account.admin, active=True)
    await _note_standing(parts, tx, caller, account, active=True)


async def _note_standing(parts: Parts, tx: Transaction, caller: Caller, account: AccountRow, *, active: bool) -> None:
    await parts.note(
        tx,
        caller,
        "user",
        "update",
        account.name,
        namespace=account.namespace,
        before=described(account),
        after={**described(account), "active": active},
    )
