"""What the commands ask of a registry beside content: its extensions' endpoints, and where a name is."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from gati_client.cli.frame import configuration, connect, current
from gati_client.errors import Denied, NotFound

if TYPE_CHECKING:
    from gati_client.client import Client
    from gati_client.names import Name

