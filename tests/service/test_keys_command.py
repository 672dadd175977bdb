"""`docflow keys status` and `rotate` over a whole instance with sealed documents."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from docflow.cli.keys import keys_app, open_instance
from docflow.documents.keyroom import KeyRoom
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import IntegrityError
from docflow.storage.sealing import Envelope, KeyRecord, Keyring
from tests.classified_support import MARKER, has_marker, marked_pdf
from tests.conftest import START
from tests.office_support import CLERK, HEAD, LEADER, SPECIALIST, Instance, development

KEY = "VPUB/confidential"


class Office:
    """An instance whose commands are typed in this process."""

    def __init__(self, instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
        self.instance = instance
        monkeypatch.setenv("DOCFLOW_DATABASE_URL", instance.settings.database_url)
        instance.clear(SPECIALIST, HEAD, LEADER, CLERK)

    def keys(self, *words: str) -> Result:
        app = keys_app(open_instance)
        with development():
            return CliRunner().invoke(app, [*words, "--data-dir", str(self.instance.folder)])

    def versions(self) -> set[int]:
        return {row["key_version"] for row in self.instance.rows("data_keys")}

    def again(self) -> Instance:
        """The instance as a process that starts now sees it; keys are in nobody's memory."""
        settings = self.instance.settings
        other = Instance(settings.data_dir, settings.database_url, ManualClock(START))
        other.clear(SPECIALIST, HEAD, LEADER, CLERK)
        return other


