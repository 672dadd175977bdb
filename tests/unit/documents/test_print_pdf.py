"""The register as PDF: the whole form, on every page, with nothing lost and nothing outside."""

import re
import shutil
import subprocess
import threading
from datetime import date, datetime
from pathlib import Path

import pikepdf
import pytest

from docflow.documents.numbering import period_of
from docflow.documents.print import (
    IncomingRow,
    OutgoingRow,
    RegisterHeading,
    heading_for,
    register_pdf,
)
from docflow.people.seed import load_seed
from docflow.signing.font import Fonts, ensure_fonts

SEED = load_seed()
BOOKS = {book.code: book for book in SEED.books}
PRINTED = datetime(2026, 11, 22, 14, 5)  # noqa: DTZ001 - local office time, as printed
reads_text = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="poppler-utils is not installed"
)


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> Fonts:
    return ensure_fonts(tmp_path_factory.mktemp("fonts"))


def heading(book: str = "outgoing") -> RegisterHeading:
    period = period_of(BOOKS[book], date(2026, 3, 1))
    return heading_for(SEED.organisation, BOOKS[book], period)


def row(number: int, summary: str = "Quyết định", voided: str | None = None) -> OutgoingRow:
    return OutgoingRow(
        f"{number:02}/QĐ-VPUB", date(2026, 2, 5), summary, "Nguyễn Hữu Sơn", "Sở Nội vụ",
        "Phòng Tổng hợp", 3, None, voided=voided,
    )  # fmt: skip


def printed(
    path: Path, fonts: Fonts, rows: list[OutgoingRow], book: str = "outgoing"
) -> tuple[int, Path]:
    pages = register_pdf(path, OutgoingRow.COLUMNS, rows, heading(book), fonts, printed_at=PRINTED)
    return pages, path


def pages_of(path: Path) -> list[str]:
    """The words of each page."""
    run = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True)
    return [" ".join(page.split()) for page in run.stdout.decode().split("\f")[:-1]]


def test_both_forms_fill_the_width_of_the_page_and_have_ten_columns() -> None:
    for columns in (OutgoingRow.COLUMNS, IncomingRow.COLUMNS):
        assert len(columns) == 10
        assert sum(column.width_mm for column in columns) == 297 - 20 - 10


def test_it_is_landscape_a4_with_embedded_fonts_and_the_same_bytes_again(
    fonts: Fonts, tmp_path: Path
) -> None:
    pages, path = printed(tmp_path / "a.pdf", fonts, [row(n) for n in range(1, 60)])
    _, again = printed(tmp_path / "b.pdf", fonts, [row(n) for n in range(1, 60)])
    assert path.read_bytes() == again.read_bytes()
    with pikepdf.open(path) as pdf:
        assert len(pdf.pages) == pages > 1
        for page in pdf.pages:
            assert [round(float(side)) for side in page.mediabox][2:] == [842, 595]
        used = [o for o in pdf.objects if isinstance(o, pikepdf.Dictionary) and "/BaseFont" in o]
        assert used
        assert all("/FontFile2" in font.FontDescriptor for font in used)


@reads_text
def test_the_first_page_says_whose_register_it_is_and_over_which_period(
    fonts: Fonts, tmp_path: Path
) -> None:
    first = pages_of(printed(tmp_path / "a.pdf", fonts, [row(1)])[1])[0]
    for words in ("ỦY BAN NHÂN DÂN TỈNH LAM GIANG", "VĂN PHÒNG ỦY BAN NHÂN DÂN TỈNH LAM GIANG",
                  "SỔ ĐĂNG KÝ VĂN BẢN ĐI", "Năm 2026", "Từ ngày 01/01/2026 đến ngày 31/12/2026",
                  "VĂN THƯ", "NGƯỜI ĐỨNG ĐẦU CƠ QUAN", "In lúc 14:05 ngày 22/11/2026"):  # fmt: skip
        assert words in first


@reads_text
def test_a_register_per_term_names_the_term(fonts: Fonts, tmp_path: Path) -> None:
    first = pages_of(printed(tmp_path / "a.pdf", fonts, [row(1)], "party-outgoing")[1])[0]
    assert "Nhiệm kỳ 2025 - 2030" in first
    assert "Từ ngày 15/07/2025 đến ngày 14/07/2030" in first


