"""What one process needs before it serves: memory allocator, file descriptors, signals."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import signal

MIB = 1024 * 1024
# mallopt(3) parameters, glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def tune_allocator() -> None:
    """Keep big buffers on the heap, so that an upload's 2 MiB chunks are not mapped and unmapped one by one.

    The same as MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_ in the environment; they halve the
    time of a big upload. glibc only; elsewhere nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 512 * MIB)
        mallopt(M_TRIM_THRESHOLD, 512 * MIB)
        mallopt(M_TOP_PAD, 16 * MIB)


def tune_collector() -> None:
    """Let the cycle collector run every 20,000 new objects instead of 700, and not over what is there at the start.

    Nothing on a request's way makes cycles, but every request makes objects that live for a second: lines of the log,
    events. At a few thousand requests a second they were looked at again and again (a tenth of a small GET's time).
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def raise_descriptor_limit() -> None:
    """Take all the file descriptors that the system grants: a connection is one, and so is each open blob."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def ignore_hangup() -> None:
    """A closed terminal does not stop the server; SIGPIPE is an OSError at the write."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
