"""Change a draft: its data, its recipients, its files. Only where the workflow's state is editable.

A replaced file stays stored and listed as no longer current; nothing that was uploaded is lost.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork
from docflow.documents import conversions, duplicates, lookups, reclassify, rows, signature_checks
from docflow.documents.content import ReceivedFile, check_file
from docflow.documents.create import StoredFile, entry_of, file_row, store_file
from docflow.documents.desk import Desk
from docflow.documents.intake import Intake, require_same
from docflow.documents.tables import document_recipients, documents, files
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from docflow.kernel.text import fold, normalise
from docflow.people import access
from docflow.people.access import Permission
from docflow.workflow.values import clean_fields, validate_fields

_INCOMING_ONLY = ("issuer", "issuer_symbol", "issuer_date")


def edit(
    desk: Desk, actor: Actor, document_id: str, changes: Mapping[str, Any], *, if_version: int
) -> int:
    """Change a draft's data; return its new version.

    Args:
        desk: the room's tools.
        actor: who asks.
        document_id: the document.
        changes: what to set, of: subject, type_code, urgency, classification, fields (merged),
            recipients (replaced), issuer, issuer_symbol, issuer_date. A classification can only
            be raised here.
        if_version: the version that the actor saw.

    Raises:
        ConflictError: if the state is not editable, or a signature is under way.
        ForbiddenError: if the actor may not, or is not cleared for the classification; who is to see
            the document no longer raises it by `reclassify`.
        InvalidInputError: if a value is refused.
    """
    with desk.database.unit_of_work(actor) as uow:
        row = _editable(desk, uow, actor, document_id, if_version)
        if (level := changes.get("classification")) is not None:
            desk.catalogue.check_classification(level)
            access.require_cleared(actor, level)
            row = reclassify.raised(desk, uow, row, level)
            changes = {name: value for name, value in changes.items() if name != "classification"}
            if not changes:
                return int(row["version"])
        values = _values(desk, uow, row, changes)
        data: dict[str, Any] = {"changed": sorted(changes)}
        if "recipients" in changes:
            ids = lookups.recipient_ids(uow.connection, changes["recipients"])
            _replace_recipients(uow, document_id, ids)
            data["recipients"] = list(ids)
        if row["direction"] == "incoming" and any(name in changes for name in _INCOMING_ONLY):
            values |= _check_duplicate(uow, actor, row, values)
        details = {k: v for k, v in values.items() if k in ("subject", "issuer")} or None
        values = desk.vault.seal_changed(uow, row, values)
        return uow.change(
            documents,
            row,
            values | {"updated_at": uow.now},
            Draft("document.edited", data, details),
        )


def put_main(
    desk: Desk, actor: Actor, intake: Intake, received: ReceivedFile, *, if_version: int
) -> int:
    """Give a draft its main file, or replace it; return the new version.

    A file that was received for a higher classification raises the document to it.

    Raises:
        ConflictError, InvalidInputError, UnsupportedContentError: nothing is changed.
    """
    document_id = intake.document_id
    stored = _stored(desk, actor, intake, received, role="main", if_version=if_version)
    with desk.database.unit_of_work(actor) as uow:
        row = _receiving(desk, uow, actor, intake, stored, if_version)
        staged = stored.checked.staged
        values: dict[str, Any] = {"main_sha256": staged.sha256, "updated_at": uow.now}
        if row["direction"] == "incoming":
            values |= _check_duplicate(uow, actor, row, values)
        uow.alter(
            files, document_id, sa.and_(files.c.role == "main", files.c.current), {"current": False}
        )
        conversions.drop(uow, document_id, files.c.role == "main")
        new = file_row(desk, uow, row, stored, role="main", position=0)
        uow.put(files, new)
        arrived = [(stored.checked, new)]
        signature_checks.request(desk, uow, document_id, row["direction"], arrived)
        conversions.request(desk, uow, document_id, arrived)
        return uow.change(
            documents, row, values, Draft("document.file-put", {"file": entry_of(new)})
        )


def add_annex(
    desk: Desk, actor: Actor, intake: Intake, received: ReceivedFile, *, if_version: int
) -> tuple[Row, int]:
    """Add an annex to a draft, as `put_main` does; return its row and the document's new version."""
    document_id = intake.document_id
    stored = _stored(desk, actor, intake, received, role="annex", if_version=if_version)
    with desk.database.unit_of_work(actor) as uow:
        row = _receiving(desk, uow, actor, intake, stored, if_version)
        if not row["has_main_file"] and not conversions.has_main(uow.connection, document_id):
            raise ConflictError("Annexes need a main file.", code="main-file-missing")
        count, last = uow.connection.execute(
            sa.select(sa.func.count(), sa.func.max(files.c.position)).where(
                files.c.document_id == document_id, files.c.role == "annex", conversions.COUNTS
            )
        ).one()
        if count >= desk.limits.annexes:
            raise InvalidInputError(
                f"A document has at most {desk.limits.annexes} annexes.", code="too-many-annexes"
            )
        new = file_row(desk, uow, row, stored, role="annex", position=(last or 0) + 1)
        uow.put(files, new)
        arrived = [(stored.checked, new)]
        signature_checks.request(desk, uow, document_id, row["direction"], arrived)
        conversions.request(desk, uow, document_id, arrived)
        version = uow.change(
            documents,
            row,
            {"updated_at": uow.now},
            Draft("document.file-put", {"file": entry_of(new)}),
        )
        return {**new, "name": stored.checked.name}, version


