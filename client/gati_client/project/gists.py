"""mlld's gists: which version of an artifact is a gist at a revision.

An mlld module's manifest names the gist that it stands for and, pinned, its revision (`kinds` shows both); mlld's locks
name nothing else. Only full ids and revisions tell one content from all others.

Source: the mlld registry's developer guide, "LockFile".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gati_client.errors import NotFound

if TYPE_CHECKING:
    from gati_client.client import Client

MOST = 500
"""Versions of an artifact that are looked at."""

_RESOLVED = re.compile(r"mlld://gist/([A-Za-z0-9_.-]{1,100})/([0-9a-f]{32}|[0-9a-f]{20})")
_REVISION = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Gist:
    """A gist of a user at a revision; None: whichever."""

    user: str
    id: str
    revision: str | None

    @classmethod
    def parse(cls, resolved: Any, revision: Any = None) -> Gist | None:
        """Of `mlld://gist/<user>/<id>` and a revision; None where the id is not full, or the revision neither full
        nor absent."""
        match = _RESOLVED.fullmatch(resolved) if isinstance(resolved, str) else None
        pinned = revision is None or (isinstance(revision, str) and _REVISION.fullmatch(revision) is not None)
        return cls(match[1], match[2], revision) if match is not None and pinned else None

    @property
    def url(self) -> str:
        """Where git finds it."""
        return f"https://gist.github.com/{self.user}/{self.id}.git"

    def __str__(self) -> str:
        return f"gist {self.id}" + (f" at {self.revision}" if self.revision else "")


async def version_of(client: Client, repository: str, gist: Gist) -> str | None:
    """The digest of the newest version that is this gist at this revision; None where none says so."""
    looked: set[str] = set()
    try:
        async for version in client.versions.list(repository):
            if version.digest in looked:
                continue
            if len(looked) >= MOST:
                break
            looked.add(version.digest)
            if _is(gist, (await client.versions.get(repository, version.digest)).facts.get("details")):
                return version.digest
    except NotFound:
        pass
    return None


def _is(gist: Gist, details: Any) -> bool:
    """Whether what is known of a version names the gist, at its revision."""
    modules = details.get("modules") if isinstance(details, dict) else None
    return any(
        isinstance(module, dict) and module.get("gist") == gist.id and gist.revision in (None, module.get("revision"))
        for module in (modules.values() if isinstance(modules, dict) else ())
    )
