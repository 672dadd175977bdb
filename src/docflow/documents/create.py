"""Post a document: check order, then bytes, then meaning, then store.

Files are checked in staging and made durable before the row is written; the row, its files, its
recipients and its first history entry are one transaction. A refusal leaves nothing behind. What is
classified is sealed: its files since they came in, its texts before the row is written.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork
from docflow.db.idempotency import Claim, remember
from docflow.documents import conversions, duplicates, lookups, signature_checks
from docflow.documents.content import CheckedFile, ReceivedFile, check_file
from docflow.documents.desk import Desk
from docflow.documents.intake import Intake, file_id
from docflow.documents.shelf import Pinned
from docflow.documents.tables import document_recipients, documents, files
from docflow.kernel.actor import Actor
from docflow.kernel.errors import FieldProblem, InvalidInputError
from docflow.kernel.text import fold, normalise
from docflow.people import access
from docflow.workflow.values import clean_fields, validate_fields

_SEARCH_ID_BITS = 62


@dataclass(frozen=True, slots=True)
class NewDocument:
    """What a caller says about a document to be posted; units and recipients by code or id."""

    subject: str
    type_code: str
    direction: str | None = None
    workflow: str | None = None
    urgency: str = "normal"
    classification: str = "internal"
    unit: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    recipients: Sequence[str] = ()
    issuer: str | None = None
    issuer_symbol: str | None = None
    issuer_date: date | None = None
    accept_duplicate: str | None = None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A checked file that is stored: the id that its row will have, and where its bytes are."""

    checked: CheckedFile
    id: str
    storage_key: str


def create(
    desk: Desk,
    actor: Actor,
    new: NewDocument,
    *,
    main: ReceivedFile | None = None,
    annexes: Sequence[ReceivedFile] = (),
    claim: Claim | None = None,
    intake: Intake | None = None,
) -> str:
    """Post a document and return its id.

    Args:
        desk: the room's tools.
        actor: who posts it.
        new: what is said of it.
        main: its main file, as the intake received it.
        annexes: its annexes, in order.
        claim: what an Idempotency-Key claims.
        intake: what received the files; needed where there are any.

    Raises:
        InvalidInputError: if a value or a file is refused.
        ForbiddenError: if the actor may not post in that unit.
        ConflictError: if an incoming document was received before (code `duplicate-document`).
        UnavailableError: if database or storage do not answer; nothing is left behind.
    """
    pinned = desk.shelf.choose(new.workflow, new.direction)
    direction = pinned.compiled.definition.direction
    _check_values(desk, pinned, new)
    unit_id, recipient_ids = _look_up(desk, actor, new)
    intake = intake or Intake(desk)
    row = _row(desk, actor, pinned, new, unit_id, intake.document_id)
    access.require_cleared(actor, new.classification)
    facts = duplicates.facts_for_access(row)
    access.require(actor, access.Permission.DOCUMENT_CREATE, facts)
    checked = _check_files(desk, pinned, main, annexes, new.classification)
    row["main_sha256"] = main.staged.sha256 if main is not None else None
    if direction == "incoming":
        with desk.database.read() as connection:
            _duplicates(connection, actor, new, row)
    checked = [_settled(intake, item, new.classification) for item in checked]
    stored = [store_file(desk, item, new.classification) for item in checked]
    with desk.database.unit_of_work(actor) as uow:
        written = _write(desk, uow, new, row, stored, recipient_ids)
        arrived = list(zip(checked, written, strict=True))
        _request_jobs(desk, uow, row["id"], direction, arrived)
        if claim is not None:
            remember(uow, claim, row["id"])
    return str(row["id"])


def _request_jobs(
    desk: Desk,
    uow: UnitOfWork,
    document_id: str,
    direction: str,
    arrived: Sequence[tuple[CheckedFile, Mapping[str, Any]]],
) -> None:
    signature_checks.request(desk, uow, document_id, direction, arrived)
    conversions.request(desk, uow, document_id, arrived)


