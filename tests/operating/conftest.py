"""Fixtures of the serving tests."""

from __future__ import annotations

from tests.serving.conftest import _close_clients, certificate, http_server

__all__ = ["_close_clients", "certificate", "http_server"]
