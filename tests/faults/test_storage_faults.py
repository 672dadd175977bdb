"""A service that is away, slow, failing, full or killed, and connections that break.

Each fault is survived by a bounded number of tries or told in one sentence; an upload that failed
leaves nothing that can be seen, one that was answered with success stays.
"""

import hashlib
import socket
import time

import pytest

from docflow.kernel.errors import UnavailableError
from docflow.storage import Staging
from docflow.storage.s3 import S3Store
from tests.s3_faults import Fault, FaultProxy, plain_answer, xml_answer
from tests.s3_server import S3Server
from tests.s3_support import FOREVER, LARGE, SMALL, nothing_is_there, reads, refusals, stage

# --- away, slow, failing -----------------------------------------------------------------------


def test_a_service_that_is_away_is_told_of_soon_by_every_call(
    s3_server: S3Server, staging: Staging
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = s3_server.store(bucket="nowhere", endpoint=f"http://127.0.0.1:{port}", attempts=3)
    begun = time.monotonic()
    for error in refusals(store, staging).values():
        assert isinstance(error, UnavailableError)
        assert error.code == "storage-unavailable"
        assert "refuses connections" in error.detail
        assert "Try again later" in error.detail
    assert time.monotonic() - begun < 10
    assert len(list(staging.folder.iterdir())) == 1, "what was received can be put again"


def test_a_name_that_cannot_be_resolved_is_said(s3_server: S3Server) -> None:
    store = s3_server.store(bucket="nowhere", endpoint="http://nothing.invalid", attempts=1)
    with pytest.raises(UnavailableError, match="cannot be resolved"):
        store.require()


def test_a_service_that_is_silent_is_waited_for_a_bounded_time(
    s3_server: S3Server, store: S3Store, proxy: FaultProxy, staging: Staging, direct: S3Store
) -> None:
    key, staged = stage(staging, SMALL)
    proxy.faults = [Fault(delay=60)]
    impatient = s3_server.store(
        endpoint=proxy.endpoint, bucket=direct.options.bucket, timeout_seconds=0.8
    )
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match="silent for too long"):
        impatient.put(key, staged)
    assert time.monotonic() - begun < 4
    proxy.faults = []
    store.put(key, staged)
    assert reads(direct, key) == SMALL


def test_a_pause_of_the_service_is_waited_out(
    store: S3Store, proxy: FaultProxy, staging: Staging
) -> None:
    key, staged = stage(staging, SMALL)
    proxy.faults = [Fault(method="PUT", delay=0.4)]
    store.put(key, staged)
    assert reads(store, key) == SMALL


def test_an_object_that_trickles_in_is_given_up(
    s3_server: S3Server, proxy: FaultProxy, staging: Staging, direct: S3Store
) -> None:
    key, staged = stage(staging, SMALL)
    direct.put(key, staged)
    store = s3_server.store(
        endpoint=proxy.endpoint,
        bucket=direct.options.bucket,
        prefix=direct.options.prefix,
        attempts=2,
        timeout_seconds=1.5,
    )
    proxy.faults = [Fault(method="GET", rate=500)]  # never silent, and never done
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match="too slow"):
        reads(store, key)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "answer",
    [
        xml_answer(500, "InternalError"),
        xml_answer(503, "SlowDown"),
        xml_answer(409, "ConditionalRequestConflict"),
        plain_answer(502, b"<html>Bad Gateway</html>"),
        plain_answer(503, b""),
        b"no HTTP at all\r\n\r\n",
    ],
    ids=["500", "503", "conflict", "502-of-a-proxy", "503-empty", "garbage"],
)
def test_a_failing_service_is_asked_again_a_bounded_number_of_times(
    store: S3Store, proxy: FaultProxy, staging: Staging, direct: S3Store, answer: bytes
) -> None:
    key, staged = stage(staging, SMALL)
    fault = Fault(method="PUT", answer=answer)
    proxy.faults = [fault]
    with pytest.raises(UnavailableError) as refused:
        store.put(key, staged)
    assert refused.value.code == "storage-unavailable"
    assert FOREVER - fault.times == 3
    nothing_is_there(direct, key)
    proxy.faults = [Fault(method="PUT", answer=answer, times=2)]
    store.put(key, staged)
    assert reads(direct, key) == SMALL


def test_a_service_that_is_full_says_so_and_is_not_asked_again(
    store: S3Store, proxy: FaultProxy, staging: Staging, direct: S3Store
) -> None:
    for answer in (
        xml_answer(507, "XMinioStorageFull"),
        xml_answer(507, "InsufficientStorage"),
        plain_answer(507, b""),
        xml_answer(403, "QuotaExceeded"),
    ):
        for data, within in ((SMALL, ""), (LARGE, "partNumber=2")):
            key, staged = stage(staging, data)
            fault = Fault(method="PUT", within=within, answer=answer)
            proxy.faults = [fault]
            with pytest.raises(UnavailableError, match="no room left") as refused:
                store.put(key, staged)
            assert refused.value.code == "storage-full"
            assert FOREVER - fault.times == 1
            nothing_is_there(direct, key)
            assert staged.path.exists()