def _check_values(desk: Desk, pinned: Pinned, new: NewDocument) -> None:
    desk.catalogue.document_type(new.type_code)
    desk.catalogue.check_urgency(new.urgency)
    desk.catalogue.check_classification(new.classification)
    definition = pinned.compiled.definition
    problems = validate_fields(definition, dict(new.fields), complete=False)
    if definition.direction == "incoming":
        if new.recipients:
            problems.append(
                FieldProblem("/recipients", "an incoming document has no recipients; leave it out")
            )
        if not (new.issuer or "").strip():
            problems.append(FieldProblem("/issuer", "say who issued the incoming document"))
    else:
        given = {
            "issuer": new.issuer,
            "issuer_symbol": new.issuer_symbol,
            "issuer_date": new.issuer_date,
            "accept_duplicate": new.accept_duplicate,
        }
        problems += [
            FieldProblem(f"/{name}", "only an incoming document has this; leave it out")
            for name, value in given.items()
            if value is not None
        ]
    if len(new.recipients) > desk.limits.recipients:
        problems.append(FieldProblem("/recipients", f"at most {desk.limits.recipients}"))
    if problems:
        raise InvalidInputError("The document's data is not right.", fields=problems)


def _look_up(desk: Desk, actor: Actor, new: NewDocument) -> tuple[str, list[str]]:
    """Return the ids of the unit and the recipients; without any named, nothing is asked."""
    if new.unit is None and not new.recipients:
        return _own_unit(actor), []
    with desk.database.read() as connection:
        unit_id = _own_unit(actor) if new.unit is None else lookups.unit_id(connection, new.unit)
        return unit_id, lookups.recipient_ids(connection, new.recipients)


def _own_unit(actor: Actor) -> str:
    posting = [office.unit_id for office in actor.offices]
    if not posting:
        raise InvalidInputError(
            "Name the unit: you hold no office in any.",
            fields=[FieldProblem("/unit", "code or id of a unit")],
        )
    return posting[0]


def _row(
    desk: Desk, actor: Actor, pinned: Pinned, new: NewDocument, unit_id: str, document_id: str
) -> dict[str, Any]:
    definition = pinned.compiled.definition
    now = desk.database.clock.now()
    initial = definition.initial
    subject = normalise(new.subject).strip()
    issuer = normalise(new.issuer).strip() if new.issuer else None
    return {
        "id": document_id,
        "direction": definition.direction,
        "workflow_id": pinned.id,
        "state": initial,
        "state_since": now,
        "due_at": desk.catalogue.due_at(definition.calendar, now, definition.states[initial].due),
        "type_code": new.type_code,
        "urgency": new.urgency,
        "classification": new.classification,
        "subject": subject,
        "subject_folded": fold(subject),
        "search_id": secrets.randbits(_SEARCH_ID_BITS),
        "fields": clean_fields(definition, dict(new.fields)),
        "data_key_id": None,
        "unit_id": unit_id,
        "author_id": actor.id,
        "assignee_id": None,
        "issuer": issuer,
        "issuer_folded": fold(issuer) if issuer else None,
        "issuer_symbol": normalise(new.issuer_symbol).strip() if new.issuer_symbol else None,
        "issuer_date": new.issuer_date,
        "main_sha256": None,
        "fired_by": {},
        "created_at": now,
        "updated_at": now,
    }


def _check_files(
    desk: Desk,
    pinned: Pinned,
    main: ReceivedFile | None,
    annexes: Sequence[ReceivedFile],
    classification: str,
) -> list[CheckedFile]:
    if len(annexes) > desk.limits.annexes:
        raise InvalidInputError(
            f"A document has at most {desk.limits.annexes} annexes.", code="too-many-annexes"
        )
    if annexes and main is None:
        raise InvalidInputError("Annexes need a main file.", code="main-file-missing")
    received = [("main", main)] if main is not None else []
    received += [("annex", annex) for annex in annexes]
    return [
        check_file(desk, item, role=role, workflow=pinned.compiled, classification=classification)
        for role, item in received
    ]


