"""Errors as OAuth writes them, in the registry's own format too.

Source: RFC 6749 section 5.2, which RFC 8628 (devices) and RFC 8693 (token exchange) follow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from gati_registry.errors import Code, RegistryError


class OAuthError(RegistryError):
    """`error` and `error_description` beside `errors`; `error` is the RFC's word."""

    def __init__(self, error: str, message: str, *, code: Code = Code.INVALID, status: int = 400) -> None:
        super().__init__(code, message, status=status, headers={"Cache-Control": "no-store"})
        self.error = error

    def body(self) -> bytes:
        """Both formats in one document."""
        return json.dumps({"error": self.error, "error_description": self.message, "errors": [self.entry()]}).encode()


class Form:
    """The fields of a request; none may be there twice (RFC 6749 section 3.2)."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        for name, values in fields.items():
            if len(values) != 1:
                raise OAuthError("invalid_request", f"send the field {name[:50]} once")
        self._fields = fields

    def get(self, name: str, longest: int) -> str:
        """A field's value; empty if it is absent.

        Raises:
            OAuthError: invalid_request, it is longer than that.
        """
        value = self._fields.get(name, [""])[0]
        if len(value) > longest:
            raise OAuthError("invalid_request", f"the field {name} is too long")
        return value
