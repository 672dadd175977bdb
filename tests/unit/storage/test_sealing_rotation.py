"""Rotation: resumable, one record at a time, never letting go of a key that still is needed."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from docflow.kernel.errors import ConfigurationError, UnavailableError
from docflow.storage.sealing import (
    Envelope,
    KeyRecord,
    Keyring,
    KeyUse,
    Rewrapped,
    SealContext,
    rewrap,
    usage,
)
from docflow.storage.sealing.providers import LocalKeys

KEY_ID = "SOGD/confidential"


class Rows:
    """Rows as a table keeps them: JSON, changed by compare-and-swap."""

    def __init__(self, ring: Keyring, count: int) -> None:
        self.keys: dict[str, bytes] = {}
        self.rows: dict[str, dict[str, object]] = {}
        for number in range(count):
            file = f"file-{number}"
            self.keys[file], envelope = ring.seal_key(self.context(file))
            self.rows[file] = envelope.to_json()
        self.saves = 0
        self.crash_after: int | None = None

    @staticmethod
    def context(file: str) -> SealContext:
        return SealContext("SOGD", "doc", file, "confidential")

    def records(self) -> Iterator[KeyRecord]:
        for file, row in list(self.rows.items()):
            yield KeyRecord(f"files {file}", Envelope.from_json(row), self.context(file))

    def save(self, record: KeyRecord, envelope: Envelope) -> bool:
        file = record.context.file
        if self.crash_after == self.saves:
            raise KeyboardInterrupt
        if self.rows[file] != record.envelope.to_json():
            return False
        self.rows[file] = envelope.to_json()
        self.saves += 1
        return True

    def versions(self) -> list[int]:
        return [each.envelope.version for each in self.records()]

    def all_open(self, ring: Keyring) -> bool:
        return all(
            ring.open_key(each.envelope, each.context) == self.keys[each.context.file]
            for each in self.records()
        )


@pytest.fixture
def keys(tmp_path: Path) -> LocalKeys:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LocalKeys(tmp_path / "keys")


@pytest.fixture
def ring(keys: LocalKeys) -> Keyring:
    return Keyring(keys)


def last(steps: Iterator[Rewrapped]) -> Rewrapped:
    *_, end = steps
    return end


def test_all_records_move_to_the_new_version_and_their_data_keys_stay(ring: Keyring) -> None:
    rows = Rows(ring, 5)
    assert ring.rotate(KEY_ID) == 2
    steps = list(rewrap(ring, rows.records(), rows.save))
    assert [step.rewrapped for step in steps] == [1, 2, 3, 4, 5]
    assert rows.versions() == [2] * 5
    assert rows.all_open(ring)


def test_a_second_run_finds_nothing_to_do(ring: Keyring) -> None:
    rows = Rows(ring, 3)
    ring.rotate(KEY_ID)
    last(rewrap(ring, rows.records(), rows.save))
    assert last(rewrap(ring, rows.records(), rows.save)) == Rewrapped(seen=3, newest_already=3)
    assert rows.saves == 3


def test_a_crash_at_any_record_leaves_all_readable_and_the_next_run_finishes(ring: Keyring) -> None:
    for crash_after in range(4):
        rows = Rows(ring, 4)
        ring.rotate(KEY_ID)
        newest = ring.newest(KEY_ID)
        rows.crash_after = crash_after
        with pytest.raises(KeyboardInterrupt):
            last(rewrap(ring, rows.records(), rows.save))
        assert rows.versions().count(newest or 0) == crash_after
        assert rows.all_open(ring)
        rows.crash_after = None
        done = last(rewrap(ring, rows.records(), rows.save))
        assert (done.rewrapped, done.newest_already) == (4 - crash_after, crash_after)
        assert rows.all_open(ring)


def test_a_record_that_changed_meanwhile_is_left_alone(ring: Keyring) -> None:
    rows = Rows(ring, 2)
    ring.rotate(KEY_ID)
    seen = list(rows.records())
    context = Rows.context("file-0")
    rows.keys["file-0"], newer = ring.seal_key(context)
    rows.rows["file-0"] = newer.to_json()
    done = last(rewrap(ring, seen, rows.save))
    assert (done.rewrapped, done.changed_meanwhile) == (1, 1)
    assert rows.all_open(ring)


def test_a_record_that_does_not_open_is_told_and_the_others_go_on(ring: Keyring) -> None:
    rows = Rows(ring, 3)
    other = ring.seal_key(Rows.context("elsewhere"))[1]
    rows.rows["file-1"] = other.to_json()
    ring.rotate(KEY_ID)
    done = last(rewrap(ring, rows.records(), rows.save))
    assert (done.rewrapped, done.failed) == (2, 1)
    [(place, why)] = done.reasons
    assert place == "files file-1"
    assert "does not open" in why
    assert rows.rows["file-1"] == other.to_json()


def test_a_lost_old_key_fails_each_record_with_few_reasons_kept(
    keys: LocalKeys, ring: Keyring
) -> None:
    rows = Rows(ring, 30)
    ring.rotate(KEY_ID)
    keys.path(KEY_ID, 1).unlink()
    done = last(rewrap(ring, rows.records(), rows.save))
    assert (done.failed, done.rewrapped, len(done.reasons)) == (30, 0, 20)


def test_a_provider_that_is_missing_stops_the_run(ring: Keyring) -> None:
    rows = Rows(ring, 1)
    envelope = Envelope.from_json(rows.rows["file-0"])
    rows.rows["file-0"] = Envelope("pkcs11", KEY_ID, 1, envelope.wrapped).to_json()
    with pytest.raises(ConfigurationError):
        last(rewrap(ring, rows.records(), rows.save))


def test_a_provider_that_does_not_answer_stops_the_run(keys: LocalKeys, ring: Keyring) -> None:
    rows = Rows(ring, 1)
    ring.rotate(KEY_ID)
    keys.path(KEY_ID, 1).unlink()
    keys.path(KEY_ID, 1).mkdir()
    with pytest.raises(UnavailableError):
        last(rewrap(ring, rows.records(), rows.save))


def test_usage_tells_what_depends_on_what(keys: LocalKeys, ring: Keyring) -> None:
    rows = Rows(ring, 3)
    ring.rotate(KEY_ID)
    rows.rows["new"] = ring.seal_key(Rows.context("new"))[1].to_json()
    keys.create_next("SOGD/secret")
    lost = Envelope("file", "SOGD/gone", 4, b"")
    told = usage(ring, [*(each.envelope for each in rows.records()), lost])
    assert told == [
        KeyUse("file", "SOGD/confidential", 1, records=3, newest=False, present=True),
        KeyUse("file", "SOGD/confidential", 2, records=1, newest=True, present=True),
        KeyUse("file", "SOGD/gone", 4, records=1, newest=False, present=False),
        KeyUse("file", "SOGD/secret", 1, records=0, newest=True, present=True),
    ]
