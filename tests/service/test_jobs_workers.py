"""Workers come and go: names, heartbeats, taking over, stopping and starting again."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from dbos import DBOSClient, DBOSPortableJSONSerializer

from docflow.db import Database
from docflow.jobs import JobEngine, JobRun
from docflow.jobs.identity import WorkerSlot
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import ManualClock, SystemClock
from docflow.kernel.errors import ConfigurationError
from docflow.worker import Periodic, Worker, run_worker
from tests.jobs_support import ask, make_engine, settled, started, until

LAPSE = timedelta(seconds=31)


class Gated:
    """A step that waits at a gate the first time it runs."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.runs = 0

    def __call__(self) -> int:
        self.runs += 1
        mine = self.runs
        if mine == 1:
            self.begun.set()
            self.gate.wait(25)
        return mine


def test_an_engine_starts_stops_and_starts_again(database: Database) -> None:
    engine = make_engine(database)
    engine.register("note", lambda run: run.step("s", lambda: None))
    for turn in range(3):
        ask(database, engine, "note", f"before-{turn}")
        with started(engine):
            ask(database, engine, "note", f"during-{turn}")
            assert settled(engine, f"before-{turn}").state == "done"
            assert settled(engine, f"during-{turn}").state == "done"
        assert not engine.running
        assert engine.stop()  # a second time does nothing


def test_engines_of_two_databases_run_one_after_the_other(
    sqlite: Database, postgres_url: str, clock: ManualClock
) -> None:
    other = Database(postgres_url, clock)
    for database in (sqlite, other, sqlite):
        engine = make_engine(database)
        engine.register("note", lambda run: None)
        name = f"n-{time.monotonic_ns()}"
        ask(database, engine, "note", name)
        with started(engine):
            assert settled(engine, name).state == "done"
    other.dispose()


def test_only_one_engine_runs_in_a_process(sqlite: Database) -> None:
    with started(make_engine(sqlite)), pytest.raises(RuntimeError, match="already"):
        make_engine(sqlite).start()
    with started(make_engine(sqlite)):
        pass


def test_a_database_without_the_engines_tables_is_refused_with_what_to_do(
    sqlite: Database, clock: ManualClock
) -> None:

    engine = JobEngine(sqlite, clock, attempts=1, backoff_seconds=1, poll_seconds=1, concurrency=1)
    with pytest.raises(ConfigurationError, match="docflow migrate"):
        engine.start()
    engine.migrate()
    with started(engine):
        assert engine.running


def test_the_tables_can_be_made_twice_and_the_engine_starts_under_an_event_loop(
    database: Database,
) -> None:
    engine = make_engine(database)
    engine.migrate()
    engine.register("note", lambda run: None)
    ask(database, engine, "note", "n")

    async def serve() -> str:
        worker = Worker(engine)
        worker.start()
        try:
            return (await asyncio.to_thread(settled, engine, "n")).state
        finally:
            assert worker.stop()

    assert asyncio.run(serve()) == "done"


def test_a_step_that_runs_when_the_worker_stops_is_waited_for(
    database: Database, tmp_path: Path
) -> None:
    step = Gated()
    after: list[int] = []
    engine = make_engine(database, slots_dir=tmp_path / "slots")

    def handler(run: JobRun) -> None:
        run.step("slow", step)
        run.step("after", lambda: after.append(1))

    engine.register("slow", handler)
    ask(database, engine, "slow", "s")
    engine.start()
    assert step.begun.wait(10)
    threading.Timer(0.3, step.gate.set).start()
    assert engine.stop(wait_seconds=20)
    assert (step.runs, after) == (1, [])
    assert engine.get("s").state == "running"
    with started(engine):  # goes on behind the step that was waited for
        assert settled(engine, "s").state == "done"
    assert (step.runs, after) == (1, [1])


