"""Asking for jobs, listing them, giving them up: inside the transaction, with no worker needed."""

from datetime import timedelta

import pytest

from docflow.db import Database
from docflow.jobs import JobEngine, JobRun
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from tests.jobs_support import OnPurposeError, ask, make_engine, rolled_back, settled, started


def _nothing(_run: JobRun) -> None:
    return


@pytest.fixture
def engine(database: Database) -> JobEngine:
    engine = make_engine(database)
    engine.register("note", _nothing)
    engine.register("other", _nothing)
    return engine


def test_a_rolled_back_transaction_leaves_no_job(database: Database, engine: JobEngine) -> None:
    with pytest.raises(OnPurposeError):
        rolled_back(
            database,
            lambda uow: engine.enqueue(uow, kind="note", job_id="gone", subject_id="d", payload={}),
        )
    with pytest.raises(NotFoundError):
        engine.get("gone")
    ask(database, engine, "note", "kept")
    with started(engine):
        settled(engine, "kept")
        assert [job.id for job in engine.list().jobs] == ["kept"]


def test_a_job_asked_for_in_a_process_without_a_worker_is_queued(
    database: Database, engine: JobEngine
) -> None:
    ask(database, engine, "note", "n-1", number=7)
    job = engine.get("n-1")
    assert (job.state, job.runs, job.attempts, job.error) == ("queued", 1, 0, None)
    assert (job.kind, job.subject_id, job.payload) == ("note", "document-1", {"number": 7})
    assert job.requested_by == SERVICE.id


def test_asking_twice_with_one_id_runs_once(database: Database) -> None:
    engine = make_engine(database)
    seen: list[object] = []
    engine.register("note", lambda run: seen.append(run.step("s", lambda: run.payload["n"])))
    ask(database, engine, "note", "one", n=1)
    ask(database, engine, "note", "one", n=2)
    with database.unit_of_work(SERVICE) as uow:
        for number in (3, 4):
            engine.enqueue(uow, kind="note", job_id="one", subject_id="d", payload={"n": number})
    with started(engine):
        settled(engine, "one", "done")
        ask(database, engine, "note", "one", n=5)
        ask(database, engine, "note", "later", n=6)
        settled(engine, "later", "done")
    assert seen == [1, 6]


@pytest.mark.parametrize("job_id", ["", "a#1", "a b", "x" * 65, "ký", "-a"])
def test_an_id_the_engine_could_mistake_is_refused(
    database: Database, engine: JobEngine, job_id: str
) -> None:
    with pytest.raises(InvalidInputError, match="job id"):
        ask(database, engine, "note", job_id)
    assert engine.list().jobs == ()


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, float("nan"), object()])
def test_a_payload_that_json_cannot_hold_is_refused(
    database: Database, engine: JobEngine, value: object
) -> None:
    with pytest.raises(InvalidInputError, match="JSON"):
        ask(database, engine, "note", "bad", value=value)
    assert engine.list().jobs == ()


def test_an_unknown_kind_is_refused_where_it_is_asked_for(
    database: Database, engine: JobEngine
) -> None:
    with pytest.raises(RuntimeError, match="no handler"):
        ask(database, engine, "unheard-of", "u")


def test_pages_run_from_new_to_old_whatever_the_ids(
    database: Database, engine: JobEngine, clock: ManualClock
) -> None:
    ids = ["m", "z", "a", "k", "b"]
    for job_id in ids:
        ask(database, engine, "note", job_id)
        clock.advance(timedelta(seconds=1))
    with database.unit_of_work(SERVICE) as uow:  # two of one instant
        for job_id in ("same-1", "same-2"):
            engine.enqueue(uow, kind="note", job_id=job_id, subject_id="s", payload={})
    walked: list[str] = []
    before: str | None = None
    while True:
        page = engine.list(before=before, limit=2)
        walked += [job.id for job in page.jobs]
        before = page.next_before
        if before is None:
            break
    assert walked == ["same-2", "same-1", *reversed(ids)]


def test_lists_are_filtered(database: Database, engine: JobEngine) -> None:
    ask(database, engine, "note", "n")
    ask(database, engine, "other", "o")
    with database.unit_of_work(SERVICE) as uow:
        engine.enqueue(uow, kind="note", job_id="s", subject_id="document-2", payload={})
        engine.cancel(uow, "n")
    assert {job.id for job in engine.list(kind="note").jobs} == {"n", "s"}
    assert [job.id for job in engine.list(subject_id="document-2").jobs] == ["s"]
    assert [job.id for job in engine.list(state="cancelled").jobs] == ["n"]
    assert {job.id for job in engine.list(state="queued").jobs} == {"o", "s"}


@pytest.mark.parametrize("limit", [0, 501])
def test_a_page_of_no_sensible_size_is_refused(engine: JobEngine, limit: int) -> None:
    with pytest.raises(InvalidInputError):
        engine.list(limit=limit)


def test_a_place_that_is_no_job_is_refused(engine: JobEngine) -> None:
    with pytest.raises(InvalidInputError, match="last page"):
        engine.list(before="nowhere")


def test_a_cancelled_job_never_runs(database: Database) -> None:
    engine = make_engine(database)
    ran: list[str] = []
    engine.register("note", lambda run: ran.append(run.job_id))
    ask(database, engine, "note", "given-up")
    ask(database, engine, "note", "wanted")
    with database.unit_of_work(SERVICE) as uow:
        assert engine.cancel(uow, "given-up").state == "cancelled"
    with started(engine):
        settled(engine, "wanted", "done")
    assert ran == ["wanted"]
    assert engine.get("given-up").state == "cancelled"


def test_a_rolled_back_cancellation_cancels_nothing(database: Database, engine: JobEngine) -> None:
    ask(database, engine, "note", "n")
    with pytest.raises(OnPurposeError):
        rolled_back(database, lambda uow: engine.cancel(uow, "n"))
    assert engine.get("n").state == "queued"


def test_what_is_over_cannot_be_cancelled_or_run_again(
    database: Database, engine: JobEngine
) -> None:
    ask(database, engine, "note", "n")
    with started(engine):
        settled(engine, "n", "done")
    for act in (engine.cancel, engine.retry):
        with (
            pytest.raises(ConflictError, match="done") as refused,
            database.unit_of_work(SERVICE) as uow,
        ):
            act(uow, "n")
        assert refused.value.satisfied_by
        with pytest.raises(NotFoundError), database.unit_of_work(SERVICE) as uow:
            act(uow, "no-such-job")
    assert engine.get("n").state == "done"
