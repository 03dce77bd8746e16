"""A build's token: who issued it, whether that is true, and its claims.

The key comes from the issuer's own key set by its id alone: what a token says of keys (`jwk`, `jku`, `x5c`, `x5u`) is
not looked at. The algorithm is one that the key is for, never one that only the token names.

Sources: RFC 7519 (JWT), RFC 8725 (its best current practice), OpenID Connect Core section 3.1.3.7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gati_extensions.guarded import Lookup
from gati_extensions.identity.oauth import OAuthError
from gati_extensions.identity.publishers.issuers import Issuers
from gati_registry.errors import Code

LONGEST = 16 * 1024
"""Characters of a token."""

SKEW = 60
"""Seconds that an issuer's clock may differ from ours."""

LONGEST_LIFE = 24 * 3600
"""Seconds between issue and end of a token that is still taken; jobs at GitLab live as long as that."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """A token that is good. `mark` is its own and no other's, `expires_at` in milliseconds."""

    issuer: str
    claims: Mapping[str, Any]
    mark: str
    expires_at: int


def issuer_of(token: str) -> str:
    """Who a token says to be from; nothing is checked yet.

    Raises:
        OAuthError: it is no token.
    """
    import jwt

    if len(token) > LONGEST or token.count(".") != 2:
        raise refused("subject_token is not a JSON Web Token")
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise refused("subject_token is not a JSON Web Token") from None
    if not isinstance(issuer, str):
        raise refused("subject_token names no issuer")
    return issuer


async def verified(token: str, issuer: str, issuers: Issuers, audience: str, now: int) -> Assertion:
    """A token of an issuer that is believed. `now` in milliseconds.

    Raises:
        OAuthError: it is not good.
    """
    import jwt

    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise refused("subject_token is not a JSON Web Token") from None
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(kid, str) or "crit" in header:
        raise refused("the token's header names no key, or asks for what is not known here")
    try:
        key = await issuers.key(issuer, kid)
    except Lookup as error:
        raise OAuthError(
            "temporarily_unavailable", f"the issuer's keys: {error}", code=Code.UNAVAILABLE, status=503
        ) from None
    if key is None:
        raise refused("the issuer has no such key")
    if algorithm not in key.algorithms:
        raise refused("the token's algorithm is not that of its key")
    try:
        claims = jwt.decode(
            token,
            key.key,
            algorithms=[str(algorithm)],
            issuer=issuer,
            options={
                "require": ["iss", "aud", "sub", "exp", "iat"],
                # A token for several audiences is in the hands of each of them; times are compared with our own clock.
                "verify_aud": False,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise refused("the token's signature is not right, or a claim is missing") from None
    if claims["aud"] not in (audience, [audience]):
        raise refused(f"the token is for another audience; ask the issuer for one for {audience}")
    expires = _checked_times(claims, now // 1000)
    jti = claims.get("jti")
    own = jti if isinstance(jti, str) and jti else token.rpartition(".")[0]
    return Assertion(issuer, claims, hashlib.sha256(f"{issuer}\0{own}".encode()).hexdigest(), expires * 1000)


def _checked_times(claims: Mapping[str, Any], now: int) -> int:
    times = [claims["exp"], claims["iat"], claims.get("nbf", claims["iat"])]
    if not all(isinstance(time, int | float) and not isinstance(time, bool) and 0 < time < 2**40 for time in times):
        raise refused("the token's times are malformed")
    expires, issued, begins = (int(time) for time in times)
    if now >= expires + SKEW:
        raise refused("the token has expired; let the build ask for it right before the exchange")
    if issued > now + SKEW or begins > now + SKEW:
        raise refused("the token is not valid yet; check the clocks")
    if expires - issued > LONGEST_LIFE or now - issued > LONGEST_LIFE:
        raise refused(f"the token lives longer than {LONGEST_LIFE // 3600} hours")
    return expires


def facts(claims: Mapping[str, Any]) -> dict[str, str]:
    """The claims that publishers can ask for, all text. `workflow_path` is `workflow_ref` without the reference, which
    differs from release to release."""
    found = {name: value for name, value in claims.items() if isinstance(value, str)}
    reference, path = found.get("ref", ""), found.get("workflow_ref", "")
    found.pop("workflow_path", None)
    if reference and path.endswith(f"@{reference}"):
        found["workflow_path"] = path.removesuffix(f"@{reference}")
    return found


def refused(message: str) -> OAuthError:
    """RFC 8693 section 2.2.2 has one word for all that is wrong; 403, so that the audit log has it too."""
    return OAuthError("invalid_request", message, code=Code.DENIED, status=403)