def test_what_an_abandoned_step_returns_late_is_refused(database: Database, tmp_path: Path) -> None:
    step = Gated()
    results: list[int] = []
    engine = make_engine(database, slots_dir=tmp_path / "slots")
    engine.register("slow", lambda run: results.append(run.step("slow", step)))
    ask(database, engine, "slow", "s")
    engine.start()
    name = engine.executor_id
    assert step.begun.wait(10)
    assert not engine.stop(wait_seconds=0.1)
    with started(engine):
        assert engine.executor_id == name
        assert settled(engine, "s").state == "done"
        step.gate.set()
        time.sleep(0.3)
    assert engine.get("s").state == "done"
    assert (step.runs, results) == (2, [2])


def test_jobs_of_a_silent_worker_are_taken_over_after_the_lapse(
    database: Database, clock: ManualClock
) -> None:
    step = Gated()
    first: list[int] = []
    results: list[int] = []

    def handler(run: JobRun) -> None:
        run.step("first", lambda: first.append(1))
        results.append(run.step("slow", step))

    lost = make_engine(database, executor_id="lost")
    lost.register("slow", handler)
    ask(database, lost, "slow", "s")
    lost.start()
    assert step.begun.wait(10)
    assert not lost.stop(wait_seconds=0.1)

    other = make_engine(database, executor_id="other")
    other.register("slow", handler)
    with started(other):
        assert other.sweep() == 0  # its last beat is fresh
        clock.advance(LAPSE)
        assert other.sweep() == 1
        assert other.sweep() == 0
        assert settled(other, "s").state == "done"
        step.gate.set()
    assert (first, step.runs, results) == ([1], 2, [2])


def test_jobs_of_a_worker_that_signed_off_are_taken_over_at_once(database: Database) -> None:
    step = Gated()
    after: list[str] = []

    def handler(run: JobRun) -> None:
        run.step("slow", step)
        run.step("after", lambda: after.append(run.job_id))

    leaving = make_engine(database, executor_id="leaving")
    leaving.register("slow", handler)
    ask(database, leaving, "slow", "s")
    leaving.start()
    assert step.begun.wait(10)
    threading.Timer(0.3, step.gate.set).start()
    assert leaving.stop(wait_seconds=20)
    other = make_engine(database, executor_id="other")
    other.register("slow", handler)
    with started(other):
        assert other.sweep() == 1
        assert settled(other, "s").state == "done"
    assert (step.runs, after) == (1, ["s"])


def test_a_beating_workers_jobs_are_left_alone(database: Database, clock: ManualClock) -> None:
    step = Gated()
    engine = make_engine(database)
    engine.register("slow", lambda run: run.step("slow", step))
    ask(database, engine, "slow", "s")
    with started(engine):
        assert step.begun.wait(10)
        for _ in range(5):
            clock.advance(timedelta(seconds=20))
            assert engine.sweep() == 0
        step.gate.set()
        assert settled(engine, "s").state == "done"
    assert step.runs == 1


def test_a_job_whose_execution_is_lost_fails_visibly_and_can_be_run_again(
    database: Database, clock: ManualClock
) -> None:
    told: list[str] = []
    engine = make_engine(database)
    engine.register("note", lambda run: None, lambda run, error: told.append(error))
    ask(database, engine, "note", "n")
    with started(make_engine(database)):
        pass
    # as after a restore of docflow's tables without the engine's
    client = DBOSClient(
        system_database_engine=database.engine, serializer=DBOSPortableJSONSerializer()
    )
    client.delete_workflows(["n#1"])
    with started(engine):
        time.sleep(0.2)
        assert engine.sweep() == 0
        clock.advance(LAPSE)
        assert engine.sweep() == 1
        job = engine.get("n")
        assert job.state == "failed"
        assert told == [job.error]
        with database.unit_of_work(SERVICE) as uow:
            engine.retry(uow, "n")
        assert settled(engine, "n").state == "done"


def test_an_execution_claimed_and_never_begun_is_queued_again(database: Database) -> None:
    ran: list[str] = []
    engine = make_engine(database, executor_id="me", poll_seconds=0.5)
    engine.register("note", lambda run: ran.append(run.job_id))
    schema = "" if database.is_sqlite else "dbos."
    with started(engine):
        with database.unit_of_work(SERVICE) as uow:
            engine.enqueue(uow, kind="note", job_id="n", subject_id="s", payload={})
            uow.connection.exec_driver_sql(  # what the engine writes just before it fails to begin
                f"UPDATE {schema}workflow_status SET status = 'PENDING', executor_id = 'me', "  # noqa: S608
                "started_at_epoch_ms = 1"
            )
        time.sleep(1.0)
        assert ran == []
        assert engine.sweep() == 1
        assert settled(engine, "n").state == "done"


