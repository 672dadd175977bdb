"""Jobs and requests write to one database at the same time, on SQLite behind one writer."""

import logging
import threading
import time

import pytest
import sqlalchemy as sa

from docflow.db import Database
from docflow.db.migrate import load_metadata
from docflow.jobs import JobRun
from docflow.jobs.tables import workers
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import SystemClock
from tests.jobs_support import make_engine, settled, started


def test_eight_writers_and_a_worker_never_see_a_locked_database(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    live = Database(database.url, SystemClock())
    engine = make_engine(live, concurrency=4)

    def handler(run: JobRun) -> None:
        for name in ("a", "b", "c"):
            run.step(name, lambda: 1)

    engine.register("three", handler)
    errors: list[BaseException] = []
    rounds, threads = 25, 8

    def write(number: int) -> None:
        try:
            for turn in range(rounds):
                with live.unit_of_work(SERVICE) as uow:
                    uow.put(workers, {"executor_id": f"w{number}-{turn}", "beat_at": uow.now})
                    if turn % 5 == 0:
                        engine.enqueue(
                            uow,
                            kind="three",
                            job_id=f"j{number}-{turn}",
                            subject_id="s",
                            payload={},
                        )
        except BaseException as error:  # noqa: BLE001 - collected for the assertion
            errors.append(error)

    with caplog.at_level(logging.WARNING), started(engine):
        writers = [threading.Thread(target=write, args=(number,)) for number in range(threads)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        for number in range(threads):
            for turn in range(0, rounds, 5):
                assert settled(engine, f"j{number}-{turn}").state == "done"
    assert errors == []
    assert [record.getMessage() for record in caplog.records] == []
    with live.read() as connection:
        count = connection.execute(
            sa.select(sa.func.count()).where(workers.c.executor_id.like("w%-%"))
        ).scalar_one()
    assert count == rounds * threads
    live.dispose()


def test_a_job_starts_soon_after_it_was_asked_for(database: Database) -> None:
    live = Database(database.url, SystemClock())
    engine = make_engine(live, poll_seconds=0.2)
    begun = threading.Event()
    engine.register("note", lambda run: begun.set())
    with started(engine):
        time.sleep(0.5)
        asked = time.monotonic()
        with live.unit_of_work(SERVICE) as uow:
            engine.enqueue(uow, kind="note", job_id="n", subject_id="s", payload={})
        assert begun.wait(10)
        assert time.monotonic() - asked < 5
    live.dispose()


def test_the_engines_tables_and_docflows_bear_different_names(sqlite: Database) -> None:
    ours = set(load_metadata().tables)
    before = set(sa.inspect(sqlite.engine).get_table_names())
    make_engine(sqlite)
    engines = set(sa.inspect(sqlite.engine).get_table_names()) - before
    assert engines
    assert not ours & engines
