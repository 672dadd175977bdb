"""What the bench sends and compares: other bytes, fewer or more of them end a run."""

import io
from pathlib import Path

import pytest
from bench.client import WrongResultError
from bench.content import Content, Expected, large_pdf, noise
from bench.figures import COLUMNS, bounded, compared, table
from bench.raw_stores import RawFolder
from bench.sealing import keyring
from bench.stores import Plain, Sealed, _trip

from docflow.signing.inspection import inspect_pdf
from docflow.storage import MemoryStore, Staging

MIB = 2**20
SIZES = [1, 100_000, 8 * MIB, 17 * MIB + 5]


def whole(content: Content) -> bytes:
    return b"".join(content.chunks())


def compare(content: Content, data: bytes, step: int = 100_003) -> None:
    expected = Expected(content)
    for start in range(0, len(data), step):
        expected.feed(data[start : start + step])
    expected.end()


@pytest.mark.parametrize("size", SIZES)
def test_noise_has_its_size_and_is_new_each_time(size: int) -> None:
    one = noise(size)
    assert one.size == len(whole(one)) == size
    if size > 1:
        assert whole(one) != whole(noise(size))


@pytest.mark.parametrize("size", SIZES)
def test_what_came_back_as_it_was_sent_is_accepted(size: int) -> None:
    content = noise(size)
    compare(content, whole(content))


@pytest.mark.parametrize("size", SIZES)
def test_what_came_back_changed_cut_or_longer_ends_the_run(size: int) -> None:
    content = noise(size)
    good = whole(content)
    changed = bytearray(good)
    changed[-1] ^= 1
    for wrong in (bytes(changed), good[:-1], good + b"\x00", b""):
        with pytest.raises(WrongResultError):
            compare(content, wrong)


def test_the_large_file_is_a_pdf_that_docflow_takes() -> None:
    content = large_pdf(17 * MIB)
    data = whole(content)
    assert 16 * MIB < content.size == len(data) < 18 * MIB
    facts = inspect_pdf(io.BytesIO(data))
    assert (facts.pages, facts.signed) == (1, False)


def test_every_way_keeps_what_it_is_given_and_leaves_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    staging = Staging(tmp_path / "staging", 2**40)
    raw = RawFolder(tmp_path / "raw")
    for way in (raw, Plain(store, staging), Sealed(store, staging, keyring(tmp_path / "keys"))):
        assert _trip(way, 300_000, 2).get.passed > 0
    assert list(store.objects("")) == []
    assert list((tmp_path / "staging").iterdir()) == list((tmp_path / "raw").iterdir()) == []


def test_a_store_that_loses_a_byte_ends_the_run(tmp_path: Path) -> None:
    class Forgetful(RawFolder):
        def put(self, content: Content) -> Path:
            path = super().put(content)
            path.write_bytes(path.read_bytes()[:-1])
            return path

    with pytest.raises(WrongResultError):
        _trip(Forgetful(tmp_path / "raw"), 100_000, 1)


def test_the_table_fits_a_terminal_and_says_what_was_missed() -> None:
    told = table(
        [
            compared("seal, pieces of 64 KiB", "memory", [(7000, 4000)], "MB/s", at_least=0.5),
            compared("hash and seal in one pass", "memory", [(1, 2)], "MB/s", at_least=0.75),
            bounded("upload 2 GiB, sealed", "S3", 40.0, "MiB", 32, "a note " * 30),
        ]
    )
    assert max(map(len, told.splitlines())) <= COLUMNS
    assert "1 of 3 aims reached" in told
    assert "missed: upload 2 GiB, sealed (S3)" in told
