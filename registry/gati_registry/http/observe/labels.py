"""Labels of metrics and spans: few values, whatever clients ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The scope's key under which a router leaves the pattern that it matched, e.g. `/v2/<name>/blobs/<digest>`.
ROUTE = "gati.route"

_FIXED = frozenset({"/", "/livez", "/readyz", "/metrics", "/token"})
_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"})


def route_of(scope: Mapping[str, Any]) -> str:
    """The pattern of the endpoint that answered, or `other`."""
    route: str | None = scope.get(ROUTE)
    if route is not None:
        return route
    path: str = scope["path"]
    return path if path in _FIXED else "other"


def method_of(method: str) -> str:
    """The method, or `other` for one that no endpoint has."""
    return method if method in _METHODS else "other"
