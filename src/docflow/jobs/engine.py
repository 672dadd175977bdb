"""The job engine: what the services above and the worker's door call.

A job is a row that people see and, at any time, one execution that the durable engine runs. A try
that failed ends its execution; the row is changed and the next execution queued in one transaction,
with the results of the steps that succeeded. So waiting for the next try holds no thread, survives
any crash, and a person's retry is the same thing as an automatic one.
"""

import logging
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from docflow.db import Database, UnitOfWork
from docflow.jobs import identity, records
from docflow.jobs.durable import Durable, key_of
from docflow.jobs.execution import Executions, Handler, OnFailed, OnWaiting, Registered
from docflow.jobs.model import Job, JobPage, JobState, check_job_id, exact_json
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import Clock
from docflow.kernel.errors import ConflictError, InvalidInputError, UnavailableError

_LAPSE_SECONDS = 30.0
_MOST_PAGE = 500
_CLAIM_FACTOR = (
    2  # claims for each job that may run, so that none waits for the next look at the queue
)
_SWEEP_LIMIT = 500

_logger = logging.getLogger("docflow.jobs")


class JobEngine:
    """Durable background work on one database."""

    _one_runs: ClassVar[threading.Lock] = threading.Lock()  # DBOS is one for the whole process

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        attempts: int,
        backoff_seconds: float,
        patience: timedelta = timedelta(0),
        poll_seconds: float,
        concurrency: int,
        executor_id: str | None = None,
        slots_dir: Path | None = None,
        lapse_seconds: float = _LAPSE_SECONDS,
    ) -> None:
        """Hold the engine; nothing runs until `start`.

        Args:
            database: where the jobs are.
            clock: tells the time of the jobs table and of the heartbeats.
            attempts: tries of one step before the job fails.
            backoff_seconds: wait before the second try; doubles each time, at most ten minutes.
            patience: how long to try again while a service of others is away.
            poll_seconds: how often to look for jobs.
            concurrency: jobs at the same time in this process.
            executor_id: the worker's name; by default one kept in `slots_dir`.
            slots_dir: folder of the files that keep workers' names; without it each start has a new
                name, and what a dead worker left is taken over only after `lapse_seconds`.
            lapse_seconds: a worker that did not beat for so long is taken for dead.
        """
        self._database = database
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._concurrency = concurrency
        self._given_name = executor_id
        self._slots_dir = slots_dir
        self._lapse = timedelta(seconds=lapse_seconds)
        self._durable = Durable(database)
        self._registered: dict[str, Registered] = {}
        self._attempts = attempts
        self._backoff_seconds = backoff_seconds
        self._patience = patience
        self._running: Executions | None = None
        self._slot: identity.WorkerSlot | None = None
        self._name = ""

    # -- for services ------------------------------------------------------------------------------

    def register(
        self,
        kind: str,
        handler: Handler,
        on_failed: OnFailed | None = None,
        on_waiting: OnWaiting | None = None,
    ) -> None:
        """Name the handler of a kind of job; before `start`.

        Args:
            kind: at most 32 characters.
            handler: runs the job in steps; see `JobRun.step`.
            on_failed: told when a job of this kind has failed for good, before people see it as
                failed; may be told twice, so it must be idempotent. `JobRun.cannot_heal` says whether
                trying again later could help.
            on_waiting: told, with the time of the next try, when a job waits for a service of
                others; may be told again.
        """
        if kind in self._registered or self._running is not None:
            raise RuntimeError(f"job kind {kind!r} is registered already, or too late")
        self._registered[kind] = Registered(handler, on_failed, on_waiting)

    def enqueue(
        self,
        uow: UnitOfWork,
        *,
        kind: str,
        job_id: str,
        subject_id: str,
        payload: Mapping[str, Any],
    ) -> None:
        """Ask for a job in the transaction that needs it; the same `job_id` again asks for nothing.

        Raises:
            InvalidInputError: if the id or the payload has a form that cannot be kept.
        """
        check_job_id(job_id)
        if kind not in self._registered:
            raise RuntimeError(f"no handler is registered for jobs of kind {kind!r}")
        exact = exact_json(dict(payload))
        if records.insert(uow, job_id=job_id, kind=kind, subject_id=subject_id, payload=exact):
            self._durable.enqueue(uow.connection, job_id, 1)

    def retry(self, uow: UnitOfWork, job_id: str) -> Job:
        """Run a job again at once from the step that failed; what succeeded is not repeated.

        It may have failed or wait for its next try; the execution that it waited for does nothing.

        Raises:
            NotFoundError: if there is no such job.
            ConflictError: if it neither failed nor waits for its next try.
        """
        job = records.run_again(uow, job_id)
        self._durable.enqueue(uow.connection, job.id, job.execution)
        return job

    def try_at_once(self, uow: UnitOfWork, job_id: str) -> tuple[Job, bool]:
        """Run a job again as `retry` does, but leave one that is queued or runs as it is.

        Returns:
            The job, and whether this queued it.

        Raises:
            NotFoundError: if there is no such job.
            ConflictError: if it is done or cancelled.
        """
        try:
            return self.retry(uow, job_id), True
        except ConflictError:
            job = records.get(uow.connection, job_id)
            if job.state not in {"queued", "running"}:
                raise
            return job, False

    def cancel(self, uow: UnitOfWork, job_id: str) -> Job:
        """Give up a job that is queued, retrying or failed.

        Raises:
            NotFoundError: if there is no such job.
            ConflictError: if it is running, done or cancelled already.
        """
        return records.cancel(uow, job_id)

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            NotFoundError: if there is no such job.
        """
        with self._database.read() as connection:
            return records.get(connection, job_id)

    def list(
        self,
        *,
        state: JobState | None = None,
        kind: str | None = None,
        subject_id: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """Return a page of jobs, newest first.

        Raises:
            InvalidInputError: if `before` is not a job's id or `limit` not within 1 to 500.
        """
        if not 1 <= limit <= _MOST_PAGE:
            raise InvalidInputError(f"A page of jobs has 1 to {_MOST_PAGE}, not {limit}.")
        with self._database.read() as connection:
            return records.page(
                connection,
                state=state,
                kind=kind,
                subject_id=subject_id,
                before=before,
                limit=limit,
            )

    def count_open(self) -> dict[JobState, int]:
        """Return how many jobs are in each state that is not over, failed ones included."""
        with self._database.read() as connection:
            return records.count_open(connection)

    def migrate(self) -> None:
        """Create or update the engine's own tables; the caller holds the migration lock."""
        self._durable.migrate()

    def require_current(self) -> None:
        """Refuse to work without the engine's own tables; `start` does so too.

        Raises:
            ConfigurationError: if they are missing or of another version.
        """
        self._durable.require_current()

    # -- for the worker ----------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Tell whether this process takes jobs."""
        return self._running is not None

    @property
    def executor_id(self) -> str:
        """Return the worker's name; empty before the first start."""
        return self._name

    def start(self) -> None:
        """Begin to take jobs, first those that this worker left behind.

        Raises:
            ConfigurationError: if the engine's tables are missing, or the name cannot be kept.
            RuntimeError: if a job engine runs in this process already.
        """
        if not JobEngine._one_runs.acquire(blocking=False):
            raise RuntimeError("a job engine runs in this process already")
        try:
            self._take_name()
            with self._database.unit_of_work(SERVICE) as uow:
                identity.beat(uow, self._name)
            executions = Executions(
                self._database,
                self._durable,
                self._registered,
                concurrency=self._concurrency,
                attempts=self._attempts,
                backoff_seconds=self._backoff_seconds,
                patience=self._patience,
            )
            self._durable.start(
                self._name,
                executions.run,
                claims=_CLAIM_FACTOR * self._concurrency,
                poll_seconds=self._poll_seconds,
            )
            self._running = executions
        except BaseException:
            self._drop_name()
            JobEngine._one_runs.release()
            raise

    def stop(self, wait_seconds: float = 20.0) -> bool:
        """Take no more jobs, let each running one end its step, and end the threads.

        Returns:
            Whether all of them ended within `wait_seconds`. What did not is left as if the process
            had died: its next step or its result is refused, and it is taken up again later.
        """
        executions = self._running
        if executions is None:
            return True
        try:
            self._durable.stop_taking()
            ended = executions.stop(wait_seconds)
            self._durable.stop()
            if ended:
                self._sign_off()
        finally:
            self._running = None
            self._drop_name()
            JobEngine._one_runs.release()
        return ended

    def sweep(self) -> int:
        """Beat, take over what dead workers left, and fail what can no longer go on.

        To be called every few seconds, well within the lapse, while the engine runs.

        Returns:
            How many executions were taken over or failed.
        """
        executions = self._running
        if executions is None:
            return 0
        with self._database.unit_of_work(SERVICE) as uow:
            identity.beat(uow, self._name)
            silent_since = uow.now - self._lapse
        return self._take_over(executions, silent_since) + self._fail_lost(executions, silent_since)

    def prune(self, older_than: timedelta, limit: int = 500) -> int:
        """Drop the engine's own records of executions that ended well long ago.

        Docflow's jobs stay. Returns how many were dropped; more may be left if it is `limit`.
        """
        return self._durable.prune(self._clock.now() - older_than, limit) if self.running else 0

    # -- inside ------------------------------------------------------------------------------------

    def _take_name(self) -> None:
        if self._given_name is not None:
            self._name = self._given_name
        elif self._slots_dir is not None:
            self._slot = identity.WorkerSlot(self._slots_dir)
            self._name = self._slot.name
        else:
            self._name = identity.fresh_name()

    def _sign_off(self) -> None:
        """Let others go on with this worker's jobs at once, not only after the lapse."""
        try:
            with self._database.unit_of_work(SERVICE) as uow:
                identity.forget(uow, self._name)
        except UnavailableError:
            _logger.warning("the worker could not sign off; its jobs wait for the lapse")

    def _drop_name(self) -> None:
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    def _take_over(self, executions: Executions, silent_since: datetime) -> int:
        with self._database.read() as connection:
            beats = identity.beats(connection)
        living = {name for name, beat_at in beats.items() if beat_at >= silent_since}
        lapsed_ms = int((time.time() - self._lapse.total_seconds()) * 1000)
        active = executions.active()
        taken = 0
        for claimed in self._durable.claimed():
            dead = claimed.executor_id not in living
            # the engine may also have claimed one for this worker and then failed to begin it
            stuck = (
                claimed.executor_id == self._name
                and claimed.since_ms < lapsed_ms
                and claimed.key not in active
            )
            if dead or stuck:
                taken += self._durable.give_back(claimed)
        if taken:
            _logger.warning("took over %d job executions that their workers left", taken)
        if len(living) < len(beats):
            with self._database.unit_of_work(SERVICE) as uow:
                identity.forget_silent(uow, silent_since)
        return taken

    def _fail_lost(self, executions: Executions, silent_since: datetime) -> int:
        with self._database.read() as connection:
            stale = records.stale(connection, silent_since, _SWEEP_LIMIT)
        ended = self._durable.ended(key_of(job.id, job.execution) for job in stale)
        return sum(
            executions.give_up(job) for job in stale if key_of(job.id, job.execution) in ended
        )
