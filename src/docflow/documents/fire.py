"""Fire a transition: the only way in which a document's state changes.

`fire` is what people and systems ask for; `complete` is what a signing or release job asks for when
its evidence is on file. Both go through `workflow.decide` and one transaction.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from docflow.db import Draft, Row, UnitOfWork
from docflow.documents import lookups, retaining, rows
from docflow.documents.desk import Desk
from docflow.documents.effects import NotTriedError, Wish, apply_effects
from docflow.documents.placing import Seat
from docflow.documents.sealed_rows import pending_place
from docflow.documents.signer_choice import CARD_KIND
from docflow.documents.tables import documents
from docflow.kernel.actor import SERVICE, Actor
from docflow.kernel.errors import (
    ConflictError,
    DocflowError,
    ForbiddenError,
    InvalidInputError,
)
from docflow.people import access
from docflow.workflow.decision import decide
from docflow.workflow.effects import DropSignatures
from docflow.workflow.facts import Completion, Decision, Facts, Refusal
from docflow.workflow.later_places import FIRST

_FORBIDDEN = frozenset({"role-required", "separation-of-duties"})
_INVALID = frozenset({"missing-input", "invalid-input", "unknown-trigger"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a firing did.

    Attributes:
        document_id: the document.
        trigger: what was fired.
        before: the state before.
        state: the state now; the same while a signature is under way.
        version: the document's version now.
        phase: "complete", or "request" while a job signs.
        job_id: that job, if there is one.
        symbol: the document's number and symbol, if it has one.
    """

    document_id: str
    trigger: str
    before: str
    state: str
    version: int
    phase: str
    job_id: str | None
    symbol: str | None


class TryOn(Protocol):
    """Tries on a document's main file what a personal signature would put on its pages."""

    def __call__(
        self,
        document: Row,
        person_id: str,
        place: Mapping[str, Any],
        capacity: str | None,
        seat: Seat,
        /,
    ) -> None:
        """Refuse what does not fit; called outside of any transaction.

        Raises:
            InvalidInputError: code `stamp-anchor`, `stamp-overlap` or `stamp-text`.
        """
        ...


def fire(
    desk: Desk,
    actor: Actor,
    document_id: str,
    trigger: str,
    asked: Mapping[str, Any],
    *,
    if_version: int,
    place: Mapping[str, Any] | None = None,
    mandate: str | None = None,
    card: str | None = None,
    try_on: TryOn | None = None,
) -> Outcome:
    """Fire a transition.

    Args:
        desk: the room's tools.
        actor: who asks.
        document_id: the document.
        trigger: the transition's name.
        asked: values for what the transition asks; people and units by id, login or code.
        if_version: the version that the actor saw.
        place: where number, date and QR code go on the page, overriding the workflow's place.
        mandate: id of the mandate in whose capacity the person signs, if not in their own name.
        card: id of the card's certificate that shall sign; no other certificate does in its stead.
        try_on: refuses what would not fit on the file's pages; without it, the job does.

    Raises:
        StaleVersionError: if the document is at another version.
        ForbiddenError, ConflictError, InvalidInputError: if the workflow refuses, with its reason.
    """
    wish = Wish(place, mandate, card, tried=try_on is None)
    request = (desk, actor, document_id, trigger, asked, if_version)
    try:
        return _fire(*request, wish)
    except NotTriedError as wanted:
        if try_on is not None:
            try_on(wanted.document, actor.id, wanted.place, wanted.capacity, wanted.seat)
    return _fire(*request, dataclasses.replace(wish, tried=True))


