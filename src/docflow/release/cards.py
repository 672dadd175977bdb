"""The `card` and `embed` jobs: a personal signature whose key is on the person's own card.

`card`: `staged` puts number, date and code on the page, as for every personal signature; `prepared`
leaves room for the signature and its time stamp in each PDF, tells what is signed beside each other
annex, and opens the session from which the card takes what it signs. Then the document waits for the
person. `embed`, asked for by the person's answer (`card_sessions.answer`): `signed` puts the card's
signatures into that room and beside those annexes, at the level that the transition asks for, and checks
them strictly; `complete` fires the transition with the signed files as evidence, as the `sign` job does.

Rules:
- All files are signed or none: a step is recorded for all of them in one transaction.
- Both work under the id of the firing that asked for the signature, which is also the session's.
- A card is asked once. What its level needs may be away afterwards for as long as any job may wait: an
  answered session does not expire.
"""

import base64
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography import x509

from docflow.db import Row, UnitOfWork, one_row
from docflow.documents.fire import complete
from docflow.documents.signer_choice import require_card
from docflow.jobs.model import JobRun
from docflow.kernel.errors import InvalidInputError
from docflow.people.signer_certificates import certificate_row
from docflow.release import annexes, persons, sign
from docflow.release import studio as work
from docflow.release.certificate_uses import require_below
from docflow.release.levels import at_level, evidence_of, newest_stamp, no_earlier, standing_of
from docflow.release.looking import looks_of
from docflow.release.signing_tables import signing_sessions
from docflow.release.studio import Studio
from docflow.signing.finishing import evidence_apart, finish_person
from docflow.signing.identity import SignerIdentity
from docflow.signing.interrupted import Prepared, prepare_person
from docflow.signing.levels import Level
from docflow.signing.offered import card_identity
from docflow.signing.strict import validate_person_signed

KIND = "card"
EMBED = "embed"


def run(studio: Studio, job: JobRun) -> None:
    """Prepare what the card signs; called by the job engine, again after a crash."""
    document_id = job.subject_id
    job.step("staged", lambda: sign.stage(studio, job, document_id))
    job.step("prepared", lambda: _prepare(studio, job, document_id))


def run_embed(studio: Studio, job: JobRun) -> None:
    """Embed what the card signed; called by the job engine, again after a crash."""
    session_id, document_id = job.payload["session"], job.subject_id
    job.step("signed", lambda: _embed(studio, job, session_id, document_id))
    job.step("complete", lambda: _complete(studio, session_id, document_id))


def card_of(studio: Studio, certificate_id: str, *, person_id: str) -> tuple[SignerIdentity, Row]:
    """Return the identity on an enrolled card of a person, and its row.

    Raises:
        ConflictError: code `certificate-revoked` or `signer-expired`.
    """
    now = studio.desk.database.clock.now()
    with studio.desk.database.read() as connection:
        row = dict(certificate_row(connection, certificate_id))
    require_card(row, person_id, now)
    chain = x509.load_pem_x509_certificates(row["pem"].encode())
    roots = studio.signers.own_roots
    rules = studio.signers.algorithms
    return card_identity(
        "The card's certificate", chain, roots=roots, now=now, algorithms=rules
    ), row


def _prepare(studio: Studio, job: JobRun, document_id: str) -> int:
    if recorded := work.done(studio, job.job_id, "prepared"):
        return len(recorded)
    now = studio.desk.database.clock.now()
    identity, row = card_of(
        studio, job.payload["certificate_id"], person_id=job.payload["requested_by"]
    )
    require_below(studio.desk.database, identity.sha256, studio.most_signatures)
    standing_of(studio, identity, now)  # no card is asked in vain; asked again when it answered
    token_digits = _token_digits(studio, job, now)
    place = studio.desk.catalogue.seed.organisation.place
    reason = job.payload.get("capacity")

    signer = work.person(studio, job.payload["requested_by"])

    def make(source: Row, path: Path, target: Path) -> dict[str, Any]:
        slot = persons.slot_of(studio, job, source)
        looks = looks_of(studio, job, source, signer, now, slot)
        prepared = prepare_person(
            path, target, identity, now=now, reason=reason, location=place, looks=looks, slot=slot,
            token_digits=token_digits,
        )  # fmt: skip
        return prepared.to_json() | {"persons": persons.earlier(source), "slot": slot.number}

    def offer(source: Row) -> dict[str, Any]:
        slot = persons.slot_of(studio, job, source)
        offered = annexes.offer(studio, source, identity, now=now)
        return offered | {"persons": persons.earlier(source), "slot": slot.number}

    staged = work.done(studio, job.job_id, "staged")
    pdfs = [source for source in staged if annexes.is_pdf(source)]
    made = work.each(studio, document_id, "prepared", pdfs, make, file_id="file_id")
    others = [(source, offer(source)) for source in staged if not annexes.is_pdf(source)]

    recorded = work.record(
        studio, document_id, job.job_id, "prepared", made, as_stored=others,
        also=partial(_open_session, studio, job, document_id, row["id"], now),
    )  # fmt: skip
    return len(recorded)


