"""Void a number of a register: it stays in its place, with the reason, and is never given again.

Rules:
1. A number that is on paper stays: no file that carries it may be signed now, or ever released.
2. A number that a document needs stays: the document must stand where its workflow lets a document
   stand without one, so that what the workflow promises (`never: … without number`) still holds.
   A draft that was returned after it was numbered stands so; it gets the next number when it is
   approved again.
3. Nothing is being signed: a signature under way would put the number on the page.

Workflows void by themselves where a document ends undelivered (`do: [void_number]`).
"""

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork, all_rows
from docflow.documents import registers, rows
from docflow.documents.desk import Desk
from docflow.documents.duplicates import facts_for_access
from docflow.documents.register_views import Selection, find_number, no_entry
from docflow.documents.tables import documents, files, register_entries
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConflictError, FieldProblem, InvalidInputError
from docflow.kernel.text import normalise
from docflow.people import access
from docflow.people.access import Permission
from docflow.workflow.graph import Graph, Standing


def void(
    desk: Desk,
    actor: Actor,
    selection: Selection,
    number: int,
    *,
    reason: str,
    series: str | None = None,
) -> Row:
    """Void a number and return its entry.

    Args:
        desk: the room's tools.
        actor: who asks.
        selection: the book and the period.
        number: the number.
        reason: why; stays beside the number for ever.
        series: the series, needed where several series of the book gave this number.

    Raises:
        NotFoundError: if the number was never given (code `number-not-found`), or the actor has no
            reason to know its document.
        ForbiddenError: if the actor may not void it; that is history.
        InvalidInputError: if the series must be named (code `series-required`).
        ConflictError: with code `already-voided`, `number-on-file`, `number-needed` or
            `signing-in-progress`.
    """
    reason = normalise(reason).strip()
    with desk.database.unit_of_work(actor) as uow:
        entry = _entry(desk, uow, selection, number, series)
        row = rows.lock(uow, entry["document_id"])
        verdict = access.decide(actor, Permission.REGISTER_VOID, facts_for_access(row))
        if verdict.allowed:
            _require_unvoided(uow, entry)
            _require_unused(desk, uow, row)
            _void(desk, uow, row, entry, reason)
        elif verdict.visible:
            _record_refusal(uow, row, entry, verdict)  # committed, then told
    access.refuse(verdict)
    return find_number(desk, actor, selection, entry["series"], number)


def _entry(
    desk: Desk, uow: UnitOfWork, selection: Selection, number: int, series: str | None
) -> Row:
    table = register_entries
    condition = selection.condition(desk.catalogue.organisation)
    statement = sa.select(table).where(condition, table.c.number == number)
    if series is not None:
        statement = statement.where(table.c.series == series)
    found = all_rows(uow.connection, statement)
    if not found:
        raise no_entry(selection, number)
    if len(found) > 1:
        known = ", ".join(sorted(row["series"] for row in found))
        raise InvalidInputError(
            f"Several series of {selection.book.code!r} gave the number {number}; name the series.",
            code="series-required",
            satisfied_by=f"Name one of the series {known}.",
            fields=[FieldProblem("/series", f"one of {known}")],
        )
    return found[0]


def _require_unvoided(uow: UnitOfWork, entry: Row) -> None:
    """Look again, now that the document is locked."""
    table = register_entries.c
    statement = sa.select(table.voided_at).where(table.id == entry["id"])
    if uow.connection.execute(statement).scalar_one() is not None:
        raise ConflictError(
            f"The number {entry['number']} is void already.",
            code="already-voided",
            rule="void-once",
            satisfied_by="Nothing: its first reason stays.",
        )


def _require_unused(desk: Desk, uow: UnitOfWork, row: Row) -> None:
    if row["pending"]:
        raise ConflictError(
            "A signature that puts this number on the page is under way or waits to be retried.",
            code="signing-in-progress",
            rule="no-void-while-signing",
            satisfied_by="Wait until it is done, or fire a transition that ends it.",
            state=row["state"],
        )
    carrying = sa.or_(
        files.c.form == "released", sa.and_(files.c.form == "signed", files.c.current)
    )
    statement = sa.select(files.c.id).where(files.c.document_id == row["id"], carrying).limit(1)
    if uow.connection.execute(statement).one_or_none() is not None:
        raise ConflictError(
            f"The number {row['symbol']} is on a signed or released file; it stays in force.",
            code="number-on-file",
            rule="void-only-unsigned",
            satisfied_by="Withdraw the document by a transition of its workflow, if there is one.",
            state=row["state"],
        )
    definition = rows.pinned(desk, row).compiled.definition
    if Standing(row["state"]) not in Graph(definition).steps:
        raise ConflictError(
            f"In the state {row['state']!r} a document of the workflow {definition.workflow!r} "
            "has a number; without it, it could break the workflow's rules.",
            code="number-needed",
            rule="void-only-where-no-number-is-needed",
            satisfied_by="First move the document, by a transition, to a state in which it may "
            "lack a number, as a draft does.",
            state=row["state"],
        )


def _void(desk: Desk, uow: UnitOfWork, row: Row, entry: Row, reason: str) -> None:
    registers.void(uow, desk, row, reason)
    values = {"book": None, "number": None, "symbol": None, "numbered_on": None}
    data = {name: entry[name] for name in ("book", "period", "series", "number")}
    draft = Draft("document.number-voided", data | {"voided": entry["symbol"]}, {"reason": reason})
    uow.change(documents, row, values | {"updated_at": uow.now}, draft)


def _record_refusal(uow: UnitOfWork, row: Row, entry: Row, verdict: access.Verdict) -> None:
    data = {name: entry[name] for name in ("book", "period", "series", "number")}
    act = {"permission": Permission.REGISTER_VOID.value, "rule": verdict.rule}
    uow.note(documents, row, Draft("document.refused", data | act))
