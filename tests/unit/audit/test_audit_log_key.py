"""The log's key: made once in development, never by accident in production, never shown."""

import stat
import threading
from pathlib import Path

import pytest

from docflow.audit.log_key import create_log_key, load_log_key, load_or_create_log_key
from docflow.kernel.errors import ConfigurationError, DevelopmentModeWarning
from docflow.transparency.note import SigningKey

ORIGIN = "log.example/history"


def test_development_makes_one_for_its_owner_alone_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "log.key"
    with pytest.warns(DevelopmentModeWarning, match="development key"):
        made = load_or_create_log_key(path, ORIGIN, production=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.warns(DevelopmentModeWarning):
        again = load_or_create_log_key(path, ORIGIN, production=False)
    assert str(again.verifier) == str(made.verifier)
    assert made.verifier.name == ORIGIN
    assert [item.name for item in path.parent.iterdir()] == ["log.key"]


def test_production_demands_one_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="docflow audit key --create") as caught:
        load_or_create_log_key(tmp_path / "log.key", ORIGIN, production=True)
    assert caught.value.code == "log-key-missing"
    assert list(tmp_path.iterdir()) == []


def test_production_takes_one_that_is_there(tmp_path: Path) -> None:
    made = create_log_key(tmp_path / "log.key", ORIGIN)
    taken = load_or_create_log_key(tmp_path / "log.key", ORIGIN, production=True)
    assert str(taken.verifier) == str(made.verifier)


def test_production_refuses_one_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    create_log_key(path, ORIGIN)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600") as caught:
        load_or_create_log_key(path, ORIGIN, production=True)
    assert caught.value.code == "log-key-open"


@pytest.mark.parametrize("content", ["", "nonsense", "PRIVATE+KEY+a+b+c", "\xff\xfe"])
def test_what_is_no_key_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "log.key"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigurationError) as caught:
        load_log_key(path, ORIGIN)
    assert caught.value.code in ("log-key-malformed", "log-key-unreadable")


def test_a_public_key_in_its_place_is_refused_without_repeating_a_private_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.key"
    key = SigningKey.generate(ORIGIN)
    path.write_text(str(key.verifier))
    with pytest.raises(ConfigurationError, match="PRIVATE"):
        load_log_key(path, ORIGIN)
    spoilt = key.export()[:-3]
    path.write_text(spoilt)
    with pytest.raises(ConfigurationError) as caught:
        load_log_key(path, ORIGIN)
    assert spoilt.rsplit("+", 1)[1] not in str(caught.value)


def test_another_logs_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    create_log_key(path, "other.example/log")
    with pytest.raises(ConfigurationError, match="DOCFLOW_LOG_ORIGIN") as caught:
        load_log_key(path, ORIGIN)
    assert caught.value.code == "log-key-of-another-log"


def test_a_name_that_no_key_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a log"):
        create_log_key(tmp_path / "log.key", "a log with spaces")


def test_two_that_make_one_at_once_end_with_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    start = threading.Barrier(8)
    made: list[str] = []

    def make() -> None:
        start.wait()
        made.append(str(create_log_key(path, ORIGIN).verifier))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(made) == {str(load_log_key(path, ORIGIN).verifier)}
    assert [item.name for item in tmp_path.iterdir()] == ["log.key"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigurationError, match="cannot be written") as caught:
        create_log_key(tmp_path / "file" / "log.key", ORIGIN)
    assert caught.value.code == "log-key-unwritable"
