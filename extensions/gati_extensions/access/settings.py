"""Settings of the section `[access]`."""

from __future__ import annotations

from pydantic import Field

from gati_registry.extension import Model


def _rate(whom: str) -> float:
    found: float = Field(
        0,
        ge=0,
        description=f"Requests per second that {whom} may go on making, in each worker; 0: no limit.",
        json_schema_extra={"unit": "requests/s"},
    )
    return found


class AccessSettings(Model):
    """Limits of rates, and of capability tokens."""

    user_rate: float = _rate("a user, with whatever credentials,")
    key_rate: float = _rate("one API key, robot's key or token's owner's key")
    address_rate: float = _rate("one address without credentials (IPv6: one /64)")
    burst: float = Field(
        20,
        ge=1,
        description="Seconds' worth of requests that may come at once after a pause.",
        json_schema_extra={"unit": "seconds"},
    )
    capability_ttl: int = Field(
        30 * 86400,
        ge=60,
        description="Longest life of a capability token.",
        json_schema_extra={"unit": "seconds"},
    )
    capability_depth: int = Field(
        8,
        ge=0,
        le=16,
        description="Most delegations of a capability token, one after another.",
        json_schema_extra={"unit": "delegations"},
    )
