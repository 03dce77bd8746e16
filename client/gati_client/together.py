"""Several things at a time, of which the first that fails ends the others."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(work: Iterable[Coroutine[Any, Any, T]], at_once: int | None = None) -> list[T]:
    """What all come to, in their order; `at_once` of them run at a time.

    Raises:
        BaseException: the first failure, when none of the others runs any more.
    """
    gate = asyncio.Semaphore(at_once) if at_once else None

    async def one(each: Coroutine[Any, Any, T]) -> T:
        if gate is None:
            return await each
        async with gate:
            return await each

    waiting = list(work)
    tasks = [asyncio.create_task(one(each)) for each in waiting]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    finally:
        for each in waiting:
            each.close()  # of those that were never begun


def first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first of what the tasks of a group raised."""
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