def remove_annex(
    desk: Desk, actor: Actor, document_id: str, file_id: str, *, if_version: int
) -> int:
    """Take an annex out of a draft (its bytes stay stored); return the document's new version."""
    with desk.database.unit_of_work(actor) as uow:
        row = _editable(desk, uow, actor, document_id, if_version)
        this = sa.and_(files.c.id == file_id, files.c.role == "annex")
        found = uow.alter(files, document_id, sa.and_(this, files.c.current), {"current": False})
        found += conversions.drop(uow, document_id, this)
        if found != 1:
            raise NotFoundError("This document has no such current annex.", code="file-not-found")
        return uow.change(
            documents,
            row,
            {"updated_at": uow.now},
            Draft("document.file-removed", {"file_id": file_id}),
        )


def _editable(desk: Desk, uow: UnitOfWork, actor: Actor, document_id: str, if_version: int) -> Row:
    row = rows.lock(uow, document_id)
    _require_editable(desk, actor, row, if_version)
    return row


def _require_editable(desk: Desk, actor: Actor, row: Row, if_version: int) -> None:
    rows.require(actor, Permission.DOCUMENT_EDIT, row)
    rows.require_version(row, if_version)
    definition = rows.pinned(desk, row).compiled.definition
    if not definition.states[row["state"]].is_editable:
        editable = [name for name, state in definition.states.items() if state.is_editable]
        raise ConflictError(
            f"Nothing can be changed in the state {row['state']!r}.",
            code="not-editable",
            rule="editable-state",
            satisfied_by=f"Bring the document back to {' or '.join(editable) or 'an editable state'}.",
            state=row["state"],
            version=row["version"],
        )
    if row["pending"] and not row["pending"].get("failed"):
        raise ConflictError(
            "A signature is under way; wait for it.", code="signing-in-progress", state=row["state"]
        )


def _stored(
    desk: Desk,
    actor: Actor,
    intake: Intake,
    received: ReceivedFile,
    *,
    role: str,
    if_version: int,
) -> StoredFile:
    """Refuse early, so that a refused upload leaves nothing in the store; then store the bytes."""
    with desk.database.read() as connection:
        row = rows.read(connection, intake.document_id)
        _require_editable(desk, actor, row, if_version)
    level = intake.level_of(row)
    require_same(desk, received.staged, row["id"], level)
    workflow = rows.pinned(desk, row).compiled
    checked = check_file(desk, received, role=role, workflow=workflow, classification=level)
    return store_file(desk, checked, level)


def _receiving(
    desk: Desk, uow: UnitOfWork, actor: Actor, intake: Intake, stored: StoredFile, if_version: int
) -> Row:
    """Return the document's row, raised to the file's classification if that is higher."""
    row = _editable(desk, uow, actor, intake.document_id, if_version)
    level = intake.level_of(row)
    require_same(desk, stored.checked.staged, row["id"], level)
    return reclassify.raised(desk, uow, row, level)


def _values(desk: Desk, uow: UnitOfWork, row: Row, changes: Mapping[str, Any]) -> dict[str, Any]:
    values = _lists(desk, changes) | _texts(changes)
    problems = _misplaced(desk, row, changes)
    if "fields" in changes:
        definition = rows.pinned(desk, row).compiled.definition
        merged = {**desk.vault.texts(row, uow.connection).fields, **changes["fields"]}
        problems += validate_fields(definition, merged, complete=False)
        values["fields"] = clean_fields(definition, merged)
    if problems:
        raise InvalidInputError("The document's data is not right.", fields=problems)
    return values


def _lists(desk: Desk, changes: Mapping[str, Any]) -> dict[str, Any]:
    values = {}
    if "type_code" in changes:
        values["type_code"] = desk.catalogue.document_type(changes["type_code"]).code
    if "urgency" in changes:
        values["urgency"] = desk.catalogue.check_urgency(changes["urgency"])
    return values


def _texts(changes: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {name: changes[name] for name in _INCOMING_ONLY if name in changes}
    for name in ("subject", "issuer"):
        if changes.get(name):
            values[name] = normalise(changes[name]).strip()
            values[f"{name}_folded"] = fold(values[name])
    return values


def _misplaced(desk: Desk, row: Row, changes: Mapping[str, Any]) -> list[FieldProblem]:
    problems = []
    if row["direction"] != "incoming":
        problems += [
            FieldProblem(f"/{name}", "only an incoming document has this")
            for name in _INCOMING_ONLY
            if name in changes
        ]
    elif "recipients" in changes:
        problems.append(FieldProblem("/recipients", "an incoming document has no recipients"))
    if len(changes.get("recipients", ())) > desk.limits.recipients:
        problems.append(FieldProblem("/recipients", f"at most {desk.limits.recipients}"))
    return problems


def _replace_recipients(uow: UnitOfWork, document_id: str, ids: Sequence[str]) -> None:
    uow.remove(document_recipients, document_id, sa.true())
    uow.put(
        document_recipients,
        *(
            {"document_id": document_id, "recipient_id": recipient_id, "position": position}
            for position, recipient_id in enumerate(ids)
        ),
    )


def _check_duplicate(
    uow: UnitOfWork, actor: Actor, row: Row, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the duplicate report after a change; refuse one that was not accepted before."""
    now = {**row, **values}
    key = (now["issuer"], now["issuer_symbol"], now["issuer_date"], now["main_sha256"])
    uow.serialise(*duplicates.serial_keys(*key))
    found = duplicates.find_duplicates(
        uow.connection,
        issuer=key[0],
        symbol=key[1],
        day=key[2],
        sha256=key[3],
        besides=row["id"],
    )
    accepted = set(row["duplicate_of"] or ())
    if [item for item in found if item["id"] not in accepted]:
        raise duplicates.report(actor, found)
    return {"duplicate_of": [item["id"] for item in found] or None}
