"""Headers of tar archives, written and read by ourselves: what is written never varies with the version of Python,
and what is read is held against POSIX alone, without the lenience that hostile archives live on.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar's `L` and `K` blocks are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

BLOCK = 512
MAX_EXTENDED = 64 * 1024
"""Bytes of one extended header."""
_LARGEST = 8**11 - 1  # eleven octal digits

Kind = Literal["file", "directory", "symlink", "hardlink"]
Read = Callable[[int], bytes]
"""Exactly so many bytes, or fewer at the end."""

_KINDS: dict[bytes, Kind] = {
    b"0": "file", b"\0": "file", b"7": "file", b"5": "directory", b"2": "symlink", b"1": "hardlink",
}  # fmt: skip
_REFUSED = {b"3": "a character device", b"4": "a block device", b"6": "a named pipe", b"S": "a sparse file",
            b"M": "a part of a file", b"V": "a volume's label", b"D": "a dumped directory"}  # fmt: skip


class BadArchive(ValueError):
    """The message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Member:
    """One entry. `size` is in bytes; `link` is where a link leads."""

    name: str
    kind: Kind
    size: int = 0
    mode: int = 0o644
    link: str = ""


def header(name: str, size: int, *, executable: bool) -> bytes:
    """The header of a regular file: no owner, no time, one of two modes. A pax header goes before where ustar's
    fields are too short."""
    raw = name.encode()
    fitting = _split(raw)
    mode = 0o755 if executable else 0o644
    if fitting is not None and size <= _LARGEST:
        return _ustar(fitting[1], size, b"0", mode, fitting[0])
    records = b""
    if fitting is None:
        records += _record(b"path", raw)
    if size > _LARGEST:
        records += _record(b"size", str(size).encode())
    padding = b"\0" * (-len(records) % BLOCK)
    before = _ustar(b"PaxHeader", len(records), b"x", 0o644) + records + padding
    return before + _ustar(raw[-100:] if fitting is None else fitting[1], min(size, _LARGEST), b"0", mode,
                           b"" if fitting is None else fitting[0])  # fmt: skip


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Prefix and name as ustar holds them; None if it does not fit."""
    if len(name) <= 100:
        return b"", name
    cut = name.find(b"/", max(0, len(name) - 101))
    return (name[:cut], name[cut + 1 :]) if 0 < cut <= 155 and cut < len(name) - 1 else None


def _ustar(name: bytes, size: int, kind: bytes, mode: int, prefix: bytes = b"") -> bytes:
    block = b"".join((
        name.ljust(100, b"\0"), b"%07o\0" % mode, b"0000000\0", b"0000000\0", b"%011o\0" % size, b"00000000000\0",
        b" " * 8, kind, b"\0" * 100, b"ustar\x0000", b"\0" * 64, b"0000000\0", b"0000000\0", prefix.ljust(155, b"\0"),
        b"\0" * 12,
    ))  # fmt: skip
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _record(key: bytes, value: bytes) -> bytes:
    """`25 path=...`: the length counts itself."""
    length = rest = len(key) + len(value) + 3
    while length != (total := rest + len(str(length))):
        length = total
    return b"%d %s=%s\n" % (length, key, value)


@dataclass(slots=True)
class _Extended:
    """What extended headers say of the member that follows."""

    values: dict[str, str] = field(default_factory=dict)
    headers: int = 0


def next_member(read: Read) -> Member | None:
    """The next member, whose bytes follow (padded to blocks of 512); None at the end of the archive.

    Raises:
        BadArchive: it is no tar archive, ends too early, or holds what no pack holds: devices, pipes, sparse files.
    """
    extended = _Extended()
    while True:
        block = read(BLOCK)
        if not block.strip(b"\0"):
            if extended.headers:
                raise BadArchive("it ends after an extended header")
            return None
        if len(block) < BLOCK:
            raise BadArchive("it ends in the middle of a header")
        kind, size = _checked(block)
        if kind in b"xgLK":
            _extend(extended, kind, size, read)
            continue
        return _member(block, kind, size, extended.values)


def _checked(block: bytes) -> tuple[bytes, int]:
    if sum(block[:148]) + 8 * 32 + sum(block[156:]) != _number(block[148:156]):
        raise BadArchive("it is no tar archive, or damaged: the checksum of a header is wrong")
    return block[156:157], _number(block[124:136])


def _number(raw: bytes) -> int:
    if raw[:1] == b"\x80":  # GNU's binary numbers
        return int.from_bytes(raw[1:], "big")
    text = raw.strip(b" \0")
    if any(character not in b"01234567" for character in text):
        raise BadArchive("a number of a header is malformed")
    return int(text or b"0", 8)


def _extend(extended: _Extended, kind: bytes, size: int, read: Read) -> None:
    extended.headers += 1
    if extended.headers > 8:
        raise BadArchive("more than eight extended headers stand before one member")
    if size > MAX_EXTENDED:
        raise BadArchive(f"an extended header has {size} bytes; at most {MAX_EXTENDED} are read")
    padded = read(size + -size % BLOCK)
    if len(padded) < size:
        raise BadArchive("it ends in the middle of an extended header")
    data = padded[:size]
    if kind in b"LK":
        extended.values["path" if kind == b"L" else "linkpath"] = _text(data.rstrip(b"\0"))
        return
    for key, value in _records(data):
        if key.startswith("GNU.sparse."):
            raise BadArchive("it holds a sparse file")
        if kind == b"g" and key in ("path", "linkpath", "size"):
            raise BadArchive(f"a global header sets {key} for all members")
        if kind == b"x":
            extended.values[key] = value


def _records(data: bytes) -> list[tuple[str, str]]:
    out, position = [], 0
    while position < len(data):
        space = data.find(b" ", position, position + 8)
        digits = data[position:space] if space > 0 else b""
        length = int(digits) if digits.isdigit() else 0
        record = data[position : position + length]
        key, sign, value = record[len(digits) + 1 : -1].partition(b"=")
        if length <= len(digits) + 2 or not sign or not record.endswith(b"\n") or len(record) != length:
            raise BadArchive("an extended header is malformed")
        out.append((_text(key), value.decode("utf-8", "surrogateescape")))
        position += length
    return out


def _member(block: bytes, kind: bytes, size: int, extended: dict[str, str]) -> Member:
    name = block[:100].split(b"\0")[0]
    if block[257:263] == b"ustar\0":  # GNU's older form has other fields where ustar's prefix is
        prefix = block[345:500].split(b"\0")[0]
        name = prefix + b"/" + name if prefix else name
    path = extended.get("path")
    path = _text(name) if path is None else _text(path.encode("utf-8", "surrogateescape"))
    if kind in _REFUSED:
        raise BadArchive(f"{path!r} is {_REFUSED[kind]}; a pack holds files alone")
    if kind not in _KINDS:
        raise BadArchive(f"{path!r} is of the unknown type {kind!r}")
    if "size" in extended:
        if not extended["size"].isascii() or not extended["size"].isdigit() or len(extended["size"]) > 18:
            raise BadArchive("the size in an extended header is no number")
        size = int(extended["size"])
    found = _KINDS[kind]
    if found == "file" and path.endswith("/"):
        found = "directory"  # as old tars wrote them
    link = extended.get("linkpath")
    link = _text(block[157:257].split(b"\0")[0]) if link is None else _text(link.encode("utf-8", "surrogateescape"))
    if found != "file" and size:
        raise BadArchive(f"{path!r} is a {found} with content")
    return Member(path, found, size, _number(block[100:108]) & 0o7777, link)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadArchive(f"the name {raw[:80]!r} is no UTF-8") from None
