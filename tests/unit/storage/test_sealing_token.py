"""Keys in a PKCS#11 token, with SoftHSM 2 (Debian: softhsm2) as the token."""

import json
import logging
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from docflow.kernel.errors import ConfigurationError, IntegrityError, UnavailableError
from docflow.storage.sealing import Envelope, Keyring, SealContext
from docflow.storage.sealing.providers import TokenKeys

pkcs11 = pytest.importorskip("pkcs11")

PIN = "271828"
LABEL = "docflow-keys"
KEY_ID = "SOGD/confidential"
CONTEXT = SealContext("SOGD", "doc-1", "file-1", "confidential")
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")


def module() -> Path:
    for name in MODULES:
        if Path(name).is_file() and shutil.which("softhsm2-util"):
            return Path(name)
    if os.environ.get("CI"):
        raise RuntimeError("SoftHSM is missing; install the package softhsm2")
    pytest.skip("SoftHSM (package softhsm2) is not installed")


def make_token(label: str) -> None:
    subprocess.run(
        [
            *("softhsm2-util", "--init-token", "--free", "--label", label),
            *("--so-pin", "31415926", "--pin", PIN),
        ],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty SoftHSM with one token; the library starts anew on it."""
    library = module()
    folder = tmp_path / "tokens"
    folder.mkdir()
    config = tmp_path / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder}\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    make_token(LABEL)
    pkcs11.lib(str(library)).reinitialize()
    yield folder
    pkcs11.lib(str(library)).finalize()


@pytest.fixture
def pin_file(tmp_path: Path) -> Path:
    path = tmp_path / "pin"
    path.write_text(PIN + "\n")
    return path


@pytest.fixture
def keys(tokens: Path, pin_file: Path) -> Iterator[TokenKeys]:
    keys = TokenKeys(module(), LABEL, pin_file)
    yield keys
    keys.close()


@pytest.fixture
def ring(keys: TokenKeys) -> Keyring:
    return Keyring(keys)


class TestKeys:
    def test_wraps_and_unwraps_in_its_context_only(self, ring: Keyring) -> None:
        data_key, envelope = ring.seal_key(CONTEXT)
        assert (envelope.provider, envelope.key_id, envelope.version) == ("pkcs11", KEY_ID, 1)
        assert ring.open_key(Envelope.from_json(envelope.to_json()), CONTEXT) == data_key
        with pytest.raises(IntegrityError) as refused:
            ring.open_key(envelope, SealContext("SOGD", "doc-2", "file-1", "confidential"))
        assert refused.value.code == "wrapped-key-refused"

    @pytest.mark.parametrize("at", [16, 28, 75])
    def test_a_changed_byte_is_refused_and_the_token_still_works(
        self, ring: Keyring, at: int
    ) -> None:
        data_key, envelope = ring.seal_key(CONTEXT)
        wrapped = bytearray(envelope.wrapped)
        wrapped[at] ^= 1
        changed = Envelope(envelope.provider, envelope.key_id, envelope.version, bytes(wrapped))
        for bad in (
            changed,
            Envelope("pkcs11", KEY_ID, 1, b""),
            Envelope("pkcs11", KEY_ID, 1, b"x" * 99),
        ):
            with pytest.raises(IntegrityError) as refused:
                ring.open_key(bad, CONTEXT)
            assert refused.value.code == "wrapped-key-refused"
        assert ring.open_key(envelope, CONTEXT) == data_key

    def test_versions_count_up_and_older_ones_still_open(
        self, keys: TokenKeys, ring: Keyring
    ) -> None:
        data_key, old = ring.seal_key(CONTEXT)
        assert ring.rotate(KEY_ID) == 2
        assert keys.create_next("SOGD/secret") == 1
        assert keys.versions(KEY_ID) == [1, 2]
        assert keys.key_ids() == ["SOGD/confidential", "SOGD/secret"]
        new = ring.rewrap(old, CONTEXT)
        assert new.version == 2
        assert ring.open_key(old, CONTEXT) == ring.open_key(new, CONTEXT) == data_key

    def test_keys_cannot_leave_the_token(self, keys: TokenKeys, pin_file: Path) -> None:
        keys.create_next(KEY_ID)
        token = pkcs11.lib(str(module())).get_token(token_label=LABEL)
        session = token.open()  # the login is the token's
        [key] = session.get_objects({pkcs11.Attribute.LABEL: f"docflow:{KEY_ID}:v1"})
        attribute = pkcs11.Attribute
        assert (key[attribute.SENSITIVE], key[attribute.EXTRACTABLE]) == (True, False)
        assert (key[attribute.PRIVATE], key[attribute.WRAP]) == (True, False)
        with pytest.raises(pkcs11.AttributeSensitive):
            key[attribute.VALUE]

    def test_a_missing_version_is_named(self, ring: Keyring) -> None:
        envelope = ring.seal_key(CONTEXT)[1]
        with pytest.raises(IntegrityError, match="confidential version 7") as missing:
            ring.open_key(Envelope("pkcs11", KEY_ID, 7, envelope.wrapped), CONTEXT)
        assert missing.value.code == "key-missing"

    def test_two_keys_of_one_version_both_open_what_they_wrapped(
        self, keys: TokenKeys, ring: Keyring
    ) -> None:
        sealed = [ring.seal_key(CONTEXT)]
        for number in (0, 255):  # one sorts before the first key, one after it
            session = pkcs11.lib(str(module())).get_token(token_label=LABEL).open(rw=True)
            session.generate_key(
                pkcs11.KeyType.AES,
                256,
                label=f"docflow:{KEY_ID}:v1",
                id=bytes([number]) * 16,
                store=True,
            )
            keys.close()
            sealed.append(ring.seal_key(CONTEXT))
        assert len({envelope.wrapped[:16] for _, envelope in sealed}) == 2
        assert keys.versions(KEY_ID) == [1]
        for data_key, envelope in sealed:
            assert ring.open_key(envelope, CONTEXT) == data_key

    def test_the_id_of_another_key_names_a_key_that_is_missing(self, ring: Keyring) -> None:
        envelope = ring.seal_key(CONTEXT)[1]
        moved = Envelope("pkcs11", KEY_ID, 1, bytes(16) + envelope.wrapped[16:])
        with pytest.raises(IntegrityError) as refused:
            ring.open_key(moved, CONTEXT)
        assert refused.value.code == "key-missing"

    def test_foreign_keys_in_the_token_are_not_taken_for_ours(self, keys: TokenKeys) -> None:
        session = pkcs11.lib(str(module())).get_token(token_label=LABEL).open(rw=True)
        session.generate_key(pkcs11.KeyType.AES, 256, label="somebody", id=b"x", store=True)
        assert keys.key_ids() == []

    def test_eight_threads_share_a_token(self, ring: Keyring) -> None:
        problems: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(5):
                    data_key, envelope = ring.seal_key(CONTEXT)
                    assert ring.open_key(envelope, CONTEXT) == data_key
            except BaseException as error:  # noqa: BLE001 - looked at below
                problems.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []


class TestLogin:
    def test_a_wrong_pin_is_clear_tried_once_and_never_shown(
        self, tokens: Path, pin_file: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        pin_file.write_text("999999")
        with pytest.raises(ConfigurationError) as refused:
            TokenKeys(module(), LABEL, pin_file)
        assert refused.value.code == "key-pin-refused"
        told = f"{refused.value!r} {refused.value.__dict__} {caplog.text}"
        assert "999999" not in told
        assert refused.value.__cause__ is None

    def test_a_refused_pin_is_not_tried_again_until_its_file_changes(
        self, keys: TokenKeys, pin_file: Path
    ) -> None:
        keys.close()
        pin_file.write_text("999999")
        for _ in range(20):  # SoftHSM, like most tokens, would lock
            with pytest.raises(ConfigurationError) as refused:
                keys.key_ids()
            assert refused.value.code == "key-pin-refused"
        assert "not tried again" in refused.value.detail
        pin_file.write_text(PIN)
        os.utime(pin_file, (1, 1))
        assert keys.key_ids() == []

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
    def test_a_pin_file_without_a_pin(self, tokens: Path, pin_file: Path, content: bytes) -> None:
        pin_file.write_bytes(content)
        with pytest.raises(ConfigurationError) as refused:
            TokenKeys(module(), LABEL, pin_file)
        assert refused.value.code == "key-pin-unreadable"

    def test_a_missing_pin_file(self, tokens: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as refused:
            TokenKeys(module(), LABEL, tmp_path / "none")
        assert refused.value.code == "key-pin-unreadable"

    def test_the_pin_is_not_in_the_provider(self, keys: TokenKeys) -> None:
        assert PIN not in repr(keys)
        assert PIN not in str(vars(keys))


class TestOutages:
    def test_a_missing_token_is_named(self, tokens: Path, pin_file: Path) -> None:
        with pytest.raises(ConfigurationError, match="'elsewhere'") as refused:
            TokenKeys(module(), "elsewhere", pin_file)
        assert refused.value.code == "key-token-missing"

    def test_two_tokens_of_one_label_are_refused(self, tokens: Path, pin_file: Path) -> None:
        make_token(LABEL)
        pkcs11.lib(str(module())).reinitialize()
        with pytest.raises(ConfigurationError, match="2 tokens") as refused:
            TokenKeys(module(), LABEL, pin_file)
        assert refused.value.code == "key-token-missing"

    def test_a_missing_library_is_named(self, pin_file: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as refused:
            TokenKeys(tmp_path / "vendor.so", LABEL, pin_file)
        assert refused.value.code == "key-provider-missing"

    def test_a_file_that_is_no_library_stops_the_start(
        self, pin_file: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "vendor.so").write_text("not a library")
        with pytest.raises(ConfigurationError, match="is no PKCS#11 library"):
            TokenKeys(tmp_path / "vendor.so", LABEL, pin_file)

    def test_a_lost_session_is_opened_again(self, ring: Keyring) -> None:
        data_key, envelope = ring.seal_key(CONTEXT)
        pkcs11.lib(str(module())).reinitialize()  # every session and login is gone
        assert ring.open_key(envelope, CONTEXT) == data_key

    def test_somebody_elses_logout_is_survived_and_makes_no_new_key(
        self, tokens: Path, pin_file: Path
    ) -> None:
        token = pkcs11.lib(str(module())).get_token(token_label=LABEL)
        somebody = token.open(user_pin=PIN)
        ring = Keyring(TokenKeys(module(), LABEL, pin_file))
        data_key, envelope = ring.seal_key(CONTEXT)
        ring.rotate(KEY_ID)
        somebody.close()  # logs the whole process out of the token
        assert ring.open_key(envelope, CONTEXT) == data_key
        assert ring.seal_key(CONTEXT)[1].version == 2
        assert ring.provider.versions(KEY_ID) == [1, 2]

    def test_who_is_logged_out_when_sealing_logs_in_again(
        self, tokens: Path, pin_file: Path
    ) -> None:
        somebody = pkcs11.lib(str(module())).get_token(token_label=LABEL).open(user_pin=PIN)
        ring = Keyring(TokenKeys(module(), LABEL, pin_file))
        ring.rotate(KEY_ID)
        ring.rotate(KEY_ID)
        somebody.close()
        assert ring.seal_key(CONTEXT)[1].version == 2
        assert ring.provider.key_ids() == [KEY_ID]

    def test_a_token_that_was_taken_away_is_told_and_never_taken_for_a_lost_key(
        self, ring: Keyring, tokens: Path, tmp_path: Path
    ) -> None:
        data_key, envelope = ring.seal_key(CONTEXT)
        away = tokens.rename(tmp_path / "drawer")
        for _ in range(2):
            with pytest.raises((UnavailableError, ConfigurationError)) as refused:
                ring.open_key(envelope, CONTEXT)
            assert refused.value.code in {"key-provider-unavailable", "key-token-missing"}
        away.rename(tokens)
        pkcs11.lib(str(module())).reinitialize()
        assert ring.open_key(envelope, CONTEXT) == data_key


MAKER = """
    import json, sys
    from pathlib import Path
    from docflow.storage.sealing import Keyring, SealContext
    from docflow.storage.sealing.providers import TokenKeys
    ring = Keyring(TokenKeys(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
    context = SealContext("SOGD", "doc-1", "file-1", "confidential")
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(4):
        data_key, envelope = ring.seal_key(context)
        print(json.dumps([data_key.hex(), envelope.to_json()]))
"""


def test_what_processes_wrap_at_once_opens_in_another(keys: TokenKeys, pin_file: Path) -> None:
    keys.create_next(KEY_ID)  # one process makes keys: SoftHSM's files do not bear several writers
    command = [sys.executable, "-c", textwrap.dedent(MAKER), str(module()), LABEL, str(pin_file)]
    makers = []
    for _ in range(3):
        # They log in one after another: SoftHSM writes the token's file anew at each login, emptied
        # first, and a process that starts in that very moment finds no token, or a broken one.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        maker = subprocess.Popen(command, **pipes)  # type: ignore[call-overload]
        makers.append(maker)
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        maker.stdin.write("go\n")
        maker.stdin.flush()
    made = [
        json.loads(line)
        for maker in makers
        for line in maker.communicate(timeout=60)[0].splitlines()
    ]
    assert [maker.returncode for maker in makers] == [0, 0, 0]
    assert len(made) == 12
    ring = Keyring(keys)
    for data_key, envelope in made:
        assert ring.open_key(Envelope.from_json(envelope), CONTEXT).hex() == data_key
