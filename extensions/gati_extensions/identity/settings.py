"""Settings of the section `[identity]`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic.config import JsonDict

from gati_extensions.identity.federation.settings import FederationSettings
from gati_extensions.identity.ldap.settings import LdapSettings

_SECONDS: JsonDict = {"unit": "seconds"}
_TRIES: JsonDict = {"unit": "tries"}


class IdentitySettings(LdapSettings, FederationSettings):
    """Accounts, credentials and tokens."""

    signup: Literal["open", "invite", "closed"] = Field(
        "closed",
        description="Who may make an account: everybody, holders of an invitation, administrators alone.",
    )
    token_ttl: int = Field(300, ge=60, le=86400, description="Life of a token of /token.", json_schema_extra=_SECONDS)
    signing_key_age: int = Field(
        90 * 86400,
        ge=3600,
        description="Age at which the key that signs tokens is replaced.",
        json_schema_extra=_SECONDS,
    )
    secret_key_file: Path | None = Field(
        None,
        description="File of the key that seals signing keys and one-time secrets in the database: 32 random bytes in "
        "base64 (`openssl rand -base64 32`), the same on all replicas. Absent: `identity.key` in the data folder, made "
        "at the start; with PostgreSQL: nothing is sealed.",
    )
    refresh_idle: int = Field(
        90 * 86400, ge=60, description="A refresh token not used for so long ends.", json_schema_extra=_SECONDS
    )
    session_idle: int = Field(
        8 * 3600, ge=60, description="A browser session not used for so long ends.", json_schema_extra=_SECONDS
    )
    session_max: int = Field(
        7 * 86400,
        ge=60,
        description="A browser session ends after so long at the latest.",
        json_schema_extra=_SECONDS,
    )
    device_key_ttl: int = Field(
        90 * 86400,
        ge=3600,
        description="Life of the key that a device gets when somebody confirms its code.",
        json_schema_extra=_SECONDS,
    )
    audience: str | None = Field(
        None,
        min_length=1,
        max_length=300,
        description="Audience that a build's token must be for, to be exchanged. Absent: a name that no other registry "
        "has; `GET /v2/_ext/identity/exchange` tells it.",
    )
    issuer_ca: Path | None = Field(
        None, description="Authorities that issuers' certificates are checked with, PEM. Absent: the machine's."
    )
    invitation_ttl: int = Field(7 * 86400, ge=60, description="Life of an invitation.", json_schema_extra=_SECONDS)
    login_tries: int = Field(
        5,
        ge=1,
        le=1000,
        description="Wrong passwords of an account from one address before each next try has to wait.",
        json_schema_extra=_TRIES,
    )
    address_tries: int = Field(
        50,
        ge=1,
        le=100000,
        description="Wrong passwords from one address before each next try has to wait.",
        json_schema_extra=_TRIES,
    )
