"""The `sign` job: staged → signed → the transition completes.

Steps: `staged` puts number, date and code on the main file (annexes stay as they are), or takes the
files as they are if another person has signed them already; `signed` puts
the requester's personal signature on every PDF, or beside an annex that is none, and checks it; `complete`
fires the transition with the signed files as evidence. Each step's result is recorded before the next.
"""

import shutil
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from docflow.db import Row, UnitOfWork
from docflow.documents.content import PDF
from docflow.documents.create import entry_of
from docflow.documents.fire import complete
from docflow.documents.signer_choice import require_enrolled
from docflow.documents.tables import files
from docflow.jobs.model import JobRun
from docflow.kernel.errors import ConflictError
from docflow.kernel.ids import new_id
from docflow.release import annexes, persons
from docflow.release import studio as work
from docflow.release.certificate_uses import require_below
from docflow.release.levels import at_level, evidence_of, no_earlier
from docflow.release.looking import looks_of
from docflow.release.stamping import words_on
from docflow.release.studio import Studio
from docflow.signing.identity import SignerIdentity
from docflow.signing.levels import Level
from docflow.signing.pades import sign_person
from docflow.signing.plan import StampPlan
from docflow.signing.stamp import stamp
from docflow.signing.strict import validate_person_signed

KIND = "sign"


def run(studio: Studio, job: JobRun) -> None:
    """Run the job's steps; called by the job engine, again after a crash."""
    document_id = job.subject_id
    job.step("staged", lambda: stage(studio, job, document_id))
    job.step("signed", lambda: _sign(studio, job, document_id))
    job.step("complete", lambda: _complete(studio, job, document_id))


def stage(studio: Studio, job: JobRun, document_id: str) -> int:
    """Put number, date, code and capacity on the main file; return how many files were staged.

    Nothing is put on a page that a person has signed: the next one signs it as it is.
    """
    if recorded := work.done(studio, job.job_id, "staged"):
        return len(recorded)
    if signed := work.current_files(studio, document_id, "signed"):
        return persons.stage_signed(studio, document_id, job.job_id, signed)
    row = work.document_row(studio, document_id)
    sources = work.current_files(studio, document_id, "original")
    if not sources:
        raise ConflictError("The document has no file to sign.", code="main-file-missing")
    place = job.payload["place"]
    capacity = job.payload.get("capacity")
    words = words_on(studio.desk.catalogue, studio.public_url, row, place, capacity)

    def make(source: Row, path: Path, target: Path) -> dict[str, Any]:
        if not annexes.is_pdf(source):
            shutil.copyfile(path, target)  # signed as it came
            return {}
        plan = words if source["role"] == "main" else StampPlan()
        stamp(path, target, plan, studio.fonts)  # rewritten in one revision, even with no words
        return {"number": row["symbol"]} if plan is words else {}

    made = work.each(studio, document_id, "staged", sources, make, file_id="id")
    return len(work.record(studio, document_id, job.job_id, "staged", made))


def _sign(studio: Studio, job: JobRun, document_id: str) -> int:
    if recorded := work.done(studio, job.job_id, "signed"):
        return len(recorded)
    now = studio.desk.database.clock.now()
    signer = work.person(studio, job.payload["requested_by"])
    identity = _identity(studio, job.payload["requested_by"], signer, now)
    place = studio.desk.catalogue.seed.organisation.place
    longterm = studio.desk.levels.longterm
    staged = work.done(studio, job.job_id, "staged")

    def make(level: Level, source: Row, path: Path, target: Path) -> dict[str, Any]:
        slot, before = persons.slot_of(studio, job, source), persons.earlier(source)
        if not annexes.is_pdf(source):
            made = annexes.sign(studio, source, path, target, identity, now=now, level=level)
            return made | {"slot": slot.number}
        signed = sign_person(
            path,
            target,
            identity,
            now=now,
            reason=job.payload.get("capacity"),
            location=place,
            level=level,
            longterm=longterm,
            slot=slot,
            looks=looks_of(studio, job, source, signer, now, slot),
        )
        evidence = evidence_of(signed)
        validate_person_signed(
            target,
            studio.signers.own_roots,
            person=identity.certificate,
            now=no_earlier(now, evidence["stamped_at"]),
            level=level,
            timestamp_roots=longterm.timestamp_roots,
            earlier=persons.expected(before),
            of=slot.of,
            slot=slot.number,
            algorithms=studio.signers.algorithms,
        )
        made_by = {"signer": identity.name, "certificate_sha256": identity.sha256}
        return made_by | evidence | {"persons": before, "slot": slot.number}

    def all_at(level: Level) -> list[work.Made]:
        return work.each(
            studio, document_id, "signed", staged, partial(make, level), file_id="file_id"
        )

    made = at_level(studio, job, identity, now, all_at)
    return len(work.record(studio, document_id, job.job_id, "signed", made))


def _identity(studio: Studio, person_id: str, signer: Row, now: datetime) -> SignerIdentity:
    """Return what a person signs with, if they may now."""
    identity = studio.signers.person(signer["login"], signer["name"], now)
    with studio.desk.database.read() as connection:
        require_enrolled(connection, studio.desk.policy, person_id, identity)
    require_below(studio.desk.database, identity.sha256, studio.most_signatures)
    return identity


def _complete(studio: Studio, job: JobRun, document_id: str) -> None:
    signed = work.done(studio, job.job_id, "signed")
    complete(
        studio.desk,
        document_id,
        job.job_id,
        lambda uow, row: put_files(studio, uow, row, signed, "signed"),
    )


def put_files(
    studio: Studio, uow: UnitOfWork, row: Row, made: list[Row], form: str
) -> dict[str, Any]:
    """List what a job made as the document's current files of `form`; return what history says.

    What another person's signature made before is current no longer: the new files carry it too.
    """
    if form == "signed":
        before = sa.and_(files.c.form == form, files.c.current)
        uow.alter(files, row["id"], before, {"current": False})
    new = [
        {
            **_named(studio, uow, row, item),
            "document_id": row["id"],
            "role": item["role"],
            "form": form,
            "origin_id": item["file_id"],
            "position": item["position"],
            "media_type": item["evidence"].get("media_type", PDF),
            "size": item["size"],
            "sha256": item["sha256"],
            "storage_key": item["storage_key"],
            "data_key_id": item["data_key_id"],
            "pages": item["pages"],
            "current": True,
            "created_by": uow.actor.id,
            "created_at": uow.now,
        }
        for item in made
    ]
    uow.put(files, *new)
    return {"files": [entry_of(item) for item in new]}


def _named(studio: Studio, uow: UnitOfWork, document: Row, made: Row) -> dict[str, Any]:
    """Return id and name of a made file, sealed for its own row if it was: its original's, and a suffix."""
    vault = studio.desk.vault
    file_id = new_id()
    (original,) = vault.with_names(document, [{**made, "id": made["file_id"]}], uow.connection)
    name = made["evidence"].get("name") or original["name"] + made["evidence"].get("suffix", "")
    named = vault.name_columns(uow.connection, document, file_id, name)
    return {"id": file_id, **named}
