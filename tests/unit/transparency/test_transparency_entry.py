"""Entries: their canonical leaf, what is refused, and commitments to details."""

import dataclasses
import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from docflow.transparency.entry import (
    MAX_DATA_DEPTH,
    MAX_LEAF_BYTES,
    NO_PREVIOUS,
    EntryFields,
    check_details,
    commit_details,
    make_entry,
    parse_leaf,
)
from docflow.transparency.errors import EntryError, LeafError

KEY = bytes(range(32))
FIRST = EntryFields(
    id="019a2b3c-4d5e-7f60-8123-456789abcdef",
    subject_kind="document",
    subject_id="019a2b3c-0000-7000-8000-000000000001",
    seq=1,
    prev=NO_PREVIOUS,
    at=datetime(2026, 3, 2, 1, 30, 0, 7, tzinfo=UTC),
    actor_id="019a2b3c-0000-7000-8000-000000000002",
    actor_kind="person",
    action="document.registered",
    data={"state": "registered", "number": 7, "sha256": "ab" * 32},
)
LEAF = (
    b'{"action":"document.registered",'
    b'"actor":{"id":"019a2b3c-0000-7000-8000-000000000002","kind":"person"},'
    b'"at":"2026-03-02T01:30:00.000007Z",'
    b'"data":{"number":7,"sha256":"' + b"ab" * 32 + b'","state":"registered"},'
    b'"id":"019a2b3c-4d5e-7f60-8123-456789abcdef",'
    b'"prev":"' + b"0" * 64 + b'","seq":1,'
    b'"subject":{"id":"019a2b3c-0000-7000-8000-000000000001","kind":"document"},"v":1}'
)


def changed(**values: Any) -> EntryFields:
    return dataclasses.replace(FIRST, **values)


def nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    return {"x": value}


def test_the_leaf_is_canonical_json_and_hashed_as_rfc_6962_says() -> None:
    entry = make_entry(FIRST)
    assert entry.leaf == LEAF
    assert entry.leaf_hash == hashlib.sha256(b"\x00" + LEAF).hexdigest()
    assert entry.fields is FIRST


def test_a_leaf_is_read_back() -> None:
    second = changed(
        seq=2,
        prev=make_entry(FIRST).leaf_hash,
        details=commit_details({"reason": "sai thể thức"}, KEY),
        data={"lists": [1, [True, None]], "text": "Ủy ban €"},
    )
    assert parse_leaf(make_entry(second).leaf) == second


def test_instants_are_written_in_utc() -> None:
    hanoi = timezone(timedelta(hours=7))
    same = changed(at=datetime(2026, 3, 2, 8, 30, 0, 7, tzinfo=hanoi))
    assert make_entry(same).leaf == LEAF


@pytest.mark.parametrize(
    "values",
    [
        {"id": "019a2b3c-4d5e-4f60-8123-456789abcdef"},
        {"id": ""},
        {"subject_kind": "Document"},
        {"subject_kind": ""},
        {"subject_id": ""},
        {"subject_id": "x" * 201},
        {"actor_kind": "a person"},
        {"actor_id": ""},
        {"seq": 0},
        {"seq": -1},
        {"seq": True},
        {"seq": 2},
        {"seq": 2**53, "prev": "1" * 64},
        {"prev": "1" * 64},
        {"seq": 2, "prev": "1" * 63},
        {"seq": 2, "prev": "A" * 64},
        {"seq": 2, "prev": "1" * 64 + "\n"},
        {"action": "registered"},
        {"action": "document."},
        {"action": "Document.registered"},
        {"at": datetime(2026, 3, 2)},  # noqa: DTZ001 - a naive instant is what is refused
        {"at": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))},
        {"details": "a reason in the clear"},
        {"details": "hmac-sha256:" + "0" * 63},
        {"data": {"ratio": 0.5}},
        {"data": {"big": 2**53}},
        {"data": {"when": FIRST.at}},
        {"data": {"text": "\ud800"}},
        {"data": {1: "x"}},
        {"data": nested(MAX_DATA_DEPTH + 1)},
        {"data": nested(100_000)},
    ],
)
def test_fields_that_are_not_of_their_form_make_no_entry(values: dict[str, Any]) -> None:
    with pytest.raises(EntryError) as caught:
        make_entry(changed(**values))
    assert caught.value.code == "history-entry-invalid"


def test_data_may_be_nested_as_deep_as_the_bound() -> None:
    fields = changed(data=nested(MAX_DATA_DEPTH))
    assert parse_leaf(make_entry(fields).leaf) == fields


