"""Workers killed with -9 at the worst moment: what was done stays done, what was not is done."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from docflow.db import Database
from docflow.jobs import JobEngine
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import SystemClock
from tests.crash.jobs_child import build
from tests.jobs_support import settled, until

CHILD = Path(__file__).with_name("jobs_child.py")


class Workers:
    """Worker processes on one database, and the marks that their jobs left."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.database = Database(url, SystemClock())
        self.engine: JobEngine = build(self.database, folder, "asks-only")
        self.engine.migrate()
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, executor_id: str = "-") -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, str(CHILD), self.url, str(self.folder), executor_id],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._children.append(child)
        return child

    def ask(self, job_id: str, kind: str = "three", **payload: str) -> None:
        with self.database.unit_of_work(SERVICE) as uow:
            self.engine.enqueue(uow, kind=kind, job_id=job_id, subject_id="s", payload=payload)

    def marks(self) -> Counter[str]:
        """How often each job began and ended each step."""
        file = self.folder / "marks"
        lines = file.read_text().splitlines() if file.exists() else []
        return Counter(line.rpartition(" ")[0] for line in lines)

    def go(self) -> None:
        (self.folder / "go").touch()

    def end(self) -> None:
        for child in self._children:
            child.kill()
            child.wait(20)
        self.database.dispose()


@pytest.fixture
def workers(database_url: str, tmp_path: Path) -> Iterator[Workers]:
    folder = tmp_path / "marks"
    folder.mkdir()
    workers = Workers(database_url, folder)
    yield workers
    workers.end()


def test_a_job_whose_worker_is_killed_goes_on_when_it_starts_again(workers: Workers) -> None:
    workers.ask("j", hang="two")
    child = workers.start()
    until(lambda: workers.marks()["j two begin"] == 1, "step two begins")
    child.send_signal(signal.SIGKILL)
    child.wait(20)
    assert workers.engine.get("j").state == "running"
    workers.go()
    workers.start()
    assert settled(workers.engine, "j").state == "done"
    marks = workers.marks()
    assert marks["j one begin"] == marks["j one end"] == 1  # not repeated
    assert (marks["j two begin"], marks["j two end"]) == (2, 1)  # was not kept: run again
    assert marks["j three end"] == 1


def test_another_worker_takes_over_after_the_lapse(workers: Workers) -> None:
    workers.ask("j", hang="two")
    child = workers.start("first")
    until(lambda: workers.marks()["j two begin"] == 1, "step two begins")
    workers.start("second")
    child.send_signal(signal.SIGKILL)
    child.wait(20)
    workers.go()
    assert settled(workers.engine, "j").state == "done"
    marks = workers.marks()
    assert (marks["j one end"], marks["j two end"], marks["j three end"]) == (1, 1, 1)


def test_a_worker_killed_while_it_tells_of_a_failure_tells_again(workers: Workers) -> None:
    workers.ask("j", kind="refused", die="on_failed")
    child = workers.start()
    child.wait(90)
    assert workers.engine.get("j").state == "running"
    workers.go()
    workers.start()
    job = settled(workers.engine, "j")
    assert (job.state, job.step, job.attempts) == ("failed", "no", 3)
    marks = workers.marks()
    assert marks["j before end"] == 1
    assert (marks["j failed begin"], marks["j failed end"]) == (2, 1)


def test_a_failed_job_is_run_again_by_another_process_from_where_it_failed(
    workers: Workers,
) -> None:
    workers.ask("j", kind="refused")
    first = workers.start("first")
    assert settled(workers.engine, "j").state == "failed"
    first.terminate()
    assert first.wait(90) == 0
    with workers.database.unit_of_work(SERVICE) as uow:
        workers.engine.retry(uow, "j")
    workers.start("second")
    until(lambda: workers.marks()["j failed end"] == 2, "the second run has failed too")
    job = settled(workers.engine, "j")
    assert (job.state, job.runs) == ("failed", 2)
    assert workers.marks()["j before end"] == 1


def test_a_worker_asked_to_end_ends_its_step_first(workers: Workers) -> None:
    workers.ask("j", hang="two")
    child = workers.start()
    until(lambda: workers.marks()["j two begin"] == 1, "step two begins")
    child.terminate()
    workers.go()
    assert child.wait(90) == 0
    assert workers.marks()["j two end"] == 1
    workers.start()
    assert settled(workers.engine, "j").state == "done"
    assert all(count == 1 for count in workers.marks().values())


def test_a_job_that_kills_its_worker_every_time_fails_in_the_end(workers: Workers) -> None:
    workers.ask("j", die="two")
    child = workers.start()
    assert child.wait(90) == -signal.SIGKILL
    # as after many more deaths; each costs a process start
    schema = "" if workers.database.is_sqlite else "dbos."
    with workers.database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {schema}workflow_status SET recovery_attempts = 21")  # noqa: S608
    workers.ask("other")
    workers.start()
    assert settled(workers.engine, "other").state == "done"
    job = settled(workers.engine, "j")
    assert job.state == "failed"
    assert "stopped again and again" in (job.error or "")
    assert workers.marks()["j failed end"] == 1
    assert workers.marks()["j two begin"] == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_worker_whose_connections_are_cut_goes_on(workers: Workers) -> None:
    workers.ask("j", hang="two")
    workers.start()
    until(lambda: workers.marks()["j two begin"] == 1, "step two begins")
    with workers.database.engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    workers.database.engine.dispose()  # this process's own were cut as well
    workers.go()
    assert settled(workers.engine, "j").state == "done"
    assert workers.marks()["j two end"] == 1
    workers.ask("after")
    assert settled(workers.engine, "after").state == "done"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_workers_run_a_hundred_jobs_once_each(workers: Workers) -> None:
    for child in ("first", "second"):
        workers.start(child)
    for number in range(100):
        workers.ask(f"j{number}")
    for number in range(100):
        assert settled(workers.engine, f"j{number}").state == "done"
    marks = workers.marks()
    assert len(marks) == 600
    assert set(marks.values()) == {1}
    lines = (workers.folder / "marks").read_text().splitlines()
    assert len({line.rpartition(" ")[2] for line in lines}) == 2  # both took part
