"""From the threads that move bytes to the loop that tells about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, ParamSpec

P = ParamSpec("P")


class Relay(Generic[P]):
    """Calls a function in the loop, from any thread. What it raises ends the thread's work at its next call."""

    def __init__(self, function: Callable[P, None] | None) -> None:
        self._function = function
        self._loop = asyncio.get_running_loop()
        self._raised: Exception | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """As soon as the loop comes to it.

        Raises:
            Exception: what an earlier call raised.
        """
        if self._raised is not None:
            raise self._raised
        if self._function is not None:
            self._loop.call_soon_threadsafe(lambda: self._call(*args, **kwargs))

    def _call(self, *args: P.args, **kwargs: P.kwargs) -> None:
        assert self._function is not None
        try:
            self._function(*args, **kwargs)
        except Exception as error:
            self._raised = error
