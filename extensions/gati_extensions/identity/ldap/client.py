"""One connection to a directory: TLS, bind, search.

Answers are bounded in size and number, referrals are not followed, nothing is sent in the clear that the settings do
not allow. The caller bounds the time.

Source: RFC 4511; RFC 4513 sections 3 (StartTLS) and 5.1 (simple bind).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from gati_extensions.identity.ldap import ber
from gati_extensions.identity.ldap.ber import MalformedError, Reader

BASE, SUBTREE = 0, 2
"""Scopes of a search."""

MOST_BYTES = 1024 * 1024
"""Of one message."""

SUCCESS, SIZE_LIMIT, NO_SUCH_OBJECT, INVALID_DN, INVALID_CREDENTIALS = 0, 4, 32, 34, 49
REFUSALS = frozenset({19, 32, 34, 48, INVALID_CREDENTIALS, 50, 53})
"""Answers to a bind that say no to the password or the entry (locked, disabled, gone), not that something is broken."""

_START_TLS = b"1.3.6.1.4.1.1466.20037"

_BIND, _BOUND, _UNBIND, _SEARCH, _ENTRY, _DONE, _REFERENCE = 0x60, 0x61, 0x42, 0x63, 0x64, 0x65, 0x73
_EXTENDED, _EXTENDED_ANSWER = 0x77, 0x78


class DirectoryError(Exception):
    """The directory did not answer, or not usably; the message says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the directory is. `tls` is None only where the operator wants no TLS; `start_tls`: on the plain port."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    start_tls: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry; attributes by their names in lower case."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]]

    def text(self, name: str) -> str:
        """The first value of an attribute; empty if there is none that is text on a line."""
        for value in self.attributes.get(name.lower(), ())[:1]:
            with contextlib.suppress(UnicodeDecodeError):
                text = value.decode()
                return text if text.isprintable() else ""
        return ""


