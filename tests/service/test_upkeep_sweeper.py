"""The sweeper deletes what no row needs, and never what an upload is about to need."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from docflow.db import METADATA, Database, migrate
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import UnavailableError
from docflow.storage import LocalStore, MemoryStore, StagedFile, Staging, content_key
from docflow.upkeep.guarded import GuardedStore
from docflow.upkeep.references import referenced, referring_tables
from docflow.upkeep.sweep import Sweeper
from docflow.upkeep.tables import sweep_marks
from tests.office_support import Instance
from tests.s3_server import S3Server

DAY = timedelta(hours=24)
A_WHILE = timedelta(hours=25)


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging", max_bytes=32 * 2**20)


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def sweeper(database: Database, store: MemoryStore) -> Sweeper:
    return Sweeper(database, store, after=DAY)


@pytest.fixture
def needing(database: Database) -> Iterator[sa.Table]:
    """A table that a later version might add, in the schema of nobody but this test."""
    table = sa.Table(
        "parcels", METADATA, sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("storage_key", sa.String(200), nullable=False, index=True),
    )  # fmt: skip
    table.create(database.engine)
    yield table
    METADATA.remove(table)


def stage(staging: Staging, data: bytes) -> tuple[str, StagedFile]:
    receiving = staging.begin()
    receiving.write(data)
    staged = receiving.finish()
    return content_key(staged.sha256), staged


def put(store: MemoryStore | GuardedStore, staging: Staging, data: bytes) -> str:
    key, staged = stage(staging, data)
    store.put(key, staged)
    return key


def state_of(database: Database, key: str) -> str | None:
    with database.read() as connection:
        statement = sa.select(sweep_marks.c.state).where(sweep_marks.c.key == key)
        return connection.execute(statement).scalar_one_or_none()


def need(database: Database, table: sa.Table, key: str) -> None:
    with database.unit_of_work(SERVICE) as uow:
        uow.put(table, {"id": 1, "storage_key": key})


def test_what_no_row_needs_is_deleted_after_two_waits(
    sweeper: Sweeper, store: MemoryStore, staging: Staging, clock: ManualClock, database: Database
) -> None:
    key = put(store, staging, b"left by an upload that failed")
    assert sweeper.run().marked == 0, "too young"
    clock.advance(A_WHILE)
    assert sweeper.run().marked == 1
    assert sweeper.run().deleted == 0, "marked just now"
    assert store.size(key) is not None
    clock.advance(A_WHILE)
    swept = sweeper.run()
    assert (swept.deleted, swept.deleted_bytes) == (1, len(b"left by an upload that failed"))
    assert store.size(key) is None
    clock.advance(A_WHILE)
    sweeper.run()
    assert state_of(database, key) is None, "old marks are forgotten"


def test_files_of_documents_and_of_steps_stay(instance: Instance, clock: ManualClock) -> None:
    document = instance.to_released(instance.draft())
    for path in (instance.folder / "store" / "files").rglob("*"):
        os.utime(path, (clock.now().timestamp(),) * 2)
    needed = {row["storage_key"] for row in instance.rows("files", document_id=document)}
    needed |= {row["storage_key"] for row in instance.rows("signature_steps")}
    orphan = put(instance.services.store, instance.services.staging, b"orphan")
    os.utime(instance.folder / "store" / orphan, (clock.now().timestamp(),) * 2)
    for _ in range(4):
        clock.advance(A_WHILE)
        instance.services.upkeep.sweeper.run()
    assert instance.services.store.size(orphan) is None
    assert all(instance.services.store.size(key) is not None for key in needed)
    assert len(needed) >= 4


def test_the_published_history_and_strangers_stay(
    sweeper: Sweeper, store: MemoryStore, clock: ManualClock
) -> None:
    store.publish("log/checkpoint", b"x")
    store.publish("files/ab/somebodys-own", b"x")
    for _ in range(3):
        clock.advance(A_WHILE)
        sweeper.run()
    assert store.size("log/checkpoint") == 1
    assert store.size("files/ab/somebodys-own") == 1


def test_a_table_that_is_added_later_is_asked_too(
    sweeper: Sweeper, store: MemoryStore, staging: Staging, clock: ManualClock,
    database: Database, needing: sa.Table,
) -> None:  # fmt: skip
    key = put(store, staging, b"in a parcel")
    assert needing in referring_tables()
    need(database, needing, key)
    with database.read() as connection:
        assert referenced(connection, [key]) == {key}
    for _ in range(3):
        clock.advance(A_WHILE)
        sweeper.run()
    assert store.size(key) is not None


def test_every_table_that_needs_objects_finds_them_by_an_index() -> None:
    migrate.load_metadata()
    for table in referring_tables():
        firsts = [index.columns.keys()[0] for index in table.indexes]
        assert "storage_key" in firsts, f"{table.name} needs an index that begins with storage_key"
    assert {table.name for table in referring_tables()} >= {"files", "signature_steps"}


def test_a_row_written_while_the_mark_waits_saves_the_object(
    sweeper: Sweeper, store: MemoryStore, staging: Staging, clock: ManualClock,
    database: Database, needing: sa.Table,
) -> None:  # fmt: skip
    key = put(store, staging, b"late")
    clock.advance(A_WHILE)
    sweeper.run()
    need(database, needing, key)
    clock.advance(A_WHILE)
    assert sweeper.run().deleted == 0
    assert store.size(key) is not None
    assert state_of(database, key) is None


def test_an_upload_of_marked_bytes_takes_the_mark_away(
    sweeper: Sweeper, store: MemoryStore, staging: Staging, clock: ManualClock, database: Database
) -> None:
    key = put(store, staging, b"again")
    clock.advance(A_WHILE)
    sweeper.run()
    put(GuardedStore(store, database), staging, b"again")
    assert state_of(database, key) is None
    clock.advance(DAY - timedelta(minutes=1))  # its row may come that late
    sweeper.run()
    assert store.size(key) is not None


class Meeting(MemoryStore):
    """A store in which something else happens at a chosen moment, as other threads would have it."""

    before_put: Callable[[], object] = staticmethod(lambda: None)
    after_put: Callable[[], object] = staticmethod(lambda: None)
    before_delete: Callable[[], object] = staticmethod(lambda: None)
    after_delete: Callable[[], object] = staticmethod(lambda: None)

    def put(self, key: str, staged: StagedFile, *, retain_until: datetime | None = None) -> None:
        self.before_put()
        super().put(key, staged, retain_until=retain_until)
        self.after_put()

    def delete(self, key: str) -> None:
        self.before_delete()
        super().delete(key)
        self.after_delete()


@pytest.mark.parametrize("moment", ["before_delete", "after_delete"])
def test_an_upload_while_its_bytes_are_deleted_is_refused_and_then_accepted(
    moment: str, clock: ManualClock, database: Database, staging: Staging
) -> None:
    store = Meeting(clock)
    guarded = GuardedStore(store, database)
    sweeper = Sweeper(database, store, after=DAY)
    key = put(store, staging, b"bytes")
    clock.advance(A_WHILE)
    sweeper.run()
    clock.advance(A_WHILE)
    refused: list[UnavailableError] = []

    def upload() -> None:
        with pytest.raises(UnavailableError) as caught:
            put(guarded, staging, b"bytes")
        refused.append(caught.value)

    setattr(store, moment, upload)
    assert sweeper.run().deleted == 1
    assert [error.code for error in refused] == ["storage-being-swept"]
    put(guarded, staging, b"bytes")
    assert store.size(key) is not None
    assert state_of(database, key) is None
    sweeper.run()
    assert store.size(key) is not None


def test_an_upload_that_saw_the_object_before_it_was_deleted_is_refused(
    clock: ManualClock, database: Database, staging: Staging
) -> None:
    store = Meeting(clock)
    guarded = GuardedStore(store, database)
    sweeper = Sweeper(database, store, after=DAY)
    key = put(store, staging, b"bytes")
    clock.advance(A_WHILE)
    sweeper.run()
    clock.advance(A_WHILE)
    store.after_put = sweeper.run  # put found it there; now it is deleted, before the guard looks
    with pytest.raises(UnavailableError) as refused:
        put(guarded, staging, b"bytes")
    assert refused.value.code == "storage-being-swept"
    assert store.size(key) is None
    store.after_put = lambda: None
    put(guarded, staging, b"bytes")
    assert store.size(key) is not None


def test_a_deletion_that_failed_is_done_by_the_next_run(
    clock: ManualClock, database: Database, staging: Staging
) -> None:
    store = Meeting(clock)
    sweeper = Sweeper(database, store, after=DAY)
    key = put(store, staging, b"bytes")
    clock.advance(A_WHILE)
    sweeper.run()
    clock.advance(A_WHILE)

    def away() -> None:
        raise UnavailableError("away")

    store.before_delete = away
    with pytest.raises(UnavailableError):
        sweeper.run()
    assert state_of(database, key) == "deleting"
    with pytest.raises(UnavailableError):  # nobody may rely on what may be deleted at any moment
        put(GuardedStore(store, database), staging, b"bytes")
    store.before_delete = lambda: None
    assert sweeper.run().deleted == 1
    assert state_of(database, key) == "gone"


class Windows:
    """Lets time pass, but never more than the sweeper's wait between a `put` and its commit."""

    def __init__(self, clock: ManualClock, wait: timedelta) -> None:
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._open: dict[int, datetime] = {}

    @contextmanager
    def upload(self, number: int) -> Iterator[None]:
        with self._lock:
            self._open[number] = self._clock.now()
        yield
        with self._lock:
            del self._open[number]

    def pass_time(self) -> None:
        step = self._wait * 0.4
        with self._lock:
            now = self._clock.now()
            if all(now + step - since < self._wait for since in self._open.values()):
                self._clock.advance(step)


