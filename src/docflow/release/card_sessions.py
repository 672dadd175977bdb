"""Signing sessions as the person and the card's software see them: ask, show, answer, give up.

Rules:
1. A session belongs to one person, one document at one version, one certificate and the digests of
   the very files; it expires, and it is answered once.
2. Each file's signature is verified under the enrolled certificate before anything is kept of any.
3. Nobody but the person learns that a session exists, nor the person once the document is not theirs to
   know any more.
4. A session whose certificate was revoked or replaced ends: no answer could be taken any more.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork
from docflow.documents import rows
from docflow.documents.fire import Outcome, fire
from docflow.documents.signer_choice import card_certificate
from docflow.documents.tables import documents
from docflow.kernel.actor import SERVICE, Actor
from docflow.kernel.errors import (
    ConflictError,
    FieldProblem,
    InvalidInputError,
    NotFoundError,
)
from docflow.people import access
from docflow.people.signer_certificates import certificate_row
from docflow.people.signing_tables import person_certificates
from docflow.release import annexes, cards, persons
from docflow.release import studio as work
from docflow.release.certificate_uses import require_below
from docflow.release.fitting import try_on
from docflow.release.signing_tables import signing_sessions
from docflow.release.studio import Studio
from docflow.signing.identity import SignerIdentity
from docflow.signing.interrupted import Prepared
from docflow.signing.offered import Offered, algorithm_of, check_signature

_ID = re.compile(r"card-([0-9a-f-]{36})-([1-9][0-9]{0,8})")
_SWEEP = 100
_CARD_ENDED = "The certificate of the card was revoked or replaced; ask for a new session."


@dataclass(frozen=True, slots=True)
class ToSign:
    """One file to be signed: what to show of it, and what the card signs.

    Attributes:
        file_id: of the original.
        role: main or annex.
        name: its name; empty where it lies sealed.
        media_type: what it is.
        sha256: of the file as it is signed: a PDF as stamped, or as others signed it; an annex as it came.
        size: of the same.
        form: the signature is inside a PDF (PAdES) or beside another file (CAdES).
        offered: what the card signs.
    """

    file_id: str
    role: str
    name: str
    media_type: str
    sha256: str
    size: int
    form: Literal["PAdES", "CAdES"]
    offered: Offered


@dataclass(frozen=True, slots=True)
class Shown:
    """A session as its person sees it; `state` is `preparing` until there is something to sign.

    `algorithm` is its name, its hash, and the bytes of salt where it has any.
    """

    id: str
    state: str
    document: Row
    files: tuple[ToSign, ...] = ()
    certificate: Mapping[str, Any] | None = None
    row: Row | None = None
    error: str | None = None
    algorithm: tuple[str, str, int | None] | None = None


def ask(
    studio: Studio,
    actor: Actor,
    document_id: str,
    trigger: str,
    asked: Mapping[str, Any],
    *,
    if_version: int,
    place: Mapping[str, Any] | None = None,
    mandate: str | None = None,
) -> Outcome:
    """Fire a transition that one's own card shall sign; the session has the id of the outcome's job.

    What the card could not sign later is refused here.

    Raises:
        ConflictError: code `no-card` if the person has no enrolled card, `key-use-exhausted` if it may
            sign no more, `certificate-revoked` if it is revoked in this very moment.
        InvalidInputError: code `session-not-signing` if no person signs by this transition.
        DocflowError: whatever `documents.fire` refuses with.
    """
    card = _require_card(studio, actor, document_id, trigger)
    return fire(
        studio.desk,
        actor,
        document_id,
        trigger,
        asked,
        if_version=if_version,
        place=place,
        mandate=mandate,
        card=card,
        try_on=partial(try_on, studio),
    )


def _require_card(studio: Studio, actor: Actor, document_id: str, trigger: str) -> str:
    """Return the id of the card's certificate; refuse what needs no card, or a card that can sign no more.

    `documents.fire` is told the card, looks again in its transaction, and refuses the rest.
    """
    with studio.desk.database.read() as connection:
        card = card_certificate(connection, actor.id, studio.desk.database.clock.now())
        if card is None:
            raise ConflictError(
                "You have no enrolled card that is valid now.",
                code="no-card",
                rule="signer-enrolled",
                satisfied_by="Have an administrator enrol your card's certificate and prove its key; "
                "or fire the transition with POST …/transitions.",
            )
        certificate = certificate_row(connection, card)
        document = rows.read(connection, document_id)
    rows.require(actor, access.Permission.DOCUMENT_FIRE, document)
    if not persons.signs(studio, document, trigger):
        raise InvalidInputError(
            f"No person signs by the transition {trigger!r}; there is nothing for a card to do.",
            code="session-not-signing",
            rule="personal-signature",
            satisfied_by="Fire it with POST …/transitions, or name the transition that signs.",
            fields=[FieldProblem("/trigger", "a transition that a person signs")],
        )
    require_below(studio.desk.database, certificate["sha256"], studio.most_signatures)
    return card


def show(studio: Studio, actor: Actor, session_id: str) -> Shown:
    """Return a session of the actor's own.

    Raises:
        NotFoundError: if there is none.
    """
    match = _ID.fullmatch(session_id)
    if match is None:
        raise _no_session()
    with studio.desk.database.read() as connection:
        session = cards.session_row(connection, session_id)
        try:
            document = rows.read(connection, match[1])
            rows.require(actor, access.Permission.DOCUMENT_FIRE, document)
        except NotFoundError:
            raise _no_session() from None
        if session is None:
            return _not_yet(actor, session_id, document)
        if session["person_id"] != actor.id:
            raise _no_session()
        certificate = certificate_row(connection, session["certificate_id"])
    files = _to_sign(studio, session_id)
    pending = document["pending"] or {}
    error = pending.get("error") if pending.get("job_id") == session_id else None
    state = session["state"]
    if state == "ready" and session["expires_at"] <= studio.desk.database.clock.now():
        state = "expired"
    elif state == "ready" and certificate["state"] != "enrolled":
        state, error = "failed", _CARD_ENDED
    algorithm = algorithm_of(certificate["pem"])
    return Shown(session_id, state, document, files, certificate, session, error, algorithm)


def _to_sign(studio: Studio, session_id: str) -> tuple[ToSign, ...]:
    staged = {row["file_id"]: row for row in work.done(studio, session_id, "staged")}
    found = []
    for row in work.done(studio, session_id, "prepared"):
        before, kept = staged[row["file_id"]], row["evidence"]
        told = (row["file_id"], row["role"], row["name"], row["media_type"])
        if annexes.is_pdf(row):
            prepared = Prepared.from_json(kept)
            found.append(ToSign(*told, before["sha256"], before["size"], "PAdES", prepared))
        else:
            offered = Offered.from_json(kept)
            found.append(ToSign(*told, offered.sha256, kept["size"], "CAdES", offered))
    return tuple(found)


def _not_yet(actor: Actor, session_id: str, document: Row) -> Shown:
    pending = document["pending"]
    if not pending or pending["job_id"] != session_id or pending["requested_by"] != actor.id:
        raise _no_session()
    state = "failed" if pending["failed"] else "preparing"
    return Shown(session_id, state, document, error=pending["error"])


def answer(studio: Studio, actor: Actor, session_id: str, signatures: Mapping[str, str]) -> Shown:
    """Take what the card signed, verify it, and have it embedded; the same answer again is fine.

    Args:
        studio: the room's tools.
        actor: the person of the session.
        session_id: the session.
        signatures: file id → base64 of the signature.

    Raises:
        NotFoundError: if there is no such session of the actor's.
        ConflictError: code `session-ended` if it is answered, given up, or its document went on.
        InvalidInputError: code `signature-refused` if a signature does not verify.
    """
    shown = show(studio, actor, session_id)
    if shown.row is None:
        raise _ended(shown.state)
    given = _decoded(shown, signatures)
    kept = {name: base64.b64encode(value).decode() for name, value in given.items()}
    if shown.state in ("answered", "done") and shown.row["signatures"] == kept:
        return shown
    if shown.row["state"] != "ready" or shown.state == "expired":
        raise _ended(shown.state)
    identity = _card_in_force(studio, actor, shown.row)
    for item in shown.files:
        check_signature(identity, item.offered, given[item.file_id])
    with studio.desk.database.unit_of_work(actor) as uow:
        row = rows.lock(uow, shown.document["id"])
        session = cards.session_row(uow.connection, session_id)
        _require_waiting(row, session, uow.now)
        mine = signing_sessions.c.id == session_id
        values = {"state": "answered", "answered_at": uow.now, "signatures": kept}
        uow.alter(signing_sessions, row["id"], mine, values)
        data = {"session": session_id, "certificate": identity.sha256}
        uow.note(documents, row, Draft("document.session-answered", data))
        studio.desk.enqueue(
            uow,
            kind=cards.EMBED,
            job_id=session_id.replace(cards.KIND, cards.EMBED, 1),
            subject_id=row["id"],
            payload={
                "document_id": row["id"],
                "session": session_id,
                **{name: row["pending"].get(name) for name in ("level", "fallback")},
            },
        )
    return show(studio, actor, session_id)


def _card_in_force(studio: Studio, actor: Actor, session: Row) -> SignerIdentity:
    """Return the session's card; end the session if it can sign no more."""
    try:
        return cards.card_of(studio, session["certificate_id"], person_id=actor.id)[0]
    except ConflictError as error:
        _end(studio, SERVICE, session["id"], session["document_id"], "failed", error.detail)
        raise