def test_the_largest_leaf_is_what_a_bundle_can_hold() -> None:
    empty = len(make_entry(changed(data={"x": ""})).leaf)
    largest = make_entry(changed(data={"x": "a" * (MAX_LEAF_BYTES - empty)}))
    assert len(largest.leaf) == MAX_LEAF_BYTES
    assert parse_leaf(largest.leaf) == largest.fields
    with pytest.raises(EntryError, match="65536 bytes") as caught:
        make_entry(changed(data={"x": "a" * (MAX_LEAF_BYTES - empty + 1)}))
    assert caught.value.code == "history-entry-too-large"


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff" + LEAF,
        LEAF + b"\n",
        LEAF.replace(b",", b", ", 1),
        LEAF.replace(b'"v":1', b'"v":2'),
        LEAF.replace(b'"v":1', b'"v":1.0'),
        LEAF.replace(b'"v":1', b'"v":true'),
        LEAF.replace(b'"v":1', b'"v":1,"w":1'),
        LEAF.replace(b'"v":1', b'"v":1,"v":1'),
        LEAF.replace(b'"seq":1,', b""),
        LEAF.replace(b'"seq":1', b'"seq":"1"'),
        LEAF.replace(b'"seq":1', b'"seq":1.0'),
        LEAF.replace(b'"seq":1', b'"seq":true'),
        LEAF.replace(b'"seq":1', b'"seq":2'),
        LEAF.replace(b'"seq":1', b'"seq":' + b"9" * 5000),
        LEAF.replace(b'"kind":"document"', b'"kind":null'),
        LEAF.replace(b'"kind":"document"', b'"kind":"document","more":1'),
        LEAF.replace(b'"number":7', b'"number":NaN'),
        LEAF.replace(b'"number":7', b'"number":7e0'),
        LEAF.replace(b'"number":7', b'"number":-0'),
        LEAF.replace(b'"number":7', b'"number":"\\u0041"'),
        LEAF.replace(b'"number":7', b'"number":"\\ud800"'),
        LEAF.replace(b'"number":7', b'"number":' + b"[" * 30_000 + b"]" * 30_000),
        LEAF.replace(b".000007Z", b"Z"),
        LEAF.replace(b".000007Z", b".000007+00:00"),
        LEAF.replace(b"2026-03-02", b"2026-02-30"),
        LEAF.replace(b"2026-03-02", b"0000-03-02"),
        LEAF.replace(b'"data":', b'"data":[],"date":'),
        LEAF.replace(b'"data":{', b'"data":{"a":{},').replace(b'"a":{}', b'"z":{}'),
        LEAF.replace(b'"id":"019a2b3c-4d5e', b'"details":null,"id":"019a2b3c-4d5e'),
        b" " * (MAX_LEAF_BYTES + 1),
    ],
)
def test_what_make_entry_would_not_write_is_no_leaf(leaf: bytes) -> None:
    with pytest.raises(LeafError):
        parse_leaf(leaf)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"v":1', b'"v":2', "version is not 1"),
        (b'"v":1', b'"w":1', "members are not those"),
        (b'"kind":"document"', b'"sort":"document"', "subject is not an object of id and kind"),
        (
            b'"kind":"person"',
            b'"kind":"person","name":"x"',
            "actor is not an object of id and kind",
        ),
        (b'"seq":1', b'"seq":2', "first entry"),
        (b'"seq":1', b'"seq": 1', "canonical form"),
        (b"document.registered", b"registered", "action"),
        (b'"number":7', b'"number":7,', "not JSON in UTF-8"),
        (b'"number":7', b'"number":"' + b"a" * MAX_LEAF_BYTES + b'"', "may be at most 65535"),
    ],
)
def test_the_refusal_of_a_leaf_says_what_is_wrong(old: bytes, new: bytes, reason: str) -> None:
    assert old in LEAF
    with pytest.raises(LeafError, match=reason):
        parse_leaf(LEAF.replace(old, new))


def test_years_before_1000_are_written_with_four_digits() -> None:
    fields = changed(at=datetime(999, 1, 2, tzinfo=UTC))
    assert b'"at":"0999-01-02T00:00:00.000000Z"' in make_entry(fields).leaf
    assert parse_leaf(make_entry(fields).leaf) == fields


def test_details_are_committed_to_and_checked() -> None:
    details = {"reason": "Trả lại để sửa", "page": 2}
    commitment = commit_details(details, KEY)
    # what `openssl dgst -sha256 -mac HMAC` makes of {"page":2,"reason":"Trả lại để sửa"}
    assert commitment == (
        "hmac-sha256:0e9281cd60ebb117d976ba4614bfc4a215d3397b1eea2a8aa1fa8e762fbd1beb"
    )
    assert check_details({"page": 2, "reason": "Trả lại để sửa"}, KEY, commitment)
    assert not check_details({**details, "page": 3}, KEY, commitment)
    assert not check_details(details, KEY[::-1], commitment)
    assert not check_details(details, KEY[:31], commitment)
    assert not check_details({"ratio": 0.5}, KEY, commitment)
    assert not check_details(details, KEY, commitment + "\ud800")


def test_a_leaf_carries_the_commitment_and_not_the_details() -> None:
    leaf = make_entry(changed(details=commit_details({"reason": "bí mật"}, KEY))).leaf
    assert "bí mật".encode() not in leaf
    assert json.loads(leaf)["details"].startswith("hmac-sha256:")


@pytest.mark.parametrize("key", [b"", b"\0" * 31, b"\0" * 33])
def test_a_details_key_has_32_bytes(key: bytes) -> None:
    with pytest.raises(EntryError, match="32 bytes"):
        commit_details({"reason": "x"}, key)


def test_details_without_a_canonical_form_are_refused() -> None:
    with pytest.raises(EntryError):
        commit_details({"ratio": 0.5}, KEY)
    with pytest.raises(EntryError, match="nested"):
        commit_details(nested(100_000), KEY)
