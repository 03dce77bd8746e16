"""`gati-registry keys`: the master key and the namespaces' keys."""

from __future__ import annotations

import argparse
import asyncio

from gati_registry.bootstrap import Registry, master_key
from gati_registry.commands.context import loaded, print_json, print_table, with_registry
from gati_registry.commands.options import ExitCode
from gati_registry.service.keys import Destroyed, KeyService, KeyStatus
from gati_registry.settings import Settings, SettingsError


def run(arguments: argparse.Namespace) -> int:
    """0: done; 1: there is no such namespace's key, or it was not confirmed."""
    settings = loaded(arguments).settings
    if settings.encryption.master == "none":
        raise SettingsError("encryption.master: none, so there are no keys; name where the master key is")
    if (arguments.action == "destroy") != (arguments.namespace is not None):
        raise SettingsError("keys: NAMESPACE goes with destroy, and with nothing else")
    action = {"status": _status, "rotate": _rotate, "rewrap": _rewrap, "destroy": _destroy}[arguments.action]
    return action(settings, arguments)


def _status(settings: Settings, arguments: argparse.Namespace) -> int:
    async def ask(registry: Registry) -> KeyStatus:
        return await _service(registry).status()

    status = asyncio.run(with_registry(settings, ask))
    rows = [
        {"master": master, "keys": count, "current": "yes" if master == status.current else "no"}
        for master, count in sorted({status.current: 0, **status.wrapped}.items())
    ]
    if arguments.output == "json":
        print_json({"current": status.current, "keys": dict(status.wrapped)})
    else:
        print_table(rows, ("master", "keys", "current"))
    return ExitCode.DONE


def _rotate(settings: Settings, arguments: argparse.Namespace) -> int:
    master = master_key(settings)
    assert master is not None, "checked above"
    made = asyncio.run(master.rotate())  # needs no database: the first one is made before the first start
    if arguments.output == "json":
        print_json({"current": made})
    else:
        print(f"{made} wraps from now on; to have it wrap what there is, run: gati-registry keys rewrap")
    return ExitCode.DONE


def _rewrap(settings: Settings, arguments: argparse.Namespace) -> int:
    async def rewrap(registry: Registry) -> int:
        return await _service(registry).rewrap()

    done = asyncio.run(with_registry(settings, rewrap))
    if arguments.output == "json":
        print_json({"rewrapped": done})
    else:
        print(f"{done} keys are wrapped anew; no blob was touched")
    return ExitCode.DONE


def _destroy(settings: Settings, arguments: argparse.Namespace) -> int:
    namespace = str(arguments.namespace).strip("/")
    if not namespace:
        raise SettingsError("keys: NAMESPACE is such as orgs/acme")

    async def destroy(registry: Registry) -> Destroyed | None:
        return await _service(registry).destroy(namespace)

    if not arguments.yes:
        print(f"this makes the blobs of {namespace} unreadable for good; to do it, say --yes")
        return ExitCode.FAILED
    found = asyncio.run(with_registry(settings, destroy))
    if found is None:
        print(f"{namespace} has no key; name a namespace such as orgs/acme")
        return ExitCode.FAILED
    if arguments.output == "json":
        print_json({"namespace": namespace, "blobs": found.blobs, "lost": found.lost})
    else:
        kept = found.blobs - found.lost
        print(f"the key of {namespace} is destroyed: {found.lost} blobs are lost, {kept} are linked elsewhere too")
    return ExitCode.DONE


def _service(registry: Registry) -> KeyService:
    assert registry.keys is not None, "there is a master key"
    return registry.keys
