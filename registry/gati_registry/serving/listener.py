"""The listening socket: bound once, before any worker is started, and kept across a worker's crash."""

from __future__ import annotations

import socket

# Connections that the kernel holds until a worker accepts them; Linux cuts it to net.core.somaxconn (4096).
BACKLOG = 4096
# Seconds by which the kernel is the later one to end a stalled connection: the edge answers, counts and logs it.
BACKSTOP = 10


class AddressError(Exception):
    """The address cannot be listened on; the message is one line with the reason."""


def listen(host: str, port: int, *, stall_timeout: float) -> socket.socket:
    """One socket that all workers accept from.

    Not SO_REUSEPORT with a socket each: 64 connections spread no evener over two or three workers (measured: the
    fullest has 30 to 41 of 64 with two, either way), while a busy or dead worker strands what the kernel has put in
    its queue, and a second server of the same user binds beside the first without an error.

    Args:
        stall_timeout: seconds after which the application ends a transfer in which nothing moves. Somewhat later the
            kernel ends a connection whose peer takes no byte, whatever the application does; accepted sockets inherit
            that.

    Raises:
        AddressError: unknown host, port taken or not permitted.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _failure(host, port, error) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            patience = 2 * stall_timeout + BACKSTOP
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(patience * 1000))
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _failure(host, port, error) from None
    return sock


def _failure(host: str, port: int, error: OSError) -> AddressError:
    return AddressError(f"listen: cannot listen on {host}:{port}: {error.strerror or error}; choose another address")
