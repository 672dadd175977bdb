"""DBOS behind docflow's own words: the only file that imports it.

DBOS keeps executions (its "workflows") and the results of their steps in tables of its own, in
docflow's database. Rules that hold here: values are JSON, never pickle; the application version is
fixed, so that an update of docflow goes on with the jobs of the version before; nothing listens on a
socket; DBOS logs through Python's logging and prints nothing. There is one DBOS in a process.
"""

import contextvars
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, EnqueueOptions
from dbos import error as dbos_error

# DBOS.migrate() cannot be told to do without LISTEN/NOTIFY; the class it calls can
from dbos._sys_db import SystemDatabase

from docflow.db import Database
from docflow.jobs.model import EngineTroubleError, JobFailedError
from docflow.kernel.errors import ConfigurationError

_NAME = "docflow"
_VERSION = "1"
_QUEUE = "docflow"
_WORKFLOW = "docflow.job"
_SCHEMA = "dbos"
_MOST_DEATHS = 20  # workers that may die while they run one execution
_PENDING_LIMIT = 1000
_POOL_RESERVE = 4  # connections besides one for each running job: queue, delays, recovery, lock
_LISTENER_SECONDS = 0.2  # nothing listens; this is how long stopping waits for the idle thread


def _is_news(record: logging.LogRecord) -> bool:
    """Drop the engine's traceback of a job that failed: docflow has logged that already."""
    return not (record.exc_info and isinstance(record.exc_info[1], JobFailedError))


_logger = logging.getLogger("dbos")
_logger.addHandler(logging.NullHandler())  # DBOS adds its own to stderr where it finds none
_logger.addFilter(_is_news)
_logger.setLevel(logging.WARNING)

Body = Callable[[str, int, float], None]
"""Runs an execution: job id, its number, seconds to pause first."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An execution that some worker has taken and not ended."""

    key: str
    executor_id: str
    since_ms: int


def key_of(job_id: str, execution: int) -> str:
    """Return the engine's name of a job's execution."""
    return f"{job_id}#{execution}"


