"""Running executions: begin, the handler's steps, and how a try ends.

What is true after each point, should the process die right there: the row says `running` and the
engine still holds the execution, so it is run again and steps with a kept result are not repeated;
once the row has been changed for the next try, the next execution is queued with it, and running
the old one again changes nothing; a job is `done` or `failed` in the row before the engine forgets it.
"""

import functools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from docflow.db import Database, UnitOfWork
from docflow.jobs import records
from docflow.jobs.durable import Durable, key_of
from docflow.jobs.model import (
    LIVE,
    EngineTroubleError,
    Job,
    JobFailedError,
    JobRun,
    StepFailedError,
    backoff,
    exact_json,
    is_patient,
    is_permanent,
    patient_tries,
    sentence,
)
from docflow.kernel.actor import SERVICE
from docflow.kernel.errors import DocflowError, UnavailableError

Handler = Callable[[JobRun], None]
OnFailed = Callable[[JobRun, str], None]
OnWaiting = Callable[[JobRun, str, datetime], None]
_T = TypeVar("_T")

_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 10.0
_UNTOLD = " What depends on the job could not be told of it; the log has the details."

_logger = logging.getLogger("docflow.jobs")


@dataclass(frozen=True, slots=True)
class Registered:
    """The handler of a kind of job."""

    handler: Handler
    on_failed: OnFailed | None
    on_waiting: OnWaiting | None = None


class InterruptedRunError(BaseException):
    """Ends an execution because the worker stops; not an `Exception`, so the engine keeps it open."""


