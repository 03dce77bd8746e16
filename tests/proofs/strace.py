"""Read what strace recorded: every system call that changes files or sends an answer, in order.

strace stops a thread on entry to a call and again on exit, and handles one stop at a time. So the order of
its lines keeps cause before effect: what a thread did because of another's finished call stands after that
call's exit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# Calls that change file contents or names, make them durable, or hand out descriptors. What is here and not
# in the model (replay.py) is refused there, not ignored.
FILE_CALLS = [
    *("open", "openat", "openat2", "creat", "dup", "dup2", "dup3", "fcntl", "lseek"),
    *("write", "pwrite64", "writev", "pwritev", "pwritev2", "copy_file_range", "splice", "mmap", "msync"),
    *("truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync", "syncfs", "sync_file_range"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir", "io_uring_setup", "io_submit"),
]
PROCESS_CALLS = ["clone", "clone3", "fork", "vfork"]
SEND_CALLS = ["sendto", "sendmsg", "sendmmsg", "sendfile"]  # beside writes to sockets


def command(output: Path) -> list[str]:
    """The words before a program's that make strace record it, children and threads too, into `output`."""
    calls = ",".join([*FILE_CALLS, *PROCESS_CALLS, *SEND_CALLS])
    # -xx: strings as hex, so no quoting to undo; -yy: paths and socket addresses beside descriptors; a string
    # limit above any single write; a seccomp filter, so that other calls run at full speed.
    options = ["-f", "-qq", "-xx", "-yy", "-s", str(256 * 2**20), "--seccomp-bpf", "-e", "signal=none"]
    # What goes through an io_uring cannot be recorded; refused, programs fall back to calls.
    refuse = ["-e", "inject=io_uring_setup:error=ENOSYS"]
    return ["strace", *options, "-e", f"trace={calls}", *refuse, "-o", str(output)]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor as strace prints it: its number (None: the working directory) and what it is open on."""

    number: int | None
    target: str


@dataclass(frozen=True, slots=True)
class Call:
    """One system call of one thread.

    `strings` are its string arguments in order (paths, data), `words` what stands between them. `result` is
    None while it runs, and for ever if the thread died in it; a failed call has a negative one.
    """

    thread: int
    name: str
    words: str
    strings: tuple[bytes, ...]
    result: int | None = None

    def descriptor(self, index: int = 0) -> Descriptor | None:
        """The index-th descriptor among the arguments, if there are that many."""
        found = list(_DESCRIPTOR.finditer(self.words))
        if index >= len(found):
            return None
        number, target = found[index].groups()
        return Descriptor(None if number == "AT_FDCWD" else int(number), _unhex(target).decode(errors="replace"))

    def numbers(self) -> list[str]:
        """The arguments after the last string, or after the last descriptor if there is no string."""
        tail = self.words.rpartition('"')[2] if '"' in self.words else _DESCRIPTOR.split(self.words)[-1]
        return [word for word in re.split(r"[,\]\s]+", tail) if word]


Phase = Literal["enter", "exit"]

_LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$", re.DOTALL)
_RESULT = re.compile(r"\) += (-?\d+|0x[0-9a-f]+|\?)[^\"]*$")
_STRING = re.compile(r'"([^"]*)"(\.\.\.)?')
_DESCRIPTOR = re.compile(r"(\b\d+|AT_FDCWD)<((?:->|[^<>])*)>")


def _unhex(text: str) -> bytes:
    """Bytes of a string that strace printed with -xx; other text (a socket's address) as it stands."""
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()


def _arguments(text: str) -> tuple[str, tuple[bytes, ...]]:
    strings = []
    for match in _STRING.finditer(text):
        if match[2]:
            raise ValueError(f"strace cut a string short: {text[:200]}")
        strings.append(_unhex(match[1]))
    return _STRING.sub('""', text), tuple(strings)


def read(trace: Path) -> Iterator[tuple[Phase, Call]]:
    """Every recorded call twice, at its entry and at its exit, in the order of events.

    Raises ValueError on a line it cannot read.
    """
    running: dict[int, Call] = {}
    with trace.open() as lines:
        for line in lines:
            match = _LINE.match(line.rstrip("\n"))
            if match is None:
                if "+++ " not in line:  # a thread's end
                    raise ValueError(f"not a line of strace: {line[:200]!r}")
                continue
            thread, resumed, started, rest = int(match[1]), match[2], match[3], match[4]
            if started:
                body = rest.removesuffix(" <unfinished ...>")
                done = _RESULT.search(rest) if body is rest else None
                words, strings = _arguments(body[: done.start()] if done else body)
                running[thread] = Call(thread, started, words, strings)
                yield "enter", running[thread]
                if body is not rest:
                    continue
            else:
                done = _RESULT.search(rest)
            call = running.pop(thread)
            if done is None or (resumed and resumed != call.name):
                raise ValueError(f"not a line of strace: {line[:200]!r}")
            result = None if done[1] == "?" else int(done[1], 0)
            yield "exit", Call(thread, call.name, call.words, call.strings, result)


def makers(events: Iterable[tuple[Phase, Call]]) -> dict[int, tuple[int, bool]]:
    """For each thread that another made: its maker, and whether the two share their descriptors."""
    return {
        call.result: (call.thread, "CLONE_FILES" in call.words)
        for phase, call in events
        if phase == "exit" and call.name in PROCESS_CALLS and call.result is not None and call.result > 0
    }