class Connection:
    """An open connection; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 1

    async def bind(self, dn: str, password: str) -> int:
        """The result's code.

        Raises:
            DirectoryError: no usable answer.
        """
        if not password and dn:
            # A name without a password is an anonymous bind, which succeeds (RFC 4513 section 5.1.2).
            return INVALID_CREDENTIALS
        request = ber.tlv(_BIND, ber.integer(3), ber.text(dn), ber.tlv(0x80, password.encode()))
        code, _ = _result(await self._ask(request, _BOUND))
        return code

    async def search(
        self, base: str, scope: int, wanted: bytes, attributes: Sequence[str], most: int
    ) -> list[Entry] | None:
        """Entries, at most `most`; None if there are more.

        Raises:
            DirectoryError: no usable answer.
        """
        request = ber.tlv(
            _SEARCH,
            ber.text(base),
            ber.integer(scope, ber.ENUMERATED),
            ber.integer(0, ber.ENUMERATED),  # aliases are not followed
            ber.integer(most),
            ber.integer(30),
            ber.boolean(False),
            wanted,
            ber.sequence(*(ber.text(name) for name in attributes)),
        )
        found: list[Entry] = []
        number = await self._send(request)
        while True:
            tag, body = await self._receive(number)
            if tag == _ENTRY:
                if len(found) == most:
                    return None
                found.append(_entry(body))
            elif tag == _DONE:
                code, words = _result(body)
                if code == SIZE_LIMIT:
                    return None
                if code not in (SUCCESS, NO_SUCH_OBJECT):
                    raise DirectoryError(f"a search is answered with {code} {words}")
                return found
            elif tag != _REFERENCE:  # those are elsewhere: not followed
                raise DirectoryError("it does not speak LDAP")

    async def _ask(self, request: bytes, answer: int) -> bytes:
        number = await self._send(request)
        tag, body = await self._receive(number)
        if tag != answer:
            raise DirectoryError("it does not speak LDAP")
        return body

    async def _send(self, request: bytes) -> int:
        self._number += 1
        try:
            self._writer.write(_message(self._number, request))
            await self._writer.drain()
        except OSError as error:
            raise DirectoryError(f"the connection broke ({type(error).__name__})") from None
        return self._number

    async def _receive(self, number: int) -> tuple[int, bytes]:
        try:
            head = await self._reader.readexactly(2)
            while (found := ber.header(head)) is None:
                head += await self._reader.readexactly(1)
            if found[2] > MOST_BYTES:
                raise DirectoryError("an answer is too long")
            return _parsed(head + await self._reader.readexactly(found[2]), number)
        except MalformedError:
            raise DirectoryError("it does not speak LDAP") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            raise DirectoryError(f"the connection broke ({type(error).__name__})") from None

    async def close(self) -> None:
        """Say good-bye; no error if nobody is there."""
        with contextlib.suppress(OSError, TimeoutError):
            self._writer.write(_message(self._number + 1, ber.tlv(_UNBIND)))
            self._writer.close()
            async with asyncio.timeout(1):
                await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Connection]:
    """A connection for the length of an `async with` block.

    Raises:
        DirectoryError: there is none to be had, or not a safe one.
    """
    try:
        if address.start_tls:
            sock = await _upgraded(address)
            streams = await asyncio.open_connection(sock=sock, ssl=address.tls, server_hostname=address.host)
        else:
            streams = await asyncio.open_connection(address.host, address.port, ssl=address.tls)
    except ssl.SSLCertVerificationError as error:
        raise DirectoryError(f"its certificate is not to be trusted: {error.verify_message}") from None
    except (OSError, ssl.SSLError) as error:
        raise DirectoryError(f"it cannot be reached ({type(error).__name__})") from None
    connection = Connection(*streams)
    try:
        yield connection
    finally:
        await connection.close()


async def _upgraded(address: Address) -> socket.socket:
    """A socket on which TLS comes next. What else was said before that is refused, not read as if it were secure."""
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, where = (await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, where)
        await loop.sock_sendall(sock, _message(1, ber.tlv(_EXTENDED, ber.tlv(0x80, _START_TLS))))
        data = b""
        while (found := ber.header(data[:6])) is None or len(data) < found[1] + found[2]:
            if found is not None and found[2] > MOST_BYTES:
                raise DirectoryError("an answer is too long")
            part = await loop.sock_recv(sock, 4096)
            if not part:
                raise DirectoryError("it ends the connection instead of TLS")
            data += part
        if len(data) != found[1] + found[2]:
            raise DirectoryError("it sends more before TLS than the answer")
        tag, body = _parsed(data, 1)
        if tag != _EXTENDED_ANSWER or _result(body)[0] != SUCCESS:
            raise DirectoryError("it refuses TLS")
    except MalformedError:
        sock.close()
        raise DirectoryError("it does not speak LDAP") from None
    except BaseException:
        sock.close()
        raise
    return sock


def _message(number: int, request: bytes) -> bytes:
    return ber.sequence(ber.integer(number), request)


def _parsed(data: bytes, number: int) -> tuple[int, bytes]:
    """Tag and content of a message's operation."""
    try:
        message = Reader(data).into()
        if message.integer() != number:  # 0 is a notice of disconnection
            raise DirectoryError("it ends the connection, or answers something else")
        return message.next()
    except MalformedError:
        raise DirectoryError("it does not speak LDAP") from None


def _result(body: bytes) -> tuple[int, str]:
    """Code and words of a result."""
    try:
        reader = Reader(body)
        code = reader.integer(ber.ENUMERATED)
        reader.octets()
        words = reader.octets().decode(errors="replace")
    except MalformedError:
        raise DirectoryError("it does not speak LDAP") from None
    return code, "".join(char for char in words if char.isprintable())[:200]


def _entry(body: bytes) -> Entry:
    try:
        reader = Reader(body)
        dn = reader.octets().decode()
        attributes: dict[str, Sequence[bytes]] = {}
        listed = reader.into()
        while listed.more:
            attribute = listed.into()
            name = attribute.octets().decode()
            values, held = attribute.into(ber.SET), []
            while values.more:
                held.append(values.octets())
            attributes[name.lower()] = held
    except (MalformedError, UnicodeDecodeError):
        raise DirectoryError("it does not speak LDAP") from None
    return Entry(dn, attributes)
