"""What the routes of certificates take and answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gati_extensions.identity.model import Path, Scope
from gati_registry.extension import Model, Page, Paging

Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the certificate's DER (hex).")]


class NewCertificate(Model):
    """A certificate, or the kind of certificate, that is to be a robot's."""

    account: Annotated[str, Field(max_length=100)] = Field(description="One of your robots.")
    certificate: Annotated[str, Field(max_length=16384)] = Field(
        description="The certificate, PEM; for the other kinds one that has the name."
    )
    by: Literal["fingerprint", "uri", "dns", "subject"] = Field(
        "fingerprint",
        description="This one alone; or any of the same issuer with its first URI, its first DNS name, its subject: "
        "that is for administrators of the server.",
    )
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=10)] = Field(
        description="read, publish, delete, admin."
    )
    path: Path = Field("", description="A namespace or repository that it is bound to; empty: everywhere.")


class CertificateView(Model):
    """A mapping of certificates."""

    id: str
    account: str
    by: str
    value: str
    issuer: str
    scopes: list[str]
    path: str
    created_at: str


class CertificateQuery(Paging):
    """Whose certificates."""

    account: Annotated[str, Field(max_length=100)] = Field(description="One of your robots.")


class RevokedView(Model):
    """A certificate that proves nothing any more."""

    fingerprint: str
    revoked_at: str


Certificates = Page[CertificateView]
RevokedPage = Page[RevokedView]
