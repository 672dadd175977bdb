"""The sequencer: places, tiles, checkpoints, publication, and what it refuses."""

import multiprocessing
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from docflow.audit.sequencer import BATCH, Sequencer
from docflow.db import Database
from docflow.db.tables import (
    history_entries,
    history_pending,
    log_checkpoints,
    log_leaves,
    log_state,
    log_tiles,
)
from docflow.kernel.clock import ManualClock, SystemClock
from docflow.kernel.errors import IntegrityError, NotFoundError
from docflow.kernel.ids import new_id
from docflow.storage import LocalStore
from docflow.transparency.checkpoint import open_checkpoint
from docflow.transparency.merkle import root_hash
from docflow.transparency.note import SigningKey
from docflow.transparency.tiles import parse_bundle, tiles_of
from tests.audit_support import KEY, ORIGIN, Log, outlaw, told


@pytest.fixture
def log(database: Database, tmp_path: Path, clock: ManualClock) -> Log:
    return Log(database, tmp_path, clock)


def published(log: Log, path: str) -> bytes:
    with log.store.open(f"log/{path}") as file:
        return file.read()


def files(folder: Path) -> set[str]:
    top = folder / "store" / "log"
    return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}


class TestRun:
    def test_entries_get_their_places_under_a_signed_checkpoint(self, log: Log) -> None:
        log.add(3)
        assert log.run() == 3
        hashes = [bytes.fromhex(row["leaf_hash"]) for row in log.order()]
        (stored,) = log.read(log_checkpoints)
        signed = open_checkpoint(stored["note"], [KEY.verifier], origin=ORIGIN)
        assert signed.checkpoint.size == 3
        assert signed.checkpoint.root == root_hash(hashes)
        assert log.pending() == 0
        assert log.verify().ok

    def test_with_nothing_new_it_writes_nothing(self, log: Log, tmp_path: Path) -> None:
        assert log.run() == 0
        assert [log.count(table) for table in (log_state, log_checkpoints, log_tiles)] == [0, 0, 0]
        log.add()
        log.run()
        before = (log.read(log_checkpoints), log.read(log_tiles), files(tmp_path))
        assert log.run() == 0
        assert (log.read(log_checkpoints), log.read(log_tiles), files(tmp_path)) == before

    def test_a_backlog_is_taken_in_batches_each_with_its_checkpoint(self, log: Log) -> None:
        log.add(BATCH + 300)
        assert log.run() == BATCH + 300
        sizes = [row["size"] for row in log.read(log_checkpoints, log_checkpoints.c.size)]
        assert sizes == [BATCH, BATCH + 300]
        report = log.verify()
        assert report.ok, told(report)
        assert report.checked["published"] == len(tiles_of(BATCH + 300))

    def test_the_log_grows_by_any_steps_across_tiles(self, log: Log, tmp_path: Path) -> None:
        total = 0
        for step in (1, 254, 1, 1, 255, 256, 2, 30):
            log.add(step)
            total += log.run()
        hashes = [bytes.fromhex(row["leaf_hash"]) for row in log.order()]
        report = log.verify()
        assert report.ok, told(report)
        assert (report.size, report.root) == (800, root_hash(hashes).hex())
        assert {tile.path for tile in tiles_of(total)} <= files(tmp_path)

    def test_what_is_published_are_the_leaves_themselves(self, log: Log) -> None:
        log.add(260)
        log.run()
        leaves = [row["leaf"].encode() for row in log.order()]
        assert parse_bundle(published(log, "tile/entries/000"), 256) == leaves[:256]
        assert parse_bundle(published(log, "tile/entries/001.p/4"), 4) == leaves[256:]
        (stored,) = log.read(log_checkpoints)
        assert published(log, "checkpoint").decode() == stored["note"]

    def test_partial_tiles_go_once_the_full_one_is_published(
        self, log: Log, tmp_path: Path
    ) -> None:
        for step in (100, 100):
            log.add(step)
            log.run()
        assert {"tile/0/000.p/100", "tile/entries/000.p/200"} <= files(tmp_path)
        log.add(100)
        log.run()
        assert files(tmp_path) == {
            "checkpoint",
            "tile/0/000",
            "tile/0/001.p/44",
            "tile/1/000.p/1",
            "tile/entries/000",
            "tile/entries/001.p/44",
        }
        assert log.verify().ok


