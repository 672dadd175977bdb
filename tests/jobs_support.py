"""What the tests of the jobs room share: an engine that polls fast, and waiting with a limit."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from docflow.db import Database, UnitOfWork
from docflow.jobs import Job, JobEngine
from docflow.kernel.actor import SERVICE

SECONDS = 90.0


def make_engine(database: Database, **options: Any) -> JobEngine:
    """An engine on a database, with its own tables made, not started."""
    settings: dict[str, Any] = {
        "attempts": 3,
        "backoff_seconds": 0.05,
        "poll_seconds": 0.05,
        "concurrency": 2,
    }
    engine = JobEngine(database, database.clock, **(settings | options))
    engine.migrate()
    return engine


@contextmanager
def started(engine: JobEngine) -> Iterator[JobEngine]:
    engine.start()
    try:
        yield engine
    finally:
        engine.stop(wait_seconds=SECONDS)


def ask(database: Database, engine: JobEngine, kind: str, job_id: str, **payload: Any) -> None:
    with database.unit_of_work(SERVICE) as uow:
        engine.enqueue(uow, kind=kind, job_id=job_id, subject_id="document-1", payload=payload)


class OnPurposeError(Exception):
    """Ends a unit of work that shall not commit."""


def rolled_back(database: Database, change: Callable[[UnitOfWork], object]) -> None:
    """Make a change in a unit of work that does not commit."""
    with database.unit_of_work(SERVICE) as uow:
        change(uow)
        raise OnPurposeError


def until(met: Callable[[], bool], what: str) -> None:
    """Wait until `met`, or fail."""
    deadline = time.monotonic() + SECONDS
    while not met():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {SECONDS} seconds: {what}")
        time.sleep(0.01)


def settled(engine: JobEngine, job_id: str, *states: str) -> Job:
    """Wait until a job is in one of the states, and return it."""
    wanted = states or ("done", "failed", "cancelled")
    until(lambda: engine.get(job_id).state in wanted, f"{job_id} {' or '.join(wanted)}")
    return engine.get(job_id)
