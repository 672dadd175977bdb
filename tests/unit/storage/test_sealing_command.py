"""`docflow keys status` and `rotate`, as an operator runs them, over envelopes in a real database."""

import contextlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from docflow.cli.keys import keys_app
from docflow.kernel.errors import ConfigurationError
from docflow.storage.sealing import Envelope, KeyRecord, Keyring, SealContext
from docflow.storage.sealing.providers import KeyOptions, LocalKeys, open_keyring

RUN = CliRunner()
FILES = sa.Table(
    "files",
    sa.MetaData(),
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("classification", sa.String),
    sa.Column("envelope", sa.Text),
)


class Room:
    """An office with sealed files in SQLite."""

    def __init__(self, folder: Path) -> None:
        self.keys = local(folder / "keys")
        self.keyring = Keyring(self.keys)
        self.engine = sa.create_engine(f"sqlite:///{folder / 'files.sqlite3'}")
        FILES.metadata.create_all(self.engine)
        self.data_keys: dict[str, bytes] = {}
        self.stop_after: int | None = None

    def seal(self, file: str, classification: str = "confidential") -> None:
        self.data_keys[file], envelope = self.keyring.seal_key(context(file, classification))
        row = {"id": file, "classification": classification, "envelope": as_text(envelope)}
        with self.engine.begin() as connection:
            connection.execute(sa.insert(FILES), row)

    def envelopes(self) -> Iterable[Envelope]:
        return [record.envelope for record in self.records()]

    def records(self) -> Iterator[KeyRecord]:
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(FILES).order_by(FILES.c.id)).all()
        for row in rows:
            envelope = Envelope.from_json(json.loads(row.envelope))
            yield KeyRecord(f"files {row.id}", envelope, context(row.id, row.classification))

    def save(self, record: KeyRecord, envelope: Envelope) -> bool:
        if self.stop_after == 0:
            raise KeyboardInterrupt
        self.stop_after = None if self.stop_after is None else self.stop_after - 1
        old = as_text(record.envelope)
        where = (FILES.c.id == record.context.file) & (FILES.c.envelope == old)
        with self.engine.begin() as connection:
            changed = connection.execute(
                sa.update(FILES).where(where).values(envelope=as_text(envelope))
            )
        return changed.rowcount == 1

    def run(self, *arguments: str) -> Any:
        @contextlib.contextmanager
        def open_room(_folder: Path | None) -> Iterator[Room]:
            yield self

        return RUN.invoke(keys_app(open_room), list(arguments))

    def all_open(self) -> bool:
        return all(
            self.keyring.open_key(each.envelope, each.context) == self.data_keys[each.context.file]
            for each in self.records()
        )


def local(folder: Path) -> LocalKeys:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LocalKeys(folder)


def context(file: str, classification: str) -> SealContext:
    return SealContext("SOGD", "doc", file, classification)


def as_text(envelope: Envelope) -> str:
    return json.dumps(envelope.to_json())


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.engine.dispose()


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


class TestStatus:
    def test_nothing_is_sealed_yet(self, room: Room) -> None:
        done = room.run("status")
        assert (done.exit_code, "no keys yet" in done.output) == (0, True)

    def test_shows_what_depends_on_what(self, room: Room) -> None:
        room.seal("a")
        room.seal("b")
        room.keyring.rotate("SOGD/confidential")
        room.seal("c")
        room.seal("d", "secret")
        done = room.run("status")
        assert done.exit_code == 0
        lines = words(done.output)
        assert ["SOGD/confidential", "1", "file", "2"] in lines
        assert ["SOGD/confidential", "2", "file", "1", "newest"] in lines
        assert ["SOGD/secret", "1", "file", "1", "newest"] in lines
        assert "docflow keys rotate" in done.output

    def test_a_missing_key_fails_and_is_named(self, room: Room) -> None:
        room.seal("a")
        room.keys.path("SOGD/confidential", 1).unlink()
        done = room.run("status")
        assert done.exit_code == 1
        assert "MISSING" in done.output
        assert "SOGD/confidential version 1 (file) is missing" in " ".join(done.output.split())


