"""The integrity scan finds what is wrong with stored files, tells it, and goes on after a crash."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import sqlalchemy as sa

from docflow.audit.verify import verify_everything
from docflow.db import METADATA
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConfigurationError, UnavailableError
from docflow.storage import ObjectStore
from docflow.upkeep.inspect import Pace
from docflow.upkeep.scan import Scanner, latest_round, share_done
from tests.audit_support import outlaw
from tests.office_support import Instance
from tests.s3_server import S3Server
from tests.s3_support import stage

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)


def scanner_of(instance: Instance, store: ObjectStore | None = None, **options: Any) -> Scanner:
    values: dict[str, Any] = {"bytes_per_second": None, "every": WEEK, **options}
    return Scanner(instance.database, store or instance.services.store.inner, **values)


def open_findings(instance: Instance) -> list[dict[str, Any]]:
    return instance.rows("storage_findings", cleared_at=None)


def told(instance: Instance, document: str) -> list[str]:
    """The acts of storage in a document's history, in order."""
    found = instance.rows("history_entries", subject_id=document)
    ordered = sorted(found, key=lambda row: row["subject_seq"])
    return [row["action"] for row in ordered if row["action"].startswith("document.storage-")]


def main_key(instance: Instance, document: str, form: str = "original") -> str:
    return str(instance.rows("files", document_id=document, form=form)[0]["storage_key"])


def overwrite(instance: Instance, key: str, data: bytes | None) -> None:
    path = instance.folder / "store" / key
    path.chmod(0o600)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)


def latest(instance: Instance) -> dict[str, Any]:
    with instance.database.read() as connection:
        row = latest_round(connection)
    assert row is not None
    return row


def test_a_round_reads_every_object_once_and_finds_nothing_wrong(any_instance: Instance) -> None:
    document = any_instance.to_released(any_instance.draft())
    any_instance.incoming(1)
    scanned = scanner_of(any_instance).run()
    keys = {row["storage_key"] for row in any_instance.rows("files")}
    keys |= {row["storage_key"] for row in any_instance.rows("signature_steps")}
    sizes = {row["storage_key"]: row["size"] for row in any_instance.rows("signature_steps")}
    sizes |= {row["storage_key"]: row["size"] for row in any_instance.rows("files")}
    assert scanned.finished
    assert (scanned.objects, scanned.bytes) == (len(keys), sum(sizes.values()))
    assert open_findings(any_instance) == []
    assert told(any_instance, document) == []
    assert share_done(latest(any_instance)) == 1.0


@pytest.mark.parametrize(
    ("harm", "kind"),
    [(None, "missing"), (b"short", "wrong-size"), ("flip", "damaged")],
    ids=["missing", "wrong-size", "damaged"],
)
def test_what_is_wrong_is_kept_told_looked_at_again_and_cleared(
    harm: bytes | str | None, kind: str, any_instance: Instance, clock: ManualClock
) -> None:
    instance = any_instance
    document = instance.to_signed(instance.draft())
    key = main_key(instance, document, "signed")
    whole = (instance.folder / "store" / key).read_bytes()
    bad = bytes([whole[0] ^ 1]) + whole[1:] if harm == "flip" else harm
    overwrite(instance, key, bad)  # type: ignore[arg-type]
    scanner = scanner_of(instance)
    first = scanner.run()
    # the signed file and the step that made it need the same object: two rows, two findings
    assert first.found == 2
    assert {row["kind"] for row in open_findings(instance)} == {kind}
    assert {row["source"] for row in open_findings(instance)} == {"files", "signature_steps"}
    assert told(instance, document) == ["document.storage-fault"] * 2
    clock.advance(2 * HOUR)
    assert scanner.run().found == 0, "known already"
    assert told(instance, document) == ["document.storage-fault"] * 2
    path = instance.folder / "store" / key
    if harm is not None:
        path.unlink()
    path.write_bytes(whole)
    clock.advance(2 * HOUR)
    assert scanner.run().cleared == 2, "looked at again without waiting for the next round"
    assert open_findings(instance) == []
    assert told(instance, document)[2:] == ["document.storage-healed"] * 2
    report = verify_everything(
        instance.database, instance.services.store, instance.services.log_key.verifier,
        contents=True,
    )  # fmt: skip
    assert report.findings == (), "the entries about storage are history like all others"


