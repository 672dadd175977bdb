"""Registers to be printed: the decree's ten columns, filled from documents, signatures, receipts.

Rules:
1. The rows are those of `documents.register_views`: hidden ones show their number and a word.
2. At most `MOST_ROWS` at once; a longer register is printed in parts, by days.
3. Rows are read in chunks, each with a few statements in a short transaction, so a register of any
   length needs little memory and a slow client holds no connection.

Here and not beside the printing, because receipts are this room's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Row, all_rows
from docflow.db.tables import history_entries
from docflow.documents import print as printing
from docflow.documents import register_views
from docflow.documents.catalogue import Catalogue
from docflow.documents.numbering import format_number
from docflow.documents.register_views import Selection
from docflow.documents.tables import document_recipients, files
from docflow.kernel.actor import Actor
from docflow.kernel.errors import InvalidInputError
from docflow.people import access
from docflow.people.tables import recipients
from docflow.release.persons import earlier
from docflow.release.studio import Studio
from docflow.release.tables import deliveries, signature_steps

MOST_ROWS: Final = 20_000

_CLASSIFIED: Final = "(Văn bản mật)"
_NOT_READABLE: Final = "(Không thuộc phạm vi được xem)"


def csv_text(studio: Studio, actor: Actor, selection: Selection) -> Iterator[str]:
    """Return the register as CSV, in pieces; what can be refused is refused before the first.

    Raises:
        ForbiddenError: if the actor may not read registers.
        InvalidInputError: if there are too many rows (code `register-too-long`).
    """
    _require(studio, actor, selection)
    return printing.register_csv(_columns(selection), _rows(studio, actor, selection))


def pdf_file(studio: Studio, actor: Actor, selection: Selection) -> Path:
    """Write the register to a fresh staging path as PDF; the caller deletes it.

    Raises:
        ForbiddenError: if the actor may not read registers.
        InvalidInputError: if there are too many rows (code `register-too-long`).
    """
    _require(studio, actor, selection)
    catalogue = studio.desk.catalogue
    path = studio.desk.staging.new_path()
    try:
        printing.register_pdf(
            path,
            _columns(selection),
            _rows(studio, actor, selection),
            heading(catalogue, selection),
            studio.fonts,
            printed_at=studio.desk.database.clock.now().astimezone(catalogue.zone),
        )
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def heading(catalogue: Catalogue, selection: Selection) -> printing.RegisterHeading:
    """Return the heading of what is printed: its days are those that the rows are narrowed to."""
    period = selection.period
    whole = printing.heading_for(catalogue.seed.organisation, selection.book, period)
    ends = [day for day in (period.ends, selection.last) if day is not None]
    return replace(
        whole,
        starts=max(period.starts, selection.first or period.starts),
        ends=min(ends, default=None),
    )


def _require(studio: Studio, actor: Actor, selection: Selection) -> None:
    access.require(actor, access.Permission.REGISTER_READ)
    if register_views.count(studio.desk, selection, MOST_ROWS) > MOST_ROWS:
        raise InvalidInputError(
            f"These are more than {MOST_ROWS} rows, the most that are printed at once.",
            code="register-too-long",
            rule="register-rows",
            satisfied_by="Print it in parts: name the days with `from` and `to`.",
            limit_rows=MOST_ROWS,
        )


def _columns(selection: Selection) -> Sequence[printing.Column]:
    if selection.book.direction == "incoming":
        return printing.IncomingRow.COLUMNS
    return printing.OutgoingRow.COLUMNS


def _rows(studio: Studio, actor: Actor, selection: Selection) -> Iterator[printing.Row]:
    incoming = selection.book.direction == "incoming"
    fill = _incoming if incoming else _outgoing
    for found in register_views.chunks(studio.desk, actor, selection):
        seen = [row["document_id"] for row in found if row["readable"]]
        with studio.desk.database.read() as connection:
            more = {
                what: of_documents(connection, seen)
                for what, of_documents in (_INCOMING_MORE if incoming else _OUTGOING_MORE).items()
            }
        for row in found:
            extra = {what: of.get(row["document_id"]) for what, of in more.items()}
            yield fill(studio.desk.catalogue, selection, row, extra)


def _outgoing(
    catalogue: Catalogue, selection: Selection, row: Row, more: dict[str, Any]
) -> printing.OutgoingRow:
    if not row["readable"] or row["classified"]:  # paper is read by whoever holds it
        return printing.OutgoingRow(
            symbol=format_number(selection.book, row["number"]),
            document_date=None,
            type_and_summary=_hidden(row),
            signer="",
            recipients="",
            kept_by="",
            copies=None,
            transferred_on=None,
        )
    in_force = row["voided_at"] is None  # else what follows may belong to the document's new number
    copies = row["fields"].get("copies")
    sent = more["deliveries"] if in_force else None
    return printing.OutgoingRow(
        symbol=row["symbol"],
        document_date=row["numbered_on"],
        type_and_summary=_summary(catalogue, row),
        signer=(more["signer"] or "") if in_force else "",
        recipients="; ".join(more["recipients"] or ()),
        kept_by=row["unit_name"],
        copies=copies if isinstance(copies, int) else None,
        transferred_on=_day(catalogue, sent["first"]) if sent else None,
        receipt=f"Đã nhận {sent['received']}/{sent['sent']}" if sent else "",
        note=_urgency(catalogue, row),
        voided=row["void_reason"],
    )


def _incoming(
    catalogue: Catalogue, selection: Selection, row: Row, more: dict[str, Any]
) -> printing.IncomingRow:
    number = format_number(selection.book, row["number"])
    if not row["readable"] or row["classified"]:  # paper is read by whoever holds it
        return printing.IncomingRow(
            arrived_on=None,
            arrival_number=number,
            author="",
            symbol="",
            document_date=None,
            type_and_summary=_hidden(row),
            receiver="",
            transferred_on=None,
        )
    named = (row["unit_name"], row["assignee_name"])
    return printing.IncomingRow(
        arrived_on=_day(catalogue, row["created_at"]),
        arrival_number=number,
        author=row["issuer"] or "",
        symbol=row["issuer_symbol"] or "",
        document_date=row["issuer_date"],
        type_and_summary=_summary(catalogue, row),
        receiver=", ".join(name for name in named if name),
        transferred_on=_day(catalogue, more["routed_at"]),
        note=_urgency(catalogue, row),
        voided=row["void_reason"],
    )


def _hidden(row: Row) -> str:
    return _CLASSIFIED if row["classified"] else _NOT_READABLE


def _summary(catalogue: Catalogue, row: Row) -> str:
    return f"{catalogue.document_type(row['type_code']).name.vi}: {row['subject']}"


def _urgency(catalogue: Catalogue, row: Row) -> str:
    """Return the urgency's mark, which the normal one does not have."""
    levels = {level.code: level for level in catalogue.seed.urgency_levels}
    level = levels.get(row["urgency"])
    return level.name.vi if level is not None and level.mark is not None else ""


