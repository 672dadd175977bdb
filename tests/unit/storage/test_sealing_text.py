"""Texts sealed for a column."""

import copy
import pickle

import pytest

from docflow.kernel.errors import IntegrityError
from docflow.storage.sealing import SealedText, TextPlace, open_text, seal_text

KEY = bytes(range(32))
PLACE = TextPlace("documents", "subject", "0192")
TEXT = "V/v kỷ luật cán bộ 🗝"


def test_opens_where_it_was_sealed() -> None:
    sealed = seal_text(KEY, TEXT, PLACE)
    assert sealed.open(KEY, PLACE) == TEXT
    assert open_text(KEY, sealed.token, PLACE) == TEXT


@pytest.mark.parametrize("text", ["", "a", "ab", "abc", "a\nb", "x" * 100_000])
def test_any_text_comes_back(text: str) -> None:
    assert seal_text(KEY, text, PLACE).open(KEY, PLACE) == text


def test_the_same_text_twice_does_not_show() -> None:
    assert seal_text(KEY, TEXT, PLACE) != seal_text(KEY, TEXT, PLACE)


@pytest.mark.parametrize(
    "place",
    [
        TextPlace("assignments", "subject", "0192"),
        TextPlace("documents", "note", "0192"),
        TextPlace("documents", "subject", "0193"),
        TextPlace("documents", "subject0192", ""),
    ],
)
def test_does_not_open_in_another_place(place: TextPlace) -> None:
    with pytest.raises(IntegrityError) as refused:
        seal_text(KEY, TEXT, PLACE).open(KEY, place)
    assert refused.value.code == "sealed-text-damaged"


def test_does_not_open_with_another_key() -> None:
    with pytest.raises(IntegrityError):
        seal_text(KEY, TEXT, PLACE).open(bytes(32), PLACE)


def test_a_changed_character_anywhere_is_refused() -> None:
    token = seal_text(KEY, "abc", PLACE).token
    for at in range(len("sealed:v1:"), len(token)):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(IntegrityError):
            open_text(KEY, changed, PLACE)


@pytest.mark.parametrize(
    "value", [TEXT, "", "sealed:v1", "sealed:v2:AAAA", "sealed:v1:???", None, b"sealed:v1:", 7]
)
def test_plaintext_is_refused_and_not_shown(value: object) -> None:
    with pytest.raises(IntegrityError) as refused:
        SealedText(value)
    assert refused.value.code == "text-not-sealed"
    assert TEXT not in refused.value.detail


@pytest.mark.parametrize("token", ["sealed:v1:", "sealed:v1:AAAA"])
def test_too_short_to_be_a_sealed_text(token: str) -> None:
    with pytest.raises(IntegrityError):
        open_text(KEY, token, PLACE)


def test_prints_stars_however_it_is_printed() -> None:
    sealed = seal_text(KEY, TEXT, PLACE)
    assert {str(sealed), repr(sealed), f"{sealed}", f"{sealed!r}", "%s" % sealed} == {"***"}  # noqa: UP031
    assert f"{[sealed]}" == "[***]"
    assert f"{sealed:>5}" == "  ***"


def test_does_not_travel_in_a_pickle_but_is_copied_with_its_row() -> None:
    sealed = seal_text(KEY, TEXT, PLACE)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(sealed)
    assert copy.copy(sealed) is copy.deepcopy(sealed) is sealed
    assert len({sealed, SealedText(sealed.token)}) == 1


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal_text(b"short", TEXT, PLACE)
