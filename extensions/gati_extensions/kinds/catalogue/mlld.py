"""What mlld keeps of modules: a user's `registry.json`, or one entry of it with its name. Recognised, never converted.

    application/vnd.mlld.registry.v1+json   {"version", "updated", "author", "modules": {name: {"gist", …}}}
    application/vnd.mlld.module.v1+json     {"name", "gist", "revision", "description", "tags", "created"}

Source: the mlld registry's developer guide, "Registry Format" and "LockFile".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gati_extensions.kinds.kind import Facts

REGISTRY = "application/vnd.mlld.registry.v1+json"
MODULE = "application/vnd.mlld.module.v1+json"

MOST = 1000
"""Modules of one registry, and tags of one module, that are looked at."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_GIST = re.compile(r"[0-9a-f]{20}|[0-9a-f]{32}")
_REVISION = re.compile(r"[0-9a-f]{40}")


def describe(document: Mapping[str, Any]) -> Facts:
    """Of a config that is one of both; nothing of any other. Modules stand in `details`, by name."""
    if isinstance(document.get("modules"), dict):
        return _registry(document)
    return _module(document) if isinstance(document.get("gist"), str) else Facts()


def _registry(document: Mapping[str, Any]) -> Facts:
    modules: dict[str, Any] = {}
    problems: list[str] = []
    for name, raw in list(document["modules"].items())[:MOST]:
        entry = _entry(name, raw, problems)
        if entry is not None:
            modules[name] = entry
    if len(document["modules"]) > MOST:
        problems.append(f"it has more than {MOST} modules; the others were not read")
    author = _text(document, "author")
    return Facts(
        name=author,
        title=f"{author}'s mlld modules" if author else "mlld modules",
        description=", ".join(modules)[:1024],
        type="mlld",
        authors=(author,) if author else (),
        languages=("mlld",),
        keywords=tuple(dict.fromkeys(tag for entry in modules.values() for tag in entry["tags"]))[:MOST],
        details={"updated": _text(document, "updated"), "modules": modules},
        problems=tuple(problems[:20]),
    )


def _module(document: Mapping[str, Any]) -> Facts:
    name = _text(document, "name")
    problems: list[str] = []
    entry = _entry(name, document, problems)
    return Facts(
        name=name,
        version=_text(document, "version"),
        description=_text(document, "description"),
        type="mlld",
        languages=("mlld",),
        keywords=tuple(entry["tags"]) if entry is not None else (),
        details={"modules": {name: entry}} if entry is not None else {},
        problems=tuple(problems),
    )


def _entry(name: str, raw: Any, problems: list[str]) -> dict[str, Any] | None:
    """A module as mlld's clients want it; None, with the problem, where it cannot be one."""
    gist = raw.get("gist") if isinstance(raw, dict) else None
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        problems.append(f"{str(name)[:60]!r} is no name of a module")
        return None
    if not isinstance(gist, str) or _GIST.fullmatch(gist) is None:
        problems.append(f"the module {name} has no full gist id (20 or 32 hexadecimal digits)")
        return None
    entry: dict[str, Any] = {
        "gist": gist,
        "description": _text(raw, "description")[:1024],
        "tags": _tags(raw),
        "created": _text(raw, "created")[:64],
    }
    revision = raw.get("revision", raw.get("gistRevision"))
    if isinstance(revision, str) and _REVISION.fullmatch(revision):
        entry["revision"] = revision
    elif revision is not None:
        problems.append(f"the revision of {name} is not full (40 hexadecimal digits)")
    return entry


def _tags(raw: Mapping[str, Any]) -> list[str]:
    found = raw.get("tags")
    return [tag[:100] for tag in found[:MOST] if isinstance(tag, str)] if isinstance(found, list) else []


def _text(raw: Mapping[str, Any], name: str) -> str:
    found = raw.get(name)
    return found[:4096] if isinstance(found, str) else ""
