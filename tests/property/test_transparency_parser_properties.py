"""Parsers of the log's formats: what is written is read back; any other bytes raise one error."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docflow.transparency.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from docflow.transparency.entry import (
    NO_PREVIOUS,
    EntryFields,
    check_details,
    commit_details,
    make_entry,
    parse_leaf,
)
from docflow.transparency.errors import (
    CheckpointError,
    KeyFormatError,
    LeafError,
    NoteError,
    ProofFileError,
    TileError,
)
from docflow.transparency.merkle import inclusion_proof, leaf_hash, root_hash
from docflow.transparency.note import SigningKey, VerifierKey, open_note, parse_note, sign_note
from docflow.transparency.proof import parse_proof, verify_proof, write_proof
from docflow.transparency.tiles import make_bundle, parse_bundle, parse_tile_path

relaxed = settings(deadline=None)  # a busy machine is no failure
KEY = SigningKey("log.example", b"\x03" * 32)
VKEY = str(KEY.verifier)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.text(max_size=10), json_values, max_size=5)
kinds = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5})?", fullmatch=True)
names = st.text(min_size=1, max_size=20)
hashes = st.binary(min_size=32, max_size=32)
note_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n")).map(
    lambda text: text + "\n"
)


@st.composite
def entries(draw: st.DrawFn) -> EntryFields:
    """Any entry that can be made."""
    seq = draw(st.integers(1, 2**53 - 1))
    first = seq == 1
    details = draw(st.none() | objects)
    return EntryFields(
        id=f"019a2b3c-4d5e-7{draw(st.integers(0, 0xFFF)):03x}-8123-456789abcdef",
        subject_kind=draw(kinds),
        subject_id=draw(names),
        seq=seq,
        prev=NO_PREVIOUS if first else draw(hashes.filter(any)).hex(),
        at=draw(st.datetimes(timezones=st.just(UTC))),
        actor_id=draw(names),
        actor_kind=draw(kinds),
        action=draw(kinds) + "." + draw(kinds),
        data=draw(objects),
        details=None if details is None else commit_details(details, draw(hashes)),
    )


@relaxed
@given(entries())
def test_every_leaf_is_read_back_and_is_the_same_bytes_again(fields: EntryFields) -> None:
    entry = make_entry(fields)
    assert parse_leaf(entry.leaf) == fields
    assert make_entry(parse_leaf(entry.leaf)) == entry
    assert json.loads(entry.leaf)["seq"] == fields.seq


@relaxed
@given(entries(), st.data())
def test_a_changed_byte_makes_another_entry_or_none(
    fields: EntryFields, data: st.DataObject
) -> None:
    leaf = bytearray(make_entry(fields).leaf)
    leaf[data.draw(st.integers(0, len(leaf) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = parse_leaf(bytes(leaf))
    except LeafError:
        return
    assert changed != fields
    assert make_entry(changed).leaf == leaf


@relaxed
@given(objects, objects, hashes, hashes)
def test_a_commitment_holds_for_its_details_and_key_only(
    details: dict[str, Any], other: dict[str, Any], key: bytes, other_key: bytes
) -> None:
    commitment = commit_details(details, key)
    assert check_details(details, key, commitment)
    assert check_details(details, other_key, commitment) == (key == other_key)
    same = json.dumps(details, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert check_details(other, key, commitment) == same


def read_note(data: bytes) -> object:
    return open_note(data, [KEY.verifier])


def read_checkpoint(data: bytes) -> object:
    return parse_checkpoint(data.decode("utf-8", "surrogatepass"))


def read_vkey(data: bytes) -> object:
    return VerifierKey.parse(data.decode("utf-8", "surrogatepass"))


def read_skey(data: bytes) -> object:
    return SigningKey.parse(data.decode("utf-8", "surrogatepass"))


def read_path(data: bytes) -> object:
    return parse_tile_path(data.decode("utf-8", "surrogatepass"))


def read_bundle(data: bytes) -> object:
    return parse_bundle(data, 3)


def read_and_verify(data: bytes) -> object:
    return verify_proof(data, VKEY)


NOTE = sign_note("a text\n", [KEY]).encode()
LEAF = make_entry(
    EntryFields(
        id="019a2b3c-4d5e-7f60-8123-456789abcdef",
        subject_kind="document",
        subject_id="d1",
        seq=1,
        prev=NO_PREVIOUS,
        at=datetime(2026, 3, 2, tzinfo=UTC) + timedelta(microseconds=1),
        actor_id="service",
        actor_kind="service",
        action="document.registered",
        data={"number": 1, "text": "Ủy ban"},
    )
).leaf
LEAF_HASHES = [leaf_hash(leaf) for leaf in (b"a", LEAF, b"c")]
SIGNED = sign_checkpoint(Checkpoint("log.example", 3, root_hash(LEAF_HASHES)), [KEY])
PROOF = write_proof(1, inclusion_proof(1, LEAF_HASHES), SIGNED, leaf=LEAF).encode()
PARSERS: list[tuple[Callable[[bytes], object], type[Exception], bytes]] = [
    (parse_leaf, LeafError, LEAF),
    (parse_note, NoteError, NOTE),
    (read_note, NoteError, NOTE),
    (read_checkpoint, CheckpointError, SIGNED.split("\n\n")[0].encode() + b"\n"),
    (read_vkey, KeyFormatError, VKEY.encode()),
    (read_skey, KeyFormatError, KEY.export().encode()),
    (read_path, TileError, b"tile/0/x001/234.p/7"),
    (read_bundle, TileError, make_bundle([b"", b"abc", LEAF])),
    (parse_proof, ProofFileError, PROOF),
    (read_and_verify, ProofFileError, PROOF),
]


@st.composite
def edited(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with a slice of it replaced."""
    start = draw(st.integers(0, len(data)))
    stop = draw(st.integers(start, min(len(data), start + 8)))
    piece = draw(
        st.binary(max_size=8)
        | st.sampled_from(
            [b"\n", b"\n\n", b"\r", b"0", b" ", b"=", b"+", "— ".encode(), b"{", b"["]
        )
    )
    return data[:start] + piece + data[stop:]