@pytest.fixture
def office(any_instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Office:
    return Office(any_instance, monkeypatch)


def signed(office: Office) -> str:
    """A sealed document with signed files, steps and texts."""
    return office.instance.to_signed(office.instance.sealed_draft(marked_pdf(), subject=MARKER))


def all_open(office: Office, document: str) -> bool:
    """Tell whether every file, every step and every text of a document opens, in a new process."""
    other = office.again()
    try:
        vault = other.services.desk.vault
        assert other.show(HEAD, document).row["subject"] == MARKER
        files = other.rows("files", document_id=document)
        steps = other.rows("signature_steps", document_id=document)
        assert files
        assert steps
        for row in files + steps:
            assert row["data_key_id"] is not None
            with vault.open(row) as source:
                assert source.read().startswith(b"%PDF-")
        return True
    finally:
        other.close()


def test_status_tells_what_depends_on_what(office: Office) -> None:
    signed(office)
    told = office.keys("status")
    assert told.exit_code == 0, told.output
    (line,) = [words for words in map(str.split, told.output.splitlines()) if words[:1] == [KEY]]
    count = len(office.instance.rows("data_keys"))
    assert line == [KEY, "1", "file", str(count), "newest"]
    assert not has_marker(told.output.encode())


def test_a_rotation_wraps_every_data_key_and_touches_no_content(office: Office) -> None:
    document = signed(office)
    stored = {row["storage_key"] for row in office.instance.rows("files")}
    wrapped = {row["id"]: row["wrapped"] for row in office.instance.rows("data_keys")}
    entries = len(office.instance.rows("history_entries"))
    told = office.keys("rotate")
    assert told.exit_code == 0, told.output
    assert f"{KEY}: version 2 made." in told.output
    now = {row["id"]: row["wrapped"] for row in office.instance.rows("data_keys")}
    assert now.keys() == wrapped.keys()
    assert all(now[key] != wrapped[key] for key in now)
    assert office.versions() == {2}
    assert {row["storage_key"] for row in office.instance.rows("files")} == stored
    assert len(office.instance.rows("history_entries")) == entries
    assert all_open(office, document)


def test_the_service_goes_on_while_keys_are_rotated(office: Office) -> None:
    document = office.instance.sealed_draft(marked_pdf(), subject=MARKER)
    office.instance.to_approved(document)
    assert office.keys("rotate", KEY).exit_code == 0
    assert office.instance.show(HEAD, document).row["subject"] == MARKER
    office.instance.run(office.instance.fire(LEADER, document, "sign"))
    assert office.instance.row(document)["state"] == "signed"
    another = office.instance.sealed_draft(marked_pdf(2), subject=MARKER)
    assert office.instance.show(HEAD, another).row["subject"] == MARKER
    assert max(office.versions()) == 2
    assert all_open(office, document)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_rotation_that_was_interrupted_is_finished(
    office: Office, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    document = signed(office)
    with monkeypatch.context() as patched:
        patched.setattr("docflow.documents.keyroom.KeyRoom", interrupted(after))
        with pytest.raises(Interrupted):
            office.keys("rotate")
    assert office.versions() == ({1} if after == 0 else {1, 2})
    assert all_open(office, document)  # between the two, both versions open
    told = office.keys("status")
    assert told.exit_code == 0
    told = office.keys("rotate")
    assert "finishing a rotation" in told.output
    assert (told.exit_code, office.versions()) == (0, {2})
    assert all_open(office, document)


class Interrupted(BaseException):
    """The process ended here."""


def interrupted(after: int) -> type[KeyRoom]:
    """The key room of a process that ends after it saved so many records."""

    class Ending(KeyRoom):
        left = after

        def save(self, record: KeyRecord, envelope: Envelope) -> bool:
            if self.left == 0:
                raise Interrupted
            self.left -= 1
            return super().save(record, envelope)

    return Ending


def test_a_missing_key_is_told_and_nothing_is_opened(office: Office) -> None:
    document = signed(office)
    folder = office.instance.folder / "keys"
    (path,) = folder.glob("*.confidential.v1")
    kept = path.read_bytes()
    path.unlink()
    told = office.keys("status")
    assert told.exit_code == 1
    assert "MISSING" in told.output
    other = office.again()
    with pytest.raises(IntegrityError) as refused:
        other.show(HEAD, document)
    assert refused.value.code == "key-missing"
    other.close()
    path.write_bytes(kept)
    path.chmod(0o600)
    assert office.keys("status").exit_code == 0
    assert all_open(office, document)


def test_no_new_key_takes_the_place_of_one_that_is_missing(office: Office) -> None:
    """As when the keys' folder is not mounted: what is there later must be what was there before."""
    document = signed(office)
    folder = office.instance.folder / "keys"
    hidden = folder.rename(folder.with_name("hidden"))
    folder.mkdir()
    told = office.keys("rotate")
    assert told.exit_code == 1
    other = office.again()
    with pytest.raises(IntegrityError) as refused:
        other.sealed_draft(marked_pdf(2), subject=MARKER)
    assert refused.value.code == "key-missing"
    assert other.rows("documents") == office.instance.rows("documents")
    other.close()
    assert list(folder.iterdir()) == []
    folder.rmdir()
    hidden.rename(folder)
    assert all_open(office, document)


def test_an_unknown_key_is_not_rotated(office: Office) -> None:
    signed(office)
    told = office.keys("rotate", "VPUB/secret")
    assert told.exit_code == 1
    assert office.versions() == {1}


@pytest.fixture
def ring(office: Office) -> Keyring:
    return office.instance.services.desk.vault.keyring


def test_a_record_that_changed_meanwhile_is_left_as_it_is(office: Office, ring: Keyring) -> None:
    signed(office)
    room = KeyRoom(office.instance.database, ring, "VPUB")
    record = next(iter(room.records()))
    envelope = ring.rewrap(record.envelope, record.context)
    assert room.save(record, envelope)
    assert not room.save(record, ring.rewrap(record.envelope, record.context))


def test_keys_of_an_instance_that_seals_nothing(tmp_path: Path, instance: Instance) -> None:
    with development():
        told = CliRunner().invoke(
            keys_app(open_instance), ["status", "--data-dir", str(instance.folder)]
        )
    assert told.exit_code == 0
    assert "no keys yet" in told.output
