"""Bytes that are damaged, and requests that are refused: told, never hidden, never overwritten."""

import hashlib
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import minio.time
import pytest
from minio.credentials.providers import StaticProvider
from minio.helpers import DictType

from docflow.kernel.errors import ConfigurationError, IntegrityError, UnavailableError
from docflow.storage import Staging, content_key
from docflow.storage.s3 import S3Store
from docflow.storage.s3_credentials import FileCredentials
from tests.s3_faults import Fault, FaultProxy, plain_answer, xml_answer
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from tests.s3_support import FOREVER, LARGE, SMALL, nothing_is_there, reads, refusals, stage

# --- damage ------------------------------------------------------------------------------------


def test_bytes_damaged_on_the_way_up_are_sent_again_or_refused(
    store: S3Store, proxy: FaultProxy, staging: Staging, direct: S3Store
) -> None:
    for data in (SMALL, LARGE):
        key, staged = stage(staging, data)
        proxy.faults = [Fault(method="PUT", flip_request=True)]
        with pytest.raises(IntegrityError, match="damaged on the way") as refused:
            store.put(key, staged)
        assert refused.value.code == "object-damaged"
        nothing_is_there(direct, key)
        proxy.faults = [Fault(method="PUT", flip_request=True, times=1)]
        store.put(key, staged)
        assert reads(direct, key) == data


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_bytes_damaged_on_the_way_down_are_not_given_as_a_whole(
    store: S3Store, proxy: FaultProxy, staging: Staging, direct: S3Store, data: bytes
) -> None:
    key, staged = stage(staging, data)
    direct.put(key, staged)
    proxy.faults = [Fault(method="GET", flip_answer=True, times=1)]
    given = 0
    with store.open(key) as file:
        with pytest.raises(IntegrityError, match="SHA-256") as refused:
            while piece := file.read(30_000):
                given += len(piece)
    assert refused.value.code == "object-damaged"
    assert given < len(data)


def test_bytes_damaged_at_rest_are_found_by_key_and_by_digest(
    s3_server: S3Server, direct: S3Store
) -> None:
    admin = s3_server.admin()
    prefix, bucket = direct.options.prefix, direct.options.bucket
    key = content_key(hashlib.sha256(b"as stored").hexdigest())
    for name, digest in ((key, ""), ("log/checkpoint", "0" * 64)):
        headers: DictType = {"x-amz-meta-sha256": digest} if digest else {}
        admin._put_object(bucket, f"{prefix}/{name}", b"damaged", headers)
        with pytest.raises(IntegrityError):
            reads(direct, name)
    admin._put_object(bucket, f"{prefix}/{key}", b"x", {"x-amz-meta-sha256": "0" * 64})
    with pytest.raises(IntegrityError, match="not that of its key"):
        direct.open(key)


def test_what_lies_in_the_way_is_not_taken_for_the_object(
    s3_server: S3Server, direct: S3Store, staging: Staging
) -> None:
    key, staged = stage(staging, SMALL)
    name = f"{direct.options.prefix}/{key}"
    s3_server.admin()._put_object(direct.options.bucket, name, b"other bytes", {})
    with pytest.raises(IntegrityError, match="left as they are"):
        direct.put(key, staged)
    assert direct.size(key) == len(b"other bytes")
    assert staged.path.exists()


def test_a_service_that_gives_another_range_is_not_believed(
    store: S3Store, proxy: FaultProxy, staging: Staging, direct: S3Store
) -> None:
    key, staged = stage(staging, LARGE)
    direct.put(key, staged)
    etag = direct.client.head(key).etag  # type: ignore[union-attr]
    whole = plain_answer(200, b"x" * 1000, "application/pdf", f"ETag: {etag}\r\n")
    proxy.faults = [Fault(method="GET", skip=1, answer=whole)]
    with store.open(key) as file:
        with pytest.raises(IntegrityError, match="range"):
            file.read()


def test_an_object_replaced_while_it_is_read_is_not_mixed(
    direct: S3Store,
) -> None:
    direct.publish("log/tile", LARGE[: 2**20])
    with direct.open("log/tile") as file:
        assert file.read(1000) == LARGE[:1000]
        direct.publish("log/tile", LARGE[1 : 2**20 + 1])
        with pytest.raises(UnavailableError, match="read it again"):
            file.read()


