"""Run pyHanko's coroutines from plain functions, whatever thread one is in.

Rule: services are plain `def`. pyHanko's own synchronous calls fail where an event loop runs.
"""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what `coroutine` returns, or raise what it raises."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as pool:  # a loop runs in this thread: use another one
        return pool.submit(asyncio.run, coroutine).result()
