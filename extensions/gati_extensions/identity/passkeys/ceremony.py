"""Challenges, and whether what answers them is right.

A browser says under which origin it answered, and an authenticator signs that together with the site it made the
passkey for: both are those that the passkey was added under, whatever a request calls us.

Source: Web Authentication Level 2, sections 7.1 and 7.2; the checks are py_webauthn's.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from gati_extensions.identity import secret
from gati_extensions.identity.passkeys import store
from gati_extensions.identity.passkeys.model import Ceremony, Proof
from gati_extensions.identity.passkeys.store import Challenge, Passkey
from gati_extensions.identity.store.accounts import AccountRow
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Clock, Database, Transaction

LIFE = 300
"""Seconds that a challenge is good for."""

MOST_CHALLENGES, MOST_PASSKEYS = 20, 20
"""Of an account."""

ADD, PROVE, LOGIN = "add", "prove", "login"
"""What a challenge is for."""


class Passkeys:
    """Begins and ends ceremonies."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin_adding(self, account: AccountRow, session: str, origin: str) -> Ceremony:
        """What a browser needs to make a passkey.

        Raises:
            RegistryError: UNSUPPORTED, the extra is missing.
        """
        _required()
        held = await self._database.read(lambda tx: store.of_account(tx, account.id))
        if len(held) >= MOST_PASSKEYS:
            raise RegistryError(Code.CONFLICT, f"an account has at most {MOST_PASSKEYS} passkeys; remove some")
        state, challenge = await self._challenge(account, ADD, session, origin)
        return Ceremony(
            state=state, options=await asyncio.to_thread(_creation, account, held, _site(origin), challenge)
        )

    async def added(
        self, account: AccountRow, session: str, state: str, name: str, credential: dict[str, Any]
    ) -> Passkey:
        """The passkey that was made; it is not stored yet.

        Raises:
            RegistryError: INVALID.
        """
        _required()
        challenge = await self._take(account, ADD, session, state)
        made = await asyncio.to_thread(_verified_creation, credential, challenge) if challenge is not None else None
        if made is None or challenge is None:
            raise RegistryError(Code.INVALID, "the passkey does not answer the challenge; begin again")
        credential_id, public_key, count = made
        now = self._clock.now()
        return Passkey(
            secret.new_id("w"), account.id, name, credential_id, public_key, count, _site(challenge.origin),
            challenge.origin, now, None, None,
        )  # fmt: skip

    async def begin_proof(self, account: AccountRow, purpose: str, session: str, origin: str) -> Ceremony:
        """What a browser needs to use one of the account's passkeys.

        Raises:
            RegistryError: INVALID, it has none for this site; UNSUPPORTED, the extra is missing.
        """
        _required()
        site = _site(origin)
        held = await self._database.read(lambda tx: store.of_account(tx, account.id))
        held = [passkey for passkey in held if passkey.site == site]
        if not held:
            raise RegistryError(Code.INVALID, "there is no passkey for this site; send a code")
        state, challenge = await self._challenge(account, purpose, session, origin)
        return Ceremony(state=state, options=await asyncio.to_thread(_request, held, site, challenge))

    async def proven(self, account: AccountRow, purpose: str, session: str, proof: Proof) -> bool:
        """Whether a passkey of the account answers the challenge; both are then used."""
        _required()
        challenge = await self._take(account, purpose, session, proof.state)
        if challenge is None:
            return False
        credential_id, now = str(proof.credential.get("id"))[:2000], self._clock.now()
        passkey = await self._database.read(lambda tx: store.find(tx, account.id, credential_id))
        if passkey is None:
            return False
        count = await asyncio.to_thread(_verified_request, proof.credential, challenge, passkey)
        return count is not None and await self._database.write(lambda tx: store.used(tx, passkey, count, now))

    async def _challenge(self, account: AccountRow, purpose: str, session: str, origin: str) -> tuple[str, bytes]:
        state, challenge = secrets.token_urlsafe(24), secrets.token_bytes(32)
        row = Challenge(account.id, purpose, session, origin, challenge.hex(), self._clock.now() + LIFE * 1000)
        await self._database.write(lambda tx: store.add_challenge(tx, secret.hashed(state), row, MOST_CHALLENGES))
        return state, challenge

    async def _take(self, account: AccountRow, purpose: str, session: str, state: str) -> Challenge | None:
        hashed = secret.hashed(state)

        async def work(tx: Transaction) -> Challenge | None:
            return await store.take_challenge(tx, hashed)

        found = await self._database.write(work)
        if found is None or self._clock.now() >= found.expires_at:
            return None
        fits = found.account_id == account.id and found.purpose == purpose
        return found if fits and hmac.compare_digest(found.session, session) else None


def _required() -> None:
    if not find_spec("webauthn"):
        raise RegistryError(
            Code.UNSUPPORTED, "passkeys need the extra `federation` on the server; use one-time codes", status=501
        )


def _site(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def _handle(account_id: int) -> bytes:
    """The account's name for authenticators: tells nobody anything."""
    return f"gati-{account_id}".encode()


# --- py_webauthn: imported when a passkey is used at all, which takes a while ------------------------------------


def _creation(account: AccountRow, held: Any, site: str, challenge: bytes) -> dict[str, Any]:
    import webauthn
    from webauthn.helpers import base64url_to_bytes
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    options = webauthn.generate_registration_options(
        rp_id=site,
        rp_name="gati",
        user_name=account.name,
        user_id=_handle(account.id),
        challenge=challenge,
        timeout=LIFE * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.DISCOURAGED, user_verification=UserVerificationRequirement.DISCOURAGED
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=base64url_to_bytes(passkey.credential_id)) for passkey in held
        ],
    )
    found: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return found


def _request(held: Any, site: str, challenge: bytes) -> dict[str, Any]:
    import webauthn
    from webauthn.helpers import base64url_to_bytes
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor, UserVerificationRequirement

    options = webauthn.generate_authentication_options(
        rp_id=site,
        challenge=challenge,
        timeout=LIFE * 1000,
        allow_credentials=[
            PublicKeyCredentialDescriptor(id=base64url_to_bytes(passkey.credential_id)) for passkey in held
        ],
        user_verification=UserVerificationRequirement.DISCOURAGED,
    )
    found: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return found


def _verified_creation(credential: dict[str, Any], challenge: Challenge) -> tuple[str, str, int] | None:
    """Id and public key (base64url) and counter; None if anything is not right."""
    import webauthn
    from webauthn.helpers import bytes_to_base64url

    try:
        made = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=bytes.fromhex(challenge.challenge),
            expected_rp_id=_site(challenge.origin),
            expected_origin=challenge.origin,
        )
    except Exception:  # whatever malformed CBOR, keys or certificates make it and its libraries stumble over
        return None
    return bytes_to_base64url(made.credential_id), bytes_to_base64url(made.credential_public_key), made.sign_count


def _verified_request(credential: dict[str, Any], challenge: Challenge, passkey: Passkey) -> int | None:
    """The counter; None if anything is not right."""
    import webauthn
    from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

    try:
        handle = credential["response"].get("userHandle")
        if handle and handle != bytes_to_base64url(_handle(passkey.account_id)):
            return None
        proven = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=bytes.fromhex(challenge.challenge),
            expected_rp_id=passkey.site,
            expected_origin=passkey.origin,
            credential_public_key=base64url_to_bytes(passkey.public_key),
            credential_current_sign_count=0,  # the store compares it, in the transaction that replaces it
        )
    except Exception:  # as above
        return None
    return proven.new_sign_count
