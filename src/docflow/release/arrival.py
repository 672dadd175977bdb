"""The `arrival` job: the signatures of files that came in are verified, and the verdict is kept.

One step: every file that waits is judged in a process apart, outside of any transaction; then the
verdicts and one history entry are written together. A verdict that is there stays: the step may run
twice. The document's version does not change, so nobody who is about to register it is refused.

A verdict that only says that nothing is known yet (whoever tells of revocation was away, time or memory
ran out) is kept and told, and the step fails: the job tries again like any other that waits. A person
may ask for another look at what has not passed.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork, all_rows
from docflow.documents import rows
from docflow.documents.signature_checks import KIND
from docflow.documents.tables import documents, files, signature_checks
from docflow.jobs.engine import JobEngine
from docflow.jobs.model import LIVE, Job, JobRun
from docflow.jobs.tables import jobs
from docflow.kernel.actor import SERVICE, Actor
from docflow.kernel.canonical import canonical_json, sha256_hex
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ConflictError, OutsideUnavailableError, UnavailableError
from docflow.people import access
from docflow.release import studio as work
from docflow.release.studio import Studio
from docflow.signing.report import INDETERMINATE, PASSED, UNFINISHED, VerificationReport, failure

MAX_REPORT_BYTES = 256 * 1024
_NOT_DONE = "POLICY_PROCESSING_ERROR"  # EN 319 102-1: the validation itself did not work
_TRY_LATER = "TRY_LATER"  # the same: revocation is not known, and may be later
_NOT_FOUND = "SIGNED_DATA_NOT_FOUND"
_VERDICT = (
    "kind", "indication", "sub_indication", "level", "signed_at", "time_is_proven", "revocation",
    "strength",
)  # fmt: skip
_NAMES = ("signer", "subject", "issuer", "field")
_DISCREET = (
    "The document is classified: verify the file itself to read who signed, and the reasons."
)
_SIGNATURE_SUFFIXES = (".p7s", ".p7m", ".sig", ".p7b", ".tst")

__all__ = ["KIND", "ask_again", "kept_report", "on_failed", "run"]


def ask_again(studio: Studio, engine: JobEngine, actor: Actor, document_id: str) -> Job:
    """Ask for another look at the signatures of a document that have not passed; return the job.

    While such a job is under way, or waits for its next try, that one is returned.

    Raises:
        NotFoundError: if there is no such document that the actor may know of.
        ForbiddenError: if the actor may not retry its jobs.
        ConflictError: if it has no such signatures.
    """
    desk = studio.desk
    mine = sa.and_(jobs.c.kind == KIND, jobs.c.subject_id == document_id)
    with desk.database.unit_of_work(actor) as uow:
        row = rows.lock(uow, document_id)
        rows.require(actor, access.Permission.JOB_RETRY, row)
        found = uow.connection.execute(sa.select(jobs.c.id, jobs.c.state).where(mine)).all()
        job_id = next((one.id for one in found if one.state in LIVE), None)
        if job_id is None:
            job_id = f"{KIND}-{document_id}-{len(found)}"
            waiting = sa.select(signature_checks.c.file_id).where(
                signature_checks.c.document_id == document_id, _open(again=True, asked=True)
            )
            file_ids = sorted(uow.connection.execute(waiting).scalars())
            if not file_ids:
                raise ConflictError(
                    "No signature of this document waits for a better verdict.",
                    code="nothing-to-verify",
                    state=row["state"],
                )
            payload = {"document_id": document_id, "files": file_ids, "asked": rfc3339(uow.now)}
            desk.enqueue(uow, kind=KIND, job_id=job_id, subject_id=document_id, payload=payload)
    return engine.get(job_id)


def run(studio: Studio, job: JobRun) -> None:
    """Run the job; called by the job engine, again after a crash."""
    job.step("verified", lambda: _verify(studio, job))


def _verify(studio: Studio, job: JobRun) -> int:
    waiting, listed = _waiting(studio, job, again=True)
    found = []
    for row in waiting:
        with work.Workbench(studio, job.subject_id) as bench:
            found.append(_judged(studio, bench, row, listed))
    kept = _record(studio, job, found, again=True)
    _look_again(studio, {one["report"].sub_indication for one in found})
    return kept


def _look_again(studio: Studio, found: set[str | None]) -> None:
    """Fail the try if another may find more.

    Raises:
        OutsideUnavailableError: if whoever could be asked about revocation may answer later.
        UnavailableError: if time or memory did not suffice.
    """
    if _TRY_LATER in found and studio.verifier.asker is not None:
        raise OutsideUnavailableError(
            "Whether a certificate was revoked is not known yet; the signatures are verified again.",
            code="revocation-unavailable",
        )
    if UNFINISHED in found:
        raise UnavailableError(
            "The signatures could not be verified within the limits of time and memory.",
            code="verification-unfinished",
        )


def _waiting(studio: Studio, job: JobRun, *, again: bool) -> tuple[list[Row], list[Row]]:
    """Return the files of this job without a verdict, and all current files of the document.

    With `again`, what says that nothing is known is without a verdict too.
    """
    document_id = job.subject_id
    with studio.desk.database.read() as connection:
        listed = all_rows(
            connection,
            sa.select(files).where(files.c.document_id == document_id, files.c.form == "original"),
        )
        waiting = set(
            connection.execute(
                sa.select(signature_checks.c.file_id).where(
                    signature_checks.c.file_id.in_(job.payload["files"]),
                    signature_checks.c.document_id == document_id,
                    _open(again=again, asked="asked" in job.payload),
                )
            ).scalars()
        )
    return [row for row in listed if row["id"] in waiting], [r for r in listed if r["current"]]


def _judged(
    studio: Studio, bench: work.Workbench, row: Row, listed: Sequence[Row]
) -> dict[str, Any]:
    """Judge one file; a detached signature along with the file that it belongs to."""
    now = studio.desk.database.clock.now()
    path = bench.fetch(row)
    report = studio.verifier.report(path, now=now)
    data = None
    if any(one.sub_indication == _NOT_FOUND for one in report.signatures):
        data = _signed_by(row, listed)
    if data is not None and report.form == "cades":
        report = studio.verifier.report(path, now=now, data=bench.fetch(data))
    return {
        "file_id": row["id"],
        "data_file_id": data["id"] if data is not None and report.form == "cades" else None,
        "report": report,
    }


def _signed_by(row: Row, listed: Sequence[Row]) -> Row | None:
    """Return the file that a detached signature belongs to: of its name, else the main file."""
    others = [one for one in listed if one["id"] != row["id"]]
    name = (row["name"] or "").lower()  # a sealed name is not looked into: then the main file
    for suffix in _SIGNATURE_SUFFIXES:
        if name.endswith(suffix):
            named = [
                one for one in others if (one["name"] or "").lower() == name.removesuffix(suffix)
            ]
            if len(named) == 1:
                return named[0]
    return next((one for one in others if one["role"] == "main"), None)


def _open(*, again: bool, asked: bool) -> sa.ColumnElement[bool]:
    without = signature_checks.c.indication.is_(None)
    if not again:
        return without
    if asked:
        return sa.or_(without, signature_checks.c.indication != PASSED)
    unknown = (_NOT_DONE, _TRY_LATER, UNFINISHED)
    return sa.or_(without, signature_checks.c.sub_indication.in_(unknown))


def _record(studio: Studio, job: JobRun, found: Sequence[dict[str, Any]], *, again: bool) -> int:
    """Keep verdicts that are not there yet, with one entry; return how many were kept."""
    with studio.desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, job.subject_id)
        statement = sa.select(signature_checks).where(
            signature_checks.c.document_id == job.subject_id,
            _open(again=again, asked="asked" in job.payload),
        )
        waiting = {one["file_id"]: one for one in all_rows(uow.connection, statement)}
        sealed = studio.desk.vault.is_sealed(row)
        news = [
            one
            for one in found
            if one["file_id"] in waiting and _is_news(waiting[one["file_id"]], one, job.job_id)
        ]
        kept = [_keep(uow, row, one, job.job_id, sealed=sealed) for one in news]
        if kept:
            uow.note(documents, row, Draft("document.signatures-verified", {"files": kept}))
    return len(kept)


def _is_news(known: Row, one: Mapping[str, Any], job_id: str) -> bool:
    """Tell whether a verdict is to be told: a try that finds the same as the one before tells nothing.

    But whoever asked for another look, and so for another job, is told once what was found.
    """
    report: VerificationReport = one["report"]
    before = (known["job_id"], known["indication"], known["sub_indication"])
    return before != (job_id, report.indication, report.sub_indication)


def _keep(
    uow: UnitOfWork, row: Row, one: Mapping[str, Any], job_id: str, *, sealed: bool
) -> dict[str, Any]:
    """Write one verdict; return what history says of it."""
    report: VerificationReport = one["report"]
    plain = kept_report(report, sealed=sealed)
    told = {"indication": report.indication, "sub_indication": report.sub_indication}
    uow.alter(
        signature_checks,
        row["id"],
        signature_checks.c.file_id == one["file_id"],
        {
            **told,
            "job_id": job_id,
            "data_file_id": one["data_file_id"],
            "report": plain,
            "verified_at": uow.now,
        },
    )
    return {
        **told,
        "id": one["file_id"],
        "data": one["data_file_id"],
        "report_sha256": sha256_hex(canonical_json(plain)),
    }


def kept_report(report: VerificationReport, *, sealed: bool) -> dict[str, Any]:
    """Return the report as it is kept: of a monstrous one the verdict, of a sealed document no names.

    This column is not sealed: what a sealed document's file says of itself (who signed, why, names of files
    inside) is not written there in the clear. Who may open the file can verify it and read all of it.
    """
    plain = report.to_dict()
    if sealed:
        return {
            **plain,
            "signatures": [
                {name: one[name] for name in _VERDICT} | dict.fromkeys(_NAMES) | {"reasons": []}
                for one in plain["signatures"]
            ],
            "reasons": [_DISCREET],
            "field_names": [],
            "files": [],
        }
    if len(json.dumps(plain)) <= MAX_REPORT_BYTES:
        return plain
    return {**plain, "signatures": [], "field_names": [], "files": []}


def on_failed(studio: Studio, job: JobRun, error: str) -> None:
    """Say of the files that wait for a job that failed for good that nothing is known of them."""
    waiting, _ = _waiting(studio, job, again=False)
    if not waiting:
        return
    report = failure(
        f"The signatures could not be verified: {error}",
        now=studio.desk.database.clock.now(),
        indication=INDETERMINATE,
        sub_indication=_NOT_DONE,
    )
    found = [{"file_id": row["id"], "data_file_id": None, "report": report} for row in waiting]
    _record(studio, job, found, again=False)
