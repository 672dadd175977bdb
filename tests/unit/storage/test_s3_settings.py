"""What is wrong with the settings of an S3 store is said before the first request, without a secret."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minio.error
import pytest
import urllib3.exceptions as http
from minio.credentials.providers import StaticProvider

from docflow.kernel.errors import ConfigurationError, UnavailableError
from docflow.storage.s3_credentials import (
    EnvironmentCredentials,
    FileCredentials,
    KeyFileCredentials,
    credentials_from,
)
from docflow.storage.s3_errors import failure_of, skew_seconds
from docflow.storage.s3_options import S3Options

SECRET = "kept-to-itself-W9x"


def options(**changes: Any) -> S3Options:
    values: dict[str, Any] = {
        "endpoint": "https://s3.example.org",
        "bucket": "records",
        "credentials": StaticProvider("key", SECRET),
        **changes,
    }
    return S3Options(**values)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"endpoint": "s3.example.org"}, "https://host"),
        ({"endpoint": "ftp://s3.example.org"}, "https://host"),
        ({"endpoint": "https://s3.example.org/records"}, "Leave out bucket"),
        ({"endpoint": "https://me:pass@s3.example.org"}, "Leave out bucket"),
        ({"bucket": "Records"}, "'Records' is no bucket name"),
        ({"bucket": "ab"}, "3 to 63"),
        ({"bucket": "192.168.1.1"}, "no bucket name"),
        ({"prefix": "/offices"}, "offices/hue"),
        ({"prefix": "a/../b"}, "Lower-case segments"),
        ({"part_bytes": 2**20}, "5242880 bytes or more"),
        ({"encryption": "kms"}, "Name a key"),
        ({"kms_key": "alias/records"}, "Name a key"),
        ({"ca_file": Path("no-such.pem")}, "no-such.pem is not there"),
    ],
)
def test_a_wrong_option_is_named_with_what_would_be_right(changes: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        options(**changes)
    assert said in refused.value.detail
    assert refused.value.code == "storage-misconfigured"


def test_options_show_no_secret_and_tell_what_crosses_a_network_in_the_clear() -> None:
    assert SECRET not in repr(options())
    assert not options().exposed
    assert options(endpoint="http://s3.example.org:9000").exposed
    assert not options(endpoint="http://127.0.0.1:9000").exposed


def test_keys_are_kept_below_the_prefix() -> None:
    shared = options(prefix="offices/hue")
    assert shared.object_name("log/checkpoint") == "offices/hue/log/checkpoint"
    assert shared.key_of("offices/hue/log/checkpoint") == "log/checkpoint"
    assert options().object_name("log/checkpoint") == "log/checkpoint"


def test_encryption_is_asked_for_by_headers() -> None:
    assert options().sealing_headers() == {}
    assert list(options(encryption="s3").sealing_headers().values()) == ["AES256"]
    kms = options(encryption="kms", kms_key="alias/records").sealing_headers()
    assert sorted(kms.values()) == ["alias/records", "aws:kms"]


def test_credentials_come_from_the_source_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    file = tmp_path / "credentials"
    file.write_text(
        f"[default]\naws_access_key_id=of-file\naws_secret_access_key={SECRET}\n"
        "[hue]\naws_access_key_id=of-hue\naws_secret_access_key=x\naws_session_token=session\n"
    )
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    assert credentials_from("", None, None).retrieve().access_key == "of-environment"
    assert credentials_from("", None, file).retrieve().access_key == "of-file"
    hue = credentials_from("", None, file, "hue").retrieve()
    assert (hue.access_key, hue.session_token) == ("of-hue", "session")
    named = credentials_from("of-settings", secret, None).retrieve()
    assert (named.access_key, named.secret_key) == ("of-settings", SECRET)


def test_a_source_that_has_no_keys_says_what_it_should_have(tmp_path: Path) -> None:
    broken, empty = tmp_path / "broken", tmp_path / "empty"
    broken.write_text(f"aws_secret_access_key = {SECRET}\n")
    empty.write_text("")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    sources: list[tuple[Callable[[], object], str]] = [
        (lambda: EnvironmentCredentials({"AWS_ACCESS_KEY_ID": "key"}), "AWS_SECRET_ACCESS_KEY"),
        (lambda: FileCredentials(tmp_path / "missing"), "cannot be read"),
        (lambda: FileCredentials(broken), "aws_access_key_id"),
        (lambda: FileCredentials(empty, "hue"), "[hue]"),
        (lambda: FileCredentials(binary), "UTF-8"),
        (lambda: KeyFileCredentials("key", empty), "empty"),
        (lambda: credentials_from("key", None, None), "go together"),
        (lambda: credentials_from("", empty, None), "go together"),
        (lambda: credentials_from("key", empty, empty), "two sources"),
    ]
    for make, said in sources:
        with pytest.raises(ConfigurationError) as refused:
            make()
        assert said in refused.value.detail
        assert SECRET not in refused.value.detail
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    ("error", "said", "again"),
    [
        (http.ProtocolError("x"), "connection was lost", True),
        (http.IncompleteRead(1, 2), "connection was lost", True),
        (http.SSLError(ssl.SSLError("handshake")), "TLS failed", True),
        (http.LocationParseError("x"), "LocationParseError", True),
        (TimeoutError(), "too slow", True),
        (OSError(5, "Input/output error"), "input/output error", True),
        (ValueError("no XML"), "cannot be understood", True),
        (minio.error.ServerError("x", 502), "answered 502", True),
        (minio.error.ServerError("x", 507), "no room", False),
        (minio.error.InvalidResponseError(404, "text/html", "<html>"), "404", False),
        (minio.error.InvalidResponseError(429, "text/html", ""), "429", True),
    ],
)
def test_failures_of_the_transport_are_told_and_judged(
    error: Exception, said: str, again: bool
) -> None:
    failure = failure_of(error, "stored", "records")
    assert isinstance(failure.error, UnavailableError)
    assert said in failure.error.detail
    assert failure.again is again


def test_a_service_that_does_not_tell_its_time_is_no_wrong_clock() -> None:
    assert skew_seconds({}) is None
    assert skew_seconds({"date": "yesterday"}) is None
    assert skew_seconds({"date": "Mon, 02 Mar 2026 08:30:00 -0000"}) is None
    assert isinstance(skew_seconds({"date": "Mon, 02 Mar 2026 08:30:00 GMT"}), float)
