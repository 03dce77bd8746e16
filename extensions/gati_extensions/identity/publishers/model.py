"""What the routes of trusted publishing take and answer."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gati_extensions.identity.publishers.issuers import checked_issuer
from gati_extensions.identity.publishers.store import IDENTIFYING
from gati_registry.errors import RegistryError
from gati_registry.extension import Model, Page, Paging
from gati_registry.values.reference import RepositoryName

NOT_FACTS = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti"})


def _repository(text: str) -> str:
    try:
        return RepositoryName.parse(text)
    except RegistryError as error:
        raise ValueError(error.message) from None


def _claims(claims: dict[str, str]) -> dict[str, str]:
    if not claims.keys() & set(IDENTIFYING):
        raise ValueError(f"must hold one of {', '.join(IDENTIFYING)}: which source is meant")
    for name in claims:
        if name in NOT_FACTS or not re.fullmatch(r"[A-Za-z0-9_.:/-]{1,100}", name):
            raise ValueError("names claims such as repository, workflow_path, environment")
    return claims


Repository = Annotated[str, Field(max_length=255), AfterValidator(_repository)]
Right = Literal["pull", "push", "delete"]


class NewPublisher(Model):
    """A trusted publisher to be registered."""

    repository: Repository = Field(description="The one repository that its builds may use.")
    issuer: Annotated[str, Field(max_length=300), AfterValidator(checked_issuer)] = Field(
        description="Letter for letter as tokens say `iss`: https://token.actions.githubusercontent.com."
    )
    claims: Annotated[
        dict[str, Annotated[str, Field(min_length=1, max_length=500)]],
        Field(min_length=1, max_length=20),
        AfterValidator(_claims),
    ] = Field(
        description="What a token must say, letter for letter: `repository`, `workflow_ref`, `environment`, …;"
        " `workflow_path` is `workflow_ref` without its `@reference`."
    )
    actions: Annotated[list[Right], Field(min_length=1, max_length=3)] = Field(
        ["pull", "push"], description="What its builds may do there."
    )
    name: Annotated[str, Field(max_length=100)] = ""


class PublisherView(Model):
    """A trusted publisher. Its builds act in the name of `account`."""

    id: str
    account: str
    repository: str
    name: str
    issuer: str
    claims: dict[str, str]
    actions: list[Right]
    created_at: str
    used_at: str | None


class PublisherQuery(Paging):
    """Of which repository."""

    repository: Repository


class Audience(Model):
    """What to ask the issuer for."""

    audience: str = Field(description="The audience that a build's token must be for.")


class Given(Model):
    """A token for a build (RFC 8693 section 2.2.1): good as a bearer token, or as a password with the user `gati`."""

    access_token: str
    issued_token_type: str
    token_type: str
    expires_in: int = Field(description="Seconds.")
    scope: str


Publishers = Page[PublisherView]
