"""/v1/verifications: is a file signed, intact and ours; /v1/released: what a QR code leads to."""

import re
from datetime import date
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response

from docflow.api import uploads
from docflow.api.answers import json_answer
from docflow.api.context import Caller, CallerDep
from docflow.api.multipart import Limits, Parts, receive
from docflow.api.routes.jobs import JobOut
from docflow.api.schemas.common import PROBLEM, JsonObject, Name, Output
from docflow.api.turns import Turns
from docflow.people import access
from docflow.release import arrival, inbox
from docflow.release.verification import Verification, verify_file
from docflow.signing.verifying import etsi, page
from docflow.storage import StagedFile

router = APIRouter(tags=["verification"])

Format = Literal["json", "html", "etsi"]
_PARTS = Parts(metadata=None, main="file", annex="data")
_HTML = "text/html"
_FORMS: dict[str, Format] = {
    _HTML: "html",
    etsi.MEDIA_TYPE: "etsi",
    "text/xml": "etsi",
    "application/json": "json",
}
_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")


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


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file's bytes: a PDF, an ASiC container, or CMS (CAdES) with the data inside. "
        "A detached signature comes as multipart: `file` is the signature, `data` what it signs.",
        "content": {
            "application/pdf": _BINARY,
            "application/pkcs7-signature": _BINARY,
            "application/vnd.etsi.asic-e+zip": _BINARY,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "data": {"type": "string", "format": "binary"},
                    },
                }
            },
        },
    }
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What was found; as a page for people, or as the ETSI TS 119 102-2 report, if "
        "asked for by `format` or `Accept`.",
        "content": {
            _HTML: {"schema": {"type": "string"}},
            etsi.MEDIA_TYPE: {"schema": {"type": "string"}},
        },
    },
    429: {"description": "Too many files of this caller are being verified.", **PROBLEM},
}


@router.post(
    "/v1/verifications",
    response_model=VerificationOut,
    responses=_ANSWERS,
    openapi_extra=_BODY,
    summary="Verify a signed file",
)
async def post_verification(
    request: Request,
    caller: CallerDep,
    format: Annotated[  # noqa: A002 - the name that the API uses
        Format | None, Query(description="Wins over the Accept header; `json` without either.")
    ] = None,
) -> Response:
    """Tell who signed a file, when, what is covered, whether it is intact and ours, with reasons."""
    await anyio.to_thread.run_sync(
        lambda: access.require(caller.actor, access.Permission.VERIFICATION_CREATE)
    )
    turns: Turns = request.app.state.verification_turns
    turns.check(caller.actor.id)
    staged = await _receive(request, caller)
    data = staged[1] if len(staged) > 1 else None
    studio = caller.services.studio
    try:
        found = await turns.run(
            caller.actor.id, lambda: verify_file(studio, caller.actor, staged[0], data)
        )
    finally:
        uploads.discard(*staged)
    return _answer(found, format or _wanted(request.headers.get("accept", "")))


async def _receive(request: Request, caller: Caller) -> list[StagedFile]:
    """Receive the file, and the data that it signs where both were sent."""
    services = caller.services
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "multipart/form-data":
        return [await uploads.receive_raw(request, services)]
    most = services.settings.max_file_bytes
    received = await receive(
        request.stream(),
        request.headers.get("content-type"),
        lambda _part, _name, _metadata: services.desk.vault.begin_unknown(),
        Limits(file_bytes=most, total_bytes=2 * most + 2**16, annexes=1),
        _PARTS,
    )
    return [received.main.result, *(one.result for one in received.annexes)]


def _wanted(accept: str) -> Format:
    """Return the form that an Accept header prefers, the first of equals; JSON if it names none.

    Source: RFC 9110 12.4.2 (quality values), 12.5.1 (Accept).
    """
    best: float = 0.0
    preferred: Format = "json"
    for one in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in one.split(";"))
        quality = _quality(parameters)
        if media_type in _FORMS and quality > best:
            best, preferred = quality, _FORMS[media_type]
    return preferred


def _quality(parameters: list[str]) -> float:
    """Return the weight of a media type; one that cannot be read counts as none given."""
    given = next((one.partition("=")[2] for one in parameters if one.startswith("q=")), "1")
    return float(given) if _WEIGHT.fullmatch(given) else 1.0


def _answer(found: Verification, wanted: Format) -> Response:
    vary = {"Vary": "Accept"}
    if wanted == "html":
        headers = vary | {"Content-Security-Policy": page.POLICY}
        return Response(page.html_page(found.report), 200, headers, media_type=_HTML)
    if wanted == "etsi":
        return Response(etsi.etsi_xml(found.report), 200, vary, media_type=etsi.MEDIA_TYPE)
    shown = VerificationOut(
        indication=found.report.indication,
        ours=found.ours,
        released_here=found.released_here,
        document=VerifiedDocument(**found.document) if found.document else None,
        report=found.report.to_dict(),
    )
    return json_answer(shown, headers=vary)


@router.post(
    "/v1/documents/{document_id}/verifications",
    status_code=202,
    response_model=JobOut,
    summary="Verify a received document's signatures again",
)
def post_document_verification(document_id: Name, caller: CallerDep) -> JobOut:
    """Have signatures that have not passed verified once more; the job says when, the document what.

    Asked for again while that is under way, it is the same job.
    """
    services = caller.services
    return JobOut.of(arrival.ask_again(services.studio, services.engine, caller.actor, document_id))


@router.get(
    "/v1/released/{code}",
    response_model=ReleasedOut,
    summary="Look up a released document by its code",
)
def get_released(code: Name, request: Request) -> ReleasedOut:
    """Tell number, date and digest of the document whose QR code holds this code; no log-in needed."""
    return ReleasedOut(**inbox.released_by_code(request.app.state.services.desk, code))
