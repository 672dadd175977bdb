"""Signed notes against the published examples of C2SP, Go and the Go checksum database."""

import base64

import pytest

from docflow.transparency.errors import KeyFormatError, NoteError
from docflow.transparency.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    SigningKey,
    VerifierKey,
    open_note,
    parse_note,
    sign_note,
)

# C2SP signed-note, "Verifier keys", example
SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# golang.org/x/mod/sumdb/note, package documentation and tests
GO_SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_SIGNATURE = (
    "— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCH_SIGNATURE = (
    "— EnochRoot "
    "rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
GO_NOTE = f"{GO_TEXT}\n{GO_SIGNATURE}"


def key(name: str = "log.example", byte: int = 1) -> SigningKey:
    return SigningKey(name, bytes([byte]) * 32)


def test_the_example_of_the_specification_opens() -> None:
    verifier = VerifierKey.parse(SPEC_VKEY)
    assert (verifier.name, verifier.key_id.hex()) == ("example.com/foo", "530d903a")
    assert str(verifier) == SPEC_VKEY
    note = open_note(SPEC_NOTE, [verifier])
    assert note.text == "This is an example message.\n"
    assert [signature.name for signature in note.verified] == ["example.com/foo"]


def test_signing_gives_the_reference_implementations_bytes() -> None:
    signer = SigningKey.parse(GO_SKEY)
    assert str(signer.verifier) == GO_VKEY
    assert signer.export() == GO_SKEY
    assert sign_note(GO_TEXT, [signer]) == GO_NOTE


def test_a_note_of_two_signers_opens_for_either_and_both() -> None:
    peter, enoch = VerifierKey.parse(GO_VKEY), VerifierKey.parse(ENOCH_VKEY)
    both = f"{GO_NOTE}{ENOCH_SIGNATURE}".encode()
    for keys, verified, ignored in (
        ([peter], ["PeterNeumann"], ["EnochRoot"]),
        ([enoch], ["EnochRoot"], ["PeterNeumann"]),
        ([enoch, peter], ["PeterNeumann", "EnochRoot"], []),
    ):
        note = open_note(both, keys)
        assert [signature.name for signature in note.verified] == verified
        assert [signature.name for signature in note.ignored] == ignored


def test_changed_text_is_refused() -> None:
    with pytest.raises(NoteError, match="PeterNeumann on the note does not verify"):
        open_note(GO_NOTE.replace("answer", "question"), [VerifierKey.parse(GO_VKEY)])


def test_one_failing_signature_of_a_known_key_spoils_the_note() -> None:
    text, first, second = "text\n", key("a.example"), key("b.example", 2)
    good = sign_note(text, [first])
    bad = sign_note("other\n", [second]).split("\n\n")[1]
    assert open_note(good + bad, [first.verifier]).text == text
    with pytest.raises(NoteError, match=r"b\.example"):
        open_note(good + bad, [first.verifier, second.verifier])


def test_a_key_that_shares_only_its_name_or_only_its_id_is_unknown() -> None:
    first, same_name = key("log.example"), key("log.example", 2)
    note = sign_note("text\n", [first])
    with pytest.raises(NoteError, match="No trusted key") as caught:
        open_note(note, [same_name.verifier])
    assert caught.value.code == "history-note-unsigned"
    renamed = note.replace("— log.example", "— other.example")
    with pytest.raises(NoteError, match="No trusted key"):
        open_note(renamed, [first.verifier])
    with pytest.raises(NoteError, match="No trusted key"):
        open_note(note, [])


def test_text_may_hold_blank_lines_and_any_script() -> None:
    text = "Ủy ban nhân dân\n\n\nthành phố\n"
    assert open_note(sign_note(text, [key()]), [key().verifier]).text == text


def test_as_many_signatures_as_the_bound_are_read_and_no_more() -> None:
    keys = [key(f"log{number}.example") for number in range(MAX_SIGNATURES)]
    note = sign_note("text\n", keys)
    assert len(open_note(note, [item.verifier for item in keys]).verified) == MAX_SIGNATURES
    with pytest.raises(NoteError, match="more than"):
        parse_note(note + note.split("\n\n")[1].split("\n")[0] + "\n")
    with pytest.raises(NoteError):
        sign_note("text\n", [*keys, key()])
    with pytest.raises(NoteError):
        sign_note("text\n", [])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "text\n",
        "text\n\n",
        GO_TEXT + GO_SIGNATURE,
        GO_NOTE[:-1],
        GO_NOTE + "\n",
        GO_NOTE.replace("— Peter", "- Peter"),
        GO_NOTE.replace("— Peter", "—Peter"),
        GO_NOTE.replace(" x08g", "  x08g"),
        GO_NOTE.replace(" x08g", "+x08g"),
        GO_NOTE.replace("PeterNeumann x08g", " x08g"),
        GO_NOTE.replace("PeterNeumann", "Peter+Neumann"),
        GO_NOTE.replace("PeterNeumann", "Peter\u00a0Neumann"),
        GO_NOTE.replace("nAM=", "nAM"),
        GO_NOTE.replace("nAM=", "nAN="),
        GO_NOTE.replace("\n", "\r\n"),
        GO_NOTE.replace("the", "\tthe"),
        "text\n\n— a.example " + base64.b64encode(b"\0\0\0\0").decode() + "\n",
        GO_NOTE.encode().replace(b"the", b"\xff"),
        GO_NOTE.replace("the", "\ud800"),
        b"\n" * (MAX_NOTE_BYTES + 1),
    ],
)
def test_what_is_not_a_note_is_refused(note: str | bytes) -> None:
    with pytest.raises(NoteError):
        open_note(note, [VerifierKey.parse(GO_VKEY)])


