"""Sealing, whatever the bytes, the pieces, the places and the damage."""

import io
import itertools
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docflow.kernel.errors import IntegrityError
from docflow.storage.sealing.format import (
    CHUNK_BYTES,
    HEADER_BYTES,
    SEALED_CHUNK_BYTES,
    SealedReader,
    SealingStream,
    opened_size,
    sealed_size,
)
from docflow.storage.sealing.text import SealedText, TextPlace, open_text, seal_text

KEY = bytes(range(32))
NEAR = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 5 * CHUNK_BYTES]
sizes = st.one_of(st.sampled_from(NEAR), st.integers(0, 6 * CHUNK_BYTES))
contexts = st.binary(max_size=40)


def seal(plain: bytes, context: bytes = b"", key: bytes = KEY) -> bytes:
    stream = SealingStream(key, context)
    return bytes(stream.update(plain)) + stream.finish()


def read(sealed: bytes, context: bytes = b"", key: bytes = KEY) -> bytes:
    with SealedReader(io.BytesIO(sealed), key, context) as reader:
        return reader.read()


@given(size=sizes, cuts=st.lists(st.integers(0, 6 * CHUNK_BYTES), max_size=5), context=contexts)
def test_pieces_do_not_matter(size: int, cuts: list[int], context: bytes) -> None:
    plain = os.urandom(size)
    stream = SealingStream(KEY, context)
    sealed = b""
    edges = [0, *sorted(min(cut, size) for cut in cuts), size]
    for start, end in itertools.pairwise(edges):
        sealed += bytes(stream.update(plain[start:end]))
    sealed += stream.finish()
    assert len(sealed) == sealed_size(size)
    assert opened_size(len(sealed)) == size
    assert read(sealed, context) == plain


@given(
    size=sizes,
    steps=st.lists(
        st.tuples(st.integers(0, 7 * CHUNK_BYTES), st.integers(0, 4 * CHUNK_BYTES)), max_size=12
    ),
)
def test_reads_as_the_plain_file_would_whatever_is_sought(
    size: int, steps: list[tuple[int, int]]
) -> None:
    plain = os.urandom(size)
    file, reader = io.BytesIO(plain), SealedReader(io.BytesIO(seal(plain)), KEY, b"")
    for at, length in steps:
        assert reader.seek(at) == file.seek(at)
        assert reader.read(length) == file.read(length)
        assert reader.tell() == file.tell()
        assert reader.read(7) == file.read(7)


@given(size=sizes, data=st.data())
def test_a_flipped_bit_anywhere_never_gives_a_wrong_byte(size: int, data: st.DataObject) -> None:
    plain = os.urandom(size)
    sealed = bytearray(seal(plain))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    assert refused_or_right(bytes(sealed), plain)


@given(size=sizes, data=st.data())
def test_bytes_cut_from_the_end_are_noticed_at_once(size: int, data: st.DataObject) -> None:
    sealed = seal(os.urandom(size))
    kept = data.draw(st.integers(0, len(sealed) - 1))
    with pytest.raises(IntegrityError):
        SealedReader(io.BytesIO(sealed[:kept]), KEY, b"")


@given(size=sizes, extra=st.binary(min_size=1, max_size=2 * SEALED_CHUNK_BYTES))
def test_bytes_added_at_the_end_are_noticed(size: int, extra: bytes) -> None:
    sealed = seal(os.urandom(size))
    with pytest.raises(IntegrityError):
        read(sealed + extra)


@given(chunks=st.integers(2, 5), data=st.data())
def test_chunks_in_another_order_do_not_open(chunks: int, data: st.DataObject) -> None:
    plain = os.urandom(chunks * CHUNK_BYTES + 5)
    sealed = seal(plain)
    pieces = [
        sealed[at : at + SEALED_CHUNK_BYTES]
        for at in range(HEADER_BYTES, len(sealed), SEALED_CHUNK_BYTES)
    ]
    order = data.draw(st.permutations(range(chunks)).filter(lambda o: list(o) != sorted(o)))
    mixed = sealed[:HEADER_BYTES] + b"".join([*(pieces[index] for index in order), pieces[-1]])
    with pytest.raises(IntegrityError):
        read(mixed)


@given(one=contexts, other=contexts, same_key=st.booleans())
def test_opens_with_its_key_in_its_context_only(one: bytes, other: bytes, same_key: bool) -> None:
    sealed = seal(b"plain", one)
    key = KEY if same_key else bytes(32)
    if same_key and one == other:
        assert read(sealed, other, key) == b"plain"
    else:
        with pytest.raises(IntegrityError) as refused:
            read(sealed, other, key)
        assert refused.value.code == "sealed-object-mismatch"


def refused_or_right(sealed: bytes, plain: bytes) -> bool:
    """Read chunk by chunk; every byte that comes out is right, and in the end it is refused."""
    try:
        reader = SealedReader(io.BytesIO(sealed), KEY, b"")
        at = 0
        while piece := reader.read(1000):
            assert piece == plain[at : at + 1000]
            at += len(piece)
    except IntegrityError:
        return True
    return False


places = st.builds(TextPlace, st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))


@settings(max_examples=60)
@given(text=st.text(), place=places, other=places)
def test_texts_open_in_their_place_only(text: str, place: TextPlace, other: TextPlace) -> None:
    sealed = seal_text(KEY, text, place)
    assert sealed.open(KEY, place) == text
    assert text not in str(sealed) or text in "***"
    if other != place:
        with pytest.raises(IntegrityError):
            sealed.open(KEY, other)


@given(value=st.text())
def test_plaintext_is_never_taken_for_sealed(value: str) -> None:
    with pytest.raises(IntegrityError):
        SealedText(value).open(KEY, TextPlace("a", "b", "c"))
    with pytest.raises(IntegrityError):
        open_text(KEY, value, TextPlace("a", "b", "c"))
