"""Conditions of permissions and capabilities: when they apply.

Whatever cannot be found out counts against the caller: a condition that cannot be judged does not hold.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gati_registry.domain.access import Circumstances
from gati_registry.extension import Model

Text = Annotated[str, Field(max_length=256)]
Value = int | Text | Annotated[list[Text], Field(max_length=64)]

_TIME_KEYS = frozenset({"", "hour", "weekday"})
_STATE_KEYS = frozenset({"visibility", "repository", "namespace", "action"})


class Condition(Model):
    """One condition.

    time            `key` empty: the instant, compared with RFC 3339 texts; `hour` (0-23) and `weekday` (1-7), UTC
    ip              the client's address, compared with addresses and networks
    user-agent      the client's program
    resource-state  `key` is visibility, repository, namespace or action
    custom          `key` is the name of a request header
    """

    kind: Literal["time", "ip", "user-agent", "resource-state", "custom"]
    key: str = Field("", max_length=64)
    op: Literal["eq", "neq", "gt", "lt", "in", "contains"]
    value: Value

    @model_validator(mode="after")
    def _judgeable(self) -> Condition:
        if (self.op == "in") != isinstance(self.value, list):
            raise ValueError("`in` takes a list of values, and nothing else does")
        if self.kind == "time":
            if self.key not in _TIME_KEYS:
                raise ValueError("the key of a time is empty, hour or weekday")
            if not self.key:
                [_instant(value) for value in _values(self.value)]
        if self.kind == "ip":
            if self.op in ("gt", "lt"):
                raise ValueError("addresses are compared with eq, neq, in and contains")
            [_network(value) for value in _values(self.value)]
        if self.kind == "resource-state" and self.key not in _STATE_KEYS:
            raise ValueError("the key of a resource-state is visibility, repository, namespace or action")
        if self.kind == "custom" and not self.key:
            raise ValueError("the key of a custom condition is the name of a request header")
        return self


@dataclass(frozen=True, slots=True)
class Situation:
    """What conditions are judged by. `time` is in milliseconds, UTC."""

    time: int
    request: Circumstances | None = None
    state: Mapping[str, str] = field(default_factory=dict)


def hold(conditions: tuple[Condition, ...], situation: Situation) -> bool:
    """Whether all of them hold."""
    return all(holds(condition, situation) for condition in conditions)


def holds(condition: Condition, situation: Situation) -> bool:
    """Whether it holds; False where that cannot be known."""
    try:
        if condition.kind == "time":
            return _time(condition, situation.time)
        if condition.kind == "resource-state":
            found = situation.state.get(condition.key)
            return found is not None and _compare(condition.op, found, condition.value)
        if situation.request is None:
            return False
        if condition.kind == "ip":
            return _address(condition, situation.request.address)
        header = "user-agent" if condition.kind == "user-agent" else condition.key.lower()
        text = situation.request.header(header.encode("latin-1"))
        return text is not None and _compare(condition.op, text, condition.value)
    except (ValueError, TypeError):
        return False


def _time(condition: Condition, milliseconds: int) -> bool:
    now = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    if condition.key:
        found = now.hour if condition.key == "hour" else now.isoweekday()
        value = condition.value
        wanted = [int(part) for part in value] if isinstance(value, list) else int(value)
        return _compare(condition.op, found, wanted)
    instants = [_instant(value) for value in _values(condition.value)]
    return _compare(condition.op, now, instants if condition.op == "in" else instants[0])


def _address(condition: Condition, text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    within = any(address in _network(value) for value in _values(condition.value))
    return within != (condition.op == "neq")


def _compare(op: str, found: object, value: object) -> bool:
    if op == "in":
        return isinstance(value, list) and found in value
    if op == "contains":
        return str(value) in str(found)
    if op in ("eq", "neq"):
        return (found == value) == (op == "eq")
    if isinstance(found, str):
        found, value = (int(found), value) if isinstance(value, int) else (found, str(value))
    # A TypeError means that they cannot be compared: it does not hold.
    return bool(found > value if op == "gt" else found < value)  # type: ignore[operator]


def _values(value: Value) -> list[str]:
    return [str(part) for part in value] if isinstance(value, list) else [str(value)]


def _instant(text: str) -> datetime.datetime:
    found = datetime.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time needs its zone, e.g. 2030-01-01T00:00:00Z")
    return found


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)
