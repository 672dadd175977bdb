"""/v1/jobs: background work, its errors, and a retry."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from docflow.api import pagination
from docflow.api.context import CallerDep
from docflow.api.schemas.common import Name, Output
from docflow.jobs.model import Job
from docflow.release import failures

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


class JobOut(Output):
    """A job as people see it."""

    id: str
    kind: str
    subject_id: str
    state: Literal["queued", "running", "retrying", "failed", "done", "cancelled"]
    step: str | None
    attempts: int
    runs: int
    error: str | None
    requested_by: str
    created_at: datetime
    updated_at: datetime
    next_at: datetime | None = Field(description="When it is tried again, while it is retrying.")

    @classmethod
    def of(cls, job: Job) -> "JobOut":
        """Build from the engine's answer."""
        return cls(**{name: getattr(job, name) for name in cls.model_fields})


class JobPage(Output):
    """A page of jobs, newest first."""

    items: list[JobOut]
    next_cursor: str | None


@router.get("", response_model=JobPage, summary="List jobs")
def list_jobs(
    request: Request,
    response: Response,
    caller: CallerDep,
    state: Literal["queued", "running", "retrying", "failed", "done", "cancelled"] | None = None,
    document: Annotated[Name | None, Query(description="Id of a document.")] = None,
    cursor: pagination.Cursor = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> JobPage:
    """List background jobs, newest first."""
    jobs, following = failures.find(
        caller.services.desk,
        caller.services.engine,
        caller.actor,
        state=state,
        subject_id=document,
        before=pagination.decode(cursor),
        limit=limit,
    )
    next_cursor = pagination.encode(following) if following else None
    pagination.link_next(request, response, next_cursor)
    return JobPage(items=[JobOut.of(job) for job in jobs], next_cursor=next_cursor)


@router.get("/{job_id}", response_model=JobOut, summary="Read a job")
def get_job(job_id: Name, caller: CallerDep) -> JobOut:
    """Read a job."""
    return JobOut.of(
        failures.show(caller.services.desk, caller.services.engine, caller.actor, job_id)
    )


@router.post("/{job_id}/retry", response_model=JobOut, summary="Retry a job")
def post_retry(job_id: Name, caller: CallerDep) -> JobOut:
    """Run a job that failed, or waits for its next try, at once from the step that failed.

    One that is queued or runs already is left as it is.
    """
    return JobOut.of(
        failures.retry(caller.services.desk, caller.services.engine, caller.actor, job_id)
    )
