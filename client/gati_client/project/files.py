"""Files that people and programs keep together: read strictly, written whole."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from gati_client.errors import GatiError, NotFound

MAX_SIZE = 64 * 1024 * 1024
MAX_YAML = 1024 * 1024


def read(path: Path, error: type[GatiError]) -> dict[str, Any]:
    """A JSON object.

    Raises:
        NotFound: there is no such file.
        GatiError: of the given class, if it is none, has a key twice, or holds the marks of a merge.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
    except FileNotFoundError:
        raise NotFound(f"there is no {path}") from None
    if len(data) > MAX_SIZE:
        raise error(f"{path.name} is larger than {MAX_SIZE} bytes")
    return parse(data, path.name, error)


def read_yaml(path: Path, error: type[GatiError], most: int = MAX_YAML) -> Any:
    """A YAML document of at most so many bytes, maybe a stranger's: without aliases, which make a bomb of a few lines.

    Raises:
        GatiError: of the given class, if it is none.
    """
    import yaml

    class Plain(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not read")
            return super().compose_node(parent, index)

    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise error(f"{path.name} is larger than {most} bytes")
    try:
        return yaml.load(data, Plain)  # noqa: S506 - a SafeLoader, narrowed
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise error(f"{path.name} cannot be read: {' '.join(str(problem).split())[:200]}") from None


def load(path: Path, error: type[GatiError]) -> dict[str, Any]:
    """A manifest as JSON has it, of JSON or YAML by its name.

    Raises:
        NotFound: there is no such file.
        GatiError: of the given class, if it is none.
    """
    if path.suffix not in (".yaml", ".yml"):
        return read(path, error)
    try:
        found = read_yaml(path, error)
    except FileNotFoundError:
        raise NotFound(f"there is no {path}") from None
    if not isinstance(found, dict):
        raise error(f"{path.name} holds no mapping")
    plain: dict[str, Any] = json.loads(json.dumps(found, default=str))
    return plain


def parse(data: bytes, name: str, error: type[GatiError]) -> dict[str, Any]:
    """As `read`, of bytes that are here; `name` is for the message."""

    def pairs(entries: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(entries)
        if len(out) != len(entries):
            twice = next(key for key, _ in entries if sum(key == other for other, _ in entries) > 1)
            raise ValueError(f"it holds {twice[:100]!r} twice")
        return out

    if b"\n<<<<<<< " in b"\n" + data:
        raise error(f"{name} holds a conflict of a merge", remedy="take either side, then run gati install")
    try:
        found = json.loads(data.decode("utf-8-sig"), object_pairs_hook=pairs)
    except (ValueError, RecursionError) as reason:
        said = str(reason).partition(" (char ")[0]
        raise error(f"{name} is no JSON that one can read: {said}"[:300], remedy="mend it there") from None
    if not isinstance(found, dict):
        raise error(f"{name} holds no JSON object")
    return found


def write(path: Path, document: Any) -> None:
    """JSON, two spaces; who reads meanwhile sees the earlier file or this one."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(handle, 0o644)
            file.write(text)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