def _fire(
    desk: Desk,
    actor: Actor,
    document_id: str,
    trigger: str,
    asked: Mapping[str, Any],
    if_version: int,
    wish: Wish,
) -> Outcome:
    with desk.database.unit_of_work(actor) as uow:
        row = rows.lock(uow, document_id)
        rows.require(actor, access.Permission.DOCUMENT_FIRE, row)
        rows.require_version(row, if_version)
        facts = rows.facts_of(desk, uow.connection, actor, row)
        resolved = _resolve(desk, uow, row, trigger, asked)
        answer = decide(rows.pinned(desk, row).compiled, facts, trigger, resolved)
        if isinstance(answer, Decision):
            return _apply(desk, uow, row, answer, facts, wish)
        if _is_sensitive(desk, row, trigger, answer):
            _record_refusal(uow, row, trigger, answer)  # committed, then told
    raise refusal_error(answer, row, actor.id)


def complete(
    desk: Desk,
    document_id: str,
    job_id: str,
    evidence: Callable[[UnitOfWork, Row], dict[str, Any]],
) -> Outcome | None:
    """Complete, as docflow itself, the transition whose signing job is done.

    Args:
        desk: the room's tools.
        document_id: the document.
        job_id: the job that signed; the document must be waiting for exactly this one.
        evidence: called in the transaction to write the signed files (and deliveries); returns
            what history shall say of them.

    Returns:
        What was done, or None if this job completed its transition already.

    Raises:
        ConflictError: if the document waits for another job or for none.
    """
    with desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, document_id)
        pending = row["pending"]
        if not pending or pending["job_id"] != job_id:
            if job_id in row["fired_by"].get(rows.JOBS, ()):
                return None
            raise ConflictError("The document no longer waits for this job.", code="job-superseded")
        written = evidence(uow, row)
        row = rows.lock(uow, document_id)  # again: the evidence must be on file, not claimed
        completion = Completion(
            trigger=pending["trigger"],
            requested_by=pending["requested_by"],
            requested_roles=frozenset(pending["requested_roles"]),
        )
        facts = rows.facts_of(desk, uow.connection, SERVICE, row, completion)
        place = pending_place(document_id)
        asked = desk.vault.open_json(row, place, pending["asked"], uow.connection)
        answer = decide(rows.pinned(desk, row).compiled, facts, pending["trigger"], asked)
        if isinstance(answer, Refusal):
            raise refusal_error(answer, row)
        return _apply(desk, uow, row, answer, facts, Wish(), written=written, job_id=job_id)


