"""What the routes of this extension share."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass, field

from gati_extensions.kinds.api import Catalogue
from gati_extensions.namespaces.api import Namespaces
from gati_extensions.resolve.settings import ResolveSettings
from gati_registry.extension import Call, Kernel
from gati_registry.values.reference import RepositoryName


@dataclass(frozen=True, slots=True)
class Doors:
    """The extension's parts. `turns` bounds how many resolutions are computed at once."""

    kernel: Kernel
    settings: ResolveSettings
    catalogue: Catalogue
    namespaces: Namespaces
    turns: list[asyncio.Semaphore] = field(default_factory=list)

    def turn(self) -> asyncio.Semaphore:
        """A place to compute in; made within the loop that uses it."""
        if not self.turns:
            self.turns.append(asyncio.Semaphore(self.settings.at_once))
        return self.turns[0]


def repository_of(call: Call) -> RepositoryName:
    """The repository of a repository route."""
    assert call.repository is not None
    return call.repository


def moment(milliseconds: int) -> datetime.datetime:
    """A time as the API writes it."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