class TestRotate:
    def test_wraps_every_record_anew_and_all_still_open(self, room: Room) -> None:
        for number in range(5):
            room.seal(f"f{number}")
        done = room.run("rotate")
        assert done.exit_code == 0, done.output
        assert "SOGD/confidential: version 2 made." in done.output
        assert "5 records wrapped anew" in done.output
        assert {each.version for each in room.envelopes()} == {2}
        assert room.all_open()

    def test_one_key_is_turned_and_others_stay(self, room: Room) -> None:
        room.seal("a")
        room.seal("b", "secret")
        done = room.run("rotate", "SOGD/secret")
        assert done.exit_code == 0, done.output
        assert {each.key_id: each.version for each in room.envelopes()} == {
            "SOGD/confidential": 1,
            "SOGD/secret": 2,
        }

    def test_an_unknown_key_is_refused_with_those_there_are(self, room: Room) -> None:
        room.seal("a")
        done = room.run("rotate", "SOGD/confidental")
        assert done.exit_code == 1
        assert "SOGD/confidential" in done.output
        assert room.keys.versions("SOGD/confidential") == [1]

    def test_an_interrupted_rotation_is_finished_not_begun_again(self, room: Room) -> None:
        for number in range(4):
            room.seal(f"f{number}")
        room.stop_after = 2
        assert room.run("rotate").exit_code != 0
        assert sorted(each.version for each in room.envelopes()) == [1, 1, 2, 2]
        assert room.all_open()
        room.stop_after = None
        done = room.run("rotate")
        assert "finishing a rotation" in done.output
        assert "2 records wrapped anew, 2 were already" in done.output
        assert room.keys.versions("SOGD/confidential") == [1, 2]
        assert {each.version for each in room.envelopes()} == {2}
        assert room.all_open()

    def test_a_record_that_does_not_open_is_named_and_fails(self, room: Room) -> None:
        room.seal("a")
        room.seal("b")
        with room.engine.begin() as connection:
            connection.execute(sa.update(FILES).where(FILES.c.id == "a").values(id="moved"))
        done = room.run("rotate")
        assert done.exit_code == 1
        told = " ".join(done.output.split())
        assert (
            "files moved: The key-encryption key SOGD/confidential version 1 does not open" in told
        )
        assert "1 records wrapped anew" in told


class TestOptions:
    def test_moving_from_files_to_mounted_keys(self, room: Room, tmp_path: Path) -> None:
        room.seal("a")
        mounted = tmp_path / "mounted"
        mounted.mkdir()
        (mounted / "SOGD.confidential.v1").write_bytes(os.urandom(32))
        options = KeyOptions(
            provider="mounted",
            earlier=("file",),
            mounted_folder=mounted,
            local_folder=tmp_path / "keys",
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            room.keyring = open_keyring(options)
        done = room.run("rotate")
        assert done.exit_code == 0, done.output
        assert "finishing a rotation" in done.output
        assert [each.provider for each in room.envelopes()] == ["mounted"]
        room.keyring = open_keyring(KeyOptions(provider="mounted", mounted_folder=mounted))
        assert room.all_open()

    @pytest.mark.parametrize("provider", ["file", "mounted", "pkcs11"])
    def test_a_provider_that_is_not_set_up_says_what_it_needs(self, provider: Any) -> None:
        with pytest.raises(ConfigurationError) as refused:
            open_keyring(KeyOptions(provider=provider))
        assert refused.value.code == "key-provider-missing"
        assert refused.value.satisfied_by is not None

    def test_production_refuses_local_keys(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as refused:
            open_keyring(KeyOptions(local_folder=tmp_path, production=True))
        assert refused.value.code == "local-keys-refused"
