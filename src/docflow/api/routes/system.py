"""/healthz and /readyz for whoever keeps the service running; the OpenAPI document."""

from fastapi import APIRouter, Request

from docflow import __version__
from docflow.api.schemas.common import Output
from docflow.db import migrate
from docflow.kernel.errors import ConfigurationError, UnavailableError

router = APIRouter(tags=["system"])


class Health(Output):
    """The service answers."""

    status: str
    version: str


@router.get("/healthz", response_model=Health, summary="Is the process alive")
async def healthz() -> Health:
    """Answer as long as the process runs."""
    return Health(status="alive", version=__version__)


@router.get("/readyz", response_model=Health, summary="Can it serve")
def readyz(request: Request) -> Health:
    """Answer if the database answers and has the right schema, else 503."""
    try:
        migrate.require_current(request.app.state.services.database)
    except ConfigurationError as error:  # someone migrated, or restored, under a running service
        raise UnavailableError(error.detail, code="not-ready") from error
    return Health(status="ready", version=__version__)