@reads_text
def test_every_page_has_the_head_of_the_table_and_says_which_of_how_many_it_is(
    fonts: Fonts, tmp_path: Path
) -> None:
    count, path = printed(tmp_path / "a.pdf", fonts, [row(n) for n in range(1, 101)])
    pages = pages_of(path)
    assert len(pages) == count
    for number, page in enumerate(pages, start=1):
        assert f"Trang {number}/{count}" in page
        assert "Tên loại và trích yếu nội dung văn bản" in page
        assert re.search(r"\(1\).*\(10\)", page)


@reads_text
def test_every_number_is_printed_once_and_in_order(fonts: Fonts, tmp_path: Path) -> None:
    _, path = printed(
        tmp_path / "a.pdf", fonts, [row(n, "Về việc " * (n % 30)) for n in range(1, 201)]
    )
    numbers = re.findall(r"(\d+)/QĐ-VPUB", " ".join(pages_of(path)))
    assert [int(number) for number in numbers] == list(range(1, 201))


@reads_text
@pytest.mark.parametrize("count", range(1, 30))
def test_the_closing_block_never_stands_without_a_row(
    count: int, fonts: Fonts, tmp_path: Path
) -> None:
    _, path = printed(tmp_path / "a.pdf", fonts, [row(n) for n in range(1, count + 1)])
    pages = pages_of(path)
    assert f"Sổ có {count} số đăng ký, trong đó 0 số đã hủy." in pages[-1]
    assert f"{count:02}/QĐ-VPUB" in pages[-1]
    assert all("/QĐ-VPUB" in page for page in pages)


@reads_text
def test_a_voided_number_stays_with_its_reason_and_is_counted(fonts: Fonts, tmp_path: Path) -> None:
    rows = [row(1), row(2, voided="sai"), row(3)]
    (page,) = pages_of(printed(tmp_path / "a.pdf", fonts, rows)[1])
    assert "02/QĐ-VPUB" in page
    assert "Đã hủy: sai" in page
    assert "Sổ có 3 số đăng ký, trong đó 1 số đã hủy." in page


def test_only_a_voided_row_is_struck_through(fonts: Fonts, tmp_path: Path) -> None:
    def strokes(path: Path) -> int:
        with pikepdf.open(path) as pdf:
            content = pdf.pages[0].Contents.read_bytes()
        return len(re.findall(rb"\bl S\b", content))

    _, plain = printed(tmp_path / "a.pdf", fonts, [row(1, "Một")])
    _, struck = printed(tmp_path / "b.pdf", fonts, [row(1, "Một", voided="x")])
    lines = 8  # seven filled cells, one of two lines; the reason in the note is not struck
    assert strokes(struck) == strokes(plain) + lines


@reads_text
@pytest.mark.parametrize("before", [0, 5])
def test_a_row_longer_than_a_page_is_continued_without_loss(
    before: int, fonts: Fonts, tmp_path: Path
) -> None:
    words = [f"từ{n}" for n in range(1500)]
    rows = [*(row(n) for n in range(1, before + 1)), row(90, " ".join(words)), row(91)]
    count, path = printed(tmp_path / "a.pdf", fonts, rows)
    text = " ".join(pages_of(path))
    assert re.findall(r"từ\d+", text) == words
    assert count > 2
    assert "91/QĐ-VPUB" in text


def test_a_word_longer_than_its_cell_is_cut_into_lines(fonts: Fonts, tmp_path: Path) -> None:
    count, _ = printed(tmp_path / "a.pdf", fonts, [row(1, "x" * 20_000)])
    assert count > 2


@reads_text
def test_an_empty_register_says_so(fonts: Fonts, tmp_path: Path) -> None:
    count, path = printed(tmp_path / "a.pdf", fonts, [])
    assert count == 1
    assert "Không có văn bản nào được đăng ký trong kỳ này." in pages_of(path)[0]


def test_registers_printed_at_once_by_many_threads_come_out_whole(
    fonts: Fonts, tmp_path: Path
) -> None:
    expected = printed(tmp_path / "alone.pdf", fonts, [row(n) for n in range(1, 60)])[
        1
    ].read_bytes()
    results: dict[int, bytes] = {}

    def work(index: int) -> None:
        rows = [row(n) for n in range(1, 60)]
        results[index] = printed(tmp_path / f"{index}.pdf", fonts, rows)[1].read_bytes()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[index] for index in range(8)] == [expected] * 8
