"""OpenID Connect: authorization code flow with PKCE against any issuer; Google is one.

Sources: OpenID Connect Core 1.0 section 3.1, Discovery 1.0 section 4, RFC 7636 (PKCE), RFC 9207 (`iss` in answers),
RFC 9700.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlsplit

from gati_extensions.identity import jwks
from gati_extensions.identity.external import External
from gati_extensions.identity.federation.attempt import Attempt
from gati_extensions.identity.federation.settings import Provider
from gati_extensions.identity.federation.web import Web, text_of
from gati_extensions.identity.jwks import KeySet, SigningKey
from gati_registry.extension import Clock

FRESH = 60 * 60_000
"""Milliseconds for which an issuer's metadata are believed."""

PAUSE = 5_000
"""Milliseconds between two questions while they cannot be had."""

LEEWAY = 60
"""Seconds that the issuer's clock may differ from ours."""

MOST_GROUPS = 1000

_LONGEST_TOKEN = 64 * 1024


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an issuer says of itself."""

    authorization: str
    token: str
    userinfo: str
    jwks: str
    secret_in_form: bool
    names_itself: bool


class Oidc:
    """Logins at one issuer."""

    def __init__(self, provider: Provider, secret: str, web: Web, clock: Clock) -> None:
        self._provider = provider
        self._secret = secret
        self._web = web
        self._clock = clock
        self._keys = KeySet(clock)
        self._metadata: tuple[int, Metadata] | None = None
        self._ask_at = 0
        self._turn = asyncio.Lock()

    async def location(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where the browser is sent."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        metadata = await self._about()
        uri: str = prepare_grant_uri(
            metadata.authorization,
            self._provider.client_id,
            "code",
            redirect_uri=redirect_uri,
            scope=list(self._provider.scopes or ("openid", "profile", "email")),
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
            acr_values=" ".join(self._provider.acr_values) or None,
        )
        return uri

    async def identify(self, attempt: Attempt, redirect_uri: str, answer: Mapping[str, str]) -> External:
        """Who came back with a code.

        Raises:
            RegistryError: UNAUTHORIZED, or UNAVAILABLE.
        """
        metadata = await self._about()
        # RFC 9207: an answer of another issuer's that is brought here is noticed before the code goes anywhere.
        if answer.get("iss", None if metadata.names_itself else self._provider.issuer) != self._provider.issuer:
            raise self._web.refused("the answer is from another issuer")
        tokens = await self._exchange(metadata, attempt, redirect_uri, answer["code"])
        claims = await self._verified(metadata, text_of(tokens, "id_token"), text_of(tokens, "access_token"), attempt)
        return self._external(await self._completed(metadata, claims, text_of(tokens, "access_token")))

    # --- the issuer ---------------------------------------------------------------------------------------------

    async def _about(self) -> Metadata:
        """Asked for once an hour; where there is no answer, not at the pace of those who want to log in."""
        async with self._turn:
            now = self._clock.now()
            if self._metadata is None or now - self._metadata[0] >= FRESH:
                if now < self._ask_at:
                    raise self._web.down("gave no usable answer just now")
                self._ask_at = now + PAUSE
                self._metadata = now, await self._discover()
            return self._metadata[1]

    async def _discover(self) -> Metadata:
        issuer = self._provider.issuer
        document = await self._web.get(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if text_of(document, "issuer") != issuer:
            raise self._web.down("the issuer calls itself by another name")
        endpoints = {name: text_of(document, name) for name in (
            "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")}  # fmt: skip
        for name, url in endpoints.items():
            # The browser is sent to one of them: it must not be led out of TLS, nor to something else than a page.
            if not url and name == "userinfo_endpoint":
                continue
            if urlsplit(url).scheme not in {"https", urlsplit(issuer).scheme}:
                raise self._web.down(f"its {name} is not https://")
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return Metadata(
            endpoints["authorization_endpoint"],
            endpoints["token_endpoint"],
            endpoints["userinfo_endpoint"],
            endpoints["jwks_uri"],
            secret_in_form=isinstance(methods, list) and "client_secret_basic" not in methods,
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _exchange(self, metadata: Metadata, attempt: Attempt, redirect_uri: str, code: str) -> Any:
        """The tokens of a code, which is good once."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": attempt.verifier,
        }
        headers = {}
        name, secret = self._provider.client_id, self._secret
        if metadata.secret_in_form:
            fields |= {"client_id": name, "client_secret": secret}
        else:  # RFC 6749 section 2.3.1: both are form-encoded first
            pair = f"{quote_plus(name)}:{quote_plus(secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        tokens = await self._web.post(metadata.token, fields, headers)
        if "error" in tokens:
            raise self._web.refused(f"the provider says {text_of(tokens, 'error')[:100]} to the code")
        return tokens

    # --- the token ----------------------------------------------------------------------------------------------

    async def _verified(self, metadata: Metadata, token: str, access_token: str, attempt: Attempt) -> dict[str, Any]:
        """The claims of an identity token for this login."""
        from authlib.oidc.core import CodeIDToken
        from joserfc import jws
        from joserfc.errors import JoseError
        from joserfc.jwk import JWKRegistry

        provider = self._provider
        try:
            if not 0 < len(token) <= _LONGEST_TOKEN:
                raise ValueError
            header = json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
            kid = header.get("kid")
            key = await self._keys.find(
                kid if isinstance(kid, str) else None, metadata.jwks, lambda: self._signing(metadata.jwks)
            )
            if key is None or header.get("alg") not in key.algorithms:
                raise self._web.refused("no key of the issuer's signed its token")
            rules = jws.JWSRegistry(algorithms=key.algorithms, strict_check_header=False)
            rules.max_header_length = _LONGEST_TOKEN  # certificate chains are long
            theirs = JWKRegistry.import_key(dict(key.parts))
            claims = json.loads(jws.deserialize_compact(token.encode(), theirs, registry=rules).payload)
            checked = CodeIDToken(
                claims,
                header,
                {
                    "iss": {"essential": True, "value": provider.issuer},
                    "aud": {"essential": True, "value": provider.client_id},
                    "sub": {"essential": True},
                },
                {"client_id": provider.client_id, "nonce": attempt.nonce, "access_token": access_token},
            )
            checked.validate(now=self._clock.now() // 1000, leeway=LEEWAY)
        except JoseError as error:
            raise self._web.refused(f"the issuer's token does not hold ({error.error[:60]})") from None
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise self._web.refused("the issuer's token is malformed") from None
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
            raise self._web.refused("the issuer's token names nobody")
        if provider.acr_values and claims.get("acr") not in provider.acr_values:
            raise self._web.refused("the login was not as strong as is asked here")
        return dict(claims)

    async def _signing(self, url: str) -> Mapping[str, SigningKey]:
        try:
            return jwks.parsed(await self._web.get(url))
        except ValueError as error:
            raise self._web.down(str(error)) from None

    async def _completed(self, metadata: Metadata, claims: dict[str, Any], access_token: str) -> dict[str, Any]:
        """The claims, with those that only the issuer's userinfo tells."""
        provider = self._provider
        wanted = {provider.name_claim or "preferred_username", "email", *filter(None, [provider.groups_claim])}
        if not metadata.userinfo or not access_token or all(_claim(claims, name) is not None for name in wanted):
            return claims
        told = await self._web.get(metadata.userinfo, {"Authorization": f"Bearer {access_token}"})
        # OpenID Connect Core section 5.3.2: what is told of somebody else is not to be used.
        if not isinstance(told, dict) or not hmac.compare_digest(text_of(told, "sub").encode(), claims["sub"].encode()):
            raise self._web.refused("the issuer's userinfo is about somebody else")
        return {**told, **claims}

    def _external(self, claims: dict[str, Any]) -> External:
        provider = self._provider
        email = text_of(claims, "email") if claims.get("email_verified") is True else ""
        if provider.allowed_domains:
            # Only Google's own claim tells that a domain manages the account: an address there may be anybody's.
            domain = text_of(claims, "hd") if provider.kind == "google" else email.rpartition("@")[2]
            if domain.lower() not in {allowed.lower() for allowed in provider.allowed_domains}:
                raise self._web.refused("accounts of that domain are not let in here")
        groups = _claim(claims, provider.groups_claim) if provider.groups_claim else None
        listed = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        named = frozenset(group for group in listed[:MOST_GROUPS] if isinstance(group, str))
        if provider.allowed_groups and not named & set(provider.allowed_groups):
            raise self._web.refused("the account is in no group that is let in here")
        name = _claim(claims, provider.name_claim or "preferred_username")
        return External(
            provider=provider.id,
            issuer=provider.issuer,
            subject=claims["sub"],
            name=name if isinstance(name, str) and name and name.isprintable() else email or claims["sub"],
            email=email if 0 < len(email) <= 254 else None,
            display=text_of(claims, "name"),
            groups=named,
        )


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by its path (`realm_access.roles`)."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