# --- connections that break --------------------------------------------------------------------


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "in-parts"])
def test_an_upload_that_breaks_off_is_sent_again(
    store: S3Store, proxy: FaultProxy, staging: Staging, direct: S3Store, data: bytes
) -> None:
    key, staged = stage(staging, data)
    proxy.faults = [Fault(method="PUT", cut_request=50_000, times=2)]
    store.put(key, staged)
    assert reads(direct, key) == data


@pytest.mark.parametrize(
    ("data", "within"),
    [(SMALL, ""), (LARGE, "partNumber=1"), (LARGE, "partNumber=3")],
    ids=["small", "first-part", "last-part"],
)
def test_an_upload_that_keeps_breaking_off_leaves_nothing(
    store: S3Store,
    proxy: FaultProxy,
    staging: Staging,
    direct: S3Store,
    data: bytes,
    within: str,
) -> None:
    key, staged = stage(staging, data)
    proxy.faults = [Fault(method="PUT", within=within, cut_request=50_000)]
    with pytest.raises(UnavailableError, match="connection was lost"):
        store.put(key, staged)
    nothing_is_there(direct, key)
    assert staged.path.exists()


@pytest.mark.parametrize(
    ("data", "method"),
    [(SMALL, "PUT"), (LARGE, "PUT"), (LARGE, "POST")],
    ids=["small", "part", "completion"],
)
def test_a_lost_answer_does_not_lose_or_double_the_object(
    store: S3Store, proxy: FaultProxy, staging: Staging, direct: S3Store, data: bytes, method: str
) -> None:
    key, staged = stage(staging, data)
    within = "uploadId" if method == "POST" else ""
    proxy.faults = [Fault(method=method, within=within, lose_answer=True, times=1)]
    store.put(key, staged)
    assert reads(direct, key) == data
    assert [item.key for item in direct.objects("")] == [key]


def test_a_lost_answer_to_publishing_is_no_loss(
    store: S3Store, proxy: FaultProxy, direct: S3Store
) -> None:
    proxy.faults = [Fault(method="PUT", lose_answer=True, times=1)]
    store.publish("log/checkpoint", b"new")
    assert reads(direct, "log/checkpoint") == b"new"


def test_a_download_that_breaks_off_goes_on_where_it_ended(
    store: S3Store, proxy: FaultProxy, staging: Staging, direct: S3Store
) -> None:
    key, staged = stage(staging, LARGE)
    direct.put(key, staged)
    proxy.faults = [
        Fault(method="GET", cut_answer=100_000, times=1),
        Fault(method="GET", skip=1, cut_answer=700_001, times=2),
        Fault(method="GET", skip=2, cut_answer=0, times=1),
    ]
    with store.open(key) as file:
        digest = hashlib.sha256()
        while piece := file.read(200_000):
            digest.update(piece)
    assert digest.digest() == hashlib.sha256(LARGE).digest()


def test_a_download_that_keeps_breaking_off_fails_and_never_seems_whole(
    store: S3Store, proxy: FaultProxy, staging: Staging, direct: S3Store
) -> None:
    key, staged = stage(staging, LARGE)
    direct.put(key, staged)
    proxy.faults = [Fault(method="GET", skip=1, cut_answer=0)]
    with store.open(key) as file:
        with pytest.raises(UnavailableError, match="connection was lost"):
            file.read()
    proxy.faults = [Fault(method="GET", cut_answer=10)]
    with pytest.raises(UnavailableError, match="connection was lost"):
        store.open(key)


# --- crashes -----------------------------------------------------------------------------------


def reads_when_up(store: S3Store, key: str, seconds: float = 60.0) -> bytes:
    """Read an object, trying again while a service that has just started still gathers its volumes."""
    end = time.monotonic() + seconds
    while True:
        try:
            return reads(store, key)
        except UnavailableError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def test_what_was_answered_with_success_survives_the_kill_of_the_service(
    staging: Staging,
) -> None:
    server = S3Server()
    try:
        store = server.store(attempts=2)
        stored = {}
        for data in (SMALL, LARGE, b"", b"last"):
            key, staged = stage(staging, data)
            store.put(key, staged)
            stored[key] = data
        store.publish("log/checkpoint", b"signed")
        server.kill()
        half, staged = stage(staging, LARGE[1:])
        with pytest.raises(UnavailableError):
            store.put(half, staged)
        server.start()
        reads_when_up(store, "log/checkpoint")
        for key, data in stored.items():
            assert reads_when_up(store, key) == data
        assert reads(store, "log/checkpoint") == b"signed"
        assert store.size(half) is None
        store.put(half, staged)
        assert reads(store, half) == LARGE[1:]
    finally:
        server.stop()