@pytest.mark.parametrize(("parse", "error", "good"), PARSERS)
def test_good_bytes_are_read(
    parse: Callable[[bytes], object], error: type[Exception], good: bytes
) -> None:
    assert parse(good)


@pytest.mark.parametrize(("parse", "error", "good"), PARSERS)
@settings(relaxed, max_examples=150)
@given(data=st.data())
def test_any_other_bytes_raise_the_documented_error_only(
    parse: Callable[[bytes], object], error: type[Exception], good: bytes, data: st.DataObject
) -> None:
    text = st.text(st.characters(codec="utf-8")).map(lambda value: value.encode())
    blob = data.draw(st.binary(max_size=300) | text | edited(good))
    try:
        parse(blob)
    except UnicodeDecodeError:
        # the helpers above decode; what they hand on is text, as the parsers take it
        assert parse in (read_checkpoint, read_vkey, read_skey, read_path)
    except error:
        pass


@relaxed
@given(st.data())
def test_an_edited_proof_proves_the_same_entry_or_nothing(data: st.DataObject) -> None:
    try:
        verified = verify_proof(data.draw(edited(PROOF)), VKEY)
    except ProofFileError:
        return
    assert (verified.leaf, verified.index) == (LEAF, 1)


@relaxed
@given(note_texts, st.integers(1, 16))
def test_every_text_is_signed_and_opened(text: str, signers: int) -> None:
    keys = [SigningKey(f"log{number}", bytes([number]) * 32) for number in range(signers)]
    note = sign_note(text, keys)
    opened = open_note(note.encode(), [keys[-1].verifier])
    assert opened.text == text
    assert (len(opened.verified), len(opened.ignored)) == (1, signers - 1)


@relaxed
@given(
    st.text(min_size=1).filter(lambda text: text.isprintable()), st.integers(1, 2**63 - 1), hashes
)
def test_every_checkpoint_is_signed_and_opened(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    note = sign_checkpoint(checkpoint, [KEY])
    assert open_checkpoint(note, [KEY.verifier], origin=origin).checkpoint == checkpoint


@relaxed
@given(st.lists(st.binary(max_size=100), max_size=20))
def test_every_bundle_is_read_back(leaves: list[bytes]) -> None:
    assert parse_bundle(make_bundle(leaves), len(leaves)) == leaves
