"""The sealed format against published vectors, against the library, and against damage."""

import functools
import hashlib
import io
import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor

from docflow.kernel.errors import IntegrityError
from docflow.storage.sealing.format import (
    CHUNK_BYTES,
    HEADER_BYTES,
    SEALED_CHUNK_BYTES,
    SealedReader,
    SealingStream,
    derive,
    opened_size,
    sealed_size,
)

DATA = Path(__file__).resolve().parents[2] / "data"
KEY = bytes(range(32))


@functools.cache
def wycheproof() -> list[dict[str, Any]]:
    text = (DATA / "wycheproof-cobblestone-256.json").read_text("utf-8")
    tests: list[dict[str, Any]] = json.loads(text)["tests"]
    return tests


def seal(plain: bytes, context: bytes = b"", key: bytes = KEY) -> bytes:
    stream = SealingStream(key, context)
    return bytes(stream.update(plain)) + stream.finish()


def read(sealed: bytes, context: bytes = b"", key: bytes = KEY) -> bytes:
    with SealedReader(io.BytesIO(sealed), key, context) as reader:
        return reader.read()


class TestWycheproof:
    def test_every_flag_of_the_corpus_is_exercised(self) -> None:
        flags = {flag for test in wycheproof() for flag in test["flags"]}
        assert len(wycheproof()) == 33
        assert flags == {
            "ModifiedCiphertext",
            "PartialPlaintext",
            "ValidFinalChunk",
            "Truncation",
            "TrailingData",
            "HeaderFailure",
            "WrongKey",
            "InvalidKeySize",
            "WrongContext",
            "ChunkReordering",
        }

    @pytest.mark.parametrize("test", wycheproof(), ids=lambda test: f"tc{test['tcId']}")
    def test_valid_opens_and_invalid_never_does(self, test: dict[str, Any]) -> None:
        sealed = zlib.decompress(bytes.fromhex(test["ct"]))
        key, context = bytes.fromhex(test["key"]), bytes.fromhex(test["ctx"])
        if test["result"] == "valid":
            plain = read(sealed, context, key)
            assert len(plain) == test["msgLength"]
            assert hashlib.sha512(plain).hexdigest() == test["msgSha512"]
        elif "InvalidKeySize" in test["flags"]:
            with pytest.raises(ValueError, match="32 bytes"):
                read(sealed, context, key)
        else:
            with pytest.raises(IntegrityError):
                read(sealed, context, key)

    @pytest.mark.parametrize(
        "test",
        [test for test in wycheproof() if "ValidFinalChunk" in test["flags"]],
        ids=lambda test: f"tc{test['tcId']}",
    )
    def test_a_valid_end_lets_good_chunks_be_read_and_no_bad_one_ever(
        self, test: dict[str, Any]
    ) -> None:
        sealed = zlib.decompress(bytes.fromhex(test["ct"]))
        reader = SealedReader(io.BytesIO(sealed), bytes.fromhex(test["key"]), b"")
        good = reader.read(test.get("msgLength", 0))
        if good:
            assert hashlib.sha512(good).hexdigest() == test["msgSha512"]
        for _ in range(3):
            with pytest.raises(IntegrityError):
                reader.read(1)


class TestDerivation:
    """Message key and base nonce as Wycheproof names them (tests 9 and 10 of the corpus)."""

    @pytest.mark.parametrize(
        ("tc", "message_key", "base_nonce"),
        [
            (
                9,
                "580dd69d5b20db77593dd1d6d48cfc766f87f8256039a744647da02670e32e06",
                "2baf384a0102fd69155740f4",
            ),
            (
                10,
                "f2ca98b1ea2d5fb43efda14acece3121119c8dd6e7331864b185563fb21fd96d",
                "e0fe388cf585eac9fe19150f",
            ),
        ],
    )
    def test_derived_values(self, tc: int, message_key: str, base_nonce: str) -> None:
        test = next(each for each in wycheproof() if each["tcId"] == tc)
        sealed = zlib.decompress(bytes.fromhex(test["ct"]))
        key, base, commitment = derive(
            bytes.fromhex(test["key"]), sealed[:24], bytes.fromhex(test["ctx"])
        )
        assert (key.hex(), base.hex()) == (message_key, base_nonce)
        assert commitment == sealed[24:56]

    def test_a_chunk_counter_past_one_byte_agrees_with_the_library(self) -> None:
        plain = os.urandom(CHUNK_BYTES) * 258 + b"end"
        encryptor = Cobblestone256Encryptor(KEY, b"c")
        sealed = encryptor.update(plain) + encryptor.finalize()
        assert read(sealed, b"c") == plain
        with SealedReader(io.BytesIO(sealed), KEY, b"c") as reader:
            reader.seek(257 * CHUNK_BYTES - 1)
            assert reader.read(3) == plain[257 * CHUNK_BYTES - 1 :][:3]