def test_uploads_and_the_sweeper_side_by_side_lose_nothing(
    clock: ManualClock, database: Database, staging: Staging, needing: sa.Table
) -> None:
    store = MemoryStore(clock)
    guarded = GuardedStore(store, database)
    sweeper = Sweeper(database, store, after=DAY)
    windows = Windows(clock, DAY)
    for number in range(40):
        put(store, staging, b"bytes %d" % number)
    committed: dict[int, str] = {}
    refusals: set[str] = set()
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            windows.pass_time()
            sweeper.run()

    def upload(start: int) -> None:
        for number in range(start, 40, 2):
            while number not in committed:
                with windows.upload(number):
                    try:
                        key = put(guarded, staging, b"bytes %d" % number)
                    except UnavailableError as error:
                        refusals.add(error.code)
                        continue
                    with database.unit_of_work(SERVICE) as uow:
                        uow.put(needing, {"id": number, "storage_key": key})
                    committed[number] = key

    sweeping = threading.Thread(target=sweep)
    threads = [threading.Thread(target=upload, args=(start,)) for start in range(2)]
    for thread in (sweeping, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    sweeping.join()
    assert len(committed) == 40
    assert refusals <= {"storage-being-swept"}
    assert all(store.size(key) is not None for key in committed.values())


def test_a_pass_goes_on_where_the_last_run_stopped(
    database: Database, store: MemoryStore, staging: Staging, clock: ManualClock
) -> None:
    keys = {put(store, staging, b"%d" % number) for number in range(30)}
    clock.advance(A_WHILE)
    runs = 0
    marked = 0
    while marked < len(keys):
        swept = Sweeper(database, store, after=DAY, most_objects=5).run()
        assert 0 < swept.examined < len(keys)
        marked += swept.marked
        runs += 1
    assert runs > 3
    clock.advance(A_WHILE)
    deleted = [Sweeper(database, store, after=DAY, most_deleted=7).run().deleted for _ in range(5)]
    assert deleted == [7, 7, 7, 7, 2]


def test_two_sweepers_do_not_work_at_once(
    database: Database, sweeper: Sweeper, store: MemoryStore
) -> None:
    with database.exclusive("storage-sweep") as free:
        assert free
        assert sweeper.run().idle
    assert not sweeper.run().idle


def test_a_folder_is_swept(tmp_path: Path, database: Database, staging: Staging) -> None:
    store = LocalStore(tmp_path / "store")
    key, staged = stage(staging, b"x")
    store.put(key, staged)
    old = database.clock.now() - A_WHILE
    os.utime(tmp_path / "store" / key, (old.timestamp(),) * 2)
    sweeper = Sweeper(database, store, after=DAY)
    assert sweeper.run().marked == 1
    assert isinstance(database.clock, ManualClock)
    database.clock.advance(A_WHILE)
    assert sweeper.run().deleted == 1
    assert store.size(key) is None


def test_unended_uploads_and_orphans_of_a_bucket_are_swept(
    s3_server: S3Server, sqlite: Database, staging: Staging, clock: ManualClock
) -> None:
    store = s3_server.store()
    key, staged = stage(staging, b"x" * 100)
    upload = store.client.begin(key, {})
    store.client.part(key, upload, 1, b"y" * (5 * 2**20))
    kept, other = stage(staging, b"z")
    store.put(kept, other)
    clock.advance(datetime.now(UTC) - clock.now())
    sweeper = Sweeper(sqlite, store.once(), after=DAY)
    assert sweeper.run().uploads_ended == 0, "still under way"
    clock.advance(A_WHILE)
    assert sweeper.run().uploads_ended == 1
    assert store.client.uploads("files/") == []
    clock.advance(A_WHILE)
    assert sweeper.run().deleted == 1
    assert store.size(kept) is None
    staged.discard()