def _resolve(
    desk: Desk, uow: UnitOfWork, row: Row, trigger: str, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Turn logins and unit codes in `asked` into ids, where the transition asks for such."""
    transition = rows.pinned(desk, row).compiled.definition.transitions.get(trigger)
    resolved = dict(asked)
    for name, field in (transition.ask if transition else {}).items():
        value = resolved.get(name)
        if not isinstance(value, str) or not value.strip():
            continue
        if field.type == "person":
            resolved[name] = lookups.person_id(uow.connection, value.strip(), f"/asked/{name}")
        elif field.type == "unit":
            resolved[name] = lookups.unit_id(uow.connection, value.strip(), f"/asked/{name}")
    return resolved


def _apply(
    desk: Desk,
    uow: UnitOfWork,
    row: Row,
    decision: Decision,
    facts: Facts,
    wish: Wish,
    *,
    written: dict[str, Any] | None = None,
    job_id: str | None = None,
) -> Outcome:
    values = _moved(desk, uow, row, decision)
    if fired := _fired(desk, row, decision, facts, job_id):
        values["fired_by"] = fired
    data: dict[str, Any] = {
        "trigger": decision.trigger,
        "from": decision.from_state,
        "to": decision.to,
        "phase": decision.phase,
    }
    applied = apply_effects(desk, uow, row, decision, facts, wish)
    values |= applied.values
    data |= applied.data | (written or {})
    if job_id:
        data |= {"job": job_id, "requested_by": facts.judged_id}
    details = {"asked": dict(decision.asked)} if decision.asked else None
    action = "document.fired" if decision.phase == "complete" else "document.signing-requested"
    version = uow.change(documents, row, values, Draft(action, data, details))
    return Outcome(
        document_id=row["id"],
        trigger=decision.trigger,
        before=decision.from_state,
        state=decision.to,
        version=version,
        phase=decision.phase,
        job_id=applied.job_id,
        symbol=values.get("symbol", row["symbol"]),
    )


def _fired(
    desk: Desk, row: Row, decision: Decision, facts: Facts, job_id: str | None
) -> dict[str, list[str]] | None:
    """Return who ever fired what, with this firing; None if it only asks for a signature."""
    if decision.phase != "complete":
        return None
    fired = {name: list(ids) for name, ids in row["fired_by"].items()}
    fired[decision.trigger] = sorted({*fired.get(decision.trigger, ()), facts.judged_id})
    if job_id:
        fired[rows.JOBS] = [*fired.get(rows.JOBS, ()), job_id]
    transition = rows.pinned(desk, row).compiled.definition.transitions[decision.trigger]
    if any(isinstance(effect, DropSignatures) for effect in decision.effects):
        fired.pop(rows.SIGNED, None)
    elif transition.signs_as("person"):
        begun = (row["pending"] or {}).get("slot") == FIRST
        if begun or rows.SIGNED in fired:  # what came before is known
            before = () if begun else fired[rows.SIGNED]
            fired[rows.SIGNED] = [*before, f"{decision.trigger} {facts.judged_id}"]
    return fired


def _moved(desk: Desk, uow: UnitOfWork, row: Row, decision: Decision) -> dict[str, Any]:
    """Return the columns that say where the document stands now, and until when."""
    values: dict[str, Any] = {"updated_at": uow.now}
    if decision.clears_pending:
        values |= {"pending": None, "stage": None}
    if decision.to != row["state"]:
        definition = rows.pinned(desk, row).compiled.definition
        retaining.ask(desk, uow, row, decision.to, definition.states[decision.to])
        due = definition.states[decision.to].due
        values |= {
            "state": decision.to,
            "state_since": uow.now,
            "due_at": desk.catalogue.due_at(definition.calendar, uow.now, due),
        }
    return values


def _is_sensitive(desk: Desk, row: Row, trigger: str, refusal: Refusal) -> bool:
    transition = rows.pinned(desk, row).compiled.definition.transitions.get(trigger)
    if transition is None or refusal.code not in _FORBIDDEN:
        return False
    return bool(transition.sign or transition.number or transition.do)


def _record_refusal(uow: UnitOfWork, row: Row, trigger: str, refusal: Refusal) -> None:
    uow.note(
        documents,
        row,
        Draft(
            "document.refused",
            {
                "trigger": trigger,
                "state": row["state"],
                "code": refusal.code,
                "rule": refusal.rule,
            },
        ),
    )


def refusal_error(refusal: Refusal, row: Row, actor_id: str = SERVICE.id) -> DocflowError:
    """Turn a workflow's refusal into an error that says the current state, to `actor_id`."""
    kind: type[DocflowError] = ConflictError
    if refusal.code in _FORBIDDEN:
        kind = ForbiddenError
    elif refusal.code in _INVALID:
        kind = InvalidInputError
    return kind(
        refusal.reason,
        code=refusal.code,
        rule=refusal.rule,
        satisfied_by=_own_session(refusal, row, actor_id) or refusal.satisfied_by,
        fields=refusal.fields,
        state=row["state"],
        version=row["version"],
    )


def _own_session(refusal: Refusal, row: Row, actor_id: str) -> str:
    """Return what ends the actor's own session with a card, of which nobody else learns."""
    pending = row.get("pending") or {}
    mine = pending.get("kind") == CARD_KIND and pending.get("requested_by") == actor_id
    if refusal.code != "signing-in-progress" or not mine:
        return ""
    session = pending["job_id"]
    return (
        f"answer your signing session {session} with your card, or give it up with "
        f"DELETE /v1/signing-sessions/{session}"
    )
