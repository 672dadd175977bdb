"""The `release` job: staged → sealed → validated → contained → encrypted → delivered.

Steps: `staged` takes the personally signed files; `sealed` puts the organisation's seal on each PDF as
the last signature; `validated` judges the sealed files strictly; `contained` puts them, and the annexes
that are no PDF, into a container where the workflow has one; `encrypted` encrypts what leaves of a
confidential document to each recipient, and does nothing for others; `delivered` fires the transition
with the released files and one delivery per recipient, in one transaction. A file that fails the
validation is never delivered: only `SignedFile`s are, and only strict validation makes those.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from docflow.db import Row, UnitOfWork
from docflow.documents import rows
from docflow.documents.fire import complete
from docflow.jobs.model import JobRun
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ConflictError
from docflow.kernel.ids import new_id
from docflow.release import annexes, archive, containers, persons
from docflow.release import studio as work
from docflow.release.encrypt import encrypt_all, recorded, require_same, require_whole
from docflow.release.levels import at_level, evidence_of, no_earlier
from docflow.release.looking import seal_look
from docflow.release.sign import put_files
from docflow.release.studio import Studio
from docflow.release.tables import deliveries
from docflow.signing.levels import Level, level_named
from docflow.signing.pades import seal
from docflow.signing.signedsince import require_standing
from docflow.signing.strict import SignedFile, validate_release

KIND = "release"


def run(studio: Studio, job: JobRun) -> None:
    """Run the job's steps; called by the job engine, again after a crash."""
    document_id = job.subject_id
    job.step("staged", lambda: _stage(studio, job, document_id))
    job.step("sealed", lambda: _seal(studio, job, document_id))
    validated: list[SignedFile] = []
    job.step("validated", lambda: _validate(studio, job, document_id, validated))
    job.step("contained", lambda: _contain(studio, job, document_id, validated))
    job.step("encrypted", lambda: _encrypt(studio, job, document_id, validated))
    job.step("delivered", lambda: _deliver(studio, job, document_id, validated))


def _stage(studio: Studio, job: JobRun, document_id: str) -> int:
    """Note which signed files are sealed: those that are current now."""
    signed = work.current_files(studio, document_id, "signed")
    if not signed:
        raise ConflictError(
            "The document has no personally signed file to seal.", code="signature-missing"
        )
    sources = [{**row, "file_id": row["origin_id"]} for row in signed]
    work.record_evidence(
        studio, document_id, job.job_id, "staged", [(row, {"file": row["id"]}) for row in sources]
    )
    return len(sources)


def _seal(studio: Studio, job: JobRun, document_id: str) -> int:
    if recorded := work.done(studio, job.job_id, "sealed"):
        return len(recorded)
    now = studio.desk.database.clock.now()
    identity = studio.signers.seal(now)
    place = studio.desk.catalogue.seed.organisation.place
    signed_by = persons.on_files(studio, document_id)
    of = persons.how_many(studio, document_id)
    document = work.document_row(studio, document_id)
    staged = [row for row in work.done(studio, job.job_id, "staged") if annexes.is_pdf(row)]

    def make(level: Level, source: Row, path: Path, target: Path) -> dict[str, Any]:
        first, *others = persons.carried(signed_by, source)
        persons.require_all((first, *others), of)
        if source["role"] == "main":  # the same people signed every file
            require_standing(path, studio.desk.levels.longterm, now)
        sealed = seal(
            path, target, identity, now=now, location=place,
            level=level, longterm=studio.desk.levels.longterm,
            look=seal_look(studio, document, source, now),
        )  # fmt: skip
        return {
            "signer": identity.name,
            "seal_sha256": identity.sha256,
            "person_sha256": first["certificate_sha256"],
            "person_level": first.get("level", "B-B"),
            "person_evidence_apart": first.get("evidence_apart", False),
            "others": others,
            **evidence_of(sealed),
        }

    def all_at(level: Level) -> list[work.Made]:
        return work.each(
            studio, document_id, "sealed", staged, partial(make, level), file_id="file_id"
        )

    made = at_level(studio, job, identity, now, all_at)
    return len(work.record(studio, document_id, job.job_id, "sealed", made))


def _judge(studio: Studio, sealed: Sequence[Row]) -> list[SignedFile]:
    """Validate the sealed files strictly, from the stored bytes."""
    now = studio.desk.database.clock.now()
    judged = []
    for row in sealed:
        with work.Workbench(studio, row["document_id"]) as bench:
            judged.append(
                validate_release(
                    bench.fetch(row),
                    studio.signers.own_roots,
                    person=row["evidence"]["person_sha256"],
                    seal=row["evidence"]["seal_sha256"],
                    now=no_earlier(now, row["evidence"].get("stamped_at")),
                    person_level=level_named(row["evidence"].get("person_level", "B-B")),
                    seal_level=level_named(row["evidence"].get("level", "B-B")),
                    timestamp_roots=studio.desk.levels.longterm.timestamp_roots,
                    person_evidence_apart=row["evidence"].get("person_evidence_apart", False),
                    others=persons.expected(row["evidence"].get("others", ())),
                    algorithms=studio.signers.algorithms,
                )
            )
    return judged


