"""Several authenticators, asked in turn; and an authorizer that minds a credential's own bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gati_registry.domain.access import ANONYMOUS, NOTHING, Access, Action, Decision, Identity, Visible
from gati_registry.errors import Code, RegistryError
from gati_registry.ports import Authenticator, Authorizer, Request, Steady

_READING = frozenset({Action.PULL, Action.CATALOG})


class Chain:
    """`ports.Authenticator`: the first that knows the credentials decides.

    With `lenient`, credentials that prove nothing are taken for none: on an open registry clients may send leftovers
    of other logins.
    """

    def __init__(self, authenticators: Sequence[Authenticator], *, lenient: bool = False) -> None:
        self._authenticators = tuple(authenticators)
        self._lenient = lenient

    async def authenticate(self, request: Request) -> Identity | None:
        try:
            for authenticator in self._authenticators:
                identity = await authenticator.authenticate(request)
                if identity is not None:
                    return identity
        except RegistryError as error:
            if not (self._lenient and error.code is Code.UNAUTHORIZED):
                raise
        if request.header(b"authorization") is not None and not self._lenient:
            raise RegistryError(Code.UNAUTHORIZED, "the credentials are wrong; log in again")
        return ANONYMOUS


class Bounded:
    """`ports.Authorizer` around another: no credential reaches beyond its own grants, whatever its owner may."""

    def __init__(self, inner: Authorizer) -> None:
        self._inner = inner

    async def decide(self, identity: Identity, access: Access) -> Decision:
        if identity.grants is not None and not identity.bounded(access):
            return Decision.CHALLENGE
        return await self._inner.decide(identity, access)

    def steady(self, identity: Identity, access: Access) -> bool:
        return isinstance(self._inner, Steady) and self._inner.steady(identity, access)

    async def visible(self, identity: Identity) -> Visible:
        found = await self._inner.visible(identity)
        if identity.grants is None:
            return found
        reading = [grant for grant in identity.grants if not grant.actions.isdisjoint(_READING)]
        if any(not grant.path and not grant.exact for grant in reading):
            return found
        if not reading:
            return NOTHING
        parts, values = [], dict(found.values)
        for number, grant in enumerate(dict.fromkeys((grant.path, grant.exact) for grant in reading)):
            path, exact = grant
            values[f"visible_path_{number}"] = path
            part = f"{{column}} = :visible_path_{number}"
            if not exact:
                # A range instead of LIKE: indexes serve it, and nothing in a path needs escaping ("0" follows "/").
                part += f" OR ({{column}} > :visible_low_{number} AND {{column}} < :visible_high_{number})"
                values |= {f"visible_low_{number}": f"{path}/", f"visible_high_{number}": f"{path}0"}
            parts.append(f"({part})")
        condition = f"({found.condition}) AND ({' OR '.join(parts)})"
        return replace(found, condition=condition, values=tuple(values.items()))

    def challenge(self, accesses: Sequence[Access], request: Request) -> str:
        return self._inner.challenge(accesses, request)
