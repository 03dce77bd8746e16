"""Several workers: fork them, replace the one that dies, stop them all together.

The supervisor has no event loop and no thread, opens no database and imports the application only so that the workers
share its pages.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from gati_registry.http.observe.board import Board, join
from gati_registry.serving.application import ApplicationFactory
from gati_registry.serving.worker import Impatience, run_worker
from gati_registry.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
# A worker that dies again and again is started again after 0.1 s, 0.2 s, … up to this many seconds.
LONGEST_PAUSE = 10.0
# One that was up for so long (seconds) died of something else than its start.
STABLE = 30.0
# Beyond the grace period, the time for closing databases and flushing logs (seconds).
CLOSING = 10.0


@dataclass
class _Slot:
    """One worker's place; the process in it changes."""

    index: int
    pid: int = 0
    started: float = 0.0
    ready: bool = False
    pipe: int = -1
    failures: int = 0
    due: float = 0.0  # when (monotonic) the next one starts; 0: none is waited for


class Supervisor:
    """Runs `settings.workers` workers on one listening socket until SIGTERM."""

    def __init__(
        self,
        settings: Settings,
        create_app: ApplicationFactory,
        listener: socket.socket,
        announce: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._create_app = create_app
        self._announce = announce
        self._listener = listener
        self._slots = [_Slot(index) for index in range(settings.workers)]
        self._board = Board(settings.workers)
        self._selector = selectors.DefaultSelector()
        self._announced = False
        self._stopping = 0.0  # when (monotonic) the first SIGTERM came
        self._killed = False
        self._impatience = Impatience()
        self._exit_code = 0
        self._signals: list[int] = []

    def run(self) -> int:
        """Returns the exit code when every worker has ended."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        # Workers hold the reading end: end-of-file there means that the supervisor is gone, however it went.
        self._lifeline_read, self._lifeline_write = os.pipe()
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in _HANDLED:
            signal.signal(number, self._on_signal)
        self._selector.register(wake_read, selectors.EVENT_READ)
        self._inherited = (wake_read, wake_write, self._lifeline_write)
        # Objects made until now stay out of the collector, so that it does not touch the shared pages.
        gc.collect()
        gc.freeze()
        for slot in self._slots:
            self._start(slot)
        while not self._finished():
            for key, _ in self._selector.select(self._timeout()):
                if key.fd == wake_read:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake_read, 4096)
                else:
                    self._on_ready(key.data)
            self._handle_signals()
            self._reap()
            self._restart_due()
            self._close_listener_due()
            self._kill_late()
        return self._exit_code

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _finished(self) -> bool:
        return bool(self._stopping) and not any(slot.pid for slot in self._slots)

    def _timeout(self) -> float | None:
        now = time.monotonic()
        deadlines = [slot.due - now for slot in self._slots if slot.due]
        if self._stopping and not self._killed:
            closing = self._stopping + self._settings.shutdown.delay
            deadlines.append((closing if now < closing else self._deadline()) - now)
        return max(0.0, min(deadlines)) if deadlines else None

    def _deadline(self) -> float:
        return self._stopping + self._settings.shutdown.delay + self._settings.shutdown.grace + CLOSING

    def _start(self, slot: _Slot) -> None:
        slot.due = 0.0
        slot.ready = False
        slot.started = time.monotonic()
        slot.pipe, child_pipe = os.pipe()
        # Blocked until the worker has its own handlers: a SIGTERM in between would be lost in the supervisor's.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = self._work(slot, child_pipe)
            finally:
                # Not sys.exit: nothing of the supervisor's stack may run in the worker.
                os._exit(code)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        os.close(child_pipe)
        slot.pid = pid
        self._selector.register(slot.pipe, selectors.EVENT_READ, slot)

    def _work(self, slot: _Slot, pipe: int) -> int:
        """The life of a worker, in the forked process; returns its exit code."""
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        self._selector.close()
        for descriptor in self._inherited:
            os.close(descriptor)
        for other in self._slots:
            if other.pipe >= 0:
                os.close(other.pipe)
        join(self._board, slot.index)

        def ready() -> None:
            os.write(pipe, b"1")
            os.close(pipe)

        try:
            run_worker(self._settings, self._create_app, self._listener, ready, lifeline=self._lifeline_read)
        except SettingsError as error:
            logger.error("%s", error)
            return 2
        except Exception:
            logger.exception("worker %d failed", slot.index)
            return 1
        return 0

    def _on_ready(self, slot: _Slot) -> None:
        slot.ready = os.read(slot.pipe, 1) == b"1"
        self._close_pipe(slot)
        if not self._announced and all(other.ready for other in self._slots):
            self._announced = True
            self._announce()

    def _close_pipe(self, slot: _Slot) -> None:
        if slot.pipe >= 0:
            self._selector.unregister(slot.pipe)
            os.close(slot.pipe)
            slot.pipe = -1

    def _handle_signals(self) -> None:
        while self._signals:
            if self._signals.pop(0) == signal.SIGCHLD:
                continue
            if self._impatience.signalled():
                self._kill_all()
            elif not self._stopping:
                self._stop()

    def _stop(self) -> None:
        self._stopping = time.monotonic()
        for slot in self._slots:
            slot.due = 0.0
            if slot.pid:
                os.kill(slot.pid, signal.SIGTERM)

    def _close_listener_due(self) -> None:
        # The workers close theirs at the same time; with this one, new connections are refused at once.
        if self._stopping and time.monotonic() >= self._stopping + self._settings.shutdown.delay:
            self._listener.close()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            slot = next((slot for slot in self._slots if slot.pid == pid), None)
            if slot is not None:
                self._ended(slot, os.waitstatus_to_exitcode(status))

    def _ended(self, slot: _Slot, code: int) -> None:
        pid, slot.pid = slot.pid, 0
        self._close_pipe(slot)
        now = time.monotonic()
        if self._stopping:
            # A worker that was still starting has nothing to finish: SIGTERM just ends it.
            done = code == 0 or (code == -signal.SIGTERM and not slot.ready)
            self._exit_code = self._exit_code or (0 if done else 1)
            return
        if not self._announced:
            # The first start failed: a restart would fail the same way, and somebody is waiting for the answer.
            self._exit_code = code if code in {1, 2} else 1
            self._stop()
            return
        slot.failures = 1 if now - slot.started > STABLE else slot.failures + 1
        pause = min(LONGEST_PAUSE, 0.1 * 2 ** (slot.failures - 1))
        slot.due = now + pause
        logger.error(
            "worker %d (process %d) ended with %s; a new one starts in %.1f s", slot.index, pid, _cause(code), pause
        )

    def _restart_due(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.due and slot.due <= now and not self._stopping:
                self._start(slot)

    def _kill_late(self) -> None:
        if self._stopping and not self._killed and time.monotonic() >= self._deadline():
            logger.error("workers still busy after the grace period are killed")
            self._kill_all()

    def _kill_all(self) -> None:
        self._killed = True
        self._exit_code = 1
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, signal.SIGKILL)


def _cause(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
