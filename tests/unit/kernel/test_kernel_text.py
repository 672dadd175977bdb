"""Folding: Vietnamese text is found however it was typed; normalising keeps what is shown."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docflow.kernel.text import fold, normalise, shown

vietnamese = st.text("aăâđeêioôơuưyáàảãạấầẩẫậắằẳẵặéèẻẽẹếềểễệ ĐỦỨỰ\n123/-", max_size=40)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Quyết định", "quyet dinh"),
        ("ĐƯỜNG Đê Đặng", "duong de dang"),
        ("Ủy ban nhân dân  thành phố\n Huế ", "uy ban nhan dan thanh pho hue"),
        ("Số: 05/QĐ-BNV", "so: 05/qd-bnv"),
        ("ưỡng ượt ặc ỵ", "uong uot ac y"),
        ("straße Ångström naïve", "straße angstrom naive"),
        ("", ""),
        (" \t\n", ""),
    ],
)
def test_case_marks_and_spaces_do_not_matter(text: str, folded: str) -> None:
    assert fold(text) == folded


@settings(deadline=None)
@given(vietnamese)
def test_composed_decomposed_and_upper_case_text_fold_alike(text: str) -> None:
    folded = fold(text)
    assert fold(unicodedata.normalize("NFD", text)) == folded
    assert fold(unicodedata.normalize("NFC", text)) == folded
    assert fold(text.upper()) == folded
    assert folded.isascii()


@settings(deadline=None)
@given(st.text())
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_normalised_text_is_composed_and_keeps_case_and_spaces() -> None:
    assert normalise(unicodedata.normalize("NFD", " Quyết  Định ")) == " Quyết  Định "


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Sở Nội vụ – số 05/QĐ", "Sở Nội vụ – số 05/QĐ"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),
        ("a\x1b[2J\nb", r"a\u001b[2J\u000ab"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("\x9b1m\x7f", r"\u009b1m\u007f"),
        ("\ud7ff\U000e0041", r"\ud7ff\U000e0041"),
    ],
)
def test_what_is_not_seen_or_moves_what_is_seen_is_shown_as_its_escape(
    text: str, seen: str
) -> None:
    assert shown(text) == seen


def test_line_ends_of_our_own_stay_where_they_are_told_to() -> None:
    assert shown("one\ntwo\x07", keep="\n") == "one\ntwo\\u0007"
