"""/v1/inbox: what was delivered to the caller; and a document's deliveries, for its own people."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, StringConstraints

from docflow.api import pagination, uploads
from docflow.api.context import CallerDep
from docflow.api.routes.files import BYTES
from docflow.api.schemas.common import Input, JsonObject, Name, Output, Text
from docflow.api.schemas.documents import RecipientRef
from docflow.api.schemas.files import FileOut
from docflow.db import Row
from docflow.release import inbox

router = APIRouter(tags=["inbox"])


class DeliveryOut(Output):
    """A delivery as its recipient sees it."""

    id: str
    recipient: RecipientRef
    type: str
    symbol: str | None
    numbered_on: date | None
    subject: str | None = Field(description="Not told to recipients of a confidential document.")
    urgency: str
    confidential: bool = Field(
        description="Whether its files are encrypted to the recipient's certificate (CMS)."
    )
    sha256: str = Field(description="Digest of the main file as it is downloaded.")
    delivered_at: datetime
    downloaded_at: datetime | None
    acknowledged_at: datetime | None
    receipt: JsonObject | None


class DeliveryDetail(DeliveryOut):
    """A delivery with the released files."""

    files: list[FileOut]


class DeliveryPage(Output):
    """A page of deliveries, newest first."""

    items: list[DeliveryOut]
    next_cursor: str | None


class ReceiptIn(Input):
    """An acknowledgement."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$")] = Field(
        description="SHA-256 of the main file as received; of an encrypted one, or of the PDF inside."
    )
    note: Text | None = None


def _values(row: Row) -> dict[str, Any]:
    same = ("id", "symbol", "numbered_on", "subject", "urgency", "delivered_at", "downloaded_at")
    more = ("acknowledged_at", "receipt", "confidential", "sha256")
    return {name: row[name] for name in (*same, *more)} | {
        "recipient": RecipientRef(
            id=row["recipient_id"], code=row["recipient_code"], name=row["recipient_name"]
        ),
        "type": row["type_code"],
    }


@router.get("/v1/inbox", response_model=DeliveryPage, summary="List deliveries to me")
def list_inbox(
    request: Request,
    response: Response,
    caller: CallerDep,
    acknowledged: Annotated[
        bool | None, Query(description="Only these, or only the others.")
    ] = None,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> DeliveryPage:
    """List what was delivered to the caller, newest first."""
    rows = inbox.find(
        caller.services.desk,
        caller.actor,
        acknowledged=acknowledged,
        before=pagination.decode(cursor),
        limit=limit + 1,
    )
    page, following = pagination.cut(rows, limit)
    pagination.link_next(request, response, following)
    return DeliveryPage(items=[DeliveryOut(**_values(row)) for row in page], next_cursor=following)


@router.get("/v1/inbox/{delivery_id}", response_model=DeliveryDetail, summary="Read a delivery")
def get_delivery(delivery_id: Name, caller: CallerDep) -> DeliveryDetail:
    """Read a delivery to the caller, with its files."""
    row, files = inbox.show(caller.services.desk, caller.actor, delivery_id)
    return DeliveryDetail(**_values(row), files=[FileOut.of(item) for item in files])


@router.get(
    "/v1/inbox/{delivery_id}/content",
    response_class=Response,
    responses=BYTES,
    summary="Download the released main file",
)
def get_main(delivery_id: Name, request: Request, caller: CallerDep) -> Response:
    """Download the released main file; the first download is history."""
    row = inbox.file_to_download(caller.services.desk, caller.actor, delivery_id, None)
    return uploads.send_file(request, caller.services, row)


@router.get(
    "/v1/inbox/{delivery_id}/files/{file_id}/content",
    response_class=Response,
    responses=BYTES,
    summary="Download a released file",
)
def get_file(delivery_id: Name, file_id: Name, request: Request, caller: CallerDep) -> Response:
    """Download a released file of a delivery."""
    row = inbox.file_to_download(caller.services.desk, caller.actor, delivery_id, file_id)
    return uploads.send_file(request, caller.services, row)


@router.post(
    "/v1/inbox/{delivery_id}/receipt", response_model=DeliveryOut, summary="Acknowledge a delivery"
)
def post_receipt(delivery_id: Name, receipt: ReceiptIn, caller: CallerDep) -> DeliveryOut:
    """Acknowledge a delivery; doing it again changes nothing."""
    row = inbox.acknowledge(
        caller.services.desk,
        caller.actor,
        delivery_id,
        sha256=receipt.sha256,
        note=receipt.note,
    )
    return DeliveryOut(**_values(row))


@router.get(
    "/v1/documents/{document_id}/deliveries",
    response_model=list[DeliveryOut],
    summary="Deliveries and receipts of a document",
)
def list_deliveries(document_id: Name, caller: CallerDep) -> list[DeliveryOut]:
    """List to whom a document was delivered, and who acknowledged it when."""
    rows = inbox.of_document(caller.services.desk, caller.actor, document_id)
    return [DeliveryOut(**_values(row)) for row in rows]
