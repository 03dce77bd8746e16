"""Capability tokens: what somebody may do, given on by whoever holds it, only ever narrowed.

    gcap_ <block> . <block> . … . <proof>          block = base64url(payload) ~ base64url(signature)

The first block is signed by the registry's key; each names the public key that signs the next. The proof is that key's
private half, for whoever is to delegate, or, where the last block forbids it, that key's signature over the last
block's signature. A request is within the capability if it is within every block. All signatures are Ed25519.

Source: the construction of Biscuit (https://doc.biscuitsec.org/reference/specifications), without its logic language.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from gati_extensions.namespaces.api import Condition, Situation, hold
from gati_registry.domain.access import Access, Action, Grant, Identity
from gati_registry.extension import Model

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX = "gcap_"
LONGEST = 16 * 1024
"""Characters of a token; a request's head has room for them."""

MOST_BLOCKS = 17

WORDS: dict[str, frozenset[Action]] = {
    "pull": frozenset({Action.PULL}),
    "push": frozenset({Action.PUSH}),
    "delete": frozenset({Action.DELETE}),
    "maintain": frozenset({Action.MAINTAIN}),
    "publish": frozenset({Action.PUBLISH}),
    "administer": frozenset({Action.ADMINISTER}),
}


class InvalidCapability(ValueError):
    """The token proves nothing; the message says why."""


class Cap(Model):
    """Some actions at and below a path, under conditions."""

    actions: list[str] = Field(min_length=1, max_length=len(WORDS))
    path: str = Field(min_length=1, max_length=255)
    conditions: list[Condition] = Field(default_factory=list, max_length=16)


class Block(Model):
    """A block's payload; times in seconds. Only the first has `iss`, `sub`, `aud`, and `acc`, `epo` and `crd`: the
    account, its epoch, and the API key (if it was one) with which the capability was asked for."""

    iss: str | None = Field(None, max_length=200)
    sub: str | None = Field(None, max_length=255)
    aud: str | None = Field(None, max_length=200)
    acc: int | None = None
    epo: int | None = None
    crd: str | None = Field(None, max_length=64)
    cap: list[Cap] = Field(min_length=1, max_length=32)
    iat: int
    nbf: int
    exp: int
    jti: str = Field(min_length=8, max_length=64)
    delegable: bool = False
    max_delegation_depth: int = Field(0, ge=0, le=MOST_BLOCKS - 1)
    key: str = Field(min_length=43, max_length=43)


@dataclass(frozen=True, slots=True)
class Layer:
    """What one block allows."""

    caps: tuple[tuple[Grant, tuple[Condition, ...]], ...]

    def covers(self, access: Access, situation: Situation) -> bool:
        """Whether the access is within it, now."""
        if access.action is Action.PING:
            return True
        return any(grant.covers(access) and hold(conditions, situation) for grant, conditions in self.caps)


@dataclass(frozen=True, slots=True)
class CapabilityIdentity(Identity):
    """Who presented a capability: its owner, within all of its layers."""

    layers: tuple[Layer, ...] = ()


@dataclass(frozen=True, slots=True)
class Capability:
    """A token whose signatures are right."""

    blocks: tuple[Block, ...]
    sealed: bool

    @property
    def jtis(self) -> list[str]:
        """Ids of all blocks: revoking any of them ends the token."""
        return [block.jti for block in self.blocks]

    @property
    def depth_left(self) -> int:
        """Delegations that are still allowed."""
        if self.sealed or not all(block.delegable for block in self.blocks):
            return 0
        return min(block.max_delegation_depth - (len(self.blocks) - 1 - n) for n, block in enumerate(self.blocks))

    @property
    def not_before(self) -> int:
        """Seconds."""
        return max(block.nbf for block in self.blocks)

    @property
    def expires(self) -> int:
        """Seconds."""
        return min(block.exp for block in self.blocks)

    def layers(self) -> tuple[Layer, ...]:
        """What each block allows."""
        return tuple(Layer(tuple((_grant(cap), tuple(cap.conditions)) for cap in block.cap)) for block in self.blocks)


