"""File names in headers: strangers' names become labels, and downloads get names that hold."""

import re
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from docflow.api.disposition import (
    MAX_NAME_BYTES,
    clean_file_name,
    content_disposition,
    header_parameters,
    uploaded_name,
)
from docflow.kernel.errors import MalformedError


def uploaded(header: str) -> str | None:
    """What the header, sent as UTF-8, names the file."""
    return uploaded_name(header_parameters(header.encode().decode("latin-1"))[1])


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('form-data; name="main"', None),
        ('form-data; name="main"; filename="a.pdf"', "a.pdf"),
        ("form-data; name=main; filename=a.pdf", "a.pdf"),
        ('form-data; name="main"; filename="Quyết định số 5.pdf"', "Quyết định số 5.pdf"),
        ('form-data; name="m"; filename="a.pdf"; filename*=UTF-8\'\'%C4%91.pdf', "đ.pdf"),
        ('form-data; name="m"; filename*=utf-8\'vi\'Quy%E1%BA%BFt.pdf; filename="x"', "Quyết.pdf"),
        (r'form-data; name="m"; filename="say \"hi\".pdf"', 'say "hi".pdf'),
        ('form-data; name="m"; filename="say %22hi%22%0D%0A.pdf"', 'say "hi" .pdf'),
        ('form-data; name="m"; filename="100%25.pdf"', "100%25.pdf"),
        ('form-data; name="m"; filename="semi; colon=x.pdf"', "semi; colon=x.pdf"),
        ('form-data; name="m"; filename="../../etc/passwd"', "passwd"),
        ('form-data; name="m"; filename="C:\\\\Users\\\\x\\\\báo cáo.pdf"', "báo cáo.pdf"),
        ('form-data; name="m"; filename=""', None),
        ('form-data; name="m"; filename=".."', None),
        ('form-data; name="m"; filename="a.pdf";', "a.pdf"),
    ],
)
def test_names_of_uploads(header: str, name: str | None) -> None:
    assert uploaded(header) == name


@pytest.mark.parametrize(
    "header",
    [
        "",
        "; filename=x",
        "form-data; filename",
        'form-data; filename="open',
        'form-data; filename="a" junk',
        'form-data; filename="a"; filename="b"',
        'form-data; filename="a\x00"',
        'form-data; filename="a\nb"',
        "form-data; filename*=x.pdf",
        "form-data; filename*=iso-8859-1''x.pdf",
        "form-data; filename*=UTF-8''%C4",
        "form-data; filename*=UTF-8''%zz",
        "form-data; filename*=UTF-8''100%",
    ],
)
def test_names_that_cannot_be_read_are_malformed(header: str) -> None:
    with pytest.raises(MalformedError) as caught:
        uploaded(header)
    assert caught.value.code == "multipart-malformed"


def test_a_name_that_is_not_utf8_is_malformed() -> None:
    with pytest.raises(MalformedError, match="not UTF-8"):
        uploaded_name({"filename": "caf\xe9.pdf"})


def test_direction_marks_cannot_disguise_a_suffix() -> None:
    assert clean_file_name("hóa đơn\u202efdp.exe") == "hóa đơnfdp.exe"


def test_decomposed_names_are_composed() -> None:
    decomposed = unicodedata.normalize("NFD", "Nghị quyết.pdf")
    assert clean_file_name(decomposed) == "Nghị quyết.pdf"


def test_long_names_are_cut_but_keep_their_suffix() -> None:
    name = clean_file_name("đ" * 500 + ".tar.pdf")
    assert name is not None
    assert name.endswith("đ.pdf")
    assert len(name.encode()) <= MAX_NAME_BYTES


@given(st.text(st.characters(), max_size=300))
@example("\ud800")
@example("a." + "x" * 300)
@example("\u0344" * 100)
def test_a_cleaned_name_is_always_a_harmless_label(raw: str) -> None:
    name = clean_file_name(raw)
    if name is None:
        return
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert not re.search(r"[/\\]", name)
    assert not any(unicodedata.category(char).startswith("C") for char in name)
    assert unicodedata.is_normalized("NFC", name)
    assert clean_file_name(name) == name


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.pdf", "attachment; filename=\"a.pdf\"; filename*=UTF-8''a.pdf"),
        (
            "Quyết định số 5.pdf",
            'attachment; filename="Quyet dinh so 5.pdf"; '
            "filename*=UTF-8''Quy%E1%BA%BFt%20%C4%91%E1%BB%8Bnh%20s%E1%BB%91%205.pdf",
        ),
        ('x";y%41.pdf', "attachment; filename=\"x__y_41.pdf\"; filename*=UTF-8''x%22%3By%2541.pdf"),
        ("", "attachment; filename=\"document\"; filename*=UTF-8''document"),
        ("文", "attachment; filename=\"_\"; filename*=UTF-8''%E6%96%87"),
    ],
)
def test_names_of_downloads(name: str, header: str) -> None:
    assert content_disposition(name) == header


@given(st.text(st.characters(), max_size=300))
def test_a_download_header_cannot_be_broken_out_of_and_reads_back(raw: str) -> None:
    header = content_disposition(raw)
    assert header.isascii()
    assert header.isprintable()
    value, parameters = header_parameters(header)
    assert value == "attachment"
    assert set(parameters) == {"filename", "filename*"}
    assert uploaded_name(parameters) == (clean_file_name(raw) or "document")
    assert unquote(parameters["filename"]) == parameters["filename"]
