"""/v1/recipients/{id}/certificates and /v1/recipient-certificates: what is encrypted to."""

from datetime import datetime
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, StringConstraints
from starlette.requests import ClientDisconnect

from docflow.api import pagination
from docflow.api.context import Caller, CallerDep
from docflow.api.schemas.common import Input, Instant, Line, Name, Output
from docflow.kernel.errors import MalformedError, TooLargeError
from docflow.people.certificates import Recorded
from docflow.people.views import Page
from docflow.signing.certificates import MOST_BYTES

router = APIRouter(tags=["recipients"])

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One X.509 certificate, PEM or DER; in PEM, its authorities may follow it.",
        "content": {
            "application/x-pem-file": _BINARY,
            "application/pkix-cert": _BINARY,
            "application/octet-stream": _BINARY,
        },
    }
}


class CertificateOut(Output):
    """A certificate on a recipient's record."""

    recipient_id: str
    sha256: str = Field(description="Of the certificate in DER; names it.")
    subject: str
    issuer: str
    serial: str = Field(description="Hexadecimal.")
    key_kind: str = Field(description="`rsa`, or the name of a curve.")
    key_bits: int
    not_before: datetime
    not_after: datetime
    added_by: str
    added_at: datetime
    revoked_by: str | None
    revoked_at: datetime | None
    reason: str | None = Field(description="Why it was revoked.")
    usable: bool = Field(description="Whether a release may encrypt to it now.")
    faults: list[str] = Field(
        description="Why it cannot be encrypted to now, apart from revocation."
    )
    pem: str

    @classmethod
    def of(cls, found: Recorded) -> "CertificateOut":
        """Build from the people room's answer."""
        judged = {"usable": found.usable, "faults": list(found.faults)}
        kept = cls.model_fields.keys() - judged.keys()
        return cls(**judged, **{name: found.row[name] for name in kept})


class CertificatePage(Output):
    """A page of certificates, in the order in which they were recorded."""

    items: list[CertificateOut]
    next_cursor: str | None


class RevocationIn(Input):
    """A revocation."""

    reason: Line = Field(description="Why it is no longer to be used.")


Expiring = Annotated[
    Instant | None,
    Query(description="Only certificates that are not revoked and end before this instant."),
]
Revoked = Annotated[bool | None, Query(description="Only revoked ones, or only the others.")]


@router.post(
    "/v1/recipients/{recipient_id}/certificates",
    status_code=201,
    response_model=CertificateOut,
    responses={200: {"description": "It is on the recipient's record already."}},
    openapi_extra=_BODY,
    summary="Record a recipient's certificate",
)
async def post_certificate(recipient_id: Name, request: Request, caller: CallerDep) -> Response:
    """Record a certificate; it is judged at once. Recording it again changes nothing."""
    await anyio.to_thread.run_sync(lambda: caller.actor)
    data = await _received(request)

    def work() -> Response:
        service = caller.services.certificates
        found, new = service.add(caller.actor, recipient_id, data)
        where = f"/v1/recipients/{recipient_id}/certificates/{found.row['sha256']}"
        return Response(
            CertificateOut.of(found).model_dump_json(),
            201 if new else 200,
            {"Location": where},
            media_type="application/json",
        )

    return await anyio.to_thread.run_sync(work)


@router.get(
    "/v1/recipients/{recipient_id}/certificates",
    response_model=CertificatePage,
    summary="List a recipient's certificates",
)
def list_of_recipient(
    recipient_id: Name,
    request: Request,
    response: Response,
    caller: CallerDep,
    expiring_before: Expiring = None,
    revoked: Revoked = None,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> CertificatePage:
    """List the certificates of a recipient, revoked ones too."""
    page = _page(caller, recipient_id, expiring_before, revoked, cursor, limit)
    return _answer(request, response, page)


@router.get(
    "/v1/recipients/{recipient_id}/certificates/{sha256}",
    response_model=CertificateOut,
    summary="Read a recipient's certificate",
)
def get_certificate(recipient_id: Name, sha256: Digest, caller: CallerDep) -> CertificateOut:
    """Read one certificate of a recipient."""
    return CertificateOut.of(caller.services.certificates.get(caller.actor, recipient_id, sha256))


@router.post(
    "/v1/recipients/{recipient_id}/certificates/{sha256}/revocation",
    response_model=CertificateOut,
    summary="Revoke a recipient's certificate",
)
def post_revocation(
    recipient_id: Name, sha256: Digest, wanted: RevocationIn, caller: CallerDep
) -> CertificateOut:
    """Take a certificate out of use for good; doing it again changes nothing."""
    service = caller.services.certificates
    return CertificateOut.of(service.revoke(caller.actor, recipient_id, sha256, wanted.reason))


@router.get(
    "/v1/recipient-certificates",
    response_model=CertificatePage,
    summary="List the certificates of all recipients",
)
def list_all(
    request: Request,
    response: Response,
    caller: CallerDep,
    expiring_before: Expiring = None,
    revoked: Revoked = None,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> CertificatePage:
    """List every recipient's certificates; with `expiring_before`, those to be renewed in time."""
    return _answer(request, response, _page(caller, None, expiring_before, revoked, cursor, limit))


def _page(
    caller: Caller,
    recipient_id: str | None,
    expiring_before: datetime | None,
    revoked: bool | None,
    cursor: str | None,
    limit: int,
) -> Page[Recorded]:
    return caller.services.certificates.list(
        caller.actor,
        recipient_id=recipient_id,
        expiring_before=expiring_before,
        revoked=revoked,
        cursor=pagination.decode(cursor),
        limit=limit,
    )


def _answer(request: Request, response: Response, page: Page[Recorded]) -> CertificatePage:
    following = pagination.follow(request, response, page.next_cursor)
    return CertificatePage(
        items=[CertificateOut.of(one) for one in page.items], next_cursor=following
    )


async def _received(request: Request) -> bytes:
    """Read the body, stopping as soon as it is longer than any certificate."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise TooLargeError(
                    f"A certificate with its authorities has at most {MOST_BYTES} bytes.",
                    limit_bytes=MOST_BYTES,
                )
    except ClientDisconnect as error:
        raise MalformedError("The body was cut off.", code="body-cut-off") from error
    return bytes(body)
