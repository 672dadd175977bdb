"""What a document is told of its signing or release job that waits or fails; how a person retries it.

A job that waits for something that is away says so on the document, once. A failed job leaves the
document where it was, says so on the document, and no longer blocks other transitions: the document can
be returned, withdrawn, or the job retried.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from docflow.db import Draft, Row, UnitOfWork
from docflow.documents import conversions, resealing, rows, signature_checks
from docflow.documents.desk import Desk
from docflow.documents.tables import documents
from docflow.documents.telling import cause
from docflow.jobs.engine import JobEngine
from docflow.jobs.model import Job, JobRun
from docflow.kernel.actor import SERVICE, Actor
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ConflictError
from docflow.people import access
from docflow.release import archive, card_sessions, cards

_KINDS = ("sign", "release", cards.KIND, cards.EMBED)
_ABOUT_DOCUMENTS = (
    *_KINDS,
    signature_checks.KIND,
    archive.KIND,
    conversions.KIND,
    resealing.KIND,
)
"""Whose subject is a document: who may see or retry them depends on it."""


def on_waiting(desk: Desk, job: JobRun, error: str, next_at: datetime) -> None:
    """Tell the document that its job waits for something that is away; the same again is not told."""
    details = cause(desk, job.subject_id, error)
    with desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, job.subject_id)
        pending: Row | None = row["pending"]
        if not pending or pending["job_id"] != _waited_for(job.job_id) or pending["failed"]:
            return
        if row["stage"] == "waiting" and pending.get("error") == error:
            return
        told = {"job": job.job_id, "next_at": rfc3339(next_at)}
        uow.change(
            documents,
            row,
            {"stage": "waiting", "pending": {**pending, "error": error}},
            Draft("document.job-waiting", told, details),
        )


def on_failed(desk: Desk, job: JobRun, error: str) -> None:
    """Tell the document that its job failed; told twice, it says so once."""
    details = cause(desk, job.subject_id, error)
    with desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, job.subject_id)
        pending: Mapping[str, object] | None = row["pending"]
        if not pending or pending["job_id"] != _waited_for(job.job_id) or pending["failed"]:
            return
        card_sessions.fail(uow, pending["job_id"], row["id"])
        uow.change(
            documents,
            row,
            {"stage": "failed", "pending": {**pending, "failed": True, "error": error}},
            Draft("document.job-failed", {"job": job.job_id}, details),
        )


def _waited_for(job_id: str) -> str:
    """Return the id of the firing that a job works for: its own, but a card's for `embed`."""
    return re.sub(f"^{cards.EMBED}-", f"{cards.KIND}-", job_id)


def retry(desk: Desk, engine: JobEngine, actor: Actor, job_id: str) -> Job:
    """Run a job that failed, or waits for its next try, at once from the step that failed.

    One that is queued or runs is tried already: it is left as it is, so asking twice does nothing more.

    Raises:
        NotFoundError: if there is no such job that the actor may know of.
        ForbiddenError: if the actor may not retry it.
        ConflictError: if it is over, or the document went on without it.
    """
    job = engine.get(job_id)
    with desk.database.unit_of_work(actor) as uow:
        if job.kind not in _ABOUT_DOCUMENTS:
            access.require(actor, access.Permission.JOB_RETRY)
            return engine.try_at_once(uow, job_id)[0]
        row = rows.lock(uow, job.subject_id)
        rows.require(actor, access.Permission.JOB_RETRY, row)
        if job.kind not in _KINDS:
            return engine.try_at_once(uow, job_id)[0]
        if job.state != "done":  # of one that is done the engine says so
            _pending_of(row, job_id)
        tried, changed = engine.try_at_once(uow, job_id)
        if changed:
            _wait_again(uow, row, job_id)
        return tried


def _pending_of(row: Row, job_id: str) -> Row:
    pending: Row | None = row["pending"]
    if not pending or pending["job_id"] != _waited_for(job_id):
        raise ConflictError(
            "The document went on without this job; fire the transition again instead.",
            code="job-superseded",
            state=row["state"],
        )
    return pending


def _wait_again(uow: UnitOfWork, row: Row, job_id: str) -> None:
    pending = _pending_of(row, job_id)
    card_sessions.wait_again(uow, pending["job_id"], row["id"])
    uow.change(
        documents,
        row,
        {"stage": "queued", "pending": {**pending, "failed": False, "error": None}},
        Draft("document.job-retried", {"job": job_id}),
    )


def find(
    desk: Desk,
    engine: JobEngine,
    actor: Actor,
    *,
    state: str | None,
    subject_id: str | None,
    before: str | None,
    limit: int,
) -> tuple[list[Job], str | None]:
    """Return the jobs of a page that the actor may see, newest first, and where the next begins.

    Jobs about documents that the actor has no reason to know are left out of the page.
    """
    if subject_id is not None:
        with desk.database.read() as connection:
            rows.require(actor, access.Permission.JOB_READ, rows.read(connection, subject_id))
    else:
        access.require(actor, access.Permission.JOB_READ)
    page = engine.list(state=state, subject_id=subject_id, before=before, limit=limit)  # type: ignore[arg-type]
    return _visible(desk, actor, page.jobs), page.next_before


def _visible(desk: Desk, actor: Actor, jobs: Sequence[Job]) -> list[Job]:
    if actor.kind == "service" or "administrator" in actor.roles():
        return list(jobs)
    with desk.database.read() as connection:
        known = set(
            connection.execute(
                sa.select(documents.c.id).where(
                    documents.c.id.in_([job.subject_id for job in jobs]),
                    access.readable(actor, documents),
                )
            ).scalars()
        )
    return [job for job in jobs if job.subject_id in known]


def show(desk: Desk, engine: JobEngine, actor: Actor, job_id: str) -> Job:
    """Return a job that the actor may see.

    Raises:
        NotFoundError: if there is none.
    """
    job = engine.get(job_id)
    if job.kind in _ABOUT_DOCUMENTS:
        with desk.database.read() as connection:
            rows.require(actor, access.Permission.JOB_READ, rows.read(connection, job.subject_id))
    else:
        access.require(actor, access.Permission.JOB_READ)
    return job
