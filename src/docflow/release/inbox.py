"""What recipients do: list what was delivered to them, download it, acknowledge it.

A recipient sees a delivery and the released files, nothing else of the document: no draft, no
history, no other recipient. Of a confidential document it sees number and symbol, not the subject,
and gets the files as they were encrypted to its certificate; nothing here gives it anything else of
such a document. The receipt is stored with the delivery and told by history; what a recipient writes
in it lies sealed where the document does.
"""

from typing import Any

import sqlalchemy as sa

from docflow.db import Draft, Row, all_rows, one_row
from docflow.db.uow import UnitOfWork
from docflow.documents import rows
from docflow.documents.desk import Desk
from docflow.documents.tables import documents, files
from docflow.kernel.actor import Actor
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ConflictError, NotFoundError
from docflow.kernel.text import normalise
from docflow.people import access
from docflow.people.tables import recipients
from docflow.release.encrypt import MEDIA_TYPE
from docflow.release.tables import deliveries, delivery_files
from docflow.storage.sealing import TextPlace

_DELIVERY = (
    sa.select(
        deliveries,
        recipients.c.code.label("recipient_code"),
        recipients.c.name.label("recipient_name"),
        documents.c.subject,
        documents.c.symbol,
        documents.c.numbered_on,
        documents.c.type_code,
        documents.c.urgency,
        documents.c.classification,
        documents.c.data_key_id,
        delivery_files.c.sha256.label("encrypted_sha256"),  # of the main file; None: in the clear
    )
    .join(documents, documents.c.id == deliveries.c.document_id)
    .outerjoin(
        delivery_files,
        sa.and_(delivery_files.c.delivery_id == deliveries.c.id, delivery_files.c.role == "main"),
    )
    .join(recipients, recipients.c.id == deliveries.c.recipient_id)
)


def find(
    desk: Desk, actor: Actor, *, acknowledged: bool | None, before: str | None, limit: int
) -> list[Row]:
    """Return up to `limit` deliveries to the actor, newest first."""
    access.require(actor, access.Permission.INBOX_READ)
    conditions: list[sa.ColumnElement[bool]] = [
        deliveries.c.recipient_id.in_(sorted(actor.recipient_ids))
    ]
    if acknowledged is not None:
        known = deliveries.c.acknowledged_at.is_not(None)
        conditions.append(known if acknowledged else ~known)
    if before is not None:
        conditions.append(deliveries.c.id < before)
    with desk.database.read() as connection:
        found = all_rows(
            connection,
            _DELIVERY.where(*conditions).order_by(deliveries.c.id.desc()).limit(limit),
        )
        return [_for_recipient(desk, connection, row) for row in found]


def show(desk: Desk, actor: Actor, delivery_id: str) -> tuple[Row, list[Row]]:
    """Return a delivery to the actor and the released files, the main file first.

    Raises:
        NotFoundError: if nothing of this id was delivered to the actor.
    """
    access.require(actor, access.Permission.INBOX_READ)
    with desk.database.read() as connection:
        row = _own(connection, actor, delivery_id)
        return _for_recipient(desk, connection, row), _files(desk, connection, row)


def _own(connection: sa.Connection, actor: Actor, delivery_id: str) -> Row:
    row = one_row(connection, _DELIVERY.where(deliveries.c.id == delivery_id))
    if row is None or row["recipient_id"] not in actor.recipient_ids:
        raise NotFoundError("Nothing of this id was delivered to you.", code="delivery-not-found")
    return row


def _for_recipient(desk: Desk, connection: sa.Connection, row: Row) -> Row:
    """Return a delivery as its recipient may see it: what is confidential is not told."""
    shown = _described(desk, connection, row)
    return shown | {"subject": None} if shown["confidential"] else shown


def _described(desk: Desk, connection: sa.Connection, row: Row) -> Row:
    """Add whether the document is confidential, and the digest of the main file as delivered.

    The words in the receipt are opened.
    """
    encrypted = row["encrypted_sha256"]
    return row | {
        "subject": row["subject"] or None,  # sealed, where it is empty
        "receipt": _opened(desk, connection, row),
        "confidential": encrypted is not None or desk.catalogue.is_sealed(row["classification"]),
        "sha256": encrypted or row["signed_sha256"],
    }