# --- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [(ACCESS_KEY, "wrong-secret-Zq81"), ("wrong-key-Zq82", SECRET_KEY)],
    ids=["secret", "key"],
)
def test_wrong_keys_are_told_by_every_call_and_shown_by_none(
    s3_server: S3Server,
    bucket: str,
    staging: Staging,
    keys: tuple[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    store = s3_server.store(bucket=bucket, credentials=StaticProvider(*keys))
    for error in refusals(store, staging).values():
        assert isinstance(error, ConfigurationError)
        assert error.code == "storage-credentials-refused"
        assert "check access key and secret key" in error.detail
        for secret in keys:
            assert secret not in error.detail
            assert secret not in str(error.__cause__)
    for secret in keys:
        assert secret not in caplog.text
        assert secret not in repr(store.options)


def test_a_missing_bucket_is_told_by_every_call(s3_server: S3Server, staging: Staging) -> None:
    for error in refusals(s3_server.store(bucket="no-such-bucket"), staging).values():
        assert isinstance(error, ConfigurationError)
        assert error.code == "storage-bucket-missing"
        assert "'no-such-bucket' does not exist" in error.detail


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_wrong_clock_is_told_by_every_call(
    s3_server: S3Server,
    bucket: str,
    staging: Staging,
    monkeypatch: pytest.MonkeyPatch,
    hours: int,
) -> None:
    shifted = timedelta(hours=hours)
    monkeypatch.setattr(minio.time, "utcnow", lambda: datetime.now(UTC) + shifted)
    way = "ahead of" if hours > 0 else "behind"
    for error in refusals(s3_server.store(bucket=bucket), staging).values():
        assert isinstance(error, ConfigurationError)
        assert error.code == "storage-clock-skew"
        assert f"clock is 120 minutes {way}" in error.detail
        assert "time server" in error.detail


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (xml_answer(400, "ExpiredToken"), "storage-credentials-expired"),
        (xml_answer(403, "InvalidToken"), "storage-credentials-expired"),
        (xml_answer(403, "AccessDenied"), "storage-access-denied"),
        (xml_answer(301, "PermanentRedirect"), "storage-region-wrong"),
        (xml_answer(400, "AuthorizationHeaderMalformed"), "storage-region-wrong"),
        (xml_answer(501, "NotImplemented"), "storage-lacks-feature"),
        (xml_answer(400, "SomethingNew"), "storage-refused"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refusal_says_what_would_be_right_and_is_not_repeated(
    store: S3Store,
    proxy: FaultProxy,
    staging: Staging,
    direct: S3Store,
    answer: bytes,
    code: str,
) -> None:
    key, staged = stage(staging, SMALL)
    fault = Fault(method="PUT", answer=answer)
    proxy.faults = [fault]
    with pytest.raises(ConfigurationError) as refused:
        store.put(key, staged)
    assert refused.value.code == code
    assert FOREVER - fault.times == 1
    nothing_is_there(direct, key)
    assert staged.path.exists()


def test_new_credentials_in_the_file_are_taken_without_a_restart(
    s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    def write(secret: str) -> None:
        file.write_text(
            f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {secret}\n"
        )

    file = tmp_path / "credentials"
    write("of-last-year")
    store = s3_server.store(bucket=bucket, credentials=FileCredentials(file))
    with pytest.raises(ConfigurationError) as refused:
        store.require()
    assert refused.value.code == "storage-credentials-refused"
    write(SECRET_KEY)
    store.require()


def test_a_bucket_that_cannot_lock_refuses_what_is_to_be_locked(
    s3_server: S3Server, bucket: str, staging: Staging, direct: S3Store
) -> None:
    for data in (SMALL, LARGE):
        key, staged = stage(staging, data)
        store = s3_server.store(bucket=bucket, prefix=direct.options.prefix, lock="compliance")
        with pytest.raises(ConfigurationError, match="with Object Lock") as refused:
            store.put(key, staged, retain_until=datetime.now(UTC) + timedelta(days=1))
        assert refused.value.code == "storage-lock-missing"
        nothing_is_there(direct, key)
