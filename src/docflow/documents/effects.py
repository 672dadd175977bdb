"""What a decision asks for, applied: numbers, assignments, routes, signing jobs, dropped signatures.

Effects come in order, as data, and all of them belong to the transaction of the firing. Delivery is
not here: `release` writes it as the evidence with which it completes the transition.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from docflow.db import Prepared, Row, UnitOfWork
from docflow.documents import registers, rows
from docflow.documents.desk import Desk
from docflow.documents.placing import Seat, places, require_pages, seat_of
from docflow.documents.sealed_rows import pending_place
from docflow.documents.signer_choice import Chosen, choose, require_signs
from docflow.documents.tables import files
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import FieldProblem, InvalidInputError
from docflow.people.mandates import capacity_line
from docflow.people.tables import offices, people
from docflow.workflow.effects import (
    AllocateNumber,
    Assign,
    Deliver,
    DropSignatures,
    Route,
    Sign,
    VoidNumber,
)
from docflow.workflow.facts import Decision, Facts

_ASSIGNABLE = Prepared(
    sa.select(people.c.id)
    .join(offices, offices.c.person_id == people.c.id)
    .where(
        people.c.id == sa.bindparam("person_id"),
        people.c.active,
        offices.c.unit_id == sa.bindparam("unit_id"),
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request says of the signature that it asks for.

    Attributes:
        place: where number, date and QR code go on the page, over the workflow's place.
        mandate: id of the mandate in whose capacity the person signs, if not in their own name.
        card: id of the card's certificate that shall sign; no other certificate does in its stead.
        tried: whether it was tried on the file, or cannot be.
    """

    place: Mapping[str, Any] | None = None
    mandate: str | None = None
    card: str | None = None
    tried: bool = False


class NotTriedError(Exception):
    """Ends a request to sign that nobody tried on the file yet; nothing of it is kept.

    A file is not read inside a transaction: it is tried on after this one ended, and asked for again.
    """

    def __init__(
        self, document: Row, place: Mapping[str, Any], capacity: str | None, seat: Seat
    ) -> None:
        super().__init__()
        self.document = document
        self.place = place
        self.capacity = capacity
        self.seat = seat


@dataclass(slots=True)
class Applied:
    """The columns to set on the document's row, what history says, and the job if there is one."""

    values: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    job_id: str | None = None


def apply_effects(
    desk: Desk,
    uow: UnitOfWork,
    row: Row,
    decision: Decision,
    facts: Facts,
    wish: Wish,
) -> Applied:
    """Apply a decision's effects inside the open unit of work.

    Raises:
        NotTriedError: if what goes on the page has to be tried on first.
        InvalidInputError: if a person, unit, date or place in the input cannot be used.
        ConflictError, ForbiddenError: if the person cannot sign now, or has no such mandate.
    """
    applied = Applied()
    _check_mandate(decision, wish.mandate)
    for effect in decision.effects:
        match effect:
            case AllocateNumber(book, day):
                _number(row, applied, registers.allocate(uow, desk, row, book, day))
            case VoidNumber(reason):
                registers.void(uow, desk, row, reason)
                applied.values |= {"book": None, "number": None, "symbol": None}
                applied.values |= {"numbered_on": None}
                applied.data["voided"] = row["symbol"]
            case Assign(person_id=person_id):
                _check_assignee(uow, person_id, str(applied.values.get("unit_id", row["unit_id"])))
                applied.values["assignee_id"] = person_id
                applied.data["assignee_id"] = person_id
            case Route(routed_to):
                applied.values |= {"unit_id": routed_to, "assignee_id": None}
                applied.data["unit_id"] = routed_to
            case DropSignatures():
                made_here = sa.and_(files.c.form != "original", files.c.current)
                uow.alter(files, row["id"], made_here, {"current": False})
            case Sign():
                chosen = _signer(desk, uow, row, effect, facts.actor_id, wish.card)
                _require_openers(desk, uow, row, decision.trigger)
                compiled = rows.pinned(desk, row).compiled
                placed = places(compiled, row, effect, decision.trigger, wish.place)
                require_pages(uow.connection, row["id"], placed)
                pending = _pending(desk, uow, row, effect, decision, facts, chosen)
                seat = seat_of(compiled, row, effect, decision.trigger)
                pending |= _capacity(desk, uow, row, facts.actor_id, wish.mandate, seat)
                _require_tried(row, applied, wish, placed, pending, seat)
                _wait_for(desk, uow, row, applied, pending, placed, seat)
            case Deliver():
                pass  # the evidence of the completing job
    return applied


def _number(row: Row, applied: Applied, given: registers.Allocated) -> None:
    applied.values |= given.columns()
    if row["direction"] == "outgoing" and row["verification_code"] is None:
        applied.values["verification_code"] = registers.verification_code()
    applied.data |= {
        "number": given.number,
        "symbol": given.symbol,
        "book": given.book,
        "period": given.period,
        "series": given.series,
        "numbered_on": given.numbered_on.isoformat(),
    }