def give_up(studio: Studio, actor: Actor, session_id: str) -> Shown:
    """End one's own session that waits for a card; the document can go on without it.

    Raises:
        NotFoundError: if there is no such session of the actor's.
        ConflictError: code `session-ended` if it does not wait.
    """
    shown = show(studio, actor, session_id)
    if shown.row is None or shown.row["state"] != "ready":
        raise _ended(shown.state)
    _end(studio, actor, session_id, shown.document["id"], "failed", "The person gave it up.")
    return show(studio, actor, session_id)


def sweep(studio: Studio) -> int:
    """End sessions that nobody can answer any more; return how many. The worker calls this.

    They are over, or their certificate was revoked or replaced.
    """
    database = studio.desk.database
    sessions, state = signing_sessions.c, person_certificates.c.state
    late = sessions.expires_at <= database.clock.now()
    statement = (
        sa.select(sessions.id, sessions.document_id, late)
        .join(person_certificates, person_certificates.c.id == sessions.certificate_id)
        .where(sessions.state == "ready", sa.or_(late, state != "enrolled"))
        .order_by(sessions.expires_at)
        .limit(_SWEEP)
    )
    with database.read() as connection:
        found = connection.execute(statement).all()
    for session_id, document_id, is_late in found:
        how = ("expired", "No card signed in time.") if is_late else ("failed", _CARD_ENDED)
        _end(studio, SERVICE, session_id, document_id, *how)
    return len(found)


