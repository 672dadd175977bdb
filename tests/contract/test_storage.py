"""What every object store promises; each new store is added to the fixture."""

import hashlib
import os
import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docflow.kernel.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from docflow.storage import (
    LocalStore,
    MemoryStore,
    ObjectStore,
    StagedFile,
    Staging,
    content_key,
)
from docflow.storage.s3 import S3Store
from tests.s3_server import S3Server


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging", max_bytes=10_000)


@pytest.fixture(scope="session")
def buckets(s3_server: S3Server) -> dict[str, str]:
    """A bucket of each kind, shared: every test has a prefix of its own in it."""
    return {"plain": s3_server.bucket(), "lock": s3_server.bucket(lock=True)}


def s3_store(request: pytest.FixtureRequest, *, lock: bool) -> ObjectStore:
    server: S3Server = request.getfixturevalue("s3_server")
    bucket = request.getfixturevalue("buckets")["lock" if lock else "plain"]
    prefix = f"t{uuid.uuid4().hex}"
    return server.store(bucket=bucket, prefix=prefix, lock="governance" if lock else "off")


@pytest.fixture(params=["memory", "local", "s3", "s3-versioned"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    match request.param:
        case "memory":
            return MemoryStore()
        case "local":
            return LocalStore(tmp_path / "store")
    return s3_store(request, lock=request.param == "s3-versioned")


@pytest.fixture(params=["memory", "s3"])
def locking(request: pytest.FixtureRequest) -> ObjectStore:
    """A store that can lock what it holds."""
    return MemoryStore() if request.param == "memory" else s3_store(request, lock=True)


def stage(staging: Staging, data: bytes) -> tuple[str, StagedFile]:
    receiving = staging.begin()
    receiving.write(data)
    staged = receiving.finish()
    return content_key(staged.sha256), staged


def put(store: ObjectStore, staging: Staging, data: bytes) -> str:
    key, staged = stage(staging, data)
    store.put(key, staged)
    return key


def test_what_is_put_is_read_back_whole_and_in_ranges(store: ObjectStore, staging: Staging) -> None:
    data = os.urandom(5000)
    key = put(store, staging, data)
    with store.open(key) as file:
        assert file.read() == data
        file.seek(1000)
        assert file.read(10) == data[1000:1010]
    assert store.size(key) == 5000


def test_the_staged_file_is_consumed(store: ObjectStore, staging: Staging) -> None:
    put(store, staging, b"x")
    assert list(staging.folder.iterdir()) == []


def test_putting_the_same_content_again_leaves_one_object(
    store: ObjectStore, staging: Staging
) -> None:
    assert put(store, staging, b"same") == put(store, staging, b"same")
    assert list(staging.folder.iterdir()) == []


def test_eight_threads_putting_the_same_content_leave_one_whole_object(
    store: ObjectStore, staging: Staging
) -> None:
    data = os.urandom(9000)
    keys: list[str] = []
    threads = [
        threading.Thread(target=lambda: keys.append(put(store, staging, data))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    with store.open(keys[0]) as file:
        assert file.read() == data


def test_what_is_not_there_is_told(store: ObjectStore) -> None:
    key = content_key("0" * 64)
    assert store.size(key) is None
    with pytest.raises(NotFoundError):
        store.open(key)
    store.delete(key)


def test_what_was_never_referred_to_can_be_deleted(store: ObjectStore, staging: Staging) -> None:
    key = put(store, staging, b"orphan")
    store.delete(key)
    assert store.size(key) is None


def test_a_published_object_is_replaced_whole(store: ObjectStore) -> None:
    store.publish("log/checkpoint", b"first")
    store.publish("log/checkpoint", b"second")
    with store.open("log/checkpoint") as file:
        assert file.read() == b"second"


LARGE = random.Random(3).randbytes(12 * 2**20 + 7)  # noqa: S311 - bytes to look at


@pytest.fixture
def roomy(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "roomy", max_bytes=2 * len(LARGE))


def test_a_large_object_is_read_back_in_pieces_and_from_anywhere(
    store: ObjectStore, roomy: Staging
) -> None:
    key = put(store, roomy, LARGE)
    assert store.size(key) == len(LARGE)
    with store.open(key) as file:
        pieces = iter(lambda: file.read(100_003), b"")
        assert hashlib.sha256(b"".join(pieces)).digest() == hashlib.sha256(LARGE).digest()
        assert file.read() == b""
        assert file.seek(-10, os.SEEK_END) == len(LARGE) - 10
        assert file.read(100) == LARGE[-10:]
        chosen = random.Random(4)  # noqa: S311 - places to look at
        for _ in range(12):
            start, size = chosen.randrange(len(LARGE)), chosen.choice([1, 700, 300_000, 3_000_000])
            file.seek(start)
            assert file.tell() == start
            assert file.read(size) == LARGE[start : start + size]
            assert file.read(10) == LARGE[start + size :][:10]
        file.seek(len(LARGE) + 5)
        assert file.read(5) == b""
        assert file.seekable()
        assert file.readable()


def test_an_empty_object_is_an_object(store: ObjectStore, staging: Staging) -> None:
    key = put(store, staging, b"")
    assert store.size(key) == 0
    with store.open(key) as file:
        assert file.read() == b""
        assert file.read(5) == b""


@pytest.mark.parametrize("size", [256 * 2**10, 256 * 2**10 + 1, 5 * 2**20, 5 * 2**20 + 1])
def test_sizes_at_the_edges_of_windows_and_parts(
    store: ObjectStore, roomy: Staging, size: int
) -> None:
    key = put(store, roomy, LARGE[:size])
    with store.open(key) as file:
        assert file.read() == LARGE[:size]
        file.seek(size - 1)
        assert file.read() == LARGE[size - 1 : size]


def test_what_is_closed_is_not_read(store: ObjectStore, staging: Staging) -> None:
    file = store.open(put(store, staging, b"x"))
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_objects_are_listed_each_once_with_size_and_age(
    store: ObjectStore, staging: Staging
) -> None:
    begun = datetime.now(UTC) - timedelta(minutes=1)
    keys = sorted(put(store, staging, text) for text in (b"a", b"bb", b"ccc"))
    for key in ("log/checkpoint", "log/tile/0/001", "log/tile.x", "log/tile-x"):
        store.publish(key, b"four")
    assert sorted(item.key for item in store.objects("files/")) == keys
    assert sorted(item.key for item in store.objects("")) == [
        *keys,
        "log/checkpoint",
        "log/tile-x",
        "log/tile.x",
        "log/tile/0/001",
    ]
    assert [item.key for item in store.objects("log/tile/0/0")] == ["log/tile/0/001"]
    assert {item.size for item in store.objects("log/")} == {4}
    assert list(store.objects("nothing/")) == []
    for item in store.objects(""):
        assert begun < item.stored_at < datetime.now(UTC) + timedelta(minutes=1)


def test_a_long_list_is_given_whole(request: pytest.FixtureRequest) -> None:
    store = s3_store(request, lock=False)
    keys = [f"log/tile/{number:04}" for number in range(1005)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: store.publish(key, b"x"), keys))
    assert sorted(item.key for item in store.objects("log/")) == keys


def test_a_published_object_keeps_no_earlier_version(request: pytest.FixtureRequest) -> None:
    store = s3_store(request, lock=True)
    assert isinstance(store, S3Store)
    for number in range(3):
        store.publish("log/checkpoint", b"%d" % number)
    assert len(store.client.versions("log/checkpoint")) == 1
    store.delete("log/checkpoint")
    assert store.client.versions("log/checkpoint") == []


def test_a_deleted_object_can_be_stored_again(store: ObjectStore, staging: Staging) -> None:
    key = put(store, staging, b"again")
    store.delete(key)
    assert list(store.objects("files/")) == []
    assert put(store, staging, b"again") == key
    with store.open(key) as file:
        assert file.read() == b"again"


def test_a_file_that_changed_since_it_was_hashed_is_not_stored_by_a_service(
    request: pytest.FixtureRequest, staging: Staging
) -> None:
    store = s3_store(request, lock=False)
    key, staged = stage(staging, b"as it was received")
    staged.path.write_bytes(b"as it was changed!")
    with pytest.raises(IntegrityError, match="changed on this machine"):
        store.put(key, staged)
    assert store.size(key) is None


def test_a_retained_object_is_not_deleted_before_its_time(
    locking: ObjectStore, staging: Staging
) -> None:
    key, staged = stage(staging, b"signed")
    locking.put(key, staged, retain_until=datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(ConflictError, match="is kept until") as refused:
        locking.delete(key)
    assert refused.value.code == "object-retained"
    assert locking.size(key) == 6


def test_a_retention_can_come_later_and_only_grows(locking: ObjectStore, staging: Staging) -> None:
    now = datetime.now(UTC)
    key = put(locking, staging, b"signed")
    for hours in (5, 2):
        _, staged = stage(staging, b"signed")
        locking.put(key, staged, retain_until=now + timedelta(hours=hours))
        with pytest.raises(ConflictError) as refused:
            locking.delete(key)
        assert f"{now + timedelta(hours=5):%Y-%m-%d %H:}" in refused.value.detail


def test_a_store_that_cannot_lock_takes_a_retention_all_the_same(
    tmp_path: Path, staging: Staging
) -> None:
    store = LocalStore(tmp_path / "store")
    key, staged = stage(staging, b"signed")
    store.put(key, staged, retain_until=datetime.now(UTC) + timedelta(hours=1))
    assert store.size(key) == 6


@pytest.mark.parametrize(
    "key", ["", "../x", "a/../b", "/etc/passwd", "a//b", "A", "a/.b", "x" * 201]
)
def test_keys_that_are_none_are_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(ValueError, match="not an object key"):
        store.open(key)


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path, staging: Staging) -> None:
    store = LocalStore(tmp_path / "store")
    (tmp_path / "store" / "files").write_bytes(b"a file where a folder should be")
    key, staged = stage(staging, b"x")
    with pytest.raises(UnavailableError, match="Try again"):
        store.put(key, staged)


def test_staging_refuses_a_file_as_soon_as_it_is_too_large(staging: Staging) -> None:
    receiving = staging.begin()
    receiving.write(b"x" * 9_999)
    with pytest.raises(TooLargeError) as refused:
        receiving.write(b"xx")
    assert refused.value.extra["limit_bytes"] == 10_000
    receiving.abort()
    receiving.abort()
    assert list(staging.folder.iterdir()) == []


def test_staging_is_swept_by_age(staging: Staging) -> None:
    _, staged = stage(staging, b"left behind")
    assert staging.sweep(older_than_seconds=60) == 0
    os.utime(staged.path, (0, 0))
    folder = staging.folder / "work-1.part"
    folder.mkdir()
    (folder / "0.in").write_bytes(b"x")
    os.utime(folder, (0, 0))
    assert staging.sweep(older_than_seconds=60) == 2
    assert list(staging.folder.iterdir()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(chunks=st.lists(st.binary(max_size=700), max_size=12))
def test_staging_hashes_what_came_in_whatever_the_chunks(
    staging: Staging, chunks: list[bytes]
) -> None:
    receiving = staging.begin()
    for chunk in chunks:
        receiving.write(chunk)
    staged = receiving.finish()
    data = b"".join(chunks)
    assert (staged.size, staged.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert staged.head == data[:4096]
    assert staging.adopt(staged.path) == staged
    staged.discard()