def _check_assignee(uow: UnitOfWork, person_id: str, unit_id: str) -> None:
    found = _ASSIGNABLE.row(uow.connection, {"person_id": person_id, "unit_id": unit_id})
    if found is None:
        raise InvalidInputError(
            "The document can be assigned only to an active person who holds an office in its unit.",
            code="not-assignable",
            rule="assignee-in-unit",
            satisfied_by="Choose a person of the document's unit, or route the document first.",
            fields=[FieldProblem("/asked", "no office in the document's unit")],
        )


def _check_mandate(decision: Decision, mandate: str | None) -> None:
    if mandate is not None and not any(_is_personal(effect) for effect in decision.effects):
        raise InvalidInputError(
            "Only a personal signature is made in somebody's place.",
            fields=[FieldProblem("/mandate", "this transition makes no personal signature")],
        )


def _is_personal(effect: object) -> bool:
    return isinstance(effect, Sign) and effect.as_ == "person"


def _signer(
    desk: Desk, uow: UnitOfWork, row: Row, effect: Sign, person_id: str, card: str | None
) -> Chosen:
    """Refuse now what the job could not sign later: nobody waits for a signature that cannot come."""
    if effect.as_ == "organisation":
        desk.signers.seal(uow.now)
        return Chosen("release")
    chosen = choose(uow, desk.signers, desk.policy, person_id, card)
    if chosen.certificate_id is not None:
        require_signs(uow, desk.signers, row, chosen.certificate_id)
    return chosen


def _require_tried(
    row: Row,
    applied: Applied,
    wish: Wish,
    placed: Mapping[str, Any],
    pending: Row,
    seat: Seat | None,
) -> None:
    """End the request if it puts something on the page, and nobody knows yet whether that fits.

    Raises:
        NotTriedError: with what is to be tried on.
    """
    if seat is not None and not row["signed_person"] and not wish.tried:
        document = {**row, **applied.values}
        raise NotTriedError(document, placed, pending.get("capacity"), seat)


def _capacity(
    desk: Desk, uow: UnitOfWork, row: Row, person_id: str, mandate: str | None, seat: Seat | None
) -> dict[str, Any]:
    """Return in whose place the person signs, if not in their own name; the page will say so."""
    if mandate is None or seat is None:
        return {}
    line = capacity_line(uow.connection, person_id, mandate, uow.now)
    if row["signed_person"]:
        desk.require_seen(uow.connection, row["id"], seat.number)
    return {"mandate": mandate, "capacity": line}


def _require_openers(desk: Desk, uow: UnitOfWork, row: Row, trigger: str) -> None:
    """Refuse now to release a sealed document that could not be encrypted to all its recipients."""
    transition = rows.pinned(desk, row).compiled.definition.transitions[trigger]
    delivers = any(item.effect == "deliver" for item in transition.do)
    if delivers and desk.catalogue.is_sealed(row["classification"]):
        desk.openers.recovery(uow.now)
        recipients = rows.recipient_ids(uow.connection, row["id"])
        desk.openers.usable(uow.connection, recipients, uow.now)


def _pending(
    desk: Desk,
    uow: UnitOfWork,
    row: Row,
    effect: Sign,
    decision: Decision,
    facts: Facts,
    chosen: Chosen,
) -> dict[str, Any]:
    """Return what the document keeps about the signature that it waits for."""
    kind = chosen.kind
    return {
        "certificate_id": chosen.certificate_id,
        "kind": kind,
        "as": effect.as_,
        "level": desk.levels.level(effect.as_, effect.level),
        "fallback": effect.fallback,
        "trigger": decision.trigger,
        "job_id": f"{kind}-{row['id']}-{row['version']}",
        "requested_by": facts.actor_id,
        "requested_roles": sorted(facts.roles),
        "since": rfc3339(uow.now),
        "asked": desk.vault.seal_json(
            row, pending_place(row["id"]), decision.asked, uow.connection
        ),
        "failed": False,
        "error": None,
    }


def _wait_for(
    desk: Desk,
    uow: UnitOfWork,
    row: Row,
    applied: Applied,
    pending: dict[str, Any],
    place: dict[str, Any],
    seat: Seat | None,
) -> None:
    """Put the signing job into this transaction and let the document wait for it."""
    if seat is not None:
        pending = pending | {"slot": seat.number}
    applied.job_id = pending["job_id"]
    applied.values |= {"stage": "queued", "pending": pending}
    applied.data |= {name: pending[name] for name in ("as", "level")} | {"job": applied.job_id}
    if "mandate" in pending:
        applied.data["mandate"] = pending["mandate"]
    desk.enqueue(
        uow,
        kind=pending["kind"],
        job_id=pending["job_id"],
        subject_id=row["id"],
        payload={
            "document_id": row["id"],
            "requested_by": pending["requested_by"],
            "place": place,
            "seat": seat and asdict(seat),
            "level": pending["level"],
            "fallback": pending["fallback"],
            "capacity": pending.get("capacity"),
            "certificate_id": pending["certificate_id"],
        },
    )
