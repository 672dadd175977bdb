"""Key providers over files, envelopes, and what happens when a key is missing or another one."""

import base64
import os
import threading
from pathlib import Path

import pytest

from docflow.kernel.errors import (
    ConfigurationError,
    DevelopmentModeWarning,
    IntegrityError,
    OutsideUnavailableError,
    UnavailableError,
)
from docflow.storage.sealing import Envelope, KeyProvider, Keyring, SealContext
from docflow.storage.sealing.context import check_key_id
from docflow.storage.sealing.providers import LocalKeys, MountedKeys

CONTEXT = SealContext("SOGD", "doc-1", "file-1", "confidential")
KEY_ID = "SOGD/confidential"


def local(folder: Path) -> LocalKeys:
    with pytest.warns(DevelopmentModeWarning, match="not for production"):
        return LocalKeys(folder)


@pytest.fixture
def keys(tmp_path: Path) -> LocalKeys:
    return local(tmp_path / "keys")


@pytest.fixture
def ring(keys: LocalKeys) -> Keyring:
    return Keyring(keys)


class TestContext:
    def test_every_part_changes_what_is_bound_in(self) -> None:
        contexts = [
            CONTEXT,
            SealContext("SOYT", "doc-1", "file-1", "confidential"),
            SealContext("SOGD", "doc-2", "file-1", "confidential"),
            SealContext("SOGD", "doc-1", "file-2", "confidential"),
            SealContext("SOGD", "doc-1", "file-1", "secret"),
            SealContext.of_fields("SOGD", "doc-1", "confidential"),
        ]
        encoded = {each.encode(purpose) for each in contexts for purpose in ("content", "data-key")}
        assert len(encoded) == 12

    def test_codes_with_vietnamese_letters_and_dots_name_keys(self) -> None:
        assert check_key_id("000.00.01.H26/mật") == ("000.00.01.H26", "mật")
        assert SealContext("SởGD-ĐT", "d", "f", "secret").key_id == "SởGD-ĐT/secret"

    @pytest.mark.parametrize("key_id", ["", "a", "a/", "/b", "a/b/c", "../x/b", "a/b.c", "a b/c"])
    def test_what_could_be_a_path_names_no_key(self, key_id: str) -> None:
        with pytest.raises(ValueError, match="not the name"):
            check_key_id(key_id)

    @pytest.mark.parametrize(
        ("document", "file", "suite"),
        [("", "f", "cobblestone-256"), ("d", "", "cobblestone-256"), ("d", "f", "rot13")],
    )
    def test_empty_parts_and_unknown_suites_are_refused(
        self, document: str, file: str, suite: str
    ) -> None:
        with pytest.raises(ValueError, match=r"seal context|suite"):
            SealContext("SOGD", document, file, "secret", suite)


class TestEnvelope:
    def test_goes_through_json_and_opens(self, ring: Keyring) -> None:
        data_key, envelope = ring.seal_key(CONTEXT)
        again = Envelope.from_json(envelope.to_json())
        assert again == envelope
        assert ring.open_key(again, CONTEXT) == data_key
        assert len(data_key) == 32

    def test_never_holds_the_data_key_in_the_clear(self, ring: Keyring) -> None:
        data_key, envelope = ring.seal_key(CONTEXT)
        assert data_key not in envelope.wrapped
        assert base64.b64encode(data_key).decode() not in str(envelope.to_json())

    def test_each_thing_has_its_own_data_key(self, ring: Keyring) -> None:
        assert ring.seal_key(CONTEXT)[0] != ring.seal_key(CONTEXT)[0]

    @pytest.mark.parametrize(
        "change",
        [
            {"v": 2},
            {"suite": "rot13"},
            {"version": "1"},
            {"version": 0},
            {"version": True},
            {"provider": 7},
            {"key": "nonsense"},
            {"wrapped": "not base64!"},
            {"extra": 1},
        ],
    )
    def test_what_docflow_did_not_write_is_refused(
        self, ring: Keyring, change: dict[str, object]
    ) -> None:
        value = {**ring.seal_key(CONTEXT)[1].to_json(), **change}
        with pytest.raises(IntegrityError) as refused:
            Envelope.from_json(value)
        assert refused.value.code == "wrapped-key-unreadable"

    def test_a_missing_member_is_refused(self, ring: Keyring) -> None:
        value = ring.seal_key(CONTEXT)[1].to_json()
        del value["wrapped"]
        with pytest.raises(IntegrityError):
            Envelope.from_json(value)


