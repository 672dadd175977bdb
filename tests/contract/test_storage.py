"""What every object store promises; each new store is added to the fixture."""

import hashlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docflow.kernel.errors import NotFoundError, TooLargeError, UnavailableError
from docflow.storage import LocalStore, ObjectStore, Staging, content_key


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging", max_bytes=10_000)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return LocalStore(tmp_path / "store")


def stage(staging: Staging, data: bytes) -> "tuple[str, object]":
    receiving = staging.begin()
    receiving.write(data)
    staged = receiving.finish()
    return content_key(staged.sha256), staged


def put(store: ObjectStore, staging: Staging, data: bytes) -> str:
    key, staged = stage(staging, data)
    store.put(key, staged)  # type: ignore[arg-type]
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
        store.put(key, staged)  # type: ignore[arg-type]


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
    os.utime(staged.path, (0, 0))  # type: ignore[attr-defined]
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