class TestOrder:
    def test_a_subjects_entries_keep_their_order_when_clocks_disagree(self, log: Log) -> None:
        """The second entry of a subject has a lower id than its first, as of a slower machine."""
        subjects = log.add(4)
        for subject in subjects:
            log.change(subject)
        swap_ids(log, subjects[:3])
        assert log.run() == 8
        report = log.verify()
        assert "entry-order" not in report.found, told(report)

    def test_a_predecessor_with_a_later_id_is_brought_into_the_batch(self, log: Log) -> None:
        subjects = log.add(2)
        log.change(subjects[0])
        swap_ids(log, subjects[:1])
        move_last(log, subjects[0], seq=1)
        log.add(BATCH)
        move_last(log, subjects[0], seq=1)
        assert log.run() == BATCH + 3
        by_subject = [row for row in log.order() if row["subject_id"] == subjects[0]]
        assert [row["subject_seq"] for row in by_subject] == [1, 2]
        assert by_subject[0]["index"] < BATCH


def entry_id(log: Log, subject: str, seq: int) -> str:
    return next(
        str(row["id"])
        for row in log.read(history_entries)
        if (row["subject_id"], row["subject_seq"]) == (subject, seq)
    )


def rename(connection: sa.Connection, old: str, new: str) -> None:
    for table, column in ((history_pending, "entry_id"), (history_entries, "id")):
        connection.execute(sa.update(table).where(table.c[column] == old).values({column: new}))


def swap_ids(log: Log, subjects: list[str]) -> None:
    """Swap the ids of the first two entries of each subject."""
    for subject in subjects:
        first, second = entry_id(log, subject, 1), entry_id(log, subject, 2)
        with outlaw(log.database) as connection:
            for old, new in ((first, "swap"), (second, first), ("swap", second)):
                rename(connection, old, new)


def move_last(log: Log, subject: str, seq: int) -> None:
    """Give an entry an id after all others."""
    old = entry_id(log, subject, seq)
    with outlaw(log.database) as connection:
        rename(connection, old, new_id())


class TestRefusal:
    def refused(self, log: Log, code: str) -> IntegrityError:
        before = (log.read(log_leaves), log.read(log_checkpoints), log.read(log_tiles))
        waiting = log.pending()
        with pytest.raises(IntegrityError) as caught:
            log.sequencer.run()
        assert caught.value.code == code
        assert (log.read(log_leaves), log.read(log_checkpoints), log.read(log_tiles)) == before
        assert log.pending() == waiting
        return caught.value

    def started(self, log: Log) -> None:
        log.add(5)
        log.run()
        log.add(1)

    def test_a_clock_that_went_back(self, log: Log) -> None:
        self.started(log)
        log.clock.advance(timedelta(seconds=-1))
        error = self.refused(log, "log-clock-regressed")
        assert "2026-03-02T01:30:00.000000Z" in error.detail
        log.clock.advance(timedelta(seconds=1))
        assert log.sequencer.run() == 1

    def test_another_key(self, log: Log) -> None:
        self.started(log)
        log.sequencer = Sequencer(log.database, log.store, SigningKey(ORIGIN, bytes(32)), log.clock)
        self.refused(log, "log-key-changed")

    def test_another_name(self, log: Log) -> None:
        self.started(log)
        key = SigningKey("other.example/log", bytes(range(32)))
        log.sequencer = Sequencer(log.database, log.store, key, log.clock)
        error = self.refused(log, "log-origin-changed")
        assert ORIGIN in error.detail

    def test_a_tile_that_was_changed(self, log: Log) -> None:
        self.started(log)
        with outlaw(log.database) as connection:
            hashes = bytes(5 * 32)
            connection.execute(sa.update(log_tiles).values(hashes=hashes))
        self.refused(log, "log-tree-mismatch")

    def test_a_checkpoint_that_was_taken_away(self, log: Log) -> None:
        self.started(log)
        with outlaw(log.database) as connection:
            connection.execute(sa.delete(log_checkpoints))
        self.refused(log, "log-tree-mismatch")

    def test_a_state_that_was_set_back(self, log: Log) -> None:
        self.started(log)
        with outlaw(log.database) as connection:
            connection.execute(sa.update(log_state).values(size=3, published_size=3))
        self.refused(log, "log-tree-mismatch")

    def test_an_entry_that_was_altered_while_it_waited(self, log: Log) -> None:
        self.started(log)
        (waiting,) = log.read(history_pending)
        changed = history_entries.c.id == waiting["entry_id"]
        with outlaw(log.database) as connection:
            leaf = sa.func.replace(history_entries.c.leaf, "unit.created", "unit.removed")
            connection.execute(sa.update(history_entries).where(changed).values(leaf=leaf))
        error = self.refused(log, "history-entry-altered")
        assert waiting["entry_id"] in error.detail