def _open_session(
    studio: Studio,
    job: JobRun,
    document_id: str,
    certificate_id: str,
    signing_time: datetime,
    uow: UnitOfWork,
) -> None:
    uow.put(
        signing_sessions,
        {
            "id": job.job_id,
            "document_id": document_id,
            "document_version": int(job.job_id.rsplit("-", 1)[1]),
            "person_id": job.payload["requested_by"],
            "certificate_id": certificate_id,
            "state": "ready",
            "signing_time": signing_time,
            "created_at": uow.now,
            "expires_at": uow.now + timedelta(minutes=studio.session_minutes),
        },
    )


def _token_digits(studio: Studio, job: JobRun, now: datetime) -> int:
    """Return how much room the time stamp of the level asked for needs; a fallback needs no more."""
    if (job.payload.get("level") or "B-B") == "B-B":
        return 0
    return studio.desk.levels.longterm.token_digits(now)


def session_row(connection: sa.Connection, session_id: str) -> Row | None:
    """Return a session's row, None if it was not opened yet."""
    return one_row(
        connection, sa.select(signing_sessions).where(signing_sessions.c.id == session_id)
    )


def _embed(studio: Studio, job: JobRun, session_id: str, document_id: str) -> int:
    if recorded := work.done(studio, session_id, "signed"):
        return len(recorded)
    now = studio.desk.database.clock.now()
    with studio.desk.database.read() as connection:
        session = session_row(connection, session_id)
    if session is None or session["state"] != "answered":
        raise InvalidInputError("The session has no answer of the card.")
    identity, _ = card_of(studio, session["certificate_id"], person_id=session["person_id"])
    make = partial(_finish, studio, session, identity, now, persons.how_many(studio, document_id))
    ready = work.done(studio, session_id, "prepared")

    def all_at(level: Level) -> list[work.Made]:
        return work.each(
            studio, document_id, "signed", ready, partial(make, level), file_id="file_id"
        )

    made = at_level(studio, job, identity, now, all_at)
    return len(work.record(studio, document_id, session_id, "signed", made))


def _finish(
    studio: Studio,
    session: Row,
    identity: SignerIdentity,
    now: datetime,
    of: int,
    level: Level,
    source: Row,
    path: Path,
    target: Path,
) -> dict[str, Any]:
    """Write one file with the card's signature at a level, and judge it; return what is kept of it."""
    longterm = studio.desk.levels.longterm
    given = base64.b64decode(session["signatures"][source["file_id"]])
    if not annexes.is_pdf(source):
        made = annexes.finish(studio, source, path, target, identity, given, now=now, level=level)
        return made | {"slot": source["evidence"].get("slot") or len(persons.earlier(source)) + 1}
    signed = finish_person(
        path,
        target,
        identity,
        Prepared.from_json(source["evidence"]),
        given,
        signed_at=session["signing_time"],
        now=now,
        level=level,
        longterm=longterm,
    )
    before, evidence = persons.earlier(source), evidence_of(signed)
    slot = source["evidence"].get("slot") or len(before) + 1
    apart = evidence_apart(level)
    validate_person_signed(
        target,
        studio.signers.own_roots,
        person=identity.certificate,
        now=no_earlier(now, newest_stamp((*before, evidence))),
        level=level,
        evidence_apart=apart,
        timestamp_roots=longterm.timestamp_roots,
        earlier=persons.expected(before),
        of=of,
        slot=slot,
        algorithms=studio.signers.algorithms,
    )
    made_by = {"signer": identity.name, "certificate_sha256": identity.sha256}
    return made_by | evidence | {"evidence_apart": apart, "persons": before, "slot": slot}


def _complete(studio: Studio, session_id: str, document_id: str) -> None:
    signed = work.done(studio, session_id, "signed")

    def evidence(uow: UnitOfWork, row: Row) -> dict[str, Any]:
        uow.alter(
            signing_sessions, document_id, signing_sessions.c.id == session_id, {"state": "done"}
        )
        return sign.put_files(studio, uow, row, signed, "signed")

    complete(studio.desk, document_id, session_id, evidence)
