"""The `arrival` job: the signatures of files that came in are verified, and the verdict is kept.

One step: every file that waits is judged in a process apart, outside of any transaction; then the
verdicts and one history entry are written together. A verdict that is there stays: the step may run
twice. The document's version does not change, so nobody who is about to register it is refused.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork, all_rows
from docflow.documents import rows
from docflow.documents.signature_checks import KIND
from docflow.documents.tables import documents, files, signature_checks
from docflow.jobs.model import JobRun
from docflow.kernel.actor import SERVICE
from docflow.kernel.canonical import canonical_json, sha256_hex
from docflow.release import studio as work
from docflow.release.studio import Studio
from docflow.signing.report import INDETERMINATE, VerificationReport, failure

MAX_REPORT_BYTES = 256 * 1024
_NOT_DONE = "POLICY_PROCESSING_ERROR"  # EN 319 102-1: the validation itself did not work
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

__all__ = ["KIND", "kept_report", "on_failed", "run"]


def run(studio: Studio, job: JobRun) -> None:
    """Run the job; called by the job engine, again after a crash."""
    job.step("verified", lambda: _verify(studio, job.subject_id, job.job_id))


def _verify(studio: Studio, document_id: str, job_id: str) -> int:
    waiting, listed = _waiting(studio, document_id, job_id, again=True)
    found = []
    for row in waiting:
        with work.Workbench(studio, document_id) as bench:
            found.append(_judged(studio, bench, row, listed))
    return _record(studio, document_id, found, again=True)


def _waiting(
    studio: Studio, document_id: str, job_id: str, *, again: bool
) -> tuple[list[Row], list[Row]]:
    """Return the files of this job without a verdict, and all current files of the document.

    With `again`, what a failed run left as not known is without a verdict too.
    """
    with studio.desk.database.read() as connection:
        listed = all_rows(
            connection,
            sa.select(files).where(files.c.document_id == document_id, files.c.form == "original"),
        )
        waiting = set(
            connection.execute(
                sa.select(signature_checks.c.file_id).where(
                    signature_checks.c.job_id == job_id, _open(again=again)
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


def _open(*, again: bool) -> sa.ColumnElement[bool]:
    without = signature_checks.c.indication.is_(None)
    return sa.or_(without, signature_checks.c.sub_indication == _NOT_DONE) if again else without


def _record(
    studio: Studio, document_id: str, found: Sequence[dict[str, Any]], *, again: bool
) -> int:
    """Keep verdicts that are not there yet, with one entry; return how many were kept."""
    with studio.desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, document_id)
        waiting = set(
            uow.connection.execute(
                sa.select(signature_checks.c.file_id).where(
                    signature_checks.c.document_id == document_id,
                    _open(again=again),
                )
            ).scalars()
        )
        sealed = studio.desk.vault.is_sealed(row)
        waited = [one for one in found if one["file_id"] in waiting]
        kept = [_keep(uow, row, one, sealed=sealed) for one in waited]
        if kept:
            uow.note(documents, row, Draft("document.signatures-verified", {"files": kept}))
    return len(kept)


def _keep(uow: UnitOfWork, row: Row, one: Mapping[str, Any], *, sealed: bool) -> dict[str, Any]:
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
    waiting, _ = _waiting(studio, job.subject_id, job.job_id, again=False)
    if not waiting:
        return
    report = failure(
        f"The signatures could not be verified: {error}",
        now=studio.desk.database.clock.now(),
        indication=INDETERMINATE,
        sub_indication=_NOT_DONE,
    )
    found = [{"file_id": row["id"], "data_file_id": None, "report": report} for row in waiting]
    _record(studio, job.subject_id, found, again=False)
