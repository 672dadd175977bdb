"""The office seed: what ships is right, and what is wrong is told with its line."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from docflow.kernel.errors import ConfigurationError
from docflow.people.seed import BUILTIN, load_seed, parse_seed
from docflow.people.seed_models import OfficeSeed, check_format

TEXT = BUILTIN.read_text(encoding="utf-8")


def refusal(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        parse_seed(text, "office.yaml")
    return caught.value


def changed(old: str, new: str) -> tuple[str, int]:
    """The shipped seed with its first `old` made `new`, and the line that this is on."""
    assert old in TEXT
    return TEXT.replace(old, new, 1), TEXT[: TEXT.index(old)].count("\n") + 1


@pytest.fixture(scope="module")
def office() -> OfficeSeed:
    return load_seed()


def test_shipped_seed_has_the_29_types_of_the_decree(office: OfficeSeed) -> None:
    assert len(office.document_types) == 29
    untyped = [kind.code for kind in office.document_types if kind.symbol is None]
    assert untyped == ["CV", "ThC"]


def test_shipped_seed_has_someone_for_every_role(office: OfficeSeed) -> None:
    roles = {held.role for person in office.people for held in person.offices}
    assert roles == {"clerk", "specialist", "head", "leader", "auditor", "administrator"}


def test_shipped_seed_allows_up_to_confidential_and_seals_that(office: OfficeSeed) -> None:
    assert office.classification.allowed() == ("public", "internal", "confidential")
    assert office.classification.sealing() == ("confidential",)


def test_shipped_seed_is_one_tree_with_a_registry_below_a_department(office: OfficeSeed) -> None:
    parents = {unit.code: unit.parent for unit in office.units}
    assert [code for code, parent in parents.items() if parent is None] == ["VP"]
    assert (parents["VP-VT"], parents["VP-HC"]) == ("VP-HC", "VP")


def test_a_seed_cannot_be_changed_after_loading(office: OfficeSeed) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        office.organisation.code = "X"  # type: ignore[misc]


def test_the_calendar_counts_deadlines_over_the_lunar_new_year(office: OfficeSeed) -> None:
    calendar = office.calendars["office"].office_calendar()
    assert calendar.open_intervals(date(2026, 2, 17)) == []
    first = calendar.open_intervals(date(2026, 2, 23))[0]
    assert first == (
        datetime(2026, 2, 23, 0, 30, tzinfo=UTC),
        datetime(2026, 2, 23, 4, 30, tzinfo=UTC),
    )


def test_unit_symbol_falls_back_to_its_code(office: OfficeSeed) -> None:
    assert [unit.in_symbol for unit in office.units][:2] == ["VP", "TH"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("parent: VP-HC", "parent: VP-HX", r"no unit 'VP-HX'; did you mean 'VP-"),
        ("unit: VP-TC, role: head", "unit: XX, role: head", r"no unit 'XX'; known are VP, VP-HC"),
        ("unit: VP-TC, name: {vi: Phần", "unit: VP-TX, name: {vi: Phần", r"no unit 'VP-TX'"),
        ("role: clerk", "role: clark", r"'clark' is none of .*did you mean 'clerk'"),
        ("login: linh.pn", "login: hanh.nt", r"'hanh.nt' is already taken"),
        ("{code: VP-NC", "{code: VP-TC", r"'VP-TC' is already taken"),
        ("{code: VP-NC, parent: VP,", "{code: VP-NC,", r"'VP-NC' is a second root"),
        ("login: phan-mem-ke-toan", "login: hanh.nt", r"'hanh.nt' is the login of a person"),
        ("unit: VP, role: administrator}", "unit: VP, role: administrator}, {unit: VP, role: auditor}",
         r"administrators are not readers"),
        ("code: SNV", "code: STC", r"'STC' is already taken"),
        ("external: false, unit: VP-TC", "external: true, unit: VP-TC", r"'NB-TC' is external"),
        ("login: son.nh, name", "login: son.nx, name", r"no person 'son.nx'; did you mean 'son.nh'"),
        ("external: true", "external: 1", r"should be a valid boolean"),
        ("external: true", "extrenal: true", r"'extrenal' is not known here; did you mean 'external'"),
        ("{code: QĐ,", "{code: NQ,", r"'NQ' is already taken"),
        ("ceiling: confidential", "ceiling: intern", r"'intern' is no level; did you mean 'internal'"),
        ("sealed_from: confidential", "sealed_from: confidental", r"'confidental' is no level"),
        ("{type}-{office}", "{typ}-{office}", r"{typ} is none of number, type, office, unit, year"),
        ("{number:02}/{type}-{office}", "{type}-{office}", r"{number} is missing"),
        ("{number:02}/{type}-{office}", "{number:2}/{office}", r"only the number may have a width"),
        ("{number:02}/{type}-{office}", "{number:02/{office}", r"unbalanced braces"),
        ("{number:02}-{type}/{office}", "{number:02}/{office}", r"lacks {type}"),
        ('number_format: "{number:02}"', 'number_format: "{year}"', r"{year} is none of number"),
        ("period: calendar_year", "period: yearly", r"'yearly' is none of calendar_year"),
        ("from: 2025-07-15", "from: 2031-07-15", r"ends \(2030-07-14\) before it starts"),
        ("series: per_type", "series: {groups: {a: [QX]}}", r"no document type 'QX'; did you mean"),
        ("series: per_type", "series: {groups: {a: [QĐ], b: [QĐ]}}", r"already in the group 'a'"),
        ("series: per_type", "series: {groups: {a: [CV]}}", r"CV and ThC .* one common series"),
        ('"07:30-11:30"', '"11:30-07:30"', r"end before they begin"),
        ('"07:30-11:30"', '"07:30-14:00"', r"hours of mon overlap"),
        ('"07:30-11:30"', '"7h30"', r"write them as 07:30-11:30"),
        ("date: 2026-01-01", "date: 2026-02-17", r"2026-02-17 is listed twice"),
        ("Asia/Ho_Chi_Minh", "Asia/Saigoon", r"no timezone 'Asia/Saigoon'"),
        ("place: Lam Giang", "plaice: Lam Giang", r"'place' is missing"),
        ("kind: organisation", "kind: organisation, kind: person", r"not YAML 1.2: found duplicate key"),
    ],
)  # fmt: skip
def test_a_wrong_seed_is_refused_with_what_would_be_right(old: str, new: str, said: str) -> None:
    text, _ = changed(old, new)
    assert re.search(said, refusal(text).detail)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("parent: VP-HC", "parent: VP-HX"),
        ("role: clerk", "role: clark"),
        ("ceiling: confidential", "ceiling: intern"),
        ("symbol_format: ", "symbol_fromat: "),
        ("kind: organisation", "kind: organisation, kind: person"),
    ],
)
def test_the_message_names_file_and_line(old: str, new: str) -> None:
    text, line = changed(old, new)
    assert f"office.yaml:{line}:" in refusal(text).detail


def test_all_problems_are_told_at_once_with_pointers() -> None:
    text = TEXT.replace("role: clerk", "role: clark", 1).replace("place: Lam", "plaice: Lam", 1)
    fields = refusal(text).fields
    pointers = {field.pointer for field in fields}
    assert pointers == {"/organisation/place", "/organisation/plaice", "/people/0/offices/0/role"}


def test_units_in_a_circle_are_refused_with_the_circle() -> None:
    text, line = changed("{code: VP, name", "{code: VP, parent: VP-VT, name")
    detail = refusal(text).detail
    assert f"office.yaml:{line}: units.0.parent:" in detail
    assert "VP → VP-VT → VP-HC → VP" in detail


def test_a_unit_that_is_its_own_parent_is_refused() -> None:
    text, _ = changed("parent: VP-HC", "parent: VP-VT")
    assert "VP-VT → VP-VT" in refusal(text).detail


def test_two_books_that_would_give_the_same_symbols_are_refused() -> None:
    text = TEXT.replace("    office: ĐU", "    office: VPX", 1)
    text = text.replace("{number:02}-{type}/{office}", "{number:02}/{type}-{office}", 1)
    assert parse_seed(text, "office.yaml").books[2].office == "VPX"
    without_office = text.replace("    office: VPX", "    #", 1)
    assert "the book 'outgoing' gives the same symbols" in refusal(without_office).detail


def test_an_incoming_book_has_no_symbols_of_its_own() -> None:
    text, _ = changed('    number_format: "{number:02}"\n',
                      '    number_format: "{number:02}"\n    symbol_format: "{number}"\n')  # fmt: skip
    assert "an incoming document keeps its author's symbol" in refusal(text).detail


def test_overlapping_terms_are_refused() -> None:
    term = "{key: old, name: {vi: a, en: a}, from: 2020-01-01, to: 2025-07-15}"
    text, _ = changed("      terms:\n", f"      terms:\n        - {term}\n")
    assert "the terms old and 2025-2030 overlap" in refusal(text).detail


@pytest.mark.parametrize("text", ["", "- a\n", "just text", "null\n"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert "an office seed is a mapping" in refusal(text).detail


@pytest.mark.parametrize("text", ["\tunits: []", "a: [", "a: &a [*b]", "x: !!python/object:os {}"])
def test_text_that_is_not_plain_yaml_is_refused(text: str) -> None:
    assert "office.yaml:1" in refusal(text).detail


def test_a_missing_or_binary_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_seed(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_seed(tmp_path / "binary.yaml")


@pytest.mark.parametrize("text", ["{number}", "{number:d}", "{number:03}-{year}", "{{x}}{number}"])
def test_good_formats_pass(text: str) -> None:
    check_format(text)


@pytest.mark.parametrize(
    "text", ["{number!r}", "{number.real}", "{number[0]}", "{0}{number}", "{}"]
)
def test_formats_that_reach_into_values_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"none of|only the number"):
        check_format(text)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("confidental", "'confidental' is no level; did you mean 'confidential'?"),
        (
            "internal",
            "'internal' needs no clearance; name confidential, secret, top-secret, or none",
        ),
    ],
)
def test_a_clearance_is_for_a_level_that_is_sealed_here(written: str, told: str) -> None:
    text = BUILTIN.read_text(encoding="utf-8")
    text = text.replace("{level: confidential, until", f"{{level: {written}, until", 1)
    with pytest.raises(ConfigurationError) as caught:
        parse_seed(text, "office.yaml")
    (problem,) = caught.value.fields
    assert (problem.pointer, problem.message[: len(told)]) == ("/people/0/clearance/level", told)
