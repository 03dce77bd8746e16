"""`$XDG_CONFIG_HOME/gati/config.toml`: the registries that have a name, which of them is the default, the namespace.

    default = "work"
    namespace = "orgs/acme"

    [registries.work]
    url = "https://registry.example"

    [registries.lab]
    url = "http://lab.internal:5000"
    insecure = true

No secret is kept here: those lie where docker keeps them (`gati_client.credentials`).
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gati_client.errors import Usage

LOCAL = "http://127.0.0.1:5000"
"""What is spoken to where nothing names a registry: what `gati-registry serve --open` listens on."""


@dataclasses.dataclass(frozen=True, slots=True)
class Registry:
    """A registry; `insecure` allows plain HTTP beyond loopback."""

    url: str
    insecure: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """The file's content."""

    default: str | None = None
    namespace: str | None = None
    registries: Mapping[str, Registry] = dataclasses.field(default_factory=dict)

    def registry(self, named: str | None) -> Registry:
        """The registry of a name, URL or `host:port`; of None, the default."""
        wanted = named or self.default or LOCAL
        return self.registries.get(wanted) or Registry(wanted)


def path(given: Path | None = None) -> Path:
    """Where it lies; `given` is what --config says."""
    if given is not None:
        return given
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return Path(home) / "gati" / "config.toml"


def load(given: Path | None = None, *, new: bool = False) -> Config:
    """Read it; a default one where there is none.

    Args:
        given: what --config says.
        new: whether that may name a file that is not there yet.

    Raises:
        Usage: it cannot be understood, or --config names a file that is not there.
    """
    file = path(given)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # HOME may be no folder: /dev/null, in containers
        if given is not None and not new:
            remedy = "check --config; gati registry add makes the file that it names"
            raise Usage(f"{file}: there is no such file", remedy=remedy) from None
        return Config()
    except OSError as error:
        raise Usage(f"{file} cannot be read: {error.strerror}", remedy="see --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Usage(f"{file}: {error}", remedy="mend or remove the file") from None
    registries = document.pop("registries", {})
    try:
        return Config(
            **_texts(document), registries={name: Registry(**entry) for name, entry in dict(registries).items()}
        )
    except (TypeError, ValueError):
        known = "default, namespace and [registries.NAME] with url and insecure"
        raise Usage(f"{file}: not understood", remedy=f"it may hold {known}") from None


def change(to: Callable[[Config], Config], given: Path | None = None, *, new: bool = False) -> None:
    """Read it, change it and write it, one process after the other; arguments and errors as for `load`."""
    from gati_client.locks import beside

    if not new:
        load(given)  # where there is none, no folder is made for it
    with beside(path(given)):
        save(to(load(given, new=new)), given)


def save(config: Config, given: Path | None = None) -> None:
    """Write it whole: a reader sees the earlier file or this one."""
    lines = [f"{key} = {_text(value)}" for key in ("default", "namespace") if (value := getattr(config, key))]
    for name, registry in sorted(config.registries.items()):
        lines += ["", f"[registries.{_text(name)}]", f"url = {_text(registry.url)}"]
        lines += ["insecure = true"] if registry.insecure else []
    replace(path(given), "\n".join(lines).strip("\n") + "\n")


def replace(file: Path, text: str, mode: int = 0o600) -> None:
    """Put a file in place of another at once; a symbolic link stays one."""
    file = file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise


def _text(value: str) -> str:
    """A basic string of TOML: JSON's escapes are among its own."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _texts(document: dict[str, Any]) -> dict[str, str]:
    if not all(isinstance(value, str) for value in document.values()):
        raise ValueError
    return document