class TestSizes:
    @pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 32768, 100_000])
    def test_sizes_are_known_beforehand_and_back(self, size: int) -> None:
        sealed = seal(bytes(size))
        assert len(sealed) == sealed_size(size)
        assert opened_size(len(sealed)) == size

    @pytest.mark.parametrize(
        "size", [0, 1, 55, 56, 71, HEADER_BYTES + SEALED_CHUNK_BYTES, 56 + 16400 + 15]
    )
    def test_impossible_sizes_are_refused(self, size: int) -> None:
        with pytest.raises(IntegrityError) as refused:
            opened_size(size)
        assert refused.value.code == "sealed-object-damaged"

    def test_more_than_four_pebibytes_are_refused(self) -> None:
        with pytest.raises(IntegrityError, match="longer than the format"):
            opened_size(HEADER_BYTES + 2**38 * SEALED_CHUNK_BYTES + 16)


class TestWriting:
    def test_pieces_of_any_size_seal_the_same_message(self) -> None:
        plain = os.urandom(70_000)
        stream = SealingStream(KEY, b"context")
        sealed = b""
        at = 0
        for size in (1, 2, 0, 16_000, 500, 40_000, 13_497):
            sealed += bytes(stream.update(plain[at : at + size]))
            at += size
        sealed += stream.finish()
        assert at == len(plain)
        assert read(sealed, b"context") == plain

    def test_the_library_opens_what_is_sealed(self) -> None:
        decryptor = Cobblestone256Decryptor(KEY, b"c")
        sealed = seal(b"x" * 40_000, b"c")
        assert decryptor.update(sealed) + decryptor.finalize() == b"x" * 40_000

    def test_the_same_message_twice_looks_different_throughout(self) -> None:
        one, other = seal(bytes(40_000)), seal(bytes(40_000))
        assert not set(blocks(one)) & set(blocks(other))


def blocks(data: bytes) -> list[bytes]:
    return [data[at : at + 16] for at in range(0, len(data) - 15, 16)]


