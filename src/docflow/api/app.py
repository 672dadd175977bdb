"""The HTTP application: routes, problem documents, one envelope, and the embedded worker."""

import gc
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI

from docflow import __version__
from docflow.api import metrics, problems
from docflow.api.middleware import Envelope
from docflow.api.openapi import DescribedApp, methods_of
from docflow.api.routes import ROUTERS
from docflow.api.schemas.common import PROBLEM
from docflow.api.turns import Turns
from docflow.bootstrap import Services

_DESCRIPTION = (
    "A closed document-processing workflow service. Errors are problem documents (RFC 9457) with a "
    "stable `code`; changes need `If-Match`; lists are paged with `cursor`."
)
_REFUSALS: dict[int | str, dict[str, object]] = {
    400: {"description": "The request cannot be parsed.", **PROBLEM},
    401: {"description": "Nobody we know is asking.", **PROBLEM},
    403: {"description": "Known, but not allowed.", **PROBLEM},
    404: {"description": "No such thing, or none that the caller may know of.", **PROBLEM},
    409: {"description": "The state does not allow it.", **PROBLEM},
    412: {"description": "Based on an old version.", **PROBLEM},
    413: {"description": "Too large.", **PROBLEM},
    415: {"description": "The content's type is not accepted.", **PROBLEM},
    422: {"description": "A value is wrong.", **PROBLEM},
    428: {"description": "If-Match is missing.", **PROBLEM},
    503: {"description": "Something that docflow depends on does not answer.", **PROBLEM},
}


def create_app(services: Services | None) -> FastAPI:
    """Return the application over built services; serving it does not start a worker.

    Without services it can only describe itself (OpenAPI).
    """
    app = DescribedApp(
        title="docflow",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # the built-in pages load scripts from other hosts
        redoc_url=None,
        lifespan=_lifespan,
        responses=_REFUSALS,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.methods_of = methods_of
    app.state.threads = ThreadPoolExecutor(
        services.settings.threads if services else 1, thread_name_prefix="docflow-request"
    )
    app.state.verification_turns = Turns()
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.state.metrics = None
    if services is not None and services.settings.metrics_token_file is not None:
        metrics.read_token(services.settings)  # what is wrong with it stops the start
        app.state.metrics = metrics.Metrics(services)
    app.add_middleware(
        Envelope,
        production=services is not None and services.settings.production,
        observe=app.state.metrics.observe if app.state.metrics else None,
    )
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Bound the threads to what the connection pool can serve."""
    services: Services = app.state.services
    anyio.to_thread.current_default_thread_limiter().total_tokens = services.settings.threads
    # what start-up made stays: the collector need not walk over it again and again
    gc.collect()
    gc.freeze()
    yield
    app.state.threads.shutdown()
