"""How a try fails and what follows: the next try, the failure for good, a person's retry."""

import json
import logging
import threading
import time

import pytest

from docflow.db import Database
from docflow.jobs import JobEngine, JobRun
from docflow.jobs.model import MAX_ERROR_CHARS, backoff
from docflow.kernel.actor import SERVICE
from docflow.kernel.errors import (
    ConflictError,
    IntegrityError,
    InvalidInputError,
    StaleVersionError,
    UnavailableError,
)
from tests.jobs_support import (
    OnPurposeError,
    ask,
    make_engine,
    rolled_back,
    settled,
    started,
    until,
)


class Tries:
    """A step that raises what it is told to, and counts."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.times: list[float] = []

    def __call__(self) -> int:
        self.times.append(time.monotonic())
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return len(self.times)


def _two_steps(first: Tries, second: Tries, results: list[object]) -> object:
    def handler(run: JobRun) -> None:
        results.append((run.step("first", first), run.step("second", second)))

    return handler


def test_a_failed_step_is_tried_again_and_the_one_before_is_not(database: Database) -> None:
    first, second, results = Tries(), Tries(UnavailableError("The TSA is away.")), list[object]()
    engine = make_engine(database)
    engine.register("sign", _two_steps(first, second, results))  # type: ignore[arg-type]
    ask(database, engine, "sign", "s")
    with started(engine):
        job = settled(engine, "s")
    assert (job.state, job.error, job.step, job.attempts, job.runs) == ("done", None, None, 0, 1)
    assert (len(first.times), len(second.times)) == (1, 2)
    assert results == [(1, 2)]


def test_every_failed_try_shows_at_once(database: Database) -> None:
    gate = threading.Event()
    engine = make_engine(database, attempts=4, backoff_seconds=600)
    tries = Tries(UnavailableError("The TSA does not answer."))

    def handler(run: JobRun) -> None:
        gate.wait(20)
        run.step("stamp", tries)

    engine.register("sign", handler)
    ask(database, engine, "sign", "s")
    with started(engine):
        assert settled(engine, "s", "running").error is None
        gate.set()
        job = settled(engine, "s", "retrying")
    assert (job.step, job.attempts, job.error) == ("stamp", 1, "The TSA does not answer.")
    assert engine.list(state="retrying").jobs == (job,)


def test_waits_double_and_are_bounded(sqlite: Database) -> None:
    tries = Tries(*[UnavailableError("away")] * 3)
    engine = make_engine(sqlite, attempts=4, backoff_seconds=0.2)
    engine.register("sign", lambda run: run.step("stamp", tries))
    ask(sqlite, engine, "sign", "s")
    with started(engine):
        assert settled(engine, "s").state == "done"
    waits = [b - a for a, b in zip(tries.times, tries.times[1:], strict=False)]
    assert waits[0] >= 0.2
    assert waits[1] >= 0.4
    assert waits[2] >= 0.8
    assert backoff(1.0, 1) == 1.0
    assert backoff(1.0, 5) == 16.0
    assert backoff(1.0, 5000) == 600.0


def test_a_wait_of_more_than_a_second_is_kept_in_the_database(database: Database) -> None:
    tries = Tries(UnavailableError("away"))
    engine = make_engine(database, backoff_seconds=1.2)
    engine.register("sign", lambda run: run.step("stamp", tries))
    ask(database, engine, "sign", "s")
    with started(engine):
        settled(engine, "s", "retrying")
    with started(engine):  # another start goes on waiting, not from the beginning
        assert settled(engine, "s").state == "done"
    assert tries.times[1] - tries.times[0] >= 1.2


def test_tries_are_bounded_and_the_job_fails_with_its_error(database: Database) -> None:
    told: list[tuple[str, str, int]] = []
    tries = Tries(*[UnavailableError("The TSA does not answer.")] * 99)
    engine = make_engine(database, attempts=3)
    engine.register(
        "sign",
        lambda run: run.step("stamp", tries),
        lambda run, error: told.append((run.subject_id, error, run.runs)),
    )
    ask(database, engine, "sign", "s")
    with started(engine):
        job = settled(engine, "s")
        ask(database, engine, "sign", "t")
        settled(engine, "t")
    assert (job.state, job.step, job.attempts) == ("failed", "stamp", 3)
    assert job.error == "The TSA does not answer."
    assert len(tries.times) == 6
    assert told == [("document-1", "The TSA does not answer.", 1)] * 2


def test_each_step_has_its_own_tries(sqlite: Database) -> None:
    away = UnavailableError("away")
    first, second, results = Tries(away, away), Tries(away, away), list[object]()
    engine = make_engine(sqlite, attempts=3)
    engine.register("sign", _two_steps(first, second, results))  # type: ignore[arg-type]
    ask(sqlite, engine, "sign", "s")
    with started(engine):
        assert settled(engine, "s").state == "done"
    assert results == [(3, 3)]


@pytest.mark.parametrize(
    "error",
    [
        ConflictError("The document was withdrawn."),
        InvalidInputError("No such recipient."),
        IntegrityError("The file has changed."),
    ],
)
def test_an_error_that_cannot_heal_is_not_tried_again(sqlite: Database, error: Exception) -> None:
    tries = Tries(error)
    engine = make_engine(sqlite)
    engine.register("sign", lambda run: run.step("stamp", tries))
    ask(sqlite, engine, "sign", "s")
    with started(engine):
        job = settled(engine, "s")
    assert (job.state, job.attempts, job.error) == ("failed", 1, str(error))
    assert len(tries.times) == 1


@pytest.mark.parametrize(
    "error", [StaleVersionError("Someone was faster."), OSError(28, "No space"), KeyError("x")]
)
def test_an_error_that_may_heal_is_tried_again(sqlite: Database, error: Exception) -> None:
    tries = Tries(error)
    engine = make_engine(sqlite)
    engine.register("sign", lambda run: run.step("stamp", tries))
    ask(sqlite, engine, "sign", "s")
    with started(engine):
        assert settled(engine, "s").state == "done"
    assert len(tries.times) == 2


def test_an_error_between_steps_is_a_failed_try_too(sqlite: Database) -> None:
    first, between = Tries(), Tries(KeyError("x"))
    engine = make_engine(sqlite)

    def handler(run: JobRun) -> None:
        run.step("first", first)
        between()
        run.step("second", Tries())

    engine.register("sign", handler)
    ask(sqlite, engine, "sign", "s")
    with started(engine):
        assert settled(engine, "s").state == "done"
    assert (len(first.times), len(between.times)) == (1, 2)


def test_a_handler_cannot_swallow_a_failed_step(sqlite: Database) -> None:
    engine = make_engine(sqlite, attempts=1)

    def handler(run: JobRun) -> None:
        try:
            run.step("seal", Tries(UnavailableError("away")))
        except Exception:  # noqa: BLE001 - the mistake under test
            run.step("deliver anyway", Tries())

    engine.register("release", handler)
    ask(sqlite, engine, "release", "r")
    with started(engine):
        assert settled(engine, "r").state == "failed"


def test_the_error_that_people_see_holds_no_secret(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "postgresql://docflow:hunter2@db/docflow"
    tries = Tries(ValueError(secret), OSError(111, "Connection refused", secret))
    engine = make_engine(sqlite, backoff_seconds=600)
    engine.register("sign", lambda run: run.step("stamp", tries))
    with started(engine), caplog.at_level(logging.WARNING):
        ask(sqlite, engine, "sign", "a")
        ask(sqlite, engine, "sign", "b")
        errors = [settled(engine, job_id, "retrying").error or "" for job_id in ("a", "b")]
    assert all("hunter2" not in error for error in errors)
    assert any("ValueError" in error for error in errors)
    assert any("Connection refused" in error for error in errors)


def test_a_long_error_is_cut(sqlite: Database) -> None:
    engine = make_engine(sqlite)
    engine.register("sign", lambda run: run.step("s", Tries(ConflictError("long " * 9999))))
    ask(sqlite, engine, "sign", "s")
    with started(engine):
        assert len(settled(engine, "s").error or "") == MAX_ERROR_CHARS


def test_a_retry_goes_on_from_the_step_that_failed(database: Database) -> None:
    first, second, results = Tries(), Tries(ConflictError("not now")), list[object]()
    engine = make_engine(database)
    engine.register("sign", _two_steps(first, second, results))  # type: ignore[arg-type]
    ask(database, engine, "sign", "s")
    with started(engine):
        settled(engine, "s", "failed")
        with database.unit_of_work(SERVICE) as uow:
            job = engine.retry(uow, "s")
        assert (job.state, job.runs, job.attempts, job.error) == ("queued", 2, 0, None)
        job = settled(engine, "s")
    assert (job.state, job.runs) == ("done", 2)
    assert (len(first.times), len(second.times)) == (1, 2)
    assert results == [(1, 2)]


def test_a_retry_that_fails_again_can_be_retried_again(database: Database) -> None:
    no = ConflictError("not now")
    first, second, results = Tries(), Tries(no, no, UnavailableError("away")), list[object]()
    told: list[int] = []
    engine = make_engine(database)
    engine.register(
        "sign",
        _two_steps(first, second, results),  # type: ignore[arg-type]
        lambda run, _error: told.append(run.runs),
    )
    ask(database, engine, "sign", "s")
    with started(engine):
        for _ in range(2):
            settled(engine, "s", "failed")
            with database.unit_of_work(SERVICE) as uow:
                engine.retry(uow, "s")
        job = settled(engine, "s", "done")
    assert (job.runs, len(first.times), results) == (3, 1, [(1, 4)])
    assert told == [1, 2]


@pytest.mark.parametrize("wait", [0.9, 600.0])  # kept by the worker, and by the engine
def test_a_waiting_job_is_tried_at_once_and_goes_on_from_the_step_that_failed(
    database: Database, wait: float
) -> None:
    away = UnavailableError("away")
    first, second, results = Tries(), Tries(away, away, away), list[object]()
    engine = make_engine(database, attempts=9, backoff_seconds=wait)
    engine.register("sign", _two_steps(first, second, results))  # type: ignore[arg-type]
    ask(database, engine, "sign", "s")
    with started(engine):
        for tries in (1, 2, 3):
            until(lambda n=tries: len(second.times) == n, "a try")  # type: ignore[misc]
            settled(engine, "s", "retrying")
            with database.unit_of_work(SERVICE) as uow:
                job, changed = engine.try_at_once(uow, "s")
            assert (job.state, job.runs, changed) == ("queued", tries + 1, True)
        job = settled(engine, "s", "done")
        assert (job.runs, len(first.times), results) == (4, 1, [(1, 4)])
        time.sleep(1.2)  # the executions that it had waited for are due, of the short wait
    assert (len(first.times), len(second.times), len(results)) == (1, 4, 1)


def test_asking_twice_for_a_try_at_once_tries_once(database: Database) -> None:
    gate = threading.Event()
    second = Tries(UnavailableError("away"))

    def handler(run: JobRun) -> None:
        if second.times:
            gate.wait(20)
        run.step("stamp", second)

    engine = make_engine(database, backoff_seconds=600)
    engine.register("sign", handler)
    ask(database, engine, "sign", "s")
    asked: list[bool] = []

    def ask_at_once() -> None:
        with database.unit_of_work(SERVICE) as uow:
            asked.append(engine.try_at_once(uow, "s")[1])

    with started(engine):
        settled(engine, "s", "retrying")
        threads = [threading.Thread(target=ask_at_once) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        settled(engine, "s", "running")
        ask_at_once()  # it is being tried
        gate.set()
        job = settled(engine, "s", "done")
        with pytest.raises(ConflictError, match="done"), database.unit_of_work(SERVICE) as uow:
            engine.try_at_once(uow, "s")
    assert sorted(asked) == [False, False, False, False, True]
    assert (job.runs, len(second.times)) == (2, 2)


def test_a_rolled_back_retry_runs_nothing(database: Database) -> None:
    tries = Tries(ConflictError("no"))
    engine = make_engine(database)
    engine.register("sign", lambda run: run.step("stamp", tries))
    engine.register("other", lambda run: None)
    ask(database, engine, "sign", "s")
    with started(engine):
        settled(engine, "s", "failed")
        with pytest.raises(OnPurposeError):
            rolled_back(database, lambda uow: engine.retry(uow, "s"))
        ask(database, engine, "other", "o")
        settled(engine, "o")
    assert (engine.get("s").state, engine.get("s").runs, len(tries.times)) == ("failed", 1, 1)


def test_a_job_cancelled_while_it_waits_does_not_go_on(database: Database) -> None:
    tries = Tries(UnavailableError("away"))
    engine = make_engine(database, backoff_seconds=0.5)
    engine.register("sign", lambda run: run.step("stamp", tries))
    engine.register("other", lambda run: None)
    ask(database, engine, "sign", "s")
    with started(engine):
        settled(engine, "s", "retrying")
        with database.unit_of_work(SERVICE) as uow:
            engine.cancel(uow, "s")
        time.sleep(1.0)
        ask(database, engine, "other", "o")
        settled(engine, "o")
    assert engine.get("s").state == "cancelled"
    assert len(tries.times) == 1


def test_a_running_job_cannot_be_cancelled(database: Database) -> None:
    gate = threading.Event()
    engine = make_engine(database)
    engine.register("sign", lambda run: run.step("stamp", lambda: gate.wait(20)))
    ask(database, engine, "sign", "s")
    with started(engine):
        settled(engine, "s", "running")
        with pytest.raises(ConflictError, match="running"), database.unit_of_work(SERVICE) as uow:
            engine.cancel(uow, "s")
        gate.set()
        assert settled(engine, "s").state == "done"


def test_what_on_failed_raises_is_tried_again_and_then_shown(database: Database) -> None:
    telling = Tries(UnavailableError("away"))
    never = Tries(*[KeyError("x")] * 9)
    engine = make_engine(database)
    step = ConflictError("no")
    engine.register("a", lambda run: run.step("s", Tries(step)), lambda run, error: telling())  # type: ignore[arg-type]
    engine.register("b", lambda run: run.step("s", Tries(step)), lambda run, error: never())  # type: ignore[arg-type]
    ask(database, engine, "a", "a")
    ask(database, engine, "b", "b")
    with started(engine):
        a, b = settled(engine, "a"), settled(engine, "b")
    assert (a.state, a.error, len(telling.times)) == ("failed", "no", 2)
    assert (b.state, len(never.times)) == ("failed", 3)
    assert b.error is not None
    assert b.error.startswith("no What depends on the job could not be told")


def test_first_and_later_executions_see_the_same_result(database: Database) -> None:
    value = {"b": [1, (2, 3)], "ữ": "đ", "none": None, "deep": {"x": True}}
    seen: list[object] = []
    engine = make_engine(database)
    second = Tries(UnavailableError("away"))

    def handler(run: JobRun) -> None:
        seen.append(run.step("value", lambda: value))
        run.step("second", second)

    engine.register("sign", handler)
    ask(database, engine, "sign", "s")
    with started(engine):
        assert settled(engine, "s").state == "done"
    assert seen == [json.loads(json.dumps(value))] * 2


def test_a_result_that_json_cannot_hold_fails_the_job(sqlite: Database) -> None:
    engine = make_engine(sqlite)
    engine.register("sign", lambda run: run.step("stamp", lambda: b"bytes"))
    ask(sqlite, engine, "sign", "s")
    with started(engine):
        job = settled(engine, "s")
    assert job.state == "failed"
    assert "JSON" in (job.error or "")


@pytest.mark.parametrize("names", [("a", "a"), ("",), ("x" * 33,)])
def test_a_step_needs_a_name_of_its_own(sqlite: Database, names: tuple[str, ...]) -> None:
    engine = make_engine(sqlite, attempts=1)

    def handler(run: JobRun) -> None:
        for name in names:
            run.step(name, lambda: None)

    engine.register("sign", handler)
    ask(sqlite, engine, "sign", "s")
    with started(engine):
        assert settled(engine, "s").state == "failed"


def test_a_job_of_a_kind_this_worker_does_not_know_fails_visibly(sqlite: Database) -> None:
    engine: JobEngine = make_engine(sqlite)
    engine.register("new-kind", lambda run: None)
    ask(sqlite, engine, "new-kind", "n")
    older = make_engine(sqlite)
    with started(older):
        job = settled(older, "n")
    assert job.state == "failed"
    assert "new-kind" in (job.error or "")
