"""What every object store promises, sealed: over memory, a folder and S3; and what sealing adds."""

import hashlib
import io
import os
import threading
import tracemalloc
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from docflow.kernel.errors import IntegrityError, NotFoundError, TooLargeError
from docflow.storage import LocalStore, MemoryStore, ObjectStore, Staging, content_key
from docflow.storage.sealing import (
    Keyring,
    SealContext,
    SealedFile,
    SealedRef,
    SealedStaging,
    SealedStore,
)
from docflow.storage.sealing.providers import LocalKeys
from tests.s3_server import S3Server

MARKER = b"KE-HOACH-MAT-7f3a91" * 3
LIMIT = 3_000_000


def context(file: str = "file-1") -> SealContext:
    return SealContext("SOGD", "doc-1", file, "confidential")


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture(params=["memory", "folder", "s3"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "folder":
        return LocalStore(tmp_path / "store")
    server: S3Server = request.getfixturevalue("s3_server")
    return server.store()


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Keyring(LocalKeys(tmp_path / "keys"))


@pytest.fixture
def plain_staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging", max_bytes=LIMIT)


@pytest.fixture
def staging(plain_staging: Staging, keyring: Keyring) -> SealedStaging:
    return SealedStaging(plain_staging, keyring)


@pytest.fixture
def refs() -> dict[str, SealedRef]:
    """Stands for the rows that keep envelopes."""
    return {}


@pytest.fixture
def store(inner: ObjectStore, keyring: Keyring, refs: dict[str, SealedRef]) -> ObjectStore:
    return SealedStore(inner, keyring, refs.get)


@pytest.fixture
def sealed(store: ObjectStore) -> SealedStore:
    assert isinstance(store, SealedStore)
    return store


def stage(staging: SealedStaging, data: bytes, file: str = "file-1") -> SealedFile:
    return staging.seal(io.BytesIO(data), context(file))


def put(store: ObjectStore, staging: SealedStaging, refs: dict[str, SealedRef], data: bytes) -> str:
    staged = stage(staging, data)
    store.put(staged.key, staged)
    refs[staged.key] = staged.ref
    return staged.key


class TestAsAnyStore:
    @pytest.mark.parametrize("size", [0, 1, 5000, 16_384, 65_536, 1_000_003])
    def test_what_is_put_is_read_back_whole_and_in_ranges(
        self, store: ObjectStore, staging: SealedStaging, refs: dict[str, SealedRef], size: int
    ) -> None:
        data = os.urandom(size)
        key = put(store, staging, refs, data)
        with store.open(key) as file:
            assert file.read() == data
            file.seek(size // 2)
            assert file.read(10) == data[size // 2 :][:10]
        assert store.size(key) == size

    def test_the_staged_file_is_consumed(
        self,
        store: ObjectStore,
        staging: SealedStaging,
        refs: dict[str, SealedRef],
        plain_staging: Staging,
    ) -> None:
        put(store, staging, refs, b"x")
        assert list(plain_staging.folder.iterdir()) == []

    def test_putting_the_same_staged_bytes_again_leaves_one_object(
        self, inner: ObjectStore, store: ObjectStore, staging: SealedStaging
    ) -> None:
        staged = stage(staging, b"same")
        copy = staged.path.read_bytes()
        store.put(staged.key, staged)
        staged.path.write_bytes(copy)
        store.put(staged.key, staged)
        assert [each.key for each in inner.objects("files/")] == [staged.key]

    def test_eight_threads_putting_leave_eight_objects_that_open(
        self, store: ObjectStore, staging: SealedStaging, refs: dict[str, SealedRef]
    ) -> None:
        data = os.urandom(50_000)
        threads = [
            threading.Thread(target=put, args=(store, staging, refs, data)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refs) == 8
        for key in refs:
            with store.open(key) as file:
                assert file.read() == data

    def test_missing_objects_are_named(
        self, store: ObjectStore, sealed: SealedStore, staging: SealedStaging
    ) -> None:
        missing = content_key("0" * 64)
        assert store.size(missing) is None
        ref = stage(staging, b"never stored").ref
        with pytest.raises(NotFoundError) as unknown:
            store.open(missing)
        with pytest.raises(NotFoundError) as gone:
            sealed.open_sealed(ref)
        assert unknown.value.code == gone.value.code == "object-missing"

    def test_deleted_objects_are_gone_and_deleting_twice_is_no_error(
        self, store: ObjectStore, staging: SealedStaging, refs: dict[str, SealedRef]
    ) -> None:
        key = put(store, staging, refs, b"x")
        store.delete(key)
        store.delete(key)
        assert store.size(key) is None
        with pytest.raises(NotFoundError):
            store.open(key)

    def test_objects_are_listed_as_they_lie_there(
        self, store: ObjectStore, staging: SealedStaging, refs: dict[str, SealedRef]
    ) -> None:
        key = put(store, staging, refs, b"12345")
        [listed] = store.objects("files/")
        assert (listed.key, listed.size) == (key, 56 + 5 + 16)


class TestSealing:
    def test_no_plaintext_is_on_disk_at_any_moment(
        self, tmp_path: Path, inner: ObjectStore, store: ObjectStore, staging: SealedStaging
    ) -> None:
        receiving = staging.begin(context())
        for _ in range(2000):
            receiving.write(MARKER)
        self.assert_hidden(tmp_path)
        staged = receiving.finish()
        self.assert_hidden(tmp_path)
        store.put(staged.key, staged)
        self.assert_hidden(tmp_path)
        with inner.open(staged.key) as file:
            assert MARKER[:19] not in file.read()

    @staticmethod
    def assert_hidden(folder: Path) -> None:
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if MARKER[:19] in path.read_bytes()]

    def test_the_record_has_the_plaintexts_digest_and_the_key_has_not(
        self, staging: SealedStaging
    ) -> None:
        one, other = stage(staging, MARKER), stage(staging, MARKER)
        assert one.sha256 == other.sha256 == hashlib.sha256(MARKER).hexdigest()
        assert (one.size, one.head) == (len(MARKER), MARKER)
        assert one.key != other.key
        assert one.sha256 not in one.key
        assert one.stored_sha256 == hashlib.sha256(one.path.read_bytes()).hexdigest()
        assert one.stored_size == one.path.stat().st_size

    def test_what_is_staged_can_be_checked_before_it_is_stored(
        self, staging: SealedStaging
    ) -> None:
        staged = stage(staging, MARKER * 1000)
        with staged.open() as file:
            file.seek(len(MARKER))
            assert file.read(len(MARKER)) == MARKER

    def test_no_key_shows_in_what_is_printed(self, staging: SealedStaging) -> None:
        staged = stage(staging, b"x")
        assert repr(staged.data_key) not in repr(staged)
        assert staged.data_key.hex() not in repr(staged)

    def test_the_limit_is_on_the_plaintext_and_nothing_stays_behind(
        self, staging: SealedStaging, plain_staging: Staging
    ) -> None:
        assert stage(staging, bytes(LIMIT)).size == LIMIT
        before = set(plain_staging.folder.iterdir())
        with pytest.raises(TooLargeError) as refused:
            stage(staging, bytes(LIMIT + 1))
        assert refused.value.extra["limit_bytes"] == LIMIT
        assert set(plain_staging.folder.iterdir()) == before
        receiving = staging.begin(context(), max_bytes=10)
        with pytest.raises(TooLargeError):
            receiving.write(bytes(11))
        receiving.abort()
        receiving.abort()
        assert set(plain_staging.folder.iterdir()) == before

    def test_an_item_moves_to_a_higher_classification_by_being_sealed_anew(
        self, sealed: SealedStore, staging: SealedStaging
    ) -> None:
        first = stage(staging, MARKER)
        sealed.put(first.key, first)
        higher = SealContext("SOGD", "doc-1", "file-1", "secret")
        with sealed.open_sealed(first.ref) as file:
            second = staging.seal(file, higher)
        sealed.put(second.key, second)
        assert second.envelope.key_id == "SOGD/secret"
        assert second.sha256 == first.sha256
        with sealed.open_sealed(second.ref) as file:
            assert file.read() == MARKER

    def test_retention_reaches_the_store_below(
        self, tmp_path: Path, keyring: Keyring, staging: SealedStaging
    ) -> None:
        memory = MemoryStore()
        staged = stage(staging, b"x")
        until = datetime(2999, 1, 1, tzinfo=UTC)
        SealedStore(memory, keyring).put(staged.key, staged, retain_until=until)
        with pytest.raises(Exception, match="2999-01-01"):
            memory.delete(staged.key)


class TestRefusals:
    def test_plaintext_is_refused(
        self, store: ObjectStore, plain_staging: Staging, inner: ObjectStore
    ) -> None:
        receiving = plain_staging.begin()
        receiving.write(MARKER)
        staged = receiving.finish()
        with pytest.raises(IntegrityError) as refused:
            store.put(content_key(staged.sha256), staged)
        assert refused.value.code == "plaintext-refused"
        with pytest.raises(IntegrityError):
            store.publish("checkpoint", MARKER)
        assert list(inner.objects("")) == []

    def test_the_plaintexts_digest_is_refused_as_a_key(
        self, store: ObjectStore, staging: SealedStaging
    ) -> None:
        staged = stage(staging, MARKER)
        with pytest.raises(IntegrityError) as refused:
            store.put(content_key(staged.sha256), staged)
        assert refused.value.code == "sealed-key-mismatch"

    def test_objects_do_not_open_in_each_others_place(
        self, sealed: SealedStore, staging: SealedStaging
    ) -> None:
        one, other = stage(staging, b"one", "file-1"), stage(staging, b"two", "file-2")
        for each in (one, other):
            sealed.put(each.key, each)
        swaps = [
            SealedRef(other.key, one.envelope, one.context),  # the bytes moved
            SealedRef(one.key, other.envelope, one.context),  # the envelope moved
            SealedRef(one.key, one.envelope, other.context),  # the row says another place
            SealedRef(other.key, other.envelope, one.context),  # bytes and envelope moved
        ]
        for swap in swaps:
            with pytest.raises(IntegrityError):
                sealed.open_sealed(swap)

    def test_bytes_changed_in_the_store_never_come_out(
        self, keyring: Keyring, staging: SealedStaging, tmp_path: Path
    ) -> None:
        folder = LocalStore(tmp_path / "store")
        sealed = SealedStore(folder, keyring)
        staged = stage(staging, os.urandom(40_000))
        sealed.put(staged.key, staged)
        path = tmp_path / "store" / staged.key
        good = path.read_bytes()
        path.chmod(0o600)
        for at in (0, 30, 60, 20_000, len(good) - 1):
            changed = bytearray(good)
            changed[at] ^= 0x80
            path.write_bytes(changed)
            with pytest.raises(IntegrityError):
                sealed.open_sealed(staged.ref).read()
        path.write_bytes(good[:-1])
        with pytest.raises(IntegrityError):
            sealed.open_sealed(staged.ref)
        path.write_bytes(good[:20])
        with pytest.raises(IntegrityError):
            sealed.size(staged.key)


def test_sealing_and_opening_hold_little_whatever_the_size(
    plain_staging: Staging, keyring: Keyring
) -> None:
    piece = os.urandom(2**16)
    receiving = SealedStaging(plain_staging, keyring).begin(context(), max_bytes=2**30)
    tracemalloc.start()
    try:
        for _ in range(512):  # 32 MiB
            receiving.write(piece)
        staged = receiving.finish()
        with staged.open() as file:
            while file.read(2**16):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    staged.discard()
    assert staged.size == 2**25
    assert peak < 2**21