def _validate(studio: Studio, job: JobRun, document_id: str, validated: list[SignedFile]) -> int:
    sealed = work.done(studio, job.job_id, "sealed")
    validated[:] = _judge(studio, sealed)
    evidence = [
        {
            "validated_at": rfc3339(file.validated_at),
            "person": file.person.signer,
            "others": [one.signer for one in file.others],
            "seal": file.seal.signer,
            "indication": file.seal.indication,
            "level": file.seal_level,
        }
        for file in validated
    ]
    work.record_evidence(
        studio,
        document_id,
        job.job_id,
        "validated",
        list(zip(sealed, evidence, strict=True)),
    )
    return len(validated)


def _contain(studio: Studio, job: JobRun, document_id: str, validated: list[SignedFile]) -> int:
    """Put the release into a container, if its workflow has one."""
    if not containers.wanted(studio, work.document_row(studio, document_id)):
        return 0
    sealed = work.done(studio, job.job_id, "sealed")
    validated[:] = validated or _judge(studio, sealed)  # after a crash the proof is gone
    return containers.contain(studio, job, document_id, sealed, validated)


def _leaving(studio: Studio, job: JobRun, validated: list[SignedFile]) -> list[Row]:
    """Return the records of all that leaves the house; `validated` has the proof of each, in order.

    After a crash the proof is gone with the process; the bytes are judged again, never trusted.
    """
    sealed = work.done(studio, job.job_id, "sealed")
    contained = containers.recorded_of(studio, job.job_id)
    validated[:] = validated or _judge(studio, sealed)
    if len(validated) == len(sealed):
        validated += [containers.judge(studio, row, sealed, validated) for row in contained]
    return sealed + contained


def _encrypt(studio: Studio, job: JobRun, document_id: str, validated: list[SignedFile]) -> int:
    row = work.document_row(studio, document_id)
    if not studio.desk.catalogue.is_sealed(row["classification"]):
        return 0
    leaving = _leaving(studio, job, validated)
    return encrypt_all(studio, document_id, job.job_id, leaving, validated)


def _deliver(studio: Studio, job: JobRun, document_id: str, validated: list[SignedFile]) -> None:
    leaving = _leaving(studio, job, validated)
    complete(
        studio.desk,
        document_id,
        job.job_id,
        lambda uow, row: _put_deliveries(studio, job.job_id, uow, row, leaving, validated),
    )


def _put_deliveries(
    studio: Studio,
    job_id: str,
    uow: UnitOfWork,
    row: Row,
    leaving: list[Row],
    proven: Sequence[SignedFile],
) -> dict[str, Any]:
    require_same(leaving, proven)
    recipients = rows.recipient_ids(uow.connection, row["id"])
    ids = _delivery_ids(studio, job_id, uow, row, recipients, proven)
    written = put_files(studio, uow, row, leaving, "released")
    archive.first_stamps(uow, leaving, written["files"])
    main = written["files"][0]
    new = [
        {
            "id": ids[recipient_id],
            "document_id": row["id"],
            "recipient_id": recipient_id,
            "file_id": main["id"],
            "signed_sha256": proven[0].sha256,
            "delivered_at": uow.now,
        }
        for recipient_id in recipients
    ]
    uow.put(deliveries, *new)
    return written | {
        "deliveries": [{"id": d["id"], "recipient_id": d["recipient_id"]} for d in new]
    }


def _delivery_ids(
    studio: Studio,
    job_id: str,
    uow: UnitOfWork,
    row: Row,
    recipients: Sequence[str],
    proven: Sequence[SignedFile],
) -> dict[str, str]:
    """Return each recipient's delivery: a new one, or the one that its files were encrypted for."""
    encrypted = recorded(uow.connection, job_id)
    if not encrypted and not studio.desk.catalogue.is_sealed(row["classification"]):
        return {recipient_id: new_id() for recipient_id in recipients}
    require_whole(encrypted, recipients, proven)
    first = {recipient_id: files[0] for recipient_id, files in encrypted.items()}
    used = {recipient_id: file["certificate_sha256"] for recipient_id, file in first.items()}
    studio.desk.openers.require_in_force(uow.connection, used)
    return {recipient_id: file["delivery_id"] for recipient_id, file in first.items()}