def test_a_signature_line_with_a_key_id_only_is_no_signature() -> None:
    with pytest.raises(NoteError, match="line 1 of the note has no signature"):
        parse_note("text\n\n— a.example AAAAAA==\n")


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "return\r\n", "nul\0\n", "\ud800\n"])
def test_text_that_no_note_can_hold_is_not_signed(text: str) -> None:
    with pytest.raises(NoteError):
        sign_note(text, [key()])


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000",
        GO_VKEY.replace("c74f20a3", "c74f20a4"),
        GO_VKEY.replace("c74f20a3", "C74F20A3"),
        GO_VKEY.replace("PeterNeumann", "Peter"),
        GO_VKEY.replace("PeterNeumann", ""),
        GO_VKEY.replace("PeterNeumann", "Peter Neumann"),
        GO_VKEY + "=",
        GO_VKEY[:-4],
        GO_VKEY.replace("+ARpc", "+BBpc"),
        "\u2014" * 10,
        GO_SKEY,
        GO_SKEY.lower(),
    ],
)
def test_what_is_not_a_vkey_is_refused(vkey: str) -> None:
    with pytest.raises(KeyFormatError) as caught:
        VerifierKey.parse(vkey)
    assert "AYEKFALV" not in caught.value.detail.upper()


@pytest.mark.parametrize(
    "skey",
    [
        "",
        GO_VKEY,
        GO_SKEY[:-4],
        GO_SKEY.replace("c74f20a3", "00000000"),
        GO_SKEY.replace("+AYEK", "+BBEK"),
    ],
)
def test_what_is_not_an_skey_is_refused_without_repeating_it(skey: str) -> None:
    with pytest.raises(KeyFormatError) as caught:
        SigningKey.parse(skey)
    assert "FALVFGyNhPJEMzD1QIDr" not in str(caught.value)


def test_generated_keys_differ_travel_as_text_and_do_not_show_their_secret() -> None:
    first, second = SigningKey.generate("log.example"), SigningKey.generate("log.example")
    assert first.export() != second.export()
    again = SigningKey.parse(first.export() + "\n")
    assert again.verifier == first.verifier
    secret = first.export().split("+", 4)[4]  # base64 may hold a plus
    assert secret not in repr(first)
    assert secret not in str(first)
    assert str(first.verifier) in repr(first)


@pytest.mark.parametrize("name", ["", "two words", "plus+plus", "tab\t", "line\n", "\ud800"])
def test_a_name_that_no_note_can_carry_is_refused(name: str) -> None:
    with pytest.raises(KeyFormatError):
        SigningKey.generate(name)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(KeyFormatError):
        VerifierKey("log.example", b"\x01" * 31)
    with pytest.raises(KeyFormatError):
        SigningKey("log.example", b"\x01" * 33)
