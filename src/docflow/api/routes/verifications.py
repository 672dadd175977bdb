"""/v1/verifications: is a PDF signed, intact and ours; /v1/released: what a QR code leads to."""

from datetime import date
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request

from docflow.api import uploads
from docflow.api.context import CallerDep
from docflow.api.schemas.common import JsonObject, Name, Output
from docflow.people import access
from docflow.release import inbox
from docflow.release.verification import verify_file

router = APIRouter(tags=["verification"])


class VerifiedDocument(Output):
    """The document whose released file this is, for those who may know."""

    id: str
    symbol: str | None
    state: str


class VerificationOut(Output):
    """What a verification found."""

    indication: str = "NOT-SIGNED"
    ours: bool
    released_here: bool
    document: VerifiedDocument | None
    report: JsonObject


class ReleasedOut(Output):
    """What the link in a document's QR code tells anyone who holds the document."""

    organisation: str
    symbol: str | None
    numbered_on: date | None
    released: bool
    sha256: str | None


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The PDF's bytes.",
        "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/v1/verifications",
    response_model=VerificationOut,
    openapi_extra=_BODY,
    summary="Verify a PDF",
)
async def post_verification(request: Request, caller: CallerDep) -> VerificationOut:
    """Tell who signed a PDF, when, what is covered, whether it is intact and ours, with reasons."""
    await anyio.to_thread.run_sync(
        lambda: access.require(caller.actor, access.Permission.VERIFICATION_CREATE)
    )
    services = caller.services
    staged = await uploads.receive_raw(request, services)
    try:
        found = await anyio.to_thread.run_sync(
            verify_file,
            services.studio,
            caller.actor,
            staged,
            services.settings.verification_seconds,
        )
    finally:
        uploads.discard(staged)
    document = VerifiedDocument(**found.document) if found.document else None
    return VerificationOut(
        indication=found.report["indication"],
        ours=found.ours,
        released_here=found.released_here,
        document=document,
        report=found.report,
    )


@router.get(
    "/v1/released/{code}",
    response_model=ReleasedOut,
    summary="Look up a released document by its code",
)
def get_released(code: Name, request: Request) -> ReleasedOut:
    """Tell number, date and digest of the document whose QR code holds this code; no log-in needed."""
    return ReleasedOut(**inbox.released_by_code(request.app.state.services.desk, code))
