"""What the routes of this extension share."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from gati_extensions.kinds.api import Catalogue
from gati_extensions.namespaces.api import Namespaces
from gati_extensions.resolve.resolver import Resolver
from gati_registry.extension import Call, Kernel
from gati_registry.values.reference import RepositoryName


@dataclass(frozen=True, slots=True)
class Doors:
    """The extension's parts."""

    kernel: Kernel
    catalogue: Catalogue
    namespaces: Namespaces
    resolver: Resolver


def repository_of(call: Call) -> RepositoryName:
    """The repository of a repository route."""
    assert call.repository is not None
    return call.repository


def moment(milliseconds: int) -> datetime.datetime:
    """A time as the API writes it."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