def sequence_all(url: str, folder: Path, results: Any) -> None:
    """Run a sequencer in a process of its own until nothing is pending."""
    database = Database(url, SystemClock())
    sequencer = Sequencer(database, LocalStore(folder / "store"), KEY, SystemClock())
    results.put(run_until_empty(database, sequencer))
    database.dispose()


def run_until_empty(database: Database, sequencer: Sequencer) -> int:
    total = 0
    while True:
        total += sequencer.run()
        with database.read() as connection:
            if connection.execute(sa.select(history_pending)).first() is None:
                return total


class TestTwoAtOnce:
    def test_threads_give_no_index_twice_and_leave_none_out(self, log: Log) -> None:
        second = Sequencer(log.database, log.store, KEY, SystemClock())
        log.sequencer = Sequencer(log.database, log.store, KEY, SystemClock())
        counts: list[int] = []
        writing = threading.Event()

        def sequence(sequencer: Sequencer) -> None:
            while not writing.is_set():
                counts.append(sequencer.run())
            counts.append(run_until_empty(log.database, sequencer))

        threads = [
            threading.Thread(target=sequence, args=(each,)) for each in (log.sequencer, second)
        ]
        for thread in threads:
            thread.start()
        for _ in range(60):
            log.change(log.add(3)[1])
        writing.set()
        for thread in threads:
            thread.join()
        assert sum(counts) == 240
        self.check(log, 240)

    def test_processes_give_no_index_twice_and_leave_none_out(
        self, log: Log, tmp_path: Path
    ) -> None:
        log.add(3 * BATCH // 2)
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        url = log.database.engine.url.render_as_string(hide_password=False)
        processes = [
            context.Process(target=sequence_all, args=(url, tmp_path, results)) for _ in range(2)
        ]
        for process in processes:
            process.start()
        counts = [results.get(timeout=60) for _ in processes]
        for process in processes:
            process.join()
            assert process.exitcode == 0
        assert sum(counts) == 3 * BATCH // 2
        self.check(log, 3 * BATCH // 2)

    def test_the_row_lock_alone_keeps_two_apart(self, log: Log) -> None:
        """Without the outer lock, as after a lost connection: transactions still take turns."""
        log.add(50)
        start = threading.Barrier(4)
        counts: list[int] = []

        def sequence() -> None:
            start.wait()
            counts.append(log.sequencer._sequence())

        threads = [threading.Thread(target=sequence) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(counts) == [0, 0, 0, 50]
        log.add()
        assert log.run() == 1
        self.check(log, 51)

    def check(self, log: Log, total: int) -> None:
        assert [row["index"] for row in log.order()] == list(range(total))
        log.sequencer.run()  # the last to run may have left publishing to this one
        report = log.verify()
        assert report.ok, told(report)
        (state,) = log.read(log_state)
        assert (state["size"], state["published_size"]) == (total, total)

    def test_one_that_finds_the_other_at_work_goes_away(self, log: Log) -> None:
        log.add()
        with log.database.exclusive("history-log") as free:
            assert free
            assert log.run() == 0
        assert log.run() == 1


def test_the_lock_is_free_again_after_its_holder(database: Database) -> None:
    with database.exclusive("a") as first, database.exclusive("b") as other:
        assert (first, other) == (True, True)
        with database.exclusive("a") as second:
            assert second is False
    with pytest.raises(NotFoundError), database.exclusive("a"):
        raise NotFoundError("inside")
    with database.exclusive("a") as third:
        assert third


def test_a_database_older_than_what_was_published_is_not_signed_on(
    tmp_path: Path, sqlite: Database, clock: ManualClock
) -> None:
    log = Log(sqlite, tmp_path, clock)
    log.add(3)
    log.run()
    backup = tmp_path / "backup.sqlite3"
    with sqlite.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql(f"VACUUM INTO '{backup}'")
    log.add(2)
    log.run()
    restored = Database(f"sqlite:///{backup}", clock)
    older = Log(restored, tmp_path, clock)
    older.add(4)
    with pytest.raises(IntegrityError) as refused:
        older.run()
    assert refused.value.code == "log-published-ahead"
    assert len(older.read(log_leaves)) == 3
    restored.dispose()
