"""The jobs table: one statement for each thing that can happen to a job.

Every change names the execution that makes it, and does nothing if the job has moved on since: a
worker that was slow, or died and was replaced, cannot overwrite what its successor wrote.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from docflow.db import UnitOfWork
from docflow.jobs.model import LIVE, Job, JobPage, JobState
from docflow.jobs.tables import jobs
from docflow.kernel.errors import ConflictError, InvalidInputError, NotFoundError

_CANCELLABLE: tuple[JobState, ...] = ("queued", "retrying", "failed")
_AGAIN: tuple[JobState, ...] = ("retrying", "failed")


def insert(
    uow: UnitOfWork, *, job_id: str, kind: str, subject_id: str, payload: Mapping[str, Any]
) -> bool:
    """Add a job; False if its id is known already (then nothing changes)."""
    dialect: Any = sqlite if uow.connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(jobs).on_conflict_do_nothing(index_elements=["id"])
    result = uow.connection.execute(
        statement,
        {
            "id": job_id,
            "kind": kind,
            "subject_id": subject_id,
            "payload": dict(payload),
            "state": "queued",
            "step": None,
            "attempts": 0,
            "runs": 1,
            "execution": 1,
            "error": None,
            "requested_by": uow.actor.id,
            "created_at": uow.now,
            "updated_at": uow.now,
            "next_at": None,
        },
    )
    return bool(result.rowcount)


def begin(uow: UnitOfWork, job_id: str, execution: int) -> Job | None:
    """Mark a job running; None if this execution is no longer the job's."""
    return _update(uow, _current(job_id, execution), state="running")


def finish(uow: UnitOfWork, job_id: str, execution: int) -> Job | None:
    """Mark a job done."""
    return _update(
        uow, _current(job_id, execution), state="done", step=None, attempts=0, error=None
    )


def retry_later(
    uow: UnitOfWork, job: Job, *, step: str | None, tries: int, error: str, next_at: datetime
) -> Job | None:
    """Note a failed try after which another follows at an instant, as the next execution."""
    return _update(
        uow,
        _current(job.id, job.execution),
        state="retrying",
        step=step,
        attempts=tries,
        error=error,
        execution=job.execution + 1,
        next_at=next_at,
    )


def fail(uow: UnitOfWork, job: Job, *, step: str | None, tries: int, error: str) -> Job | None:
    """Note the failed try after which none follows."""
    return _update(
        uow, _current(job.id, job.execution), state="failed", step=step, attempts=tries, error=error
    )


def run_again(uow: UnitOfWork, job_id: str) -> Job:
    """Queue a job that failed, or waits for its next try, as one more run.

    Raises:
        NotFoundError: if there is no such job.
        ConflictError: if it neither failed nor waits for its next try.
    """
    job = _update(
        uow,
        sa.and_(jobs.c.id == job_id, jobs.c.state.in_(_AGAIN)),
        state="queued",
        step=None,
        attempts=0,
        error=None,
        runs=jobs.c.runs + 1,
        execution=jobs.c.execution + 1,
    )
    if job is None:
        raise _refused(uow, job_id, "run again", _AGAIN)
    return job


def cancel(uow: UnitOfWork, job_id: str) -> Job:
    """Give a job up.

    Raises:
        NotFoundError: if there is no such job.
        ConflictError: if it is running, done or cancelled already.
    """
    where = sa.and_(jobs.c.id == job_id, jobs.c.state.in_(_CANCELLABLE))
    job = _update(uow, where, state="cancelled")
    if job is None:
        raise _refused(uow, job_id, "cancelled", _CANCELLABLE)
    return job


def get(connection: sa.Connection, job_id: str) -> Job:
    """Return a job.

    Raises:
        NotFoundError: if there is no such job.
    """
    row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"There is no job {job_id}.", code="job-not-found")
    return _job(row)


def page(
    connection: sa.Connection,
    *,
    state: JobState | None,
    kind: str | None,
    subject_id: str | None,
    before: str | None,
    limit: int,
) -> JobPage:
    """Return a page of jobs, newest first.

    Raises:
        InvalidInputError: if `before` is not the id of a job.
    """
    query = sa.select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit + 1)
    for column, value in (
        (jobs.c.state, state),
        (jobs.c.kind, kind),
        (jobs.c.subject_id, subject_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        last = connection.execute(
            sa.select(jobs.c.created_at).where(jobs.c.id == before)
        ).scalar_one_or_none()
        if last is None:
            raise InvalidInputError(
                "The place to go on from is not a job; use the one from the last page.",
                code="cursor-invalid",
            )
        place = sa.tuple_(sa.literal(last, jobs.c.created_at.type), sa.literal(before))
        query = query.where(sa.tuple_(jobs.c.created_at, jobs.c.id) < place)
    found = [_job(row) for row in connection.execute(query).mappings()]
    return JobPage(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)


def count_open(connection: sa.Connection) -> dict[JobState, int]:
    """Count the jobs that wait for a worker or a person; those that are over only grow in number."""
    states: tuple[JobState, ...] = (*LIVE, "failed")
    found = connection.execute(
        sa.select(jobs.c.state, sa.func.count())
        .where(jobs.c.state.in_(states))
        .group_by(jobs.c.state)
    )
    return dict.fromkeys(states, 0) | {row[0]: int(row[1]) for row in found}


def stale(connection: sa.Connection, since: datetime, limit: int) -> list[Job]:
    """Return live jobs, oldest first, of which nothing has been heard since an instant."""
    query = (
        sa.select(jobs)
        .where(jobs.c.state.in_(LIVE), jobs.c.updated_at < since)
        .order_by(jobs.c.created_at)
        .limit(limit)
    )
    return [_job(row) for row in connection.execute(query).mappings()]


def _current(job_id: str, execution: int) -> sa.ColumnElement[bool]:
    return sa.and_(jobs.c.id == job_id, jobs.c.execution == execution, jobs.c.state.in_(LIVE))


def _update(uow: UnitOfWork, where: sa.ColumnElement[bool], **values: Any) -> Job | None:
    values = {"next_at": None, **values, "updated_at": uow.now}
    statement = sa.update(jobs).where(where).values(values).returning(jobs)
    row = uow.connection.execute(statement).mappings().one_or_none()
    return None if row is None else _job(row)


def _refused(
    uow: UnitOfWork, job_id: str, act: str, allowed: tuple[JobState, ...]
) -> ConflictError:
    state = get(uow.connection, job_id).state
    return ConflictError(
        f"The job is {state}; only a job that is {' or '.join(allowed)} can be {act}.",
        code="job-state",
        rule="job-state",
        satisfied_by=f"Wait until the job is {' or '.join(allowed)}.",
        state=state,
    )


def _job(row: sa.RowMapping) -> Job:
    return Job(**row)
