"""The Gati client SDK: one `Client` for one registry, asynchronous and typed.

    async with Client("registry.example", credentials=...) as client:
        manifest = await client.artifacts.manifest("orgs/acme/app", "1.2.3")

Names are imported when they are first asked for, so that a command that needs none of them starts at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gati_client.auth import Credential, Credentials, StaticCredentials
    from gati_client.client import Client
    from gati_client.credentials import DockerCredentials
    from gati_client.errors import Conflict, Denied, GatiError, Integrity, Network, NotFound, Usage
    from gati_client.names import Name
    from gati_client.project.project import Project
    from gati_client.sync import SyncClient
    from gati_client.transfer import BytesSource, Descriptor, FileSource, Layer, Manifest, Progress, Source
    from gati_client.transport import Patience

_PLACES = {
    "BytesSource": "transfer",
    "Client": "client",
    "Conflict": "errors",
    "Credential": "auth",
    "Credentials": "auth",
    "Denied": "errors",
    "Descriptor": "transfer",
    "DockerCredentials": "credentials",
    "FileSource": "transfer",
    "GatiError": "errors",
    "Integrity": "errors",
    "Layer": "transfer",
    "Manifest": "transfer",
    "Name": "names",
    "Network": "errors",
    "NotFound": "errors",
    "Patience": "transport",
    "Progress": "transfer",
    "Project": "project.project",
    "Source": "transfer",
    "StaticCredentials": "auth",
    "SyncClient": "sync",
    "Usage": "errors",
}

__all__ = [
    "BytesSource",
    "Client",
    "Conflict",
    "Credential",
    "Credentials",
    "Denied",
    "Descriptor",
    "DockerCredentials",
    "FileSource",
    "GatiError",
    "Integrity",
    "Layer",
    "Manifest",
    "Name",
    "Network",
    "NotFound",
    "Patience",
    "Progress",
    "Project",
    "Source",
    "StaticCredentials",
    "SyncClient",
    "Usage",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(name)
    import importlib

    return getattr(importlib.import_module(f"gati_client.{_PLACES[name]}"), name)