def _opened(desk: Desk, connection: sa.Connection, row: Row) -> dict[str, Any] | None:
    receipt: dict[str, Any] | None = row["receipt"]
    if not receipt or not receipt["note"]:
        return receipt
    document, place = row | {"id": row["document_id"]}, _note_place(row["id"])
    note = desk.vault.open_line(document, place, receipt["note"], connection)
    return receipt | {"note": note}


def _note_place(delivery_id: str) -> TextPlace:
    return TextPlace("deliveries", "receipt", delivery_id)


def _files(desk: Desk, connection: sa.Connection, delivery: Row) -> list[Row]:
    """Return what a recipient may download, the main file first."""
    if delivery["encrypted_sha256"] is not None:
        return _encrypted(connection, delivery["id"])
    if desk.catalogue.is_sealed(delivery["classification"]):
        return []  # it was classified after it went out in the clear
    return _released(connection, delivery["document_id"])


def _encrypted(connection: sa.Connection, delivery_id: str) -> list[Row]:
    """Return the encrypted files of a delivery, described as files are."""
    table = delivery_files
    statement = sa.select(table).where(table.c.delivery_id == delivery_id)
    same = {
        "form": "released", "origin_id": None, "pages": None, "current": True,
        "media_type": MEDIA_TYPE,
    }  # fmt: skip
    return [
        row | same for row in all_rows(connection, statement.order_by(table.c.position, table.c.id))
    ]


def _released(connection: sa.Connection, document_id: str) -> list[Row]:
    return all_rows(
        connection,
        sa.select(files)
        .where(files.c.document_id == document_id, files.c.form == "released", files.c.current)
        .order_by(files.c.position, files.c.id),
    )


def file_to_download(desk: Desk, actor: Actor, delivery_id: str, file_id: str | None) -> Row:
    """Return a file that was delivered to the actor (the main file if `file_id` is None).

    The first download is history, committed before the first byte leaves.

    Raises:
        NotFoundError: if no such file was delivered to the actor.
        ConflictError: if the document was classified after it was delivered in the clear (code
            `delivery-withheld`).
    """
    access.require(actor, access.Permission.INBOX_READ)
    with desk.database.read() as connection:
        row = _own(connection, actor, delivery_id)
        shown, listed = _described(desk, connection, row), _files(desk, connection, row)
    if shown["confidential"] and not listed:
        raise ConflictError(
            "The document was classified after it was delivered; it is no longer given out here.",
            code="delivery-withheld",
            satisfied_by="Ask the office to release it again, encrypted to your certificate.",
        )
    wanted = next((item for item in listed if _is_wanted(item, file_id)), None)
    if wanted is None:
        raise NotFoundError("This delivery has no such file.", code="file-not-found")
    if wanted["role"] == "main" and wanted["sha256"] != shown["sha256"]:
        raise NotFoundError("The delivered file is not available.", code="file-not-found")
    if row["downloaded_at"] is None:
        with desk.database.unit_of_work(actor) as uow:
            _note(
                uow,
                row,
                deliveries.c.downloaded_at.is_(None),
                {"downloaded_at": uow.now},
                Draft("delivery.downloaded", {"delivery": row["id"]}),
            )
    return wanted


def _is_wanted(item: Row, file_id: str | None) -> bool:
    return bool(item["role"] == "main" if file_id is None else item["id"] == file_id)


def acknowledge(
    desk: Desk, actor: Actor, delivery_id: str, *, sha256: str, note: str | None
) -> Row:
    """Acknowledge a delivery and return it with its receipt; a second time changes nothing.

    Args:
        desk: the room's tools.
        actor: who asks; receives for the recipient.
        delivery_id: the delivery.
        sha256: the digest of the main file as received, 64 hex digits. Of a confidential document
            that of the encrypted file, or that of the PDF inside: nobody is told the latter, so it
            shows that the file was opened, and the receipt says so.
        note: a line from the recipient, or None.

    Raises:
        NotFoundError: if nothing of this id was delivered to the actor.
        ConflictError: if the digest is not that of the delivered file (code `digest-mismatch`).
    """
    access.require(actor, access.Permission.INBOX_ACKNOWLEDGE)
    with desk.database.read() as connection:
        row = _own(connection, actor, delivery_id)
    given = sha256.lower()
    if given not in (row["signed_sha256"], row["encrypted_sha256"]):
        raise ConflictError(
            "The digest is not that of the delivered file; what you have is not what was sent.",
            code="digest-mismatch",
            satisfied_by="Download the file again and compare.",
        )
    if row["acknowledged_at"] is None:
        with desk.database.unit_of_work(actor) as uow:
            said = normalise(note).strip() if note else None
            receipt = _receipt(desk, uow, row, given, said)
            _note(
                uow,
                row,
                deliveries.c.acknowledged_at.is_(None),
                {"acknowledged_at": uow.now, "receipt": receipt},
                Draft(
                    "delivery.acknowledged",
                    {"delivery": row["id"], "sha256": given},
                    {"note": said, "name": actor.name},
                ),
            )
    with desk.database.read() as connection:
        return _for_recipient(desk, connection, _own(connection, actor, delivery_id))


