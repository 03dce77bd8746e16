"""What every extension says and wants to hear. Generated from its OpenAPI; do not edit:

python -m tests.client.generate
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Base of all. Fields that a newer server adds are let be."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, defer_build=True)


class Condition(Model):
    """One condition. time `key` empty: the instant, compared with RFC 3339 texts; `hour` (0-23) and `weekday`
    (1-7), UTC ip the client's address, compared with addresses and networks user-agent the client's program
    resource-state `key` is visibility, repository, namespace or action custom `key` is the name of a request
    header
    """

    kind: Literal["time", "ip", "user-agent", "resource-state", "custom"]
    key: str = ""
    op: Literal["eq", "neq", "gt", "lt", "in", "contains"]
    value: int | str | list[str]


class Errors(Model):
    """Errors."""

    errors: list[dict[str, Any]]
