"""TXT records, asked of one DNS server over UDP, and over TCP where the answer does not fit.

Source: RFC 1035 sections 4.1 and 4.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import struct
from collections.abc import Sequence
from pathlib import Path

from gati_extensions.guarded import Lookup

TIMEOUT = 3.0
"""Seconds for one question."""

TRIES = 2
MAX_RECORDS = 100
_TXT, _IN = 16, 1
_NO_SUCH_NAME = 3


class DnsResolver:
    """`ports.Resolver`. `server` is `ADDRESS` or `ADDRESS:PORT`; empty: the first of /etc/resolv.conf."""

    def __init__(self, server: str = "", configuration: Path = Path("/etc/resolv.conf")) -> None:
        self._server = server
        self._configuration = configuration

    async def texts(self, domain: str) -> Sequence[str]:
        host, port = self._address()
        number = secrets.randbelow(65536)
        question = _question(number, domain)
        for _ in range(TRIES):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIMEOUT):
                    answer = await _udp(host, port, question)
                    if answer[2] & 0x02:  # truncated
                        answer = await _tcp(host, port, question)
                    return parse(answer, number, question[12:])
        raise Lookup("the DNS server does not answer; try again later")

    def _address(self) -> tuple[str, int]:
        server = self._server
        if not server:
            with contextlib.suppress(OSError):
                for text in self._configuration.read_text(encoding="ascii", errors="replace").splitlines():
                    parts = text.split()
                    if len(parts) > 1 and parts[0] == "nameserver":
                        return parts[1], 53
            raise Lookup("no DNS server is known; set namespaces.resolver")
        host, colon, port = server.rpartition(":")
        if not colon or (":" in host and not host.endswith("]")):
            return server.strip("[]"), 53
        return host.strip("[]"), int(port)


class _Datagram(asyncio.DatagramProtocol):
    def __init__(self, number: bytes) -> None:
        self._number = number
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        # Whatever has another number is not the answer to this question: it is dropped, and waited on.
        if len(data) >= 12 and data[:2] == self._number and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(Lookup("the DNS server cannot be reached; try again later"))


async def _udp(host: str, port: int, question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    try:
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _Datagram(question[:2]), remote_addr=(host, port)
        )
    except OSError:
        raise Lookup("the DNS server cannot be reached; try again later") from None
    try:
        transport.sendto(question)
        return await protocol.answer
    finally:
        transport.close()


async def _tcp(host: str, port: int, question: bytes) -> bytes:
    try:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(struct.pack("!H", len(question)) + question)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            answer = await reader.readexactly(length)
        finally:
            writer.close()
    except (OSError, asyncio.IncompleteReadError):
        raise Lookup("the DNS server cannot be reached; try again later") from None
    if len(answer) < 12:
        raise Lookup("the DNS server's answer is malformed")
    return answer


def _question(number: int, domain: str) -> bytes:
    labels = domain.rstrip(".").encode("ascii").split(b".")
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", _TXT, _IN)


def parse(answer: bytes, number: int, asked: bytes) -> list[str]:
    """The texts of an answer to the question `asked`.

    Raises:
        Lookup: it is malformed, an error, or the answer to another question.
    """
    try:
        found, flags, questions, records = struct.unpack_from("!4H", answer)
        if found != number or not flags & 0x8000 or questions != 1:
            raise Lookup("the DNS server's answer is not to this question")
        code = flags & 0x0F
        if code == _NO_SUCH_NAME:
            return []
        if code:
            raise Lookup(f"the DNS server refuses (code {code}); try again later")
        if answer[12 : 12 + len(asked)].lower() != asked.lower():
            raise Lookup("the DNS server's answer is not to this question")
        position = 12 + len(asked)
        texts = []
        for _ in range(min(records, MAX_RECORDS)):
            position = _skip_name(answer, position)
            kind, _, _, length = struct.unpack_from("!2HIH", answer, position)
            position += 10
            if position + length > len(answer):
                raise Lookup("the DNS server's answer is malformed")
            if kind == _TXT:
                texts.append(_text(answer[position : position + length]))
            position += length
        return texts
    except (struct.error, IndexError):
        raise Lookup("the DNS server's answer is malformed") from None


def _skip_name(data: bytes, position: int) -> int:
    while length := data[position]:
        if length & 0xC0:  # a pointer ends the name
            return position + 2
        position += 1 + length
    return position + 1


def _text(data: bytes) -> str:
    parts, position = [], 0
    while position < len(data):
        length = data[position]
        parts.append(data[position + 1 : position + 1 + length])
        position += 1 + length
    return b"".join(parts).decode("utf-8", "replace")
