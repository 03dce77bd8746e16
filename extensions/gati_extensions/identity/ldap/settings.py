"""Settings of the directory, in the section `[identity]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gati_extensions.identity.federation.settings import Target, json_text, read_secret
from gati_extensions.identity.ldap.filters import Filter
from gati_registry.extension import Model


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        port = 0
    if text and (parts.scheme not in ("ldap", "ldaps") or not parts.hostname or port == 0 or parts.path.strip("/")):
        raise ValueError("must be ldaps://HOST[:PORT] or ldap://HOST[:PORT]")
    return text


def _filter(text: str) -> str:
    Filter.parse(text)
    return text


FilterText = Annotated[str, AfterValidator(_filter)]


class LdapSettings(Model):
    """Part of the section `[identity]`."""

    ldap_url: Annotated[str, AfterValidator(_url)] = Field(
        "",
        description="Directory that checks passwords: `ldaps://HOST` or `ldap://HOST`; empty: none. See federation.md.",
    )
    ldap_start_tls: bool = Field(
        True, description="Ask for TLS on `ldap://`. Without it passwords cross the network for everybody to read."
    )
    ldap_ca_file: Path | None = Field(
        None,
        description="Authorities (PEM) that the directory's certificate is checked against; absent: the machine's.",
    )
    ldap_bind_dn: str = Field("", description="Who we are when we look for users; empty: nobody (anonymous).")
    ldap_password_file: Path | None = Field(None, description="File with the password of `identity.ldap_bind_dn`.")
    ldap_base: str = Field("", description="Where users are looked for, and all below it.")
    ldap_filter: FilterText = Field(
        "(&(objectClass=person)(uid={name}))",
        description="Which entry is the user `{name}`; whoever it does not find is not let in, and is put out of use.",
    )
    ldap_user_dn: str = Field(
        "",
        description="Instead of looking for users: their name there, e.g. `uid={name},ou=people,dc=example`.",
    )
    ldap_id_attribute: str = Field(
        "entryUUID", description="Attribute that stays the same for ever: what an account belongs to."
    )
    ldap_name_attribute: str = Field("uid", description="Attribute that a new account is called after.")
    ldap_email_attribute: str = Field("mail", description="Attribute with the address of a new account.")
    ldap_display_attribute: str = Field("cn", description="Attribute with the displayed name of a new account.")
    ldap_group_base: str = Field(
        "", description="Where groups are looked for; empty: they are those of the user's attribute `memberOf`."
    )
    ldap_group_filter: FilterText = Field(
        "(&(objectClass=groupOfNames)(member={dn}))", description="Which groups a user is in, by `{dn}` or `{name}`."
    )
    ldap_group_attribute: str = Field("cn", description="Attribute with a group's name.")
    ldap_groups: Annotated[dict[str, Target], BeforeValidator(json_text)] = Field(
        {},
        description="What groups (by name, or by their whole name in the directory) mean: a table, in the environment "
        "JSON; see federation.md.",
    )
    ldap_create_accounts: bool = Field(True, description="The first login of a user of the directory makes an account.")
    ldap_timeout: float = Field(
        5,
        gt=0,
        le=60,
        description="Longest time for one login to be checked by the directory.",
        json_schema_extra={"unit": "seconds"},
    )
    ldap_connections: int = Field(
        8, ge=1, le=100, description="Most connections of a worker.", json_schema_extra={"unit": "connections"}
    )
    ldap_cache: float = Field(
        60,
        ge=0,
        le=3600,
        description="How long a password that was right is not asked for again; after as long whoever has gone from "
        "the directory is put out of use.",
        json_schema_extra={"unit": "seconds"},
    )

    @model_validator(mode="after")
    def _complete(self) -> LdapSettings:
        if not self.ldap_url:
            return self
        if not self.ldap_base and not self.ldap_user_dn:
            raise ValueError("identity.ldap_base: missing; say where users are, or set identity.ldap_user_dn")
        if self.ldap_user_dn and "{name}" not in self.ldap_user_dn:
            raise ValueError("identity.ldap_user_dn: must hold {name}")
        if bool(self.ldap_bind_dn) != (self.ldap_password_file is not None):
            raise ValueError("identity.ldap_bind_dn: needs identity.ldap_password_file, and the other way round")
        for name, path in (("ldap_password_file", self.ldap_password_file), ("ldap_ca_file", self.ldap_ca_file)):
            try:
                if path is not None and name == "ldap_password_file":
                    read_secret(path)
                elif path is not None and not path.is_file():
                    raise ValueError("names a file that is not there")
            except ValueError as error:
                raise ValueError(f"identity.{name}: {error}") from None
        return self
