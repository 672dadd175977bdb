"""Checkpoints against a real one (sum.golang.org), the specification's example, and bad ones."""

import pytest

from docflow.transparency.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from docflow.transparency.errors import CheckpointError, NoteError
from docflow.transparency.merkle import EMPTY_ROOT
from docflow.transparency.note import SigningKey, VerifierKey, sign_note

SUMDB_VKEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB_NOTE = (
    "go.sum database tree\n6476701\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n\n"
    "— sum.golang.org "
    "Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=\n"
)
# C2SP tlog-checkpoint, the note text of its example
SPEC_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = bytes(range(32))
KEY = SigningKey("log.example", b"\x07" * 32)


def test_a_real_checkpoint_opens() -> None:
    signed = open_checkpoint(
        SUMDB_NOTE, [VerifierKey.parse(SUMDB_VKEY)], origin="go.sum database tree"
    )
    assert signed.checkpoint.size == 6_476_701
    assert signed.checkpoint.root.hex().startswith("99bf102d022cd19d")
    assert signed.checkpoint.extensions == ()


def test_a_real_checkpoint_with_another_size_is_refused() -> None:
    with pytest.raises(NoteError, match="does not verify"):
        open_checkpoint(
            SUMDB_NOTE.replace("6476701", "6476702"),
            [VerifierKey.parse(SUMDB_VKEY)],
            origin="go.sum database tree",
        )


def test_the_example_of_the_specification_is_read_and_written() -> None:
    checkpoint = parse_checkpoint(SPEC_TEXT)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.text == SPEC_TEXT


def test_a_signed_checkpoint_opens_with_the_logs_key_only() -> None:
    checkpoint = Checkpoint("log.example", 12, ROOT)
    note = sign_checkpoint(checkpoint, [KEY])
    signed = open_checkpoint(note, [KEY.verifier], origin="log.example")
    assert signed.checkpoint == checkpoint
    assert [item.name for item in signed.note.verified] == ["log.example"]
    with pytest.raises(NoteError):
        open_checkpoint(note, [VerifierKey.parse(SUMDB_VKEY)], origin="log.example")


def test_a_checkpoint_of_another_log_under_the_same_key_is_refused() -> None:
    note = sign_checkpoint(Checkpoint("other.example", 12, ROOT), [KEY])
    with pytest.raises(CheckpointError, match=r"other\.example"):
        open_checkpoint(note, [KEY.verifier], origin="log.example")


def test_extension_lines_are_kept() -> None:
    text = Checkpoint("log.example", 1, ROOT, ("one", "two 2")).text
    assert parse_checkpoint(text).extensions == ("one", "two 2")


def test_an_empty_log_has_the_empty_root() -> None:
    assert parse_checkpoint(Checkpoint("log.example", 0, EMPTY_ROOT).text).size == 0
    with pytest.raises(CheckpointError, match="empty log"):
        Checkpoint("log.example", 0, ROOT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "origin\n1\n",
        SPEC_TEXT[:-1],
        SPEC_TEXT + "\n",
        "\n" + SPEC_TEXT,
        SPEC_TEXT + "extension\n\nextension\n",
        SPEC_TEXT.replace("20852163", "020852163"),
        SPEC_TEXT.replace("20852163", "+20852163"),
        SPEC_TEXT.replace("20852163", "-1"),
        SPEC_TEXT.replace("20852163", "20_852"),
        SPEC_TEXT.replace("20852163", "٣"),
        SPEC_TEXT.replace("20852163", str(2**63)),
        SPEC_TEXT.replace("20852163", "9" * 5000),
        SPEC_TEXT.replace("20852163", "0"),
        SPEC_TEXT.replace("q2I=", "q2J="),
        SPEC_TEXT.replace("q2I=", "q2I"),
        SPEC_TEXT.replace("CsUYapGG", ""),
        SPEC_TEXT.replace("CsUYapGG", "CsUYapGGCsUYapGG"),
        SPEC_TEXT.replace("\n", "\r\n"),
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError):
        parse_checkpoint(text)


def test_a_signed_note_that_is_no_checkpoint_is_refused() -> None:
    with pytest.raises(CheckpointError):
        open_checkpoint(sign_note("hello\n", [KEY]), [KEY.verifier], origin="log.example")


@pytest.mark.parametrize(
    "fields",
    [
        ("", 1, ROOT, ()),
        ("two\nlines", 1, ROOT, ()),
        ("log.example", -1, ROOT, ()),
        ("log.example", 2**63, ROOT, ()),
        ("log.example", 1, ROOT[:31], ()),
        ("log.example", 1, ROOT, ("",)),
    ],
)
def test_what_no_log_can_state_is_refused(
    fields: tuple[str, int, bytes, tuple[str, ...]],
) -> None:
    with pytest.raises(CheckpointError):
        Checkpoint(*fields)
