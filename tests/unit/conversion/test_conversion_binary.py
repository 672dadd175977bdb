"""Documents of Word 97 to 2003: made by LibreOffice here, then altered."""

import io
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docflow.conversion import find_converter, find_sandbox, require_convertible
from docflow.conversion.binary import CompoundFile
from docflow.conversion.office import DOC
from docflow.kernel.errors import DocflowError
from docflow.signing.sniff import sniff
from tests.office_files import TEXT, odt

MANY = "<text:p>Điều khoản thi hành</text:p>" * 2_000


def made(folder: Path, body: str) -> bytes:
    source = folder / "given.odt"
    source.write_bytes(odt(body))
    subprocess.run(
        ["soffice", f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless",
         "--convert-to", "doc:MS Word 97", "--outdir", folder, source],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return (folder / "given.doc").read_bytes()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A document whose text lies among the small streams."""
    return made(tmp_path_factory.mktemp("small"), "")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return made(tmp_path_factory.mktemp("large"), MANY)


def judged(data: bytes) -> str | None:
    try:
        require_convertible(io.BytesIO(data), DOC)
    except DocflowError as error:
        return error.code
    return None


def renamed(data: bytes, old: str, new: str) -> bytes:
    """Give an entry of the directory another name, in the same place."""
    start = data.index(old.encode("utf-16-le") + b"\0\0")
    name = new.encode("utf-16-le")
    entry = bytearray(data[start : start + 128])
    entry[:64] = name.ljust(64, b"\0")
    entry[64:66] = struct.pack("<H", len(name) + 2)
    return data[:start] + bytes(entry) + data[start + 128 :]


def retold(data: bytes, instruction: str) -> bytes:
    """Put a field's instruction in the place of the text's beginning."""
    old = TEXT.encode("utf-16-le")
    new = f"\x13{instruction}\x14".ljust(len(TEXT)).encode("utf-16-le")
    assert len(new) == len(old)
    assert old in data
    return data.replace(old, new)


def with_flag(data: bytes, flag: int) -> bytes:
    start = data.index(CompoundFile(data).stream("WordDocument")[:32])  # type: ignore[index]
    (flags,) = struct.unpack_from("<H", data, start + 10)
    return data[: start + 10] + struct.pack("<H", flags | flag) + data[start + 12 :]


def test_a_document_of_word_may_be_converted(small: bytes, large: bytes) -> None:
    for data in (small, large):
        assert sniff(data[:4096]) == DOC
        assert judged(data) is None
        assert TEXT.encode("utf-16-le") in (CompoundFile(data).stream("WordDocument") or b"")
    assert judged(retold(large, ' HYPERLINK "x" ')) is None


def test_what_acts_shows_others_or_is_closed_is_refused(small: bytes, large: bytes) -> None:
    told = {
        judged(renamed(large, "\x01Ole", "Macros")): "office-active",
        judged(with_flag(large, 0x0100)): "office-encrypted",
        judged(renamed(small, "WordDocument", "Workbook")): "not-a-pdf",
    }
    assert list(told) == list(told.values())
    for instruction in (
        ' INCLUDETEXT "/etc"',
        " includepicture a",
        " DDEAUTO c x",
        " LINK Excel x",
    ):
        assert judged(retold(large, instruction)) == "office-linked"


def test_what_is_cut_or_leads_in_circles_is_refused(small: bytes, large: bytes) -> None:
    assert judged(large[:3000]) == "office-broken"
    assert judged(large[:100]) == "office-broken"
    for place in (0x1E, 0x30, 0x44, 0x4C):  # size of sectors; directory; more tables; the table
        for value in (0, 1, 7, 0x00FFFFFF):
            crooked = large[:place] + struct.pack("<I", value) + large[place + 4 :]
            assert judged(crooked) in {None, "office-broken", "not-a-pdf"}
    start = (struct.unpack_from("<I", small, 0x4C)[0] + 1) << 9
    for turned in range(8):  # a sector that leads to itself
        at = start + 4 * turned
        crooked = small[:at] + struct.pack("<I", turned) + small[at + 4 :]
        assert judged(crooked) in {None, "office-broken", "not-a-pdf"}


@given(st.data())
def test_whatever_the_bytes_are_the_answer_is_a_refusal_or_none(
    small: bytes, data: st.DataObject
) -> None:
    altered = bytearray(small)
    for _ in range(data.draw(st.integers(1, 8))):
        altered[data.draw(st.integers(8, len(altered) - 1))] = data.draw(st.integers(0, 255))
    assert judged(bytes(altered)) in {
        None, "office-active", "office-broken", "office-encrypted", "office-linked", "not-a-pdf",
    }  # fmt: skip


@pytest.mark.slow
def test_a_document_of_word_becomes_a_pdf(large: bytes, tmp_path: Path) -> None:
    converter = find_converter(
        "", tmp_path, timeout_s=120, memory_bytes=2 << 30, most_bytes=10 << 20,
        sandbox=find_sandbox(),
    )  # fmt: skip
    assert converter is not None
    with converter.converted(io.BytesIO(large), DOC) as pdf:
        data = pdf.read()
    done = subprocess.run(["pdftotext", "-", "-"], input=data, capture_output=True, check=True)
    assert TEXT in done.stdout.decode()
