"""The register as CSV: ten columns, Vietnamese for spreadsheets, no formulas, streamed."""

import csv
from collections.abc import Iterator
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docflow.documents.print import IncomingRow, OutgoingRow, register_csv


def outgoing(summary: str = "Quyết định về việc A", voided: str | None = None) -> OutgoingRow:
    return OutgoingRow(
        symbol="05/QĐ-VPUB",
        document_date=date(2026, 2, 5),
        type_and_summary=summary,
        signer="Nguyễn Hữu Sơn",
        recipients="Sở Tài chính; Sở Nội vụ",
        kept_by="Phòng Tổng hợp",
        copies=3,
        transferred_on=date(2026, 11, 22),
        voided=voided,
    )


def incoming(author: str = "Sở Y tế") -> IncomingRow:
    return IncomingRow(
        arrived_on=date(2026, 1, 2),
        arrival_number="01",
        author=author,
        symbol="12/SYT-VP",
        document_date=None,
        type_and_summary='Công văn "khẩn", về thuốc',
        receiver="Phòng Tổng hợp",
        transferred_on=None,
    )


def table(text: str) -> list[list[str]]:
    return list(csv.reader(text.removeprefix("\ufeff").splitlines(keepends=True)))


def test_outgoing_columns_are_those_of_the_decree() -> None:
    (head, row) = table("".join(register_csv(OutgoingRow.COLUMNS, [outgoing()])))
    assert head == [
        "Số, ký hiệu văn bản", "Ngày tháng văn bản", "Tên loại và trích yếu nội dung văn bản",
        "Người ký", "Nơi nhận văn bản", "Đơn vị, người nhận bản lưu", "Số lượng bản",
        "Ngày chuyển", "Ký nhận", "Ghi chú",
    ]  # fmt: skip
    assert row == [
        "05/QĐ-VPUB", "05/02/2026", "Quyết định về việc A", "Nguyễn Hữu Sơn",
        "Sở Tài chính; Sở Nội vụ", "Phòng Tổng hợp", "03", "22/11/2026", "", "",
    ]  # fmt: skip


def test_incoming_columns_are_those_of_the_decree() -> None:
    (head, row) = table("".join(register_csv(IncomingRow.COLUMNS, [incoming()])))
    assert head == [
        "Ngày đến", "Số đến", "Tác giả", "Số, ký hiệu văn bản", "Ngày tháng văn bản",
        "Tên loại và trích yếu nội dung văn bản", "Đơn vị hoặc người nhận", "Ngày chuyển",
        "Ký nhận", "Ghi chú",
    ]  # fmt: skip
    assert row == [
        "02/01/2026", "01", "Sở Y tế", "12/SYT-VP", "", 'Công văn "khẩn", về thuốc',
        "Phòng Tổng hợp", "", "", "",
    ]  # fmt: skip


def test_the_file_starts_with_a_byte_order_mark_and_ends_its_lines_as_rfc_4180_says() -> None:
    data = "".join(register_csv(OutgoingRow.COLUMNS, [outgoing()])).encode()
    assert data.startswith(b'\xef\xbb\xbf"S')
    assert data.count(b"\r\n") == data.count(b"\n") == 2


def test_an_empty_register_has_its_headings() -> None:
    assert len(table("".join(register_csv(IncomingRow.COLUMNS, [])))) == 1


def test_a_voided_number_stays_with_its_reason() -> None:
    (_, row) = table("".join(register_csv(OutgoingRow.COLUMNS, [outgoing(voided="nhầm loại")])))
    assert (row[0], row[-1]) == ("05/QĐ-VPUB", "Đã hủy: nhầm loại")


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r\n@x", " =x", "\x00=x", "＝1"]
)
def test_a_cell_that_would_be_a_formula_gets_an_apostrophe(cell: str) -> None:
    (_, row) = table("".join(register_csv(IncomingRow.COLUMNS, [incoming(author=cell)])))
    assert row[2] == "'" + cell.strip(" \t\r\n\x00")


@given(st.text(max_size=60))
def test_no_text_becomes_a_formula_or_another_row(text: str) -> None:
    rows = table("".join(register_csv(OutgoingRow.COLUMNS, [outgoing(text), outgoing()])))
    assert [len(row) for row in rows] == [10, 10, 10]
    assert rows[1][2][:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}
    assert rows[1][2].isprintable()


def test_rows_are_taken_as_they_are_given_out() -> None:
    taken = 0

    def rows() -> Iterator[OutgoingRow]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield outgoing()

    chunks = register_csv(OutgoingRow.COLUMNS, rows())
    next(chunks)
    assert 0 < taken < 500
    assert len(table("".join(chunks))) + taken >= 1000
    assert taken == 1000
