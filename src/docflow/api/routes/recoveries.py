"""/v1/recoveries/{id}/file: the escrow-encrypted file of a recovery that two people agreed on."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from docflow.api import uploads
from docflow.api.context import CallerDep
from docflow.api.routes.files import BYTES
from docflow.api.schemas.common import Name

router = APIRouter(prefix="/v1/recoveries", tags=["recoveries"])


@router.get(
    "/{recovery_id}/file",
    response_class=Response,
    responses=BYTES,
    summary="Download the file of a recovery",
)
def get_file(
    recovery_id: Name,
    request: Request,
    caller: CallerDep,
    position: Annotated[
        int, Query(ge=0, le=100, description="Of the file in its document; 0 is the main file.")
    ] = 0,
) -> Response:
    """Download a delivered file that the organisation's escrow key opens; each use is history."""
    row = caller.services.recoveries.file_to_download(caller.actor, recovery_id, position)
    return uploads.send_file(request, caller.services, row)