def test_a_row_that_someone_changed_in_the_database_is_found(any_instance: Instance) -> None:
    instance = any_instance
    document = instance.incoming(1)
    files = instance.tables["files"]
    with outlaw(instance.database) as connection:
        connection.execute(sa.update(files).values(sha256="ab" * 32))
    assert scanner_of(instance).run().found == 1
    assert [row["kind"] for row in open_findings(instance)] == ["unlike-row"]
    assert told(instance, document) == ["document.storage-fault"]


def test_bytes_and_row_that_were_exchanged_together_are_unlike_history(
    any_instance: Instance,
) -> None:
    instance = any_instance
    document = instance.incoming(1)
    key, staged = stage(instance.services.staging, b"other bytes, stored and recorded in order")
    digest, size = staged.sha256, staged.size
    instance.services.store.put(key, staged)
    files = instance.tables["files"]
    with outlaw(instance.database) as connection:
        connection.execute(
            sa.update(files)
            .where(files.c.document_id == document)
            .values(sha256=digest, size=size, storage_key=key)
        )
    scanner_of(instance).run()
    assert [row["kind"] for row in open_findings(instance)] == ["unlike-history"]


@pytest.fixture
def parcels(any_instance: Instance) -> Iterator[sa.Table]:
    """A table of sealed things that a later version might add."""
    table = sa.Table(
        "parcels", METADATA, sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("storage_key", sa.String(200), index=True), sa.Column("sha256", sa.String(64)),
        sa.Column("size", sa.BigInteger), sa.Column("data_key_id", sa.String(10)),
    )  # fmt: skip
    table.create(any_instance.database.engine)
    yield table
    METADATA.remove(table)


def test_of_sealed_bytes_only_the_key_tells_the_digest(
    any_instance: Instance, parcels: sa.Table, clock: ManualClock
) -> None:
    instance = any_instance
    key, staged = stage(instance.services.staging, b"sealed")
    instance.services.store.put(key, staged)
    row = {"id": 1, "storage_key": key, "sha256": "cd" * 32, "size": 3, "data_key_id": "{}"}
    with instance.database.unit_of_work(SERVICE) as uow:
        uow.put(parcels, row)
    assert scanner_of(instance).run().found == 0
    overwrite(instance, key, b"sealeD")
    clock.advance(WEEK)
    assert scanner_of(instance).run().found == 1
    (finding,) = open_findings(instance)
    assert (finding["kind"], finding["source"], finding["document_id"]) == (
        "damaged", "parcels", None,
    )  # fmt: skip


def test_a_round_goes_on_where_it_stopped_and_the_next_waits_its_time(
    instance: Instance, clock: ManualClock
) -> None:
    for number in range(7):
        instance.incoming(number)
    read: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(instance.services.store.inner, name)

        def open(self, key: str) -> BinaryIO:
            read.append(key)
            return instance.services.store.inner.open(key)

    shares: list[float] = []
    while True:  # each time by another process, so to speak
        scanner = scanner_of(instance, Counting(), piece_seconds=0.0, page=3)
        scanned = scanner.run()
        shares.append(share_done(latest(instance)))
        if scanned.finished or len(shares) > 20:
            break
        assert scanned.objects <= 1
    assert read == sorted({row["storage_key"] for row in instance.rows("files")}), "each once"
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) > 3
    assert scanner_of(instance, Counting()).run().objects == 0, "not due"
    clock.advance(WEEK)
    assert scanner_of(instance, Counting()).run().objects == 7
    assert latest(instance)["number"] == 2