def _receipt(
    desk: Desk, uow: UnitOfWork, delivery: Row, sha256: str, note: str | None
) -> dict[str, Any]:
    """Return what is kept of an acknowledgement; its note, the recipient's own words, as it is stored."""
    if note is not None:
        document = rows.lock(uow, delivery["document_id"])
        place = _note_place(delivery["id"])
        note = desk.vault.seal_line(document, place, note, uow.connection)
    receipt: dict[str, Any] = {
        "by": uow.actor.id,
        "name": uow.actor.name,
        "at": rfc3339(uow.now),
        "sha256": sha256,
        "note": note,
    }
    if delivery["encrypted_sha256"] is not None:
        receipt["opened"] = sha256 == delivery["signed_sha256"]
    return receipt


def reseal_notes(desk: Desk, uow: UnitOfWork, row: Row, /, *, sealing: bool) -> None:
    """Seal or open what recipients wrote about a document whose classification changes."""
    statement = sa.select(deliveries).where(
        deliveries.c.document_id == row["id"], deliveries.c.acknowledged_at.is_not(None)
    )
    turn = desk.vault.seal_line if sealing else desk.vault.open_line
    for delivery in all_rows(uow.connection, statement):
        receipt = delivery["receipt"]
        if receipt["note"]:
            note = turn(row, _note_place(delivery["id"]), receipt["note"], uow.connection)
            changed = {"receipt": receipt | {"note": note}}
            uow.alter(deliveries, row["id"], deliveries.c.id == delivery["id"], changed)


def _note(uow: UnitOfWork, delivery: Row, still: Any, values: dict[str, Any], draft: Draft) -> None:
    """Change a delivery once, with its entry on the document's chain."""
    row = rows.lock(uow, delivery["document_id"])
    first = uow.connection.execute(
        sa.select(deliveries.c.id).where(deliveries.c.id == delivery["id"], still)
    ).one_or_none()
    if first is not None:  # else someone of the same recipient was quicker, and history has it
        uow.alter(deliveries, row["id"], deliveries.c.id == delivery["id"], values)
        uow.note(documents, row, draft)


def of_document(desk: Desk, actor: Actor, document_id: str) -> list[Row]:
    """Return the deliveries of a document with their receipts, for those who may read it."""
    with desk.database.read() as connection:
        row = rows.read(connection, document_id)
        rows.require(actor, access.Permission.DOCUMENT_READ, row)
        found = all_rows(
            connection,
            _DELIVERY.where(deliveries.c.document_id == document_id).order_by(deliveries.c.id),
        )
        return [_described(desk, connection, item) for item in found]


def released_by_code(desk: Desk, code: str) -> Row:
    """Return what the link in a document's QR code tells anyone who holds the document.

    That is: the organisation's number and symbol, its date, whether it was released, and the digest
    of the released file. Neither subject nor names.

    Raises:
        NotFoundError: if no document has this code.
    """
    with desk.database.read() as connection:
        row = one_row(connection, sa.select(documents).where(documents.c.verification_code == code))
        if row is None:
            raise NotFoundError("No document of this office has this code.", code="unknown-code")
        released = _released(connection, row["id"])
    return {
        "organisation": desk.catalogue.seed.organisation.name.vi,
        "symbol": row["symbol"],
        "numbered_on": row["numbered_on"],
        "released": bool(released),
        "sha256": released[0]["sha256"] if released else None,
    }
