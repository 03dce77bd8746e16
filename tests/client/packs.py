"""What the tests of packs and projects share."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path


def lay(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder; the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """The files below a folder, with what is in them."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def entry(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **more: object
) -> tuple[tarfile.TarInfo, bytes]:
    """A member as Python's tarfile writes it, whatever it is."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


def archive(
    path: Path, *members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT, packed: bool = True
) -> Path:
    """A tar archive of such members."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=format) as out:
        for info, content in members:
            out.addfile(info, io.BytesIO(content))
    path.write_bytes(gzip.compress(raw.getvalue()) if packed else raw.getvalue())
    return path