def grants(blocks: Sequence[Block]) -> tuple[Grant, ...]:
    """The bounds of the first block; the layers see to the others."""
    return (Grant(frozenset({Action.PING})), *(_grant(cap) for cap in blocks[0].cap))


def _grant(cap: Cap) -> Grant:
    return Grant(frozenset[Action]().union(*(WORDS[word] for word in cap.actions)), cap.path)


def new_jti() -> str:
    """An id that no other block has."""
    return secrets.token_urlsafe(12)


def fingerprint(token: str) -> str:
    """Stands for a token in memory."""
    return hashlib.sha256(token.encode()).hexdigest()


# --- making -----------------------------------------------------------------------------------------------------


def issue(payload: dict[str, Any], signing_key: bytes) -> str:
    """The first block, signed by the registry's key (32 bytes)."""
    return _append("", payload, _private(signing_key))


def delegate(token: str, payload: dict[str, Any]) -> str:
    """A narrower token. The caller has checked that it may be delegated.

    Raises:
        InvalidCapability: it is sealed.
    """
    head, _, proof = token.rpartition(".")
    seed = _decode(proof)
    if len(seed) != 32:
        raise InvalidCapability("this capability cannot be delegated")
    return _append(f"{head}.", payload, _private(seed))


def _append(head: str, payload: dict[str, Any], signer: Ed25519PrivateKey) -> str:
    seed = secrets.token_bytes(32)
    following = _private(seed)
    payload = {**payload, "key": _encode(following.public_key().public_bytes_raw())}
    data = Block.model_validate(payload).model_dump_json(exclude_none=True).encode()
    # Each signature also covers the one before: a block cannot be moved behind another.
    signature = signer.sign(_signed(head, data))
    proof = seed if payload.get("delegable") else following.sign(signature)
    return f"{head or PREFIX}{_encode(data)}~{_encode(signature)}.{_encode(proof)}"


def _signed(head: str, data: bytes) -> bytes:
    return hashlib.sha256(head.removeprefix(PREFIX).encode()).digest() + data


# --- reading ----------------------------------------------------------------------------------------------------


def parse(token: str, public_key: bytes) -> Capability:
    """Check a token's signatures, from the registry's key on. Times and revocations are the caller's.

    Raises:
        InvalidCapability: it is not ours, was tampered with, or delegated where that was forbidden.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(token) > LONGEST or not token.startswith(PREFIX):
        raise InvalidCapability("not a capability")
    *parts, proof_text = token.removeprefix(PREFIX).split(".")
    if not 1 <= len(parts) <= MOST_BLOCKS:
        raise InvalidCapability("malformed")
    blocks: list[Block] = []
    head, key, signature = "", public_key, b""
    try:
        for part in parts:
            payload, _, signed = part.partition("~")
            data, signature = _decode(payload), _decode(signed)
            Ed25519PublicKey.from_public_bytes(key).verify(signature, _signed(head, data))
            block = Block.model_validate_json(data)
            blocks.append(block)
            key = _decode(block.key)
            head += f"{part}."
        proof = _decode(proof_text)
        sealed = len(proof) != 32
        if sealed:
            Ed25519PublicKey.from_public_bytes(key).verify(proof, signature)
        elif _private(proof).public_key().public_bytes_raw() != key:
            raise InvalidCapability("the proof is not that of the last block")
    except (InvalidSignature, ValidationError, ValueError) as error:
        raise InvalidCapability("malformed or tampered with") from error
    _check_chain(blocks)
    return Capability(tuple(blocks), sealed)


def _check_chain(blocks: Sequence[Block]) -> None:
    first = blocks[0]
    if None in (first.iss, first.sub, first.aud, first.acc, first.epo):
        raise InvalidCapability("the first block is not one")
    for number, block in enumerate(blocks[:-1]):
        if not block.delegable or block.max_delegation_depth < len(blocks) - 1 - number:
            raise InvalidCapability("delegated further than allowed")
    if any(set(cap.actions) - set(WORDS) for block in blocks for cap in block.cap):
        raise InvalidCapability("an action that is not known here")


def _private(seed: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise InvalidCapability("malformed") from None
    if _encode(data) != text:  # another spelling of the same bytes
        raise InvalidCapability("malformed")
    return data
