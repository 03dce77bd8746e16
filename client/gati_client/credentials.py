"""Logins where docker keeps them, so that docker, oras and gati share one.

`$DOCKER_CONFIG/config.json` (or `~/.docker/config.json`) names a credential helper for a registry (`credHelpers`), one
for all (`credsStore`), or holds them itself (`auths`). A helper is the program `docker-credential-<name>`; desktops'
keyrings are reached by it.

Sources: docker's documentation of `docker login` ("Credential stores", "Credential helper protocol"); the file format
of docker/cli `cli/config/configfile`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gati_client.auth import Credential
from gati_client.config import replace
from gati_client.errors import GatiError, NotFound, Usage
from gati_client.locks import beside

TOKEN_USER = "<token>"  # noqa: S105 - what docker calls a user who logs in by a token, no secret
"""A helper's user name for what is no password but an identity token."""

_DOCKER_HUB = "https://index.docker.io/v1/"
"""What docker calls its own registry, whose host is another (docker/cli `cli/config/credentials`)."""

_HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")

_ABSENT = "credentials not found in native keychain"
_SECONDS = 60
"""A helper may ask its user something."""


class DockerCredentials:
    """Docker's logins; `token`, or else GATI_TOKEN, comes before them, for whatever registry is asked about."""

    def __init__(self, *, token: str | None = None, folder: Path | None = None) -> None:
        named = os.environ.get("DOCKER_CONFIG")
        self._file = (folder or (Path(named) if named else Path.home() / ".docker")) / "config.json"
        self._token = (token or os.environ.get("GATI_TOKEN") or "").strip()  # files and secret stores end lines

    async def get(self, host: str) -> Credential | None:
        """The login at `host` (`registry.example`, `127.0.0.1:5000`); None if there is none.

        Raises:
            Usage: the file cannot be understood.
            GatiError: the helper failed.
        """
        if self._token:
            return Credential(token=self._token)
        return await asyncio.to_thread(self.stored, host)

    def stored(self, host: str) -> Credential | None:
        """As `get`, without GATI_TOKEN; blocks."""
        host = _named(host)
        document = self._read()
        helper = self._helper(document, host)
        if helper is not None:
            return _of_helper(helper, host)
        auths = document.get("auths") or {}
        key = next((key for key in auths if key == host), None) or next(
            (key for key in auths if _host(key) == host), None
        )
        return None if key is None else self._of_entry(key, auths[key])

    def store(self, host: str, username: str, secret: str) -> str:
        """Keep a login; returns where, in words.

        Raises:
            Usage: the file cannot be understood.
            GatiError: the helper failed.
        """
        host = _named(host)
        # A helper may ask its user something: docker, which knows no lock, may write the file meanwhile.
        helper = self._helper(self._read(), host)
        entry = {} if helper else {"auth": base64.b64encode(f"{username}:{secret}".encode()).decode()}
        if helper is not None:
            _ask(helper, "store", json.dumps({"ServerURL": host, "Username": username, "Secret": secret}))
        with self._changing() as document:
            document["auths"] = {**(document.get("auths") or {}), host: entry}
        return f"docker-credential-{helper}" if helper is not None else str(self._file)

    def erase(self, host: str) -> bool:
        """Forget a login; returns whether there was one."""
        host = _named(host)
        helper, kept = self._helper(self._read(), host), False
        if helper is not None:
            kept = _of_helper(helper, host) is not None
            with contextlib.suppress(NotFound):
                _ask(helper, "erase", host)
        with self._changing() as document:
            auths = document.get("auths") or {}
            keys = [key for key in auths if key == host or _host(key) == host]
            for key in keys:
                del auths[key]
        return bool(keys) if helper is None else kept

    # --- the file -------------------------------------------------------------------------------------------------

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self._file.read_bytes() or b"{}")
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            raise Usage(f"{self._file}: {error}", remedy="mend the file; docker reads it too") from None
        if not isinstance(document, dict) or not isinstance(document.get("auths") or {}, dict):
            raise Usage(f"{self._file}: not as docker writes it", remedy="mend the file; docker reads it too")
        return document

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Change the file; another gati waits, and whoever reads sees the earlier file or the new one."""
        with beside(self._file):
            document = self._read()
            before = json.dumps(document)
            yield document
            if json.dumps(document) != before:
                replace(self._file, json.dumps(document, indent="\t") + "\n")

    @staticmethod
    def _helper(document: dict[str, Any], host: str) -> str | None:
        named = (document.get("credHelpers") or {}).get(host) or document.get("credsStore") or None
        if named is not None and (not isinstance(named, str) or not named.replace("-", "").replace("_", "").isalnum()):
            raise Usage(f"credsStore {named!r}: not the name of a helper", remedy="mend docker's config.json")
        return named

    def _of_entry(self, key: str, entry: Any) -> Credential | None:
        if not isinstance(entry, dict):
            return None
        if token := entry.get("identitytoken"):
            return Credential(token=str(token))
        if token := entry.get("registrytoken"):
            return Credential(token=str(token))
        if "auth" not in entry:
            return None
        try:
            user, colon, password = base64.b64decode(str(entry["auth"])).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if not colon:
            raise Usage(f"{self._file}: the login at {key} is damaged", remedy="log in again")
        return Credential(username=user, password=password.rstrip("\0"))


def _named(host: str) -> str:
    """What docker calls a registry."""
    return _DOCKER_HUB if host in _HUB_HOSTS else host


def _host(key: str) -> str:
    """The host that a key of `auths` means: docker also writes `https://host/v1/`."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


# --- helpers ----------------------------------------------------------------------------------------------------------


def _of_helper(helper: str, host: str) -> Credential | None:
    for name in (host, f"https://{host}"):
        try:
            found = json.loads(_ask(helper, "get", name))
            user, secret = str(found["Username"]), str(found["Secret"])
        except NotFound:
            continue
        except (ValueError, KeyError, TypeError):
            raise GatiError(f"docker-credential-{helper} answered what is no login", remedy="log in again") from None
        return Credential(token=secret) if user == TOKEN_USER else Credential(username=user, password=secret)
    return None


def _ask(helper: str, action: str, said: str) -> str:
    """One question to a helper. It writes errors to standard output."""
    program = shutil.which(f"docker-credential-{helper}")
    if program is None:
        raise GatiError(
            f"docker-credential-{helper} is not installed, but docker's config.json names it",
            remedy="install it, or remove credsStore there",
        )
    try:
        result = subprocess.run(
            [program, action], input=said.encode(), capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise GatiError(f"docker-credential-{helper} did not answer within {_SECONDS} s") from None
    answer = result.stdout.decode(errors="replace").strip()
    if result.returncode == 0:
        return answer
    if _ABSENT in answer:
        raise NotFound(answer)
    # Never what it answered to `get`: that may hold the secret.
    why = answer if action != "get" else result.stderr.decode(errors="replace").strip()
    raise GatiError(f"docker-credential-{helper} {action} failed: {why[:300] or result.returncode}")
