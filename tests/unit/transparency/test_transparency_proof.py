"""Proof files: the written form of C2SP tlog-proof, and offline verification step by step."""

import base64
import hashlib
from datetime import UTC, datetime

import pytest

from docflow.transparency.checkpoint import Checkpoint, sign_checkpoint
from docflow.transparency.entry import NO_PREVIOUS, Entry, EntryFields, make_entry
from docflow.transparency.errors import KeyFormatError, ProofFileError
from docflow.transparency.merkle import inclusion_proof, leaf_hash, root_hash
from docflow.transparency.note import SigningKey
from docflow.transparency.proof import (
    MAX_PROOF_BYTES,
    ProofFile,
    parse_proof,
    verify_proof,
    write_proof,
)

KEY = SigningKey("log.example/docflow", b"\x05" * 32)
INDEX = 2


def entry(number: int) -> Entry:
    return make_entry(
        EntryFields(
            id=f"019a2b3c-4d5e-7f60-8123-{number:012x}",
            subject_kind="document",
            subject_id=f"d{number}",
            seq=1,
            prev=NO_PREVIOUS,
            at=datetime(2026, 3, 2, 1, 30, tzinfo=UTC),
            actor_id="service",
            actor_kind="service",
            action="document.registered",
            data={"number": number},
        )
    )


ENTRIES = [entry(number) for number in range(5)]
HASHES = [leaf_hash(item.leaf) for item in ENTRIES]
CHECKPOINT = sign_checkpoint(Checkpoint(KEY.verifier.name, 5, root_hash(HASHES)), [KEY])
PROOF = write_proof(INDEX, inclusion_proof(INDEX, HASHES), CHECKPOINT, leaf=ENTRIES[INDEX].leaf)
VKEY = str(KEY.verifier)


def step_of(proof: str | bytes, vkey: str = VKEY, leaf: bytes | None = None) -> str:
    with pytest.raises(ProofFileError) as caught:
        verify_proof(proof, vkey, leaf=leaf)
    assert caught.value.code == "history-proof-file-invalid"
    assert caught.value.detail.endswith(".")
    return str(caught.value.extra["step"])


def replaced(old: str, new: str) -> str:
    assert old in PROOF
    return PROOF.replace(old, new, 1)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("index", "words", "extra", "text"),
    [
        (5, ["hash1", "hash2"], None, "c2sp.org/tlog-proof@v1\nindex 5\n{0}\n{1}\n\ncp\n"),
        (
            10,
            ["hash1"],
            b"extra information",
            "c2sp.org/tlog-proof@v1\nextra ZXh0cmEgaW5mb3JtYXRpb24=\nindex 10\n{0}\n\ncp\n",
        ),
        (0, [], None, "c2sp.org/tlog-proof@v1\nindex 0\n\ncp\n"),
        (0, [], b"", "c2sp.org/tlog-proof@v1\nextra \nindex 0\n\ncp\n"),
    ],
)
def test_the_parts_are_written_and_read_in_the_specified_form(
    index: int, words: list[str], extra: bytes | None, text: str
) -> None:
    hashes = [hashlib.sha256(word.encode()).digest() for word in words]
    text = text.format(*map(encoded, hashes))
    assert write_proof(index, hashes, "cp\n", leaf=extra) == text
    assert parse_proof(text) == ProofFile(index, tuple(hashes), "cp\n", extra)
    assert parse_proof(text.encode()) == parse_proof(text)


def test_a_checkpoint_is_kept_verbatim() -> None:
    text = "a\n\nb\n\n— c d\n"
    assert parse_proof(f"c2sp.org/tlog-proof@v1\nindex 1\n\n{text}").checkpoint == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wrong-header\nindex 0\n\ncp\n",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v1\n",
        "c2sp.org/tlog-proof@v1\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n\n",
        "c2sp.org/tlog-proof@v1\nextra !!\nindex 0\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nextra YR==\nindex 0\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nextra\nindex 0\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nextra YQ==\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nindex 007\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nindex -5\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nindex +1\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nindex  1\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nindex 9223372036854775808\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nindex 18446744073709551616\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n!!\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n" + encoded(b"\0" * 31) + "\n\ncp\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n" + (encoded(b"\0" * 32) + "\n") * 64 + "\ncp\n",
        "c2sp.org/tlog-proof@v1\r\nindex 0\r\n\r\ncp\r\n",
        b"\xff" + PROOF.encode(),
        b"\n" * (MAX_PROOF_BYTES + 1),
    ],
)
def test_what_is_not_a_proof_file_fails_at_its_format(text: str | bytes) -> None:
    assert step_of(text) == "format"


def test_a_proof_verifies_with_nothing_but_the_public_key() -> None:
    verified = verify_proof(PROOF, VKEY)
    assert verified.fields == ENTRIES[INDEX].fields
    assert verified.leaf == ENTRIES[INDEX].leaf
    assert verified.leaf_hash == ENTRIES[INDEX].leaf_hash
    assert verified.index == INDEX
    assert (verified.checkpoint.origin, verified.checkpoint.size) == (KEY.verifier.name, 5)
    assert verified.signed_by == (KEY.verifier.name,)
    assert verify_proof(PROOF.encode(), KEY.verifier, leaf=ENTRIES[INDEX].leaf) == verified


def test_a_proof_without_its_leaf_verifies_with_the_leaf_given() -> None:
    bare = write_proof(INDEX, inclusion_proof(INDEX, HASHES), CHECKPOINT)
    assert verify_proof(bare, VKEY, leaf=ENTRIES[INDEX].leaf).index == INDEX
    assert step_of(bare) == "leaf"


def test_a_log_whose_origin_is_not_its_keys_name_verifies_when_told() -> None:
    note = sign_checkpoint(Checkpoint("another name", 5, root_hash(HASHES)), [KEY])
    proof = write_proof(INDEX, inclusion_proof(INDEX, HASHES), note, leaf=ENTRIES[INDEX].leaf)
    assert step_of(proof) == "checkpoint"
    assert verify_proof(proof, VKEY, origin="another name").index == INDEX


def test_another_key_fails_at_the_checkpoint() -> None:
    stranger = str(SigningKey.generate(KEY.verifier.name).verifier)
    assert step_of(PROOF, stranger) == "checkpoint"


def test_a_changed_checkpoint_fails_there() -> None:
    assert step_of(replaced("\n5\n", "\n6\n")) == "checkpoint"
    assert step_of(PROOF[:-1]) == "checkpoint"


def test_a_changed_leaf_fails_at_inclusion_and_a_broken_one_at_the_leaf() -> None:
    leaf = ENTRIES[INDEX].leaf
    other = leaf.replace(b'"number":2', b'"number":3')
    assert step_of(replaced(encoded(leaf), encoded(other))) == "inclusion"
    assert step_of(replaced(encoded(leaf), encoded(leaf + b" "))) == "leaf"
    assert step_of(PROOF, leaf=other) == "leaf"


def test_another_place_or_path_fails_at_inclusion() -> None:
    assert step_of(replaced("index 2", "index 3")) == "inclusion"
    assert step_of(replaced("index 2", "index 5")) == "inclusion"
    assert step_of(replaced(encoded(HASHES[3]), encoded(HASHES[4]))) == "inclusion"
    assert step_of(replaced(encoded(HASHES[3]) + "\n", "")) == "inclusion"


def test_a_public_key_that_is_none_is_the_callers_mistake() -> None:
    with pytest.raises(KeyFormatError):
        verify_proof(PROOF, "not a key")
