"""A worker process for tests to kill: runs jobs that leave a line in a file for each step.

Arguments: database URL, folder for marks and names, executor id ("-" to keep one in the folder).
A job of kind `three` has three steps; its payload may name a step to hang in until a file `go` exists.
"""

import os
import sys
import time
from pathlib import Path

from docflow.db import Database
from docflow.jobs import JobEngine, JobRun
from docflow.kernel.clock import SystemClock
from docflow.worker import Periodic, run_worker


def mark(folder: Path, line: str) -> None:
    """Append a line that survives the process."""
    handle = os.open(folder / "marks", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def build(database: Database, folder: Path, executor_id: str | None) -> JobEngine:
    """An engine whose jobs write marks."""
    engine = JobEngine(
        database,
        database.clock,
        attempts=3,
        backoff_seconds=0.1,
        poll_seconds=0.05,
        concurrency=2,
        executor_id=executor_id,
        slots_dir=folder / "slots",
        lapse_seconds=2.0,
    )

    def three(run: JobRun) -> None:
        for name in ("one", "two", "three"):
            run.step(name, lambda name=name: work(run, name))  # type: ignore[misc]

    def work(run: JobRun, name: str) -> str:
        mark(folder, f"{run.job_id} {name} begin {os.getpid()}")
        if run.payload.get("hang") == name:
            while not (folder / "go").exists():
                time.sleep(0.02)
        if run.payload.get("die") == name:
            os.kill(os.getpid(), 9)
        mark(folder, f"{run.job_id} {name} end {os.getpid()}")
        return name

    def failed(run: JobRun, error: str) -> None:
        mark(folder, f"{run.job_id} failed begin {os.getpid()}")
        if run.payload.get("die") == "on_failed" and not (folder / "go").exists():
            os.kill(os.getpid(), 9)
        mark(folder, f"{run.job_id} failed end {os.getpid()}")

    def refused(run: JobRun) -> None:
        run.step("before", lambda: work(run, "before"))
        run.step("no", no)

    def no() -> None:
        raise KeyError("x")

    engine.register("three", three, failed)
    engine.register("refused", refused, failed)
    return engine


if __name__ == "__main__":
    url, folder, executor_id = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    engine = build(
        Database(url, SystemClock()), folder, None if executor_id == "-" else executor_id
    )
    run_worker(engine, [Periodic("often", 0.3, engine.sweep)])
