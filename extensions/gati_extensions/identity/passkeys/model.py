"""What the routes of passkeys take and answer."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from gati_extensions.identity.passwords import LONGEST
from gati_registry.extension import Model


class Proof(Model):
    """What a browser's `navigator.credentials.get()` answered to a challenge, as JSON (`toJSON()`)."""

    state: Annotated[str, Field(max_length=100)] = Field(description="That of the challenge.")
    credential: dict[str, Any]


class Factor(Model):
    """A second factor, to prove that it is still in one's hands: a code, or a passkey."""

    code: Annotated[str, Field(max_length=40)] | None = None
    passkey: Proof | None = None


class Ceremony(Model):
    """A challenge. `options` is what the browser's `navigator.credentials` takes, as JSON."""

    state: str
    options: dict[str, Any]


class NewPasskey(Factor):
    """What `navigator.credentials.create()` answered; where there is a second factor already, also that."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    state: Annotated[str, Field(max_length=100)]
    credential: dict[str, Any]


class PasskeyView(Model):
    """A passkey."""

    id: str
    name: str
    created_at: str
    used_at: str | None
    cloned_at: str | None = Field(description="When its counter went back: somebody may have a copy of it.")


class MadePasskey(PasskeyView):
    """A new passkey, and recovery codes where there were none: shown now and never again."""

    codes: list[str]


class Passkeys(Model):
    """All of an account's."""

    items: list[PasskeyView]


class FirstFactor(Model):
    """Name and password, to be asked for the second factor."""

    name: Annotated[str, Field(max_length=200)]
    password: Annotated[str, Field(max_length=LONGEST)]
