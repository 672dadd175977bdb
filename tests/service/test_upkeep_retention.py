"""What a workflow wants kept is locked in the store, recorded, lengthened and never shortened."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from docflow.documents import retaining
from docflow.jobs.model import JobRun
from docflow.kernel.clock import ManualClock, rfc3339
from docflow.kernel.errors import ConfigurationError, ConflictError
from docflow.kernel.resources import bundled
from docflow.people.seed import BUILTIN, parse_seed
from docflow.storage.s3 import S3Store
from docflow.upkeep.retain import Retainer
from docflow.worker import Worker
from docflow.workflow import load
from tests.e2e.served import until
from tests.office_support import CLERK, Instance, copy_instance
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

WORKFLOW = (bundled("workflows") / "outgoing.yaml").read_text("utf-8")
INCOMING = (bundled("workflows") / "incoming.yaml").read_text("utf-8")
OFFICE = BUILTIN.read_text("utf-8")
TEN_YEARS = "retention: 10y\n\ndocument_types:"


def keeping(*states: tuple[str, str]) -> str:
    """The shipped procedure, with retention on some states."""
    text = WORKFLOW.replace("version: 2\n", "version: 3\n")
    for state, retain in states:
        place = f"  {state}:\n"
        assert place in text
        text = text.replace(place, f"{place}    retain: {retain}\n", 1)
    return text


@pytest.fixture
def make(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Callable[..., Instance]]:
    """Make an instance with a workflow, an office, and other settings."""
    made: list[Instance] = []

    def build(workflow: str, office: str = OFFICE, **settings: Any) -> Instance:
        folder = tmp_path / "var"
        if not made:
            copy_instance(prepared, folder)
            (folder / "workflows").mkdir()
        (folder / "workflows" / "outgoing.yaml").write_text(workflow, "utf-8")
        (folder / "workflows" / "incoming.yaml").write_text(INCOMING, "utf-8")
        (folder / "office.yaml").write_text(office, "utf-8")
        instance = Instance(
            folder, f"sqlite:///{folder / 'docflow.sqlite3'}", clock,
            workflows_dir=folder / "workflows", office_file=folder / "office.yaml", **settings,
        )  # fmt: skip
        made.append(instance)
        return instance

    yield build
    for instance in made:
        instance.close()


def retainer_of(instance: Instance) -> Retainer:
    assert instance.services.upkeep.retainer is not None
    return instance.services.upkeep.retainer


def retain(instance: Instance) -> list[str]:
    """Run every job of retention that waits; return their ids."""
    waiting = instance.rows("jobs", kind=retaining.KIND, state="queued")
    for row in waiting:
        job = instance.job(row["id"])
        retainer_of(instance).run(JobRun(job, lambda _name, function: function()))
    return [row["id"] for row in waiting]


def kept(instance: Instance, document: str) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in instance.rows("file_retentions", document_id=document)}


def keys_of(instance: Instance, document: str, *forms: str) -> set[str]:
    rows = instance.rows("files", document_id=document)
    return {row["storage_key"] for row in rows if row["form"] in forms and row["current"]}


def test_a_released_document_is_kept_as_its_type_says(
    make: Callable[..., Instance], clock: ManualClock
) -> None:
    office = OFFICE.replace("document_types:", TEN_YEARS, 1).replace(
        "{code: QĐ, ", "{code: QĐ, retention: permanent, ", 1
    )
    instance = make(keeping(("released", "kind.retention")), office)
    document = instance.to_signed(instance.draft())
    assert retain(instance) == []
    instance.run(instance.fire(CLERK, document, "release"))
    released_at = instance.row(document)["state_since"]
    assert len(retain(instance)) == 1
    records = kept(instance, document)
    assert set(records) == keys_of(instance, document, "signed", "released")
    assert {row["until"] for row in records.values()} == {
        released_at.replace(year=released_at.year + 100)
    }
    assert {row["lock"] for row in records.values()} == {"off"}, "a folder cannot lock"
    (entry,) = instance.rows("history_entries", action="document.files-retained")
    assert entry["subject_id"] == document
    before = instance.row(document)["history_seq"]
    retain(instance)  # the same job once more, as after a crash
    assert instance.row(document)["history_seq"] == before
    for key in records:
        assert (instance.folder / "store" / key).stat().st_mode & 0o222 == 0, "read-only"


def test_a_later_state_lengthens_and_never_shortens(
    make: Callable[..., Instance], clock: ManualClock
) -> None:
    instance = make(keeping(("released", "10y"), ("archived", "90d")))
    document = instance.to_released(instance.draft())
    retain(instance)
    first = kept(instance, document)
    instance.fire(CLERK, document, "archive")
    assert len(retain(instance)) == 2, "queued ones are run again here; their records stay"
    assert kept(instance, document) == first
    longer = make(
        keeping(("released", "90d"), ("archived", "20y")).replace("version: 3", "version: 4")
    )
    other = longer.to_released(longer.draft(subject="Khác"))
    retain(longer)
    short = kept(longer, other)
    clock.advance(timedelta(days=1))
    longer.fire(CLERK, other, "archive")
    retain(longer)
    long = kept(longer, other)
    assert set(long) == set(short)
    assert all(long[key]["until"] > short[key]["until"] for key in long)
    assert len(longer.rows("history_entries", action="document.files-retained")) == 3


def test_a_type_without_retention_stops_the_start(make: Callable[..., Instance]) -> None:
    with pytest.raises(ConfigurationError, match=r"kind\.retention.*NQ.*retention: 10y"):
        make(keeping(("released", "kind.retention")))


def test_a_job_whose_type_is_gone_fails_with_what_would_be_right(
    make: Callable[..., Instance],
) -> None:
    instance = make(
        keeping(("released", "kind.retention")), OFFICE.replace("document_types:", TEN_YEARS, 1)
    )
    document = instance.to_released(instance.draft())
    catalogue = instance.services.catalogue
    catalogue.seed = catalogue.seed.model_copy(update={"retention": None})
    with pytest.raises(ConflictError) as refused:
        retain(instance)
    assert refused.value.code == "retention-unknown"
    assert kept(instance, document) == {}


def test_the_office_file_says_retention_or_is_told_its_line() -> None:
    seed = parse_seed(
        OFFICE.replace("{code: QĐ, ", "{code: QĐ, retention: 20y, ", 1), "office.yaml"
    )
    by_code = {kind.code: kind.retention for kind in seed.document_types}
    assert str(by_code["QĐ"]) == "20y"
    assert by_code["CV"] is None
    line = OFFICE[: OFFICE.index("{code: QĐ, ")].count("\n") + 1
    with pytest.raises(ConfigurationError) as refused:
        parse_seed(OFFICE.replace("{code: QĐ, ", "{code: QĐ, retention: 20, ", 1), "office.yaml")
    assert f"{line}" in refused.value.detail
    assert "is not a retention" in refused.value.detail


def test_a_workflow_says_it_with_the_language(tmp_path: Path) -> None:
    path = tmp_path / "outgoing.yaml"
    path.write_text(keeping(("released", "kind.retention"), ("archived", "permanent")), "utf-8")
    states = load(path).definition.states
    assert states["released"].retain is not None
    assert states["released"].retain.retention is None
    assert str(states["archived"].retain.retention) == "permanent"  # type: ignore[union-attr]
    assert states["draft"].retain is None


def bucket_settings(server: S3Server, folder: Path, lock: str) -> dict[str, Any]:
    secret = folder / "secret"
    secret.write_text(SECRET_KEY, "utf-8")
    return {
        "s3_endpoint": server.endpoint, "s3_bucket": server.bucket(lock=True),
        "s3_access_key": ACCESS_KEY, "s3_secret_key_file": secret, "s3_object_lock": lock,
    }  # fmt: skip


def test_files_in_a_bucket_are_locked_and_cannot_be_deleted(
    make: Callable[..., Instance], s3_server: S3Server, tmp_path: Path, clock: ManualClock
) -> None:
    clock.advance(datetime.now(UTC) - clock.now())  # the service knows what time it is
    settings = bucket_settings(s3_server, tmp_path, "compliance")
    instance = make(keeping(("released", "2d")), **settings)
    document = instance.to_released(instance.draft())
    store = instance.services.store.inner
    assert isinstance(store, S3Store)
    retain(instance)
    records = kept(instance, document)
    assert {row["lock"] for row in records.values()} == {"compliance"}
    for key, row in records.items():
        head = store.client.head(key)
        assert head is not None
        assert head.retain_until is not None
        assert timedelta(0) <= head.retain_until - row["until"] <= timedelta(seconds=2)
        with pytest.raises(ConflictError) as refused:
            store.delete(key)
        assert refused.value.code == "object-retained"
    (draft,) = keys_of(instance, document, "original")
    store.delete(draft)
    assert store.size(draft) is None, "drafts are not locked"


def test_what_was_recorded_while_locking_was_off_is_locked_once_it_is_on(
    make: Callable[..., Instance], s3_server: S3Server, tmp_path: Path, clock: ManualClock
) -> None:
    clock.advance(datetime.now(UTC) - clock.now())
    settings = bucket_settings(s3_server, tmp_path, "off")
    instance = make(keeping(("released", "2d")), **settings)
    document = instance.to_released(instance.draft())
    retain(instance)
    assert {row["lock"] for row in kept(instance, document).values()} == {"off"}
    assert retainer_of(instance).catch_up() == 0
    later = make(keeping(("released", "2d")), **settings | {"s3_object_lock": "governance"})
    store = later.services.store.inner
    assert isinstance(store, S3Store)
    assert retainer_of(later).catch_up() == len(kept(later, document)) > 0
    assert retainer_of(later).catch_up() == 0
    for key, row in kept(later, document).items():
        head = store.client.head(key)
        assert row["lock"] == "governance"
        assert head is not None
        assert head.retain_until is not None


def test_a_worker_runs_the_job_that_the_transition_asked_for(make: Callable[..., Instance]) -> None:
    instance = make(keeping(("released", "10y")))
    document = instance.to_released(instance.draft())
    (job,) = [row["id"] for row in instance.rows("jobs", kind=retaining.KIND)]
    worker = Worker(instance.services.engine)
    worker.start()
    try:
        until(lambda: instance.job(job).state in {"done", "failed"}, "the job of retention")
    finally:
        worker.stop()
    assert instance.job(job).error is None
    assert instance.job(job).state == "done"
    assert set(kept(instance, document)) == keys_of(instance, document, "signed", "released")


def test_records_are_lengthened_and_never_shortened_on_both_databases(
    any_instance: Instance, clock: ManualClock
) -> None:
    document = any_instance.to_signed(any_instance.draft())
    keys = sorted(keys_of(any_instance, document, "signed"))
    retainer = retainer_of(any_instance)
    start = clock.now()
    for days, changed in ((10, 1), (10, 0), (5, 0), (20, 1)):
        plan = {"keys": keys, "until": rfc3339(start + timedelta(days=days))}
        assert retainer._record(document, plan, "signed") == changed * len(keys)
    assert {row["until"] for row in kept(any_instance, document).values()} == {
        start + timedelta(days=20)
    }
    entries = any_instance.rows("history_entries", action="document.files-retained")
    assert len(entries) == 2