class TestReading:
    plain = os.urandom(5 * CHUNK_BYTES + 77)
    sealed = seal(plain)

    def open(self) -> SealedReader:
        return SealedReader(io.BytesIO(self.sealed), KEY, b"")

    def test_is_a_seekable_binary_file(self) -> None:
        reader = self.open()
        assert (reader.readable(), reader.seekable(), reader.writable()) == (True, True, False)
        assert reader.seek(-7, os.SEEK_END) == len(self.plain) - 7
        assert reader.read() == self.plain[-7:]
        assert reader.read() == b""
        assert reader.seek(3) == reader.tell() == 3
        assert reader.seek(2, os.SEEK_CUR) == 5
        assert reader.readall() == self.plain[5:]
        reader.seek(10**9)
        assert reader.read(5) == b""
        for offset, whence in ((-1, os.SEEK_SET), (0, 9)):
            with pytest.raises(ValueError, match="cannot seek"):
                reader.seek(offset, whence)

    def test_lines_can_be_read_as_from_any_file(self) -> None:
        with SealedReader(io.BytesIO(seal(b"one\ntwo\n")), KEY, b"") as reader:
            assert list(reader) == [b"one\n", b"two\n"]

    def test_closing_closes_the_source_and_nothing_is_read_after(self) -> None:
        source = io.BytesIO(self.sealed)
        reader = SealedReader(source, KEY, b"")
        reader.close()
        reader.close()
        assert source.closed
        with pytest.raises(ValueError, match="closed"):
            reader.read(1)

    def test_a_source_that_gives_a_few_bytes_at_a_time_is_enough(self) -> None:
        class Dribble(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(min(size, 1000) if size and size > 0 else size)

        with SealedReader(Dribble(self.sealed), KEY, b"") as reader:
            assert reader.read() == self.plain

    def test_a_range_reads_only_the_chunks_that_cover_it(self) -> None:
        class Counting(io.BytesIO):
            taken = 0

            def read(self, size: int | None = -1, /) -> bytes:
                data = super().read(size)
                self.taken += len(data)
                return data

        source = Counting(self.sealed)
        reader = SealedReader(source, KEY, b"")
        reader.seek(3 * CHUNK_BYTES + 5)
        assert reader.read(10) == self.plain[3 * CHUNK_BYTES + 5 :][:10]
        end_and_header = HEADER_BYTES + 77 + 16
        assert source.taken == end_and_header + SEALED_CHUNK_BYTES


class TestDamage:
    plain = os.urandom(3 * CHUNK_BYTES + 100)
    sealed = seal(plain, b"context")

    def chunk(self, index: int) -> bytes:
        start = HEADER_BYTES + index * SEALED_CHUNK_BYTES
        return self.sealed[start : start + SEALED_CHUNK_BYTES]

    def test_a_whole_chunk_less_is_found_before_the_first_byte(self) -> None:
        cut = self.sealed[: HEADER_BYTES + 2 * SEALED_CHUNK_BYTES] + self.chunk(3)
        with pytest.raises(IntegrityError):
            SealedReader(io.BytesIO(cut), KEY, b"context")

    def test_a_cut_at_the_end_is_found_even_by_who_reads_the_front_only(self) -> None:
        for lost in (1, 99, 116, 117, SEALED_CHUNK_BYTES, len(self.sealed) - HEADER_BYTES):
            with pytest.raises(IntegrityError):
                SealedReader(io.BytesIO(self.sealed[:-lost]), KEY, b"context")

    def test_swapped_chunks_do_not_open(self) -> None:
        order = (1, 0, 2, 3)
        swapped = self.sealed[:HEADER_BYTES] + b"".join(self.chunk(index) for index in order)
        reader = SealedReader(io.BytesIO(swapped), KEY, b"context")
        with pytest.raises(IntegrityError):
            reader.read(1)

    def test_a_chunk_of_another_file_of_the_same_key_and_context_does_not_open(self) -> None:
        other = seal(self.plain, b"context")
        mixed = (
            other[: HEADER_BYTES + SEALED_CHUNK_BYTES]
            + self.sealed[HEADER_BYTES + SEALED_CHUNK_BYTES :]
        )
        with pytest.raises(IntegrityError):
            SealedReader(io.BytesIO(mixed), KEY, b"context")

    @pytest.mark.parametrize(("key", "context"), [(bytes(32), b"context"), (KEY, b"Context")])
    def test_wrong_key_and_wrong_context_are_told_apart_from_damage(
        self, key: bytes, context: bytes
    ) -> None:
        with pytest.raises(IntegrityError) as refused:
            read(self.sealed, context, key)
        assert refused.value.code == "sealed-object-mismatch"

    def test_once_damage_was_found_nothing_more_is_given_out(self) -> None:
        damaged = bytearray(self.sealed)
        damaged[HEADER_BYTES + SEALED_CHUNK_BYTES + 5] ^= 1
        reader = SealedReader(io.BytesIO(bytes(damaged)), KEY, b"context")
        assert reader.read(10) == self.plain[:10]
        buffer = bytearray(2 * CHUNK_BYTES)
        with pytest.raises(IntegrityError) as refused:
            reader.readinto(buffer)
        assert refused.value.code == "sealed-object-damaged"
        reader.seek(0)
        with pytest.raises(IntegrityError):
            reader.read(1)

    def test_what_did_not_authenticate_is_not_left_in_the_callers_buffer(self) -> None:
        damaged = bytearray(self.sealed)
        damaged[HEADER_BYTES + 5] ^= 1
        reader = SealedReader(io.BytesIO(bytes(damaged)), KEY, b"context")
        buffer = bytearray(CHUNK_BYTES)
        with pytest.raises(IntegrityError):
            reader.readinto(buffer)
        assert buffer == bytes(CHUNK_BYTES)

    def test_a_source_that_shrinks_while_it_is_read(self) -> None:
        source = io.BytesIO(self.sealed)
        reader = SealedReader(source, KEY, b"context")
        source.truncate(HEADER_BYTES + 100)
        with pytest.raises(IntegrityError, match="shorter"):
            reader.read()
