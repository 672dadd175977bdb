"""The short way through the hot routes: one thread for a request's work, one pass for its answer.

FastAPI validates a returned model once more and serialises it in Python; a hot route hands over a
`Response` that Pydantic wrote. What is declared for OpenAPI stays `response_model`.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from fastapi import Response
from pydantic import BaseModel

P = ParamSpec("P")
T = TypeVar("T")


def json_answer(
    model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a model as a JSON answer."""
    return Response(model.model_dump_json(), status, headers, media_type="application/json")


async def in_thread(
    threads: ThreadPoolExecutor, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run a request's blocking work in one of the service threads and return what it returns.

    Cancelling waits for the end of the work: what is cleaned up after it may be in use until then.
    """
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(threads, lambda: function(*args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