def test_old_records_of_the_engine_are_dropped_and_docflows_jobs_stay(database: Database) -> None:
    now = Database(database.url, SystemClock())
    engine = make_engine(now)
    engine.register("note", lambda run: run.step("s", lambda: None))
    with started(engine):
        for number in range(3):
            ask(now, engine, "note", f"n{number}")
            settled(engine, f"n{number}", "done")
        assert engine.prune(timedelta(hours=1)) == 0
        until(lambda: engine.prune(timedelta(seconds=-5)) == 3, "three dropped")
        assert engine.prune(timedelta(seconds=-5)) == 0
    assert len(engine.list(state="done").jobs) == 3
    now.dispose()


def test_two_workers_on_one_folder_never_share_a_name(tmp_path: Path) -> None:
    first, second = WorkerSlot(tmp_path), WorkerSlot(tmp_path)
    names = {first.name, second.name}
    assert len(names) == 2
    first.release()
    third = WorkerSlot(tmp_path)
    assert third.name == first.name  # a worker that starts again has its name again
    second.release()
    third.release()
    assert socket.gethostname()[:8].replace("_", "-") in third.name


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="name"):
        WorkerSlot(tmp_path / "file" / "slots")


def test_a_damaged_name_file_gets_a_new_name(tmp_path: Path) -> None:
    (tmp_path / "worker-1.lock").write_bytes(b"\xff\x00 no name")
    slot = WorkerSlot(tmp_path)
    assert slot.name
    kept = slot.name
    slot.release()
    again = WorkerSlot(tmp_path)
    assert again.name == kept
    again.release()


def test_duties_recur_and_one_that_raises_does_not_end_the_others(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    good: list[float] = []
    bad: list[float] = []

    def failing() -> None:
        bad.append(time.monotonic())
        raise ValueError("broken duty")

    worker = Worker(
        make_engine(sqlite),
        [Periodic("good", 0.05, lambda: good.append(1.0)), Periodic("bad", 0.05, failing)],
    )
    with caplog.at_level(logging.ERROR, "docflow.worker"):
        worker.start()
        until(lambda: len(good) >= 12 and len(bad) >= 3, "both recur")
        assert worker.stop()
    assert bad[2] - bad[1] > bad[1] - bad[0]  # each time later
    assert any("duty bad failed" in record.message for record in caplog.records)
    count = len(good)
    time.sleep(0.2)
    assert len(good) == count


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_worker_cleanly(sqlite: Database, number: signal.Signals) -> None:
    engine = make_engine(sqlite)
    engine.register("note", lambda run: None)
    ask(sqlite, engine, "note", "n")
    before = signal.getsignal(number)

    def ask_to_end() -> None:
        settled(engine, "n")
        os.kill(os.getpid(), number)

    asker = threading.Thread(target=ask_to_end)
    asker.start()
    assert run_worker(engine, [])
    asker.join()
    assert signal.getsignal(number) is before
    assert not engine.running


def test_nothing_is_printed_and_nothing_listens(sqlite: Database) -> None:
    script = """
import socket, sys, threading
opened = []
sys.addaudithook(lambda name, _: opened.append(name) if name.startswith("socket.") else None)
from docflow.db import Database
from docflow.jobs import JobEngine
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import SystemClock
database = Database(sys.argv[1], SystemClock())
engine = JobEngine(database, SystemClock(), attempts=1, backoff_seconds=1, poll_seconds=0.05,
                   concurrency=1, executor_id="quiet")
engine.migrate()
ran = threading.Event()
engine.register("note", lambda run: ran.set())
with database.unit_of_work(SERVICE) as uow:
    engine.enqueue(uow, kind="note", job_id="n", subject_id="s", payload={})
engine.start()
assert ran.wait(20)
assert engine.stop()
assert "socket.bind" not in opened, opened
assert "socket.connect" not in opened, opened
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, sqlite.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
