"""The part of BER that LDAP allows: tags of one byte, definite lengths.

Source: RFC 4511 section 5.1; X.690 section 8.
"""

from __future__ import annotations

INTEGER, OCTETS, ENUMERATED, BOOLEAN, SEQUENCE, SET = 0x02, 0x04, 0x0A, 0x01, 0x30, 0x31


class MalformedError(Exception):
    """What came is no BER that LDAP allows."""


def tlv(tag: int, *content: bytes) -> bytes:
    """An element."""
    body = b"".join(content)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def sequence(*content: bytes) -> bytes:
    """SEQUENCE."""
    return tlv(SEQUENCE, *content)


def octets(value: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(OCTETS, value)


def text(value: str) -> bytes:
    """OCTET STRING of UTF-8."""
    return tlv(OCTETS, value.encode())


def integer(value: int, tag: int = INTEGER) -> bytes:
    """INTEGER or ENUMERATED, not negative."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def boolean(value: bool) -> bytes:
    """BOOLEAN."""
    return tlv(BOOLEAN, b"\xff" if value else b"\0")


def header(data: bytes) -> tuple[int, int, int] | None:
    """(tag, bytes of the header, bytes of the content) at the beginning; None while there are too few bytes.

    Raises:
        MalformedError: it is none.
    """
    if len(data) < 2:
        return None
    tag, first = data[0], data[1]
    if tag & 0x1F == 0x1F:
        raise MalformedError
    if first < 0x80:
        return tag, 2, first
    count = first & 0x7F
    if not 1 <= count <= 4:
        raise MalformedError
    if len(data) < 2 + count:
        return None
    return tag, 2 + count, int.from_bytes(data[2 : 2 + count], "big")


class Reader:
    """Reads elements one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        """Whether there is another element."""
        return self._at < len(self._data)

    def next(self, tag: int | None = None) -> tuple[int, bytes]:
        """Tag and content of the next element.

        Raises:
            MalformedError: there is none, or it has another tag.
        """
        # Lengths lie in the first six bytes: no copy of the rest is needed to read them.
        found = header(self._data[self._at : self._at + 6])
        if found is None or (tag is not None and found[0] != tag):
            raise MalformedError
        start = self._at + found[1]
        end = start + found[2]
        if end > len(self._data):
            raise MalformedError
        self._at = end
        return found[0], self._data[start:end]

    def octets(self) -> bytes:
        """OCTET STRING."""
        return self.next(OCTETS)[1]

    def integer(self, tag: int = INTEGER) -> int:
        """INTEGER or ENUMERATED of at most four bytes."""
        content = self.next(tag)[1]
        if not 1 <= len(content) <= 4:
            raise MalformedError
        return int.from_bytes(content, "big", signed=True)

    def into(self, tag: int = SEQUENCE) -> Reader:
        """The elements inside of the next one."""
        return Reader(self.next(tag)[1])