class TestWrongAndLostKeys:
    @pytest.mark.parametrize(
        "context",
        [
            SealContext("SOGD", "doc-2", "file-1", "confidential"),
            SealContext("SOGD", "doc-1", "file-2", "confidential"),
            SealContext("SOGD", "doc-1", "file-1", "secret"),
            SealContext("SOYT", "doc-1", "file-1", "confidential"),
        ],
    )
    def test_an_envelope_opens_in_its_place_only(self, ring: Keyring, context: SealContext) -> None:
        envelope = ring.seal_key(CONTEXT)[1]
        with pytest.raises(IntegrityError) as refused:
            ring.open_key(envelope, context)
        assert refused.value.code == "wrapped-key-refused"

    def test_an_envelope_that_names_another_key_of_its_context_does_not_open(
        self, ring: Keyring
    ) -> None:
        other = SealContext("SOGD", "doc-1", "file-1", "secret")
        ring.seal_key(other)
        envelope = ring.seal_key(CONTEXT)[1]
        moved = Envelope(envelope.provider, other.key_id, envelope.version, envelope.wrapped)
        with pytest.raises(IntegrityError) as refused:
            ring.open_key(moved, other)
        assert refused.value.code == "wrapped-key-refused"

    @pytest.mark.parametrize("at", [0, 11, 12, 43, 44, 59])
    def test_a_changed_byte_anywhere_is_refused(self, ring: Keyring, at: int) -> None:
        envelope = ring.seal_key(CONTEXT)[1]
        wrapped = bytearray(envelope.wrapped)
        wrapped[at] ^= 1
        changed = Envelope(envelope.provider, envelope.key_id, envelope.version, bytes(wrapped))
        with pytest.raises(IntegrityError):
            ring.open_key(changed, CONTEXT)

    @pytest.mark.parametrize("wrapped", [b"", b"x" * 59, b"x" * 61])
    def test_wrapped_bytes_of_another_length_are_refused(
        self, ring: Keyring, wrapped: bytes
    ) -> None:
        ring.seal_key(CONTEXT)
        with pytest.raises(IntegrityError) as refused:
            ring.open_key(Envelope("file", KEY_ID, 1, wrapped), CONTEXT)
        assert refused.value.code == "wrapped-key-refused"

    def test_a_lost_key_is_named_and_works_again_once_restored(
        self, keys: LocalKeys, ring: Keyring
    ) -> None:
        data_key, envelope = ring.seal_key(CONTEXT)
        path = keys.path(KEY_ID, 1)
        kept = path.rename(path.with_name("elsewhere"))
        with pytest.raises(IntegrityError, match="SOGD/confidential version 1") as missing:
            ring.open_key(envelope, CONTEXT)
        assert missing.value.code == "key-missing"
        assert missing.value.satisfied_by is not None
        kept.rename(path)
        assert ring.open_key(envelope, CONTEXT) == data_key

    def test_another_key_under_the_same_name_is_refused(
        self, keys: LocalKeys, ring: Keyring
    ) -> None:
        envelope = ring.seal_key(CONTEXT)[1]
        keys.path(KEY_ID, 1).write_bytes(os.urandom(32))
        with pytest.raises(IntegrityError) as refused:
            ring.open_key(envelope, CONTEXT)
        assert refused.value.code == "wrapped-key-refused"

    def test_a_provider_that_is_not_configured_is_named(self, ring: Keyring) -> None:
        envelope = ring.seal_key(CONTEXT)[1]
        gone = Envelope("pkcs11", envelope.key_id, envelope.version, envelope.wrapped)
        with pytest.raises(ConfigurationError, match="'pkcs11'") as refused:
            ring.open_key(gone, CONTEXT)
        assert refused.value.code == "key-provider-missing"