def _settled(intake: Intake, checked: CheckedFile, classification: str) -> CheckedFile:
    return replace(checked, staged=intake.settle(checked.staged, classification))


def store_file(desk: Desk, checked: CheckedFile, classification: str) -> StoredFile:
    """Store the bytes of a checked file durably; what is staged is consumed, or gone if it fails."""
    try:
        key = desk.vault.put(checked.staged, classification)
    except BaseException:
        checked.staged.discard()
        raise
    return StoredFile(checked, file_id(checked.staged), key)


def _duplicates(
    connection: sa.Connection, actor: Actor, new: NewDocument, row: Mapping[str, Any]
) -> list[str]:
    found = duplicates.find_duplicates(
        connection,
        issuer=row["issuer"],
        symbol=row["issuer_symbol"],
        day=row["issuer_date"],
        sha256=row["main_sha256"],
    )
    if found and not (new.accept_duplicate or "").strip():
        raise duplicates.report(actor, found)
    return [item["id"] for item in found]


def _write(
    desk: Desk,
    uow: UnitOfWork,
    new: NewDocument,
    row: dict[str, Any],
    stored: Sequence[StoredFile],
    recipient_ids: Sequence[str],
) -> list[dict[str, Any]]:
    details: dict[str, Any] = {"subject": row["subject"]}
    if row["direction"] == "incoming":
        uow.serialise(
            *duplicates.serial_keys(
                row["issuer"], row["issuer_symbol"], row["issuer_date"], row["main_sha256"]
            )
        )
        found = _duplicates(uow.connection, uow.actor, new, row)
        if found:
            row["duplicate_of"] = found
            details["accept_duplicate"] = normalise(new.accept_duplicate or "").strip()
        details["issuer"] = row["issuer"]
    if desk.vault.is_sealed(row):
        row |= desk.vault.seal_new(uow, row)
    file_rows = [
        file_row(desk, uow, row, item, role="main" if position == 0 else "annex", position=position)
        for position, item in enumerate(stored)
    ]
    told = ("direction", "workflow_id", "state", "classification", "unit_id")
    data = {name: row[name] for name in told} | {
        "files": [entry_of(item) for item in file_rows],
        "recipients": list(recipient_ids),
        "duplicate_of": row.get("duplicate_of") or [],
    }
    uow.create(documents, row, Draft("document.posted", data, details))
    uow.put(files, *file_rows)
    uow.put(
        document_recipients,
        *(
            {"document_id": row["id"], "recipient_id": recipient_id, "position": position}
            for position, recipient_id in enumerate(recipient_ids)
        ),
    )
    return file_rows


def file_row(
    desk: Desk, uow: UnitOfWork, document: Row, item: StoredFile, *, role: str, position: int
) -> dict[str, Any]:
    """Return the row of an original file that is stored; the key of a sealed one is written."""
    checked = item.checked
    return {
        "id": item.id,
        "document_id": document["id"],
        "role": role,
        "form": "original",
        "origin_id": None,
        "position": position,
        **desk.vault.name_columns(uow.connection, document, item.id, checked.name),
        "media_type": checked.media_type,
        "size": checked.staged.size,
        "sha256": checked.staged.sha256,
        "storage_key": item.storage_key,
        "data_key_id": desk.vault.keep_key(uow, checked.staged),
        "pages": checked.pages,
        **conversions.columns_of(checked),
        "created_by": uow.actor.id,
        "created_at": uow.now,
    }


def entry_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what history says of a file: never its name or content."""
    return {
        "id": row["id"],
        "role": row["role"],
        "form": row["form"],
        "sha256": row["sha256"],
        "size": row["size"],
    }
