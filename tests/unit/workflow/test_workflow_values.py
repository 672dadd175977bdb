"""Values of fields: each type, each limit, each message."""

from typing import Any

import pytest

from docflow.kernel.errors import FieldProblem
from docflow.workflow import clean_fields, load_source, validate_fields

WORKFLOW = load_source(
    b"""\
workflow: w
version: 1
title: {en: W}
direction: incoming
fields:
  text: {type: text, min: 2, max: 5}
  long: {type: text}
  number: {type: integer, min: 1, max: 9}
  whole: {type: integer}
  day: {type: date}
  flag: {type: boolean}
  pick: {type: choice, choices: [post, "by hand"]}
  who: {type: person}
  where: {type: unit}
  must: {type: text, required: true}
states: {a: {initial: true}, b: {final: true}}
transitions: {go: {from: a, to: b, by: clerk}}
""",
    "w.yaml",
).definition


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("text", 3, "must be text"),
        ("text", "a", "has 1 characters; at least 2"),
        ("text", "abcdef", "has 6 characters; at most 5"),
        ("text", "a\x00b", "contains the control character U+0000; leave it out"),
        ("text", "a\ud800b", "contains the control character U+D800; leave it out"),
        ("long", "x" * 4001, "has 4001 characters; at most 4000"),
        ("number", 0, "must be from 1 to 9"),
        ("number", 10, "must be from 1 to 9"),
        ("number", "3", "must be a whole number"),
        ("number", 3.0, "must be a whole number"),
        ("number", True, "must be a whole number"),
        ("whole", 2**53, f"must be from {-(2**53 - 1)} to {2**53 - 1}"),
        ("day", "2026-02-30", "2026-02-30 is not a day of the calendar"),
        ("day", "20260203", "must be a date as 2026-11-22"),
        ("day", 20260203, "must be a date as 2026-11-22"),
        ("flag", "true", "must be true or false"),
        ("flag", 1, "must be true or false"),
        ("pick", "fax", "must be one of: post, by hand"),
        ("pick", ["post"], "must be one of: post, by hand"),
        ("who", "a b", "must be the id of a person"),
        ("where", {}, "must be the id of a unit"),
    ],
)
def test_a_bad_value_is_told_with_its_pointer(name: str, value: Any, message: str) -> None:
    assert validate_fields(WORKFLOW, {name: value}, False) == [
        FieldProblem(f"/fields/{name}", message)
    ]
    assert clean_fields(WORKFLOW, {name: value}) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "ab"),
        ("text", "Đúng"),
        ("long", "một\nhai\tba"),
        ("number", 1),
        ("number", 9),
        ("whole", -(2**53 - 1)),
        ("day", "2024-02-29"),
        ("flag", False),
        ("pick", "by hand"),
        ("who", "0198c5a2-7b11-7c3e-8d6f-0123456789ab"),
        ("where", "VP-TH"),
    ],
)
def test_a_good_value_is_kept(name: str, value: Any) -> None:
    assert validate_fields(WORKFLOW, {name: value}, False) == []
    assert clean_fields(WORKFLOW, {name: value}) == {name: value}


def test_what_is_required_may_be_missing_until_it_must_be_complete() -> None:
    for values in ({}, {"must": None}, {"must": " \n"}):
        assert validate_fields(WORKFLOW, values, False) == []
        assert validate_fields(WORKFLOW, values, True) == [
            FieldProblem("/fields/must", "must is required (text)")
        ]


def test_an_unknown_field_gets_the_nearest_name_and_an_escaped_pointer() -> None:
    (problem,) = validate_fields(WORKFLOW, {"numbre": 1}, False)
    assert problem.pointer == "/fields/numbre"
    assert "did you mean 'number'?" in problem.message
    (problem,) = validate_fields(WORKFLOW, {"a/b~c\ud800": 1}, False)
    assert problem.pointer == "/fields/a~1b~0c?"


def test_every_bad_field_is_told() -> None:
    values = {"number": 0, "day": "x", "nope": 1}
    assert len(validate_fields(WORKFLOW, values, True)) == 4


def test_text_is_brought_to_nfc_and_stripped_before_it_is_counted() -> None:
    assert clean_fields(WORKFLOW, {"text": "  tie\u0302\u0301ng  "}) == {"text": "tiếng"}