def fail(uow: UnitOfWork, session_id: str, document_id: str) -> None:
    """Mark a session whose answer could not be embedded; the caller writes the entry."""
    mine = sa.and_(signing_sessions.c.id == session_id, signing_sessions.c.state == "answered")
    uow.alter(signing_sessions, document_id, mine, {"state": "failed"})


def wait_again(uow: UnitOfWork, session_id: str, document_id: str) -> None:
    """Mark a session whose answer is embedded once more; the caller writes the entry."""
    mine = sa.and_(
        signing_sessions.c.id == session_id,
        signing_sessions.c.state == "failed",
        signing_sessions.c.answered_at.is_not(None),
    )
    uow.alter(signing_sessions, document_id, mine, {"state": "answered"})


def _end(
    studio: Studio, actor: Actor, session_id: str, document_id: str, state: str, why: str
) -> None:
    with studio.desk.database.unit_of_work(actor) as uow:
        row = rows.lock(uow, document_id)
        session = cards.session_row(uow.connection, session_id)
        if session is None or session["state"] != "ready":
            return  # answered in this very moment
        uow.alter(
            signing_sessions, document_id, signing_sessions.c.id == session_id, {"state": state}
        )
        draft = Draft("document.session-ended", {"session": session_id, "state": state})
        pending = row["pending"]
        if pending and pending["job_id"] == session_id:
            values = {"stage": "failed", "pending": {**pending, "failed": True, "error": why}}
            uow.change(documents, row, values, draft)
        else:  # the document went on: its version is not the session's to change
            uow.note(documents, row, draft)


def _require_waiting(row: Row, session: Row | None, now: datetime) -> None:
    if session is None or session["state"] != "ready":
        raise _ended(session["state"] if session else "gone")
    if session["expires_at"] <= now:
        raise _ended("expired")
    if not row["pending"] or row["pending"]["job_id"] != session["id"]:
        raise ConflictError("The document went on without this session.", code="job-superseded")


def _decoded(shown: Shown, signatures: Mapping[str, str]) -> dict[str, bytes]:
    wanted = {item.file_id for item in shown.files}
    if set(signatures) != wanted:
        raise InvalidInputError(
            f"Give one signature for each of the {len(wanted)} files of the session.",
            fields=[FieldProblem("/signatures", f"exactly: {', '.join(sorted(wanted))}")],
        )
    decoded = {}
    for name, value in signatures.items():
        try:
            decoded[name] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidInputError(
                "A signature is not base64.",
                fields=[FieldProblem(f"/signatures/{name}", "base64 with padding")],
            ) from None
    return decoded


def _no_session() -> NotFoundError:
    return NotFoundError("There is no such signing session, or it is not yours.")


def _ended(state: str) -> ConflictError:
    return ConflictError(
        f"The signing session is {state} and takes no signature.",
        code="session-ended",
        rule="single-use",
        satisfied_by="Read the session; if it is over, ask for a new one with the document's current "
        "version.",
        session_state=state,
    )
