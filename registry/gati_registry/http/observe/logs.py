"""Logs: one JSON object a line on standard error; secrets are masked, each line names its request.

Everything but the access log goes through the standard `logging` module, so that a library's words come out in the
same form. Access lines are collected and written by a thread a few times a second: formatting and writing each one in
the event loop would cost more than many of the requests.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
import traceback
from collections import deque
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NamedTuple

from gati_registry.settings import Log

# The request that the running code works for; empty outside of one.
request_id: ContextVar[str] = ContextVar("request_id", default="")

STDERR = 2
# Seconds between two writes of the access log.
INTERVAL = 0.25
# Lines that wait for a standard error that nobody reads; more are dropped and counted.
LONGEST_QUEUE = 100_000

_SECRET = r"[^=&\s]*(?:token|password|passwd|secret|signature|credential|api_?key|x-amz-security)[^=&\s]*"  # noqa: S105
_QUERY_SECRET = re.compile(rf"((?:^|[?&])(?:{_SECRET}|code|assertion))=[^&\s]*", re.IGNORECASE)
_TEXT_SECRETS = (
    # Not plain lower-case words: "basic manners".
    (re.compile(r"\b([Bb]asic|[Bb]earer)\s+(?=[a-z]*[^a-z\s])[A-Za-z0-9._~+/=-]{6,}"), r"\1 ***"),
    (re.compile(r"(?i)\b((?:set-)?cookie|authorization)(['\"]?\s*[:=,]\s*(?:b?['\"])?)[^'\"\r\n]+"), r"\1\2***"),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), r"\1***@"),
    (re.compile(rf"(?i)([?&\s'\"]{_SECRET})=[^&\s'\"]*"), r"\1=***"),
)
# What logging.LogRecord has by itself; anything else came in by `extra=` and is written as a field.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def mask_query(query: str) -> str:
    """A query string with the values of tokens, passwords and the like replaced by `***`."""
    return _QUERY_SECRET.sub(r"\1=***", query)


def mask_text(text: str) -> str:
    """Free text with credentials replaced: `Authorization` values, URL passwords, tokens in queries."""
    for pattern, replacement in _TEXT_SECRETS:
        text = pattern.sub(replacement, text)
    return text


def timestamp(seconds: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class JsonHandler(logging.Handler):
    """Writes each record as a JSON line to standard error, at once."""

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: a log line that cannot be written must not fail a request."""
        try:
            write_all(self.format(record).encode() + b"\n")
        except Exception:
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "message": mask_text(record.getMessage()),
            "logger": record.name,
            "process": record.process,
        }
        if request := request_id.get():
            line["request_id"] = request
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in line:
                line[name] = mask_text(value) if isinstance(value, str) else value
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = mask_text("".join(traceback.format_exception(record.exc_info[1])))
        return json.dumps(line, default=lambda value: mask_text(str(value)))


def configure(settings: Log) -> None:
    """Send everything that is logged in this process through `JsonHandler`."""
    root = logging.getLogger()
    root.handlers[:] = [JsonHandler()]
    root.setLevel(settings.level.upper())
    # Word for word narrations of things that the access log and metrics say better.
    for name in ("asyncio", "hypercorn", "hpack", "uvicorn", "urllib3", "opentelemetry"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class Access(NamedTuple):
    """One request, for the access log."""

    time: float  # start, seconds since the epoch
    request_id: str
    client: str
    method: str
    path: str
    query: str
    protocol: str
    status: int  # 499: the client went away before the answer began
    seconds: float
    bytes_in: int
    bytes_out: int
    user_agent: str
    complete: bool


class AccessLog:
    """Collects access lines; a thread formats and writes them."""

    def __init__(self) -> None:
        self.dropped = 0
        self._lines: deque[Access] = deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def append(self, access: Access) -> None:
        """Costs an append; written within `INTERVAL` seconds."""
        if len(self._lines) < LONGEST_QUEUE:
            self._lines.append(access)
        else:
            self.dropped += 1

    def start(self) -> None:
        """Start the writing thread."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is left and stop. Lines appended later are lost."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        process = os.getpid()
        while True:
            stopping = self._stop.wait(INTERVAL)
            # Both ends of a deque are safe to use from two threads.
            if batch := [format_access(self._lines.popleft(), process) for _ in range(len(self._lines))]:
                write_all("".join(batch).encode())
            if stopping:
                return


_quote = json.encoder.encode_basestring_ascii


def format_access(line: Access, process: int) -> str:
    """An access line. By hand, because it is several times as quick as `json.dumps` of a dict."""
    query = f',"query":{_quote(mask_query(line.query))}' if line.query else ""
    level = "error" if line.status >= 500 else "info"
    incomplete = "" if line.complete else ',"complete":false'
    return (
        f'{{"time":"{timestamp(line.time)}","level":"{level}","message":"request","process":{process},'
        f'"request_id":{_quote(line.request_id)},"client":{_quote(line.client)},"method":{_quote(line.method)},'
        f'"path":{_quote(line.path)}{query},"protocol":"HTTP/{line.protocol}","status":{line.status},'
        f'"duration_ms":{line.seconds * 1000:.3f},"bytes_in":{line.bytes_in},"bytes_out":{line.bytes_out},'
        f'"user_agent":{_quote(line.user_agent)}{incomplete}}}\n'
    )


def write_all(content: bytes) -> None:
    """Write to standard error, whole; nothing where it is closed."""
    view = memoryview(content)
    try:
        while view:
            view = view[os.write(STDERR, view) :]
    except OSError:
        return