class Away:
    """A store that does not answer, or only not for some objects."""

    def __init__(self, inner: ObjectStore, error: Exception, keys: set[str] | None = None) -> None:
        self.inner = inner
        self.error = error
        self.keys = keys

    def open(self, key: str) -> BinaryIO:
        if self.keys is None or key in self.keys:
            raise self.error
        return self.inner.open(key)

    def size(self, key: str) -> int | None:
        if self.keys is None:
            raise self.error
        return self.inner.size(key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.mark.parametrize(
    "error",
    [UnavailableError("It is silent.", code="storage-unavailable"),
     ConfigurationError("The keys are old.", code="storage-credentials-expired")],
    ids=["away", "refused"],
)  # fmt: skip
def test_a_store_that_is_away_is_one_finding_and_the_round_waits(
    error: Exception, any_instance: Instance
) -> None:
    instance = any_instance
    documents = [instance.incoming(number) for number in range(3)]
    store = Away(instance.services.store.inner, error)
    scanner = scanner_of(instance, store)
    assert scanner.run().away is not None
    assert scanner.run().found == 0
    assert [(row["kind"], row["key"]) for row in open_findings(instance)] == [("store-away", "")]
    assert all(told(instance, document) == [] for document in documents)
    assert latest(instance)["objects"] == 0
    scanned = scanner_of(instance).run()
    assert (scanned.objects, scanned.cleared, scanned.finished) == (3, 1, True)
    assert open_findings(instance) == []


def test_one_object_that_cannot_be_read_stops_nothing(any_instance: Instance) -> None:
    instance = any_instance
    documents = [instance.incoming(number) for number in range(3)]
    bad = main_key(instance, documents[1])
    store = Away(instance.services.store.inner, OSError(5, "Input/output error"), {bad})
    scanned = scanner_of(instance, store).run()
    assert (scanned.objects, scanned.found, scanned.finished) == (3, 1, True)
    (finding,) = open_findings(instance)
    assert (finding["kind"], finding["document_id"]) == ("unreadable", documents[1])
    assert "Input/output error" in finding["detail"]


def test_reading_is_held_to_its_rate() -> None:
    slept: list[float] = []
    pace = Pace(1000.0, slept.append)
    for _ in range(4):
        pace.read(500)
    assert sum(slept) > 3.0  # the sleeps are not slept, so each tells the whole lead
    assert slept == sorted(slept)
    Pace(None, slept.append).read(10**9)
    assert len(slept) == 4


def test_two_scanners_do_not_work_at_once(instance: Instance) -> None:
    with instance.database.exclusive("storage-scan"):
        assert scanner_of(instance).run().idle
        assert scanner_of(instance).run_on(anew=True).idle


def test_a_person_who_waits_has_a_round_finished_or_begun_anew(
    instance: Instance, clock: ManualClock
) -> None:
    for number in range(4):
        instance.incoming(number)
    scanner_of(instance, piece_seconds=0.0, page=1).run()
    seen: list[float] = []
    scanner = scanner_of(instance, page=1)
    done = scanner.run_on(anew=False, progress=lambda row: seen.append(share_done(row)))
    assert (done.objects, done.finished) == (3, True)
    assert seen[-1] == 1.0
    assert scanner.run_on(anew=True).objects == 4
    assert latest(instance)["number"] == 2


def test_files_in_a_bucket_are_scanned(
    tmp_path: Path, instance: Instance, s3_server: S3Server, clock: ManualClock
) -> None:
    bucket = s3_server.store()
    instance.services.store.inner = bucket
    document = instance.incoming(1)
    other = instance.incoming(2)
    assert scanner_of(instance).run().found == 0
    key = main_key(instance, document)
    bucket.client.remove_object(bucket.options.bucket, key)
    admin = s3_server.admin()
    with (tmp_path / "bad").open("w+b") as file:
        file.write(b"x")
        file.seek(0)
        admin.put_object(bucket.options.bucket, main_key(instance, other), file, 1)
    clock.advance(WEEK)
    assert scanner_of(instance).run().found == 2
    kinds = {row["document_id"]: row["kind"] for row in open_findings(instance)}
    assert kinds[document] == "missing"
    assert kinds[other] in {"wrong-size", "damaged"}
