"""Settings of providers, in the section `[identity]`."""

from __future__ import annotations

import ipaddress
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from gati_extensions.identity.targets import checked_target
from gati_registry.extension import Model

ISSUERS = {"github": "https://github.com", "google": "https://accounts.google.com"}

_SECRET_LONGEST = 4096


def _url(text: str) -> str:
    parts = urlsplit(text)
    if (
        parts.scheme not in ("https", "http")
        or not parts.hostname
        or parts.query
        or parts.fragment
        or parts.username is not None
        or not text.isprintable()
        or " " in text
    ):
        raise ValueError("must be a URL such as https://login.example.org, without query and user")
    return text


def read_secret(path: Path) -> str:
    """A secret of one line, in a file.

    Raises:
        ValueError: it is not there, or not one.
    """
    try:
        text = path.read_text(encoding="utf-8")[:_SECRET_LONGEST].strip()
    except (OSError, UnicodeDecodeError):
        raise ValueError("names a file that cannot be read as text") from None
    if not text or "\n" in text:
        raise ValueError("names a file that must hold one line")
    return text


def json_text(value: object) -> object:
    """What the environment spells as JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("must be JSON in the environment") from None
    return value


def comma_separated(value: object) -> object:
    """The items of a list as the environment writes it."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Target = Annotated[str, AfterValidator(checked_target)]
Networks = Annotated[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...], BeforeValidator(comma_separated)]


class Provider(Model):
    """One provider. docs/federation.md explains each."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    kind: Literal["github", "google", "oidc"] = "oidc"
    title: Annotated[str, Field(max_length=100)] = ""
    issuer: Annotated[str, AfterValidator(_url)] = ""
    client_id: Annotated[str, Field(min_length=1, max_length=500)]
    client_secret_file: Path
    scopes: tuple[str, ...] = ()
    name_claim: str = ""
    groups_claim: str = ""
    groups: dict[str, Target] = Field(default_factory=dict)
    allowed_domains: tuple[str, ...] = ()
    allowed_groups: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    create_accounts: bool = False

    @model_validator(mode="before")
    @classmethod
    def _issuer_of_kind(cls, values: Any) -> Any:
        if isinstance(values, dict) and "issuer" not in values and values.get("kind") in ISSUERS:
            return {**values, "issuer": ISSUERS[values["kind"]]}
        return values

    @model_validator(mode="after")
    def _complete(self) -> Provider:
        if not self.issuer:
            raise ValueError("issuer: missing")
        if self.id == "ldap":
            raise ValueError("id: ldap is the directory's")
        if self.kind == "github" and (self.allowed_domains or self.acr_values):
            raise ValueError("GitHub tells no domains and no acr; use allowed_groups")
        read_secret(self.client_secret_file)
        return self

    def __str__(self) -> str:
        return f"{self.id} ({self.kind} {self.issuer})"


def _providers(value: object) -> object:
    """Each by itself, so that an error says which one and what of it."""
    found = json_text(value)
    if not isinstance(found, list | tuple):
        raise ValueError("must be a list of tables: [[identity.providers]]")
    out = []
    for number, item in enumerate(found, 1):
        try:
            out.append(item if isinstance(item, Provider) else Provider.model_validate(item))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            words = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"provider {number}: {f'{place}: ' if place else ''}{words}") from None
    if len({provider.id for provider in out}) != len(out):
        raise ValueError("two providers have the same id")
    if out and not (find_spec("authlib") and find_spec("joserfc")):
        raise ValueError("needs the extra `federation` (pip install 'gati-registry[federation]')")
    return tuple(out)


class FederationSettings(Model):
    """Part of the section `[identity]`."""

    providers: Annotated[tuple[Provider, ...], BeforeValidator(_providers)] = Field(
        (),
        description="Providers that users log in by: tables `[[identity.providers]]`, in the environment a JSON list; "
        "see federation.md.",
    )
    allowed_networks: Networks = Field(
        (),
        description="Networks with private addresses in which providers and issuers may be, e.g. `10.0.0.0/8`; there "
        "http:// will do for providers. All others must be public and have https://.",
    )
