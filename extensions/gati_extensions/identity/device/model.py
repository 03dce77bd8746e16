"""What the routes for devices take and answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gati_registry.extension import Model


class Begun(Model):
    """A request that waits for a person (RFC 8628 section 3.2)."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int = Field(description="Seconds.")
    interval: int = Field(description="Seconds between two questions for the token.")


class DeviceToken(Model):
    """An API key: for the device to keep, shown now and never again."""

    access_token: str
    token_type: str
    scope: str
    expires_in: int = Field(description="Seconds.")


class PageQuery(Model):
    """Which request the page is about."""

    user_code: Annotated[str, Field(max_length=40)] = ""


class Decided(Model):
    """A person's word on a device's request."""

    user_code: Annotated[str, Field(max_length=40)]
    decision: Literal["approve", "deny"]