def _day(catalogue: Catalogue, moment: datetime | None) -> date | None:
    return None if moment is None else catalogue.today(moment)


def _signers(connection: sa.Connection, ids: Sequence[str]) -> dict[str, str]:
    """Return, by document, who signed the main file that counts, as their certificates name them."""
    statement = (
        sa.select(files.c.document_id, signature_steps.c.evidence)
        .join(
            signature_steps,
            sa.and_(
                signature_steps.c.document_id == files.c.document_id,
                signature_steps.c.file_id == files.c.origin_id,
                signature_steps.c.sha256 == files.c.sha256,
                signature_steps.c.step == "signed",
            ),
        )
        .where(
            files.c.document_id.in_(ids),
            files.c.role == "main",
            files.c.form == "signed",
            files.c.current,
        )
    )
    return {
        row["document_id"]: ", ".join(one["signer"] for one in (*earlier(row), row["evidence"]))
        for row in all_rows(connection, statement)
    }


def _recipients(connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[str]]:
    statement = (
        sa.select(document_recipients.c.document_id, recipients.c.name)
        .join(recipients, recipients.c.id == document_recipients.c.recipient_id)
        .where(document_recipients.c.document_id.in_(ids))
        .order_by(document_recipients.c.document_id, document_recipients.c.position)
    )
    found: dict[str, list[str]] = {}
    for row in all_rows(connection, statement):
        found.setdefault(row["document_id"], []).append(row["name"])
    return found


def _deliveries(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Row]:
    table = deliveries.c
    statement = (
        sa.select(
            table.document_id,
            sa.func.min(table.delivered_at).label("first"),
            sa.func.count().label("sent"),
            sa.func.count(table.acknowledged_at).label("received"),
        )
        .where(table.document_id.in_(ids))
        .group_by(table.document_id)
    )
    return {row["document_id"]: row for row in all_rows(connection, statement)}


def _routed_at(connection: sa.Connection, ids: Sequence[str]) -> dict[str, datetime]:
    """Return, by document, when it was last routed to a unit, as its history tells."""
    table = history_entries.c
    statement = (
        sa.select(table.subject_id, sa.func.max(table.at).label("at"))
        .where(
            table.subject_kind == "document",
            table.subject_id.in_(ids),
            table.action == "document.fired",
            table.leaf.contains('"unit_id":'),  # only a routing puts a unit into its entry
        )
        .group_by(table.subject_id)
    )
    return {row["subject_id"]: row["at"] for row in all_rows(connection, statement)}


_Of = Callable[[sa.Connection, Sequence[str]], dict[str, Any]]
_OUTGOING_MORE: Final[dict[str, _Of]] = {
    "signer": _signers,
    "recipients": _recipients,
    "deliveries": _deliveries,
}
_INCOMING_MORE: Final[dict[str, _Of]] = {"routed_at": _routed_at}