class Durable:
    """The durable engine on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._client = DBOSClient(
            system_database_engine=database.engine,
            dbos_system_schema=_SCHEMA,
            serializer=DBOSPortableJSONSerializer(),
            application_name=_NAME,
            lazy=True,
        )
        self._dbos: DBOS | None = None

    def migrate(self) -> None:
        """Create or update the engine's own tables; the caller holds the migration lock."""
        with self._system() as system:
            system.run_migrations()

    def require_current(self) -> None:
        """Refuse to work without those tables.

        Raises:
            ConfigurationError: if they are missing or of another version.
        """
        with self._system() as system:
            try:
                system.verify_migrations()
            except dbos_error.DBOSInitializationError as error:
                raise ConfigurationError(
                    "The tables of the job engine are missing or of another version; "
                    "run `docflow migrate`."
                ) from error

    @contextmanager
    def _system(self) -> Iterator[SystemDatabase]:
        system = SystemDatabase.create(
            system_database_url=self._database.url,
            engine_kwargs={"pool_size": 2, "max_overflow": 0},
            engine=None if self._database.is_sqlite else self._database.engine,
            schema=_SCHEMA,
            serializer=DBOSPortableJSONSerializer(),
            executor_id=None,
            use_listen_notify=False,
            app_name=_NAME,
        )
        try:
            yield system
        finally:
            system.destroy()

    def enqueue(
        self, connection: sa.Connection, job_id: str, execution: int, wait_seconds: float = 0.0
    ) -> None:
        """Queue an execution in the caller's transaction; a second time it does nothing.

        Args:
            connection: the open transaction.
            job_id: the job.
            execution: which of its executions.
            wait_seconds: how long it shall not start before.
        """
        options: EnqueueOptions = {
            "workflow_name": _WORKFLOW,
            "queue_name": _QUEUE,
            "workflow_id": key_of(job_id, execution),
            "app_version": _VERSION,
        }
        # the engine looks for due executions once a second; shorter waits are kept by the worker
        pause = wait_seconds if wait_seconds < 1.0 else 0.0
        if not pause and wait_seconds:
            options["delay_seconds"] = wait_seconds
        self._client.enqueue_in_transaction(connection, options, job_id, execution, pause)

    # -- running ---------------------------------------------------------------------------------

    def start(self, executor_id: str, body: Body, *, claims: int, poll_seconds: float) -> None:
        """Begin to take executions, first those that this executor left behind.

        Args:
            executor_id: the worker's name.
            body: runs an execution, in a thread of its own.
            claims: executions that this process may have taken and not ended.
            poll_seconds: how often to look for more.

        Raises:
            ConfigurationError: if the engine's tables are missing or of another version.
        """

        def execute(job_id: str, execution: int, pause: float) -> None:
            body(job_id, execution, pause)

        def launch() -> None:
            self._client.register_queue(
                _QUEUE, worker_concurrency=claims, polling_interval_sec=poll_seconds
            )
            DBOS.destroy(destroy_registry=True)
            self._dbos = DBOS(config=self._config(executor_id, claims))
            DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=_MOST_DEATHS)(execute)
            DBOS.launch()

        self.require_current()
        try:
            _in_thread(launch)
        except BaseException:
            self.stop()
            raise

    def _config(self, executor_id: str, claims: int) -> DBOSConfig:
        return {
            "name": _NAME,
            "system_database_url": self._database.url,
            "sys_db_pool_size": claims + _POOL_RESERVE,
            "dbos_system_schema": _SCHEMA,
            "application_version": _VERSION,
            "executor_id": executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": _LISTENER_SECONDS,
            "run_migrations": False,
            "log_level": "WARNING",
        }

    def stop_taking(self) -> None:
        """Take no more executions; those taken go on."""
        if self._dbos is not None:
            for event in self._dbos.background_thread_stop_events:
                event.set()

    def stop(self) -> None:
        """End the engine's threads and connections."""
        self._dbos = None
        _in_thread(lambda: DBOS.destroy(destroy_registry=True))

    def step(self, name: str, function: Callable[[], Any]) -> Any:
        """Run a step of the execution that runs in this thread, or return its kept result.

        Raises:
            EngineTroubleError: if the engine cannot keep the result or lost the execution.
        """
        try:
            return DBOS.run_step({"name": name}, function)
        except Exception as error:
            raise EngineTroubleError from error

    def results(self, job_id: str, execution: int) -> dict[str, Any]:
        """Return what the steps of an execution returned, by name."""
        # in an empty context, else the engine would keep this reading as a step of the caller
        steps = contextvars.Context().run(DBOS.list_workflow_steps, key_of(job_id, execution))
        return {step["function_name"]: step["output"] for step in steps if step["error"] is None}

    # -- looking after executions ------------------------------------------------------------------

    def claimed(self) -> list[Claimed]:
        """Return every execution that some worker has taken, whether it lives or not."""
        found = DBOS.list_workflows(
            status="PENDING",
            name=_WORKFLOW,
            limit=_PENDING_LIMIT,
            load_input=False,
            load_output=False,
        )
        return [
            Claimed(status.workflow_id, status.executor_id or "", status.dequeued_at or 0)
            for status in found
        ]

    def give_back(self, claimed: Claimed) -> bool:
        """Queue an execution again that its worker lost; False if someone else did already.

        Atomic: the row changes only while it still names that executor, so two that sweep at once
        cannot start an execution twice.
        """
        if self._dbos is None:
            return False
        system = self._dbos._sys_db  # noqa: SLF001 - no public call names the executor
        return system.reenqueue_for_recovery(claimed.key, [claimed.executor_id], _QUEUE)

    def ended(self, keys: Iterable[str]) -> set[str]:
        """Return those of the executions that will never go on: ended, given up or unknown."""
        asked = set(keys)
        if not asked:
            return set()
        found = DBOS.list_workflows(
            workflow_ids=sorted(asked),
            status=["ENQUEUED", "DELAYED", "PENDING"],
            load_input=False,
            load_output=False,
        )
        return asked - {status.workflow_id for status in found}

    def prune(self, completed_before: datetime, limit: int) -> int:
        """Drop what the engine keeps of executions that succeeded long ago; return how many."""
        found = DBOS.list_workflows(
            status=["SUCCESS", "CANCELLED"],
            name=_WORKFLOW,
            completed_before=completed_before.isoformat(),
            limit=limit,
            load_input=False,
            load_output=False,
        )
        if found:
            DBOS.delete_workflows([status.workflow_id for status in found])
        return len(found)


def _in_thread(function: Callable[[], None]) -> None:
    """Run `function` away from any event loop of the caller: DBOS behaves differently on one."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            raised.append(error)

    thread = threading.Thread(target=run, name="docflow-jobs-launch")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