class TestLocalKeys:
    def test_production_refuses_them_unless_expressly_allowed(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as refused:
            LocalKeys(tmp_path / "keys", production=True)
        assert refused.value.rule == "no-development-keys"
        assert not (tmp_path / "keys").exists()
        with pytest.warns(DevelopmentModeWarning):
            LocalKeys(tmp_path / "keys", production=True, allowed=True)

    def test_files_are_for_their_owner_only(self, keys: LocalKeys) -> None:
        keys.create_next(KEY_ID)
        assert keys.path(KEY_ID, 1).stat().st_mode & 0o777 == 0o600
        assert keys.folder.stat().st_mode & 0o777 == 0o700
        assert [path.name for path in keys.folder.iterdir()] == ["SOGD.confidential.v1"]

    def test_a_file_that_others_may_read_is_refused(self, keys: LocalKeys, ring: Keyring) -> None:
        envelope = ring.seal_key(CONTEXT)[1]
        keys.path(KEY_ID, 1).chmod(0o640)
        with pytest.raises(ConfigurationError) as refused:
            ring.open_key(envelope, CONTEXT)
        assert refused.value.code == "key-file-open"
        assert refused.value.satisfied_by == "chmod 600 SOGD.confidential.v1"

    def test_versions_count_up_and_ids_are_listed(self, keys: LocalKeys) -> None:
        assert keys.versions(KEY_ID) == []
        assert [keys.create_next(KEY_ID) for _ in range(3)] == [1, 2, 3]
        assert keys.create_next("SOGD/secret") == 1
        assert keys.versions(KEY_ID) == [1, 2, 3]
        assert keys.key_ids() == ["SOGD/confidential", "SOGD/secret"]

    def test_eight_threads_make_eight_versions(self, keys: LocalKeys) -> None:
        made: list[int] = []
        threads = [
            threading.Thread(target=lambda: made.append(keys.create_next(KEY_ID))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(made) == keys.versions(KEY_ID) == list(range(1, 9))
        assert len({keys.path(KEY_ID, each).read_bytes() for each in made}) == 8

    def test_a_folder_that_is_gone_says_so(self, keys: LocalKeys) -> None:
        keys.folder.rmdir()
        with pytest.raises(ConfigurationError) as refused:
            keys.versions(KEY_ID)
        assert refused.value.code == "key-folder-unreadable"
        with pytest.raises(UnavailableError):
            keys.create_next(KEY_ID)

    def test_a_folder_that_cannot_be_made_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.warns(DevelopmentModeWarning), pytest.raises(ConfigurationError):
            LocalKeys(tmp_path / "file" / "keys")


class TestMountedKeys:
    def test_opens_with_keys_in_every_form_they_are_kept_in(self, tmp_path: Path) -> None:
        key = os.urandom(32)
        forms = [key, key.hex().encode() + b"\n", base64.b64encode(key) + b"\n"]
        path = tmp_path / "SOGD.confidential.v1"
        path.write_bytes(forms[0])
        ring = Keyring(MountedKeys(tmp_path))
        data_key, envelope = ring.seal_key(CONTEXT)
        for form in forms:
            path.write_bytes(form)
            assert ring.open_key(envelope, CONTEXT) == data_key

    @pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33, b"0" * 63, b"passphrase\n"])
    def test_what_is_no_key_is_refused_without_showing_it(
        self, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / "SOGD.confidential.v1").write_bytes(content)
        with pytest.raises(ConfigurationError) as refused:
            Keyring(MountedKeys(tmp_path)).seal_key(CONTEXT)
        assert refused.value.code == "key-malformed"
        assert "passphrase" not in refused.value.detail

    def test_the_newest_mounted_version_is_used_and_the_old_one_still_opens(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "SOGD.confidential.v9").write_bytes(os.urandom(32))
        (tmp_path / "..data").mkdir()  # as Kubernetes does
        ring = Keyring(MountedKeys(tmp_path))
        data_key, old = ring.seal_key(CONTEXT)
        (tmp_path / "SOGD.confidential.v10").write_bytes(os.urandom(32))
        assert (old.version, ring.seal_key(CONTEXT)[1].version) == (9, 10)
        assert ring.open_key(old, CONTEXT) == data_key

    def test_never_makes_a_key_and_says_which_to_mount(self, tmp_path: Path) -> None:
        ring = Keyring(MountedKeys(tmp_path))
        with pytest.raises(ConfigurationError) as refused:
            ring.seal_key(CONTEXT)
        assert refused.value.code == "key-not-made-here"
        assert "SOGD.confidential.v1" in (refused.value.satisfied_by or "")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_others_may_write_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "SOGD.confidential.v1"
        path.write_bytes(os.urandom(32))
        path.chmod(0o666)
        with pytest.raises(ConfigurationError) as refused:
            Keyring(MountedKeys(tmp_path)).seal_key(CONTEXT)
        assert refused.value.code == "key-file-open"

    def test_a_folder_that_is_not_mounted_is_refused_at_start(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as refused:
            MountedKeys(tmp_path / "nothing")
        assert refused.value.code == "key-folder-unreadable"

    def test_a_folder_that_shows_no_key_any_more_is_away_and_comes_back(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "SOGD.confidential.v1"
        path.write_bytes(os.urandom(32))
        ring = Keyring(MountedKeys(tmp_path))
        data_key, envelope = ring.seal_key(CONTEXT)
        later = Keyring(MountedKeys(tmp_path))
        kept = path.read_bytes()
        path.unlink()
        for one in (ring, later, Keyring(MountedKeys(tmp_path))):  # the last never saw a key
            with pytest.raises(OutsideUnavailableError) as away:
                one.open_key(envelope, CONTEXT)
            assert away.value.code == "key-provider-unavailable"
            with pytest.raises(OutsideUnavailableError):
                one.seal_key(CONTEXT)
        path.write_bytes(kept)
        assert ring.open_key(envelope, CONTEXT) == data_key
        path.rename(tmp_path / "SOGD.confidential.v2")  # others are there: this one is lost
        with pytest.raises(IntegrityError) as lost:
            ring.open_key(envelope, CONTEXT)
        assert lost.value.code == "key-missing"

    def test_a_folder_that_is_unmounted_while_it_is_used_is_away(self, tmp_path: Path) -> None:
        folder = tmp_path / "mounted"
        folder.mkdir()
        (folder / "SOGD.confidential.v1").write_bytes(os.urandom(32))
        ring = Keyring(MountedKeys(folder))
        folder.rename(tmp_path / "away")
        with pytest.raises(OutsideUnavailableError) as away:
            ring.seal_key(CONTEXT)
        assert away.value.code == "key-provider-unavailable"
        assert str(folder) in away.value.detail

    def test_a_key_that_cannot_be_read_is_an_outage_not_a_loss(self, tmp_path: Path) -> None:
        (tmp_path / "SOGD.confidential.v1").mkdir()
        with pytest.raises(UnavailableError) as refused:
            Keyring(MountedKeys(tmp_path)).seal_key(CONTEXT)
        assert refused.value.code == "key-unreadable"


class TestMovingHouse:
    def test_what_another_provider_wrapped_opens_and_moves_when_wrapped_anew(
        self, keys: LocalKeys, tmp_path: Path
    ) -> None:
        data_key, envelope = Keyring(keys).seal_key(CONTEXT)
        mounted = tmp_path / "mounted"
        mounted.mkdir()
        (mounted / "SOGD.confidential.v1").write_bytes(os.urandom(32))
        providers: list[KeyProvider] = [MountedKeys(mounted), keys]
        ring = Keyring(*providers)
        moved = ring.rewrap(envelope, CONTEXT)
        assert (envelope.provider, moved.provider) == ("file", "mounted")
        assert ring.open_key(envelope, CONTEXT) == ring.open_key(moved, CONTEXT) == data_key
        assert [each.name for each in ring.providers()] == ["mounted", "file"]
