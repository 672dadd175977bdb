"""Numbers and symbols as the decree writes them, and the period and series they count in."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docflow.documents.numbering import (
    Period,
    format_number,
    format_symbol,
    period_of,
    series_of,
)
from docflow.kernel.errors import InvalidInputError
from docflow.people.seed import load_seed
from docflow.people.seed_models import Book, OfficeSeed

SEED: OfficeSeed = load_seed()
BOOKS = {book.code: book for book in SEED.books}
TYPES = {kind.code: kind for kind in SEED.document_types}


def symbol(book: str, number: int, type_code: str | None, unit: str = "TH") -> str:
    return format_symbol(
        BOOKS[book], number, type_code=type_code, office="VPUB", unit=unit, year=2026
    )


def book(**changes: Any) -> Book:
    return Book.model_validate({**BOOKS["outgoing"].model_dump(), **changes})


def test_numbers_below_ten_get_a_zero() -> None:
    assert symbol("outgoing", 5, "QĐ") == "05/QĐ-VPUB"
    assert symbol("outgoing", 15, "QĐ") == "15/QĐ-VPUB"
    assert symbol("outgoing", 1234, "TTr") == "1234/TTr-VPUB"


def test_cong_van_uses_the_untyped_form_with_the_drafting_unit() -> None:
    assert symbol("outgoing", 5, None) == "05/VPUB-TH"


def test_the_format_decides_the_digits() -> None:
    plain = book(symbol_format="{number}/{year}/{type}-{office}")
    written = format_symbol(plain, 5, type_code="QĐ", office="VPUB", unit="TH", year=2026)
    assert written == "5/2026/QĐ-VPUB"


def test_party_symbols_follow_the_party_form_and_office() -> None:
    assert symbol("party-outgoing", 5, "NQ") == "05-NQ/ĐU"
    assert symbol("party-outgoing", 5, None) == "05-CV/ĐU"


def test_an_incoming_book_writes_the_bare_number() -> None:
    assert symbol("incoming", 7, "QĐ") == "07"
    assert format_number(BOOKS["incoming"], 123) == "123"


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_below_the_first_is_refused(number: int) -> None:
    with pytest.raises(InvalidInputError) as caught:
        symbol("outgoing", number, "QĐ")
    assert caught.value.code == "number-below-first"
    with pytest.raises(InvalidInputError, match="first number of the book 'outgoing'"):
        format_number(book(first_number=100), 99)


def test_a_calendar_year_runs_from_january_to_december() -> None:
    year = Period("2026", date(2026, 1, 1), date(2026, 12, 31))
    assert period_of(BOOKS["outgoing"], date(2026, 1, 1)) == year
    assert period_of(BOOKS["outgoing"], date(2026, 12, 31)) == year
    assert period_of(BOOKS["outgoing"], date(2027, 1, 1)).key == "2027"


@pytest.mark.parametrize("day", [date(2025, 7, 15), date(2030, 7, 14)])
def test_both_ends_of_a_term_belong_to_it(day: date) -> None:
    assert period_of(BOOKS["party-outgoing"], day).key == "2025-2030"


@pytest.mark.parametrize("day", [date(2025, 7, 14), date(2030, 7, 15)])
def test_a_day_outside_every_term_is_refused_with_the_terms(day: date) -> None:
    with pytest.raises(InvalidInputError) as caught:
        period_of(BOOKS["party-outgoing"], day)
    assert caught.value.code == "no-period"
    assert day.isoformat() in caught.value.detail
    assert "2025-2030 (2025-07-15 to 2030-07-14)" in caught.value.detail


def test_a_term_without_an_end_runs_on() -> None:
    name = {"vi": "Nhiệm kỳ", "en": "Term"}
    open_ended = book(period={"terms": [{"key": "t1", "name": name, "from": date(2025, 1, 1)}]})
    assert period_of(open_ended, date(2099, 1, 1)) == Period("t1", date(2025, 1, 1), None)


def test_a_shared_book_counts_every_type_together() -> None:
    assert {series_of(BOOKS["outgoing"], kind) for kind in SEED.document_types} == {"shared"}
    assert series_of(BOOKS["party-outgoing"], None) == "shared"


def test_a_book_per_type_counts_untyped_documents_together() -> None:
    party = BOOKS["party-outgoing"]
    assert series_of(party, TYPES["NQ"]) == "NQ"
    assert series_of(party, TYPES["CV"]) == series_of(party, TYPES["ThC"]) == "untyped"


def test_a_book_with_groups_counts_the_rest_together() -> None:
    grouped = book(series={"groups": {"rulings": ["QĐ", "CT"]}})
    assert series_of(grouped, TYPES["QĐ"]) == series_of(grouped, TYPES["CT"]) == "rulings"
    assert series_of(grouped, TYPES["TB"]) == series_of(grouped, TYPES["CV"]) == "shared"


@given(
    st.sampled_from(SEED.books),
    st.lists(
        st.tuples(st.sampled_from(SEED.document_types), st.integers(1, 10**7)),
        min_size=2,
        max_size=2,
        unique=True,
    ),
)
def test_different_places_in_a_register_never_have_the_same_symbol(
    register: Book, places: list[tuple[Any, int]]
) -> None:
    counted = {(series_of(register, kind), number) for kind, number in places}
    symbols = {
        format_symbol(register, number, type_code=kind.symbol, office="VPUB", unit="TH", year=2026)
        for kind, number in places
    }
    assert len(symbols) >= len(counted)