class Executions:
    """The executions of one start of the worker."""

    def __init__(
        self,
        database: Database,
        durable: Durable,
        registered: Mapping[str, Registered],
        *,
        concurrency: int,
        attempts: int,
        backoff_seconds: float,
        patience: timedelta = timedelta(0),
    ) -> None:
        self._patient_attempts = max(
            attempts, patient_tries(backoff_seconds, patience.total_seconds())
        )
        self._database = database
        self._durable = durable
        self._registered = registered
        self._attempts = attempts
        self._backoff_seconds = backoff_seconds
        self._stopping = threading.Event()
        self._active: set[str] = set()
        self._free = concurrency
        self._changed = threading.Condition()

    def active(self) -> frozenset[str]:
        """Return the executions that run in this process now."""
        with self._changed:
            return frozenset(self._active)

    def stop(self, wait_seconds: float) -> bool:
        """Let each execution end its step; tell whether all did in time."""
        with self._changed:
            self._stopping.set()
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._active, timeout=wait_seconds)

    def run(self, job_id: str, execution: int, pause: float) -> None:
        """Run one execution of a job; called by the engine in a thread of its own.

        Raises:
            JobFailedError: if the job has failed.
        """
        key = key_of(job_id, execution)
        with self._changed:
            self._active.add(key)
        try:
            self._wait(pause)
            with self._turn():
                job = self._write(lambda uow: records.begin(uow, job_id, execution))
                if job is not None:
                    self._try(job)
        finally:
            with self._changed:
                self._active.discard(key)
                self._changed.notify_all()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until fewer jobs than allowed run: the engine claims a few more, to have them ready."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0 or self._stopping.is_set())
            self._stop_here()
            self._free -= 1
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def give_up(self, job: Job) -> bool:
        """Fail a job whose execution the engine will not go on with; False if it has ended well.

        Raises:
            UnavailableError: if the database does not answer; then nothing has changed.
        """
        # a job's row is written before the engine ends its execution, so this reading decides
        if not self._is_current(job):
            return False
        _logger.error("job %s (%s): its execution %d is lost", job.id, job.kind, job.execution)
        error = "The worker stopped again and again while it ran this job, or its record was lost."
        on_failed = self._on_failed(job)
        if on_failed is not None:
            try:
                on_failed(JobRun(job, _no_steps), error)
            except UnavailableError:
                raise
            except Exception as raised:  # noqa: BLE001 - another room's code; logged
                self._failure(job, "on_failed", raised)
                error += _UNTOLD
        with self._database.unit_of_work(SERVICE) as uow:
            failed = records.fail(uow, job, step=job.step, tries=job.attempts, error=error)
        return failed is not None

    # -- one try -----------------------------------------------------------------------------------

    def _try(self, job: Job) -> None:
        run = JobRun(job, self._steps(job))
        try:
            self._handler(job)(run)
        except StepFailedError as failed:
            self._settle(job, run, failed)
        except EngineTroubleError as trouble:
            # the engine knows what its own errors mean; a lost execution, for one, is not a failure
            self._stop_here()
            raise trouble.__cause__ or trouble from None
        except Exception as error:  # noqa: BLE001 - whatever a handler raises fails its try
            self._stop_here()
            self._settle(job, run, self._failure(job, None, error))
        else:
            self._write(lambda uow: records.finish(uow, job.id, job.execution))

    def _handler(self, job: Job) -> Handler:
        registered = self._registered.get(job.kind)
        if registered is None:
            text = f"This worker has no handler for jobs of kind {job.kind}."
            raise StepFailedError(None, text, permanent=True)
        return registered.handler

    def _steps(self, job: Job) -> Callable[[str, Callable[[], Any]], Any]:
        kept: dict[str, Any] | None = None

        def step(name: str, function: Callable[[], Any]) -> Any:
            nonlocal kept
            self._stop_here()
            if kept is None:
                kept = self._kept(job)
            outcome = kept.get(name)
            if outcome is not None:
                outcome = self._durable.step(name, functools.partial(_same, outcome))
            else:
                outcome = self._durable.step(name, lambda: self._outcome(job, name, function))
            if "error" in outcome:
                raise StepFailedError(
                    name,
                    outcome["error"],
                    permanent=outcome["permanent"],
                    patient=outcome.get("patient", False),
                )
            return outcome["value"]

        return step

    def _kept(self, job: Job) -> dict[str, Any]:
        """Return the outcomes of the steps that succeeded in the execution before this one.

        Where a person had a waiting job tried at once, the execution that it waited for never ran; what
        it would have gone on from is in the one before. Two in a row cannot be passed over, because a
        job that is tried at once waits again only after it ran.
        """
        for before in range(job.execution - 1, max(job.execution - 3, 0), -1):
            results = self._durable.results(job.id, before)
            if results:
                return {name: outcome for name, outcome in results.items() if "value" in outcome}
        return {}

    def _outcome(self, job: Job, name: str, function: Callable[[], Any]) -> dict[str, Any]:
        try:
            return {"value": exact_json(function())}
        except Exception as error:  # noqa: BLE001 - whatever a step raises fails its try
            # a failure is an outcome that the engine keeps, so the next try is decided on once
            failed = self._failure(job, name, error)
            return {
                "error": failed.sentence,
                "permanent": failed.permanent,
                "patient": failed.patient,
            }

    def _failure(self, job: Job, step: str | None, error: Exception) -> StepFailedError:
        known = isinstance(error, DocflowError)
        text = sentence(error)
        _logger.warning(
            "job %s (%s), execution %d, step %s: %s",
            job.id,
            job.kind,
            job.execution,
            step or "none",
            text,
            exc_info=None if known else error,
        )
        return StepFailedError(step, text, permanent=is_permanent(error), patient=is_patient(error))

    def _settle(self, job: Job, run: JobRun, failed: StepFailedError) -> None:
        tries = job.attempts + 1 if job.step == failed.step else 1
        most = self._patient_attempts if failed.patient else self._attempts
        if failed.permanent or tries >= most:
            run.cannot_heal = failed.permanent
            if self._fail(job, run, failed.step, tries, failed.sentence):
                _logger.error("job %s (%s) failed: %s", job.id, job.kind, failed.sentence)
                raise JobFailedError(failed.sentence)
            return
        wait_seconds = backoff(self._backoff_seconds, tries)
        if failed.patient:
            self._say_waiting(job, run, failed.sentence, wait_seconds)

        def again(uow: UnitOfWork) -> Job | None:
            changed = records.retry_later(
                uow,
                job,
                step=failed.step,
                tries=tries,
                error=failed.sentence,
                next_at=uow.now + timedelta(seconds=wait_seconds),
            )
            if changed is not None:
                self._durable.enqueue(uow.connection, job.id, changed.execution, wait_seconds)
            return changed

        self._write(again)

    def _say_waiting(self, job: Job, run: JobRun, error: str, wait_seconds: float) -> None:
        """Tell the handler's room that the job waits; if it cannot be told, the job waits all the same."""
        registered = self._registered.get(job.kind)
        if registered is None or registered.on_waiting is None:
            return
        next_at = self._database.clock.now() + timedelta(seconds=wait_seconds)
        try:
            registered.on_waiting(run, error, next_at)
        except Exception as raised:  # noqa: BLE001 - another room's code; logged
            self._failure(job, "on_waiting", raised)

    def _fail(self, job: Job, run: JobRun, step: str | None, tries: int, error: str) -> bool:
        """Tell the handler's room, then people; False if the job has moved on meanwhile."""
        on_failed = self._on_failed(job)
        if on_failed is not None and self._patiently(lambda: self._is_current(job)):
            tell = functools.partial(on_failed, run, error)
            if not self._told(job, tell):
                error += _UNTOLD
        failed = self._write(
            lambda uow: records.fail(uow, job, step=step, tries=tries, error=error)
        )
        return failed is not None

    def _on_failed(self, job: Job) -> OnFailed | None:
        registered = self._registered.get(job.kind)
        return None if registered is None else registered.on_failed

    def _told(self, job: Job, tell: Callable[[], None]) -> bool:
        """Call `tell` until it succeeds, within the bounds of a step."""
        for tries in range(1, self._attempts + 1):
            try:
                tell()
            except Exception as error:  # noqa: BLE001 - another room's code; logged
                if self._failure(job, "on_failed", error).permanent:
                    break
                self._wait(backoff(self._backoff_seconds, tries))
            else:
                return True
        return False

    def _is_current(self, job: Job) -> bool:
        with self._database.read() as connection:
            now = records.get(connection, job.id)
        return now.execution == job.execution and now.state in LIVE

    # -- writing and waiting -----------------------------------------------------------------------

    def _write(self, change: Callable[[UnitOfWork], _T]) -> _T:
        def write() -> _T:
            with self._database.unit_of_work(SERVICE) as uow:
                return change(uow)

        return self._patiently(write)

    def _patiently(self, call: Callable[[], _T]) -> _T:
        """Use the jobs table, however long the database is away, unless the worker stops."""
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            try:
                return call()
            except UnavailableError:
                _logger.warning("the jobs table cannot be used, trying again", exc_info=True)
                self._wait(wait_seconds)
                wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._stopping.wait(seconds)
        self._stop_here()

    def _stop_here(self) -> None:
        if self._stopping.is_set():
            raise InterruptedRunError


def _same(outcome: dict[str, Any]) -> dict[str, Any]:
    return outcome


def _no_steps(name: str, _function: Callable[[], Any]) -> Any:
    raise RuntimeError(f"step {name!r} stands outside a handler")
