"""History entries: their fields, their canonical leaf, and the chain of one subject's entries.

Rules:
- A leaf is canonical JSON (RFC 8785) of at most 65,535 bytes, the bound of a tlog-tiles bundle.
- A subject's entries are numbered from 1, and each names the leaf hash of the one before it; the
  first names 64 zeros, and only the first.
- `data` holds digests, states and numbers, never confidential content. What a person wrote (a
  reason, a note) is committed to by HMAC-SHA256 under a key of that entry's own, so that erasing
  the key leaves a number that tells nothing, while the leaf and its proof stay as they were.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from docflow.kernel.canonical import canonical_json
from docflow.kernel.clock import parse_rfc3339, rfc3339
from docflow.kernel.ids import is_id
from docflow.transparency.errors import EntryError, LeafError

LEAF_VERSION = 1
MAX_LEAF_BYTES = 65_535  # what a tlog-tiles entry bundle can hold (uint16 length)
MAX_DATA_DEPTH = 16  # nested lists and objects in `data`, itself included
DETAILS_KEY_BYTES = 32
NO_PREVIOUS = "0" * 64

_MAX_SEQ = 2**53 - 1  # what canonical JSON can hold
_MAX_TEXT = 200  # characters of an id or kind
_KIND = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_ACTION = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z][a-z0-9_-]*)+")
_HASH = re.compile(r"[0-9a-f]{64}")
_DETAILS = re.compile(r"hmac-sha256:[0-9a-f]{64}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_NAMES = {"v", "id", "subject", "seq", "prev", "at", "actor", "action", "data"}


@dataclass(frozen=True, slots=True)
class EntryFields:
    """What one entry says: who did what to which subject, when, and after which entry.

    `seq` counts the subject's entries from 1; `prev` is the leaf hash (64 hexadecimal digits) of
    the subject's previous entry, or `NO_PREVIOUS`; `details` is a commitment of `commit_details`.
    """

    id: str
    subject_kind: str
    subject_id: str
    seq: int
    prev: str
    at: datetime
    actor_id: str
    actor_kind: str
    action: str
    data: Mapping[str, Any] = field(default_factory=dict)
    details: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it goes into the log.

    `leaf` is hashed and bundled as it is; `leaf_hash` is SHA-256(0x00 || leaf) in hexadecimal
    (RFC 6962 2.1), which the subject's next entry names as its `prev`.
    """

    fields: EntryFields
    leaf: bytes
    leaf_hash: str


def make_entry(fields: EntryFields) -> Entry:
    """Return the entry with its canonical leaf and leaf hash.

    Raises:
        EntryError: if a field is not of its form, `data` has no canonical JSON form, or the leaf
            would be over 65,535 bytes (code `history-entry-too-large`).
    """
    if problem := _problem(fields):
        raise EntryError(f"The history entry {fields.action!r} cannot be made: {problem}.")
    try:
        leaf = canonical_json(_leaf_object(fields))
    except (ValueError, TypeError, OverflowError) as error:
        raise EntryError(
            f"The data of the history entry {fields.action!r} cannot be written: {error}."
        ) from error
    if len(leaf) > MAX_LEAF_BYTES:
        raise EntryError(
            f"The history entry {fields.action!r} is {len(leaf)} bytes and may be at most "
            f"{MAX_LEAF_BYTES}; put a digest in its data instead of the content.",
            code="history-entry-too-large",
        )
    return Entry(fields, leaf, hashlib.sha256(b"\x00" + leaf).hexdigest())


def parse_leaf(leaf: bytes) -> EntryFields:
    """Return the fields of a leaf, refusing anything that `make_entry` would not have written.

    Raises:
        LeafError: if the bytes are not canonical JSON, or a member is missing, unknown or wrong.
    """
    if len(leaf) > MAX_LEAF_BYTES:
        raise LeafError(f"The leaf is {len(leaf)} bytes and may be at most {MAX_LEAF_BYTES}.")
    try:
        value = json.loads(leaf.decode("utf-8"))
        fields = _fields_of(value)
        if canonical_json(_leaf_object(fields)) != leaf:
            raise ValueError("it is not in canonical form (RFC 8785)")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise LeafError(f"The bytes are not a history leaf: {_reason(error)}.") from error
    return fields


def commit_details(details: Mapping[str, Any], key: bytes) -> str:
    """Return the commitment to `details` under `key`: 32 random bytes used for this entry alone.

    Raises:
        EntryError: if the key has another length, or `details` has no canonical JSON form.
    """
    if len(key) != DETAILS_KEY_BYTES:
        raise EntryError(f"A details key is {DETAILS_KEY_BYTES} bytes, not {len(key)}.")
    try:
        message = canonical_json(dict(details))
    except (ValueError, TypeError, RecursionError) as error:
        raise EntryError(f"The details cannot be committed to: {_reason(error)}.") from error
    return "hmac-sha256:" + hmac.digest(key, message, "sha256").hex()


def check_details(details: Mapping[str, Any], key: bytes, commitment: str) -> bool:
    """Tell whether `commitment` (an entry's `details`) was made from these details and this key."""
    try:
        expected = commit_details(details, key)
    except EntryError:
        return False
    return hmac.compare_digest(expected.encode(), commitment.encode("utf-8", "replace"))


def _leaf_object(fields: EntryFields) -> dict[str, Any]:
    value = {
        "v": LEAF_VERSION,
        "id": fields.id,
        "subject": {"kind": fields.subject_kind, "id": fields.subject_id},
        "seq": fields.seq,
        "prev": fields.prev,
        "at": rfc3339(fields.at),
        "actor": {"id": fields.actor_id, "kind": fields.actor_kind},
        "action": fields.action,
        "data": fields.data if type(fields.data) is dict else dict(fields.data),
    }
    if fields.details is not None:
        value["details"] = fields.details
    return value


def _fields_of(value: Any) -> EntryFields:
    names = set(value) - {"details"} if isinstance(value, dict) else set()
    if names != _NAMES:
        raise ValueError("its members are not those of a leaf")
    if value["v"] != LEAF_VERSION:
        raise ValueError(f"its version is not {LEAF_VERSION}")
    subject, actor = value["subject"], value["actor"]
    for name, member in (("subject", subject), ("actor", actor)):
        if not isinstance(member, dict) or set(member) != {"id", "kind"}:
            raise ValueError(f"its {name} is not an object of id and kind")
    if not isinstance(value["data"], dict):
        raise ValueError("its data is not an object")
    if not isinstance(value["at"], str) or _INSTANT.fullmatch(value["at"]) is None:
        raise ValueError("its instant is not RFC 3339 UTC with microseconds")
    fields = EntryFields(
        id=value["id"],
        subject_kind=subject["kind"],
        subject_id=subject["id"],
        seq=value["seq"],
        prev=value["prev"],
        at=parse_rfc3339(value["at"]),
        actor_id=actor["id"],
        actor_kind=actor["kind"],
        action=value["action"],
        data=value["data"],
        details=value.get("details"),
    )
    if problem := _problem(fields):
        raise ValueError(problem)
    return fields


def _problem(fields: EntryFields) -> str | None:
    """Return what is wrong with the fields, or None; types are checked too, for parsed leaves."""
    first = fields.prev == NO_PREVIOUS
    checks = (
        (_is_text(fields.id) and is_id(fields.id), "its id is not a UUIDv7"),
        (_matches(_KIND, fields.subject_kind), "the subject's kind is not lower-case words"),
        (_is_text(fields.subject_id), f"the subject's id is not 1 to {_MAX_TEXT} characters"),
        (_is_count(fields.seq), "seq does not count from 1"),
        (_matches(_HASH, fields.prev), "prev is not 64 lower-case hexadecimal digits"),
        (first == (fields.seq == 1), "a subject's first entry, and no other, has a prev of zeros"),
        (fields.at.tzinfo is not None, "its instant has no timezone"),
        (_matches(_KIND, fields.actor_kind), "the actor's kind is not lower-case words"),
        (_is_text(fields.actor_id), f"the actor's id is not 1 to {_MAX_TEXT} characters"),
        (_matches(_ACTION, fields.action), "its action is not written like document.registered"),
        (
            fields.details is None or _matches(_DETAILS, fields.details),
            "details is not a commitment made by commit_details",
        ),
        (
            not _deeper_than(MAX_DATA_DEPTH, fields.data),
            f"its data is nested deeper than {MAX_DATA_DEPTH}",
        ),
    )
    return next((problem for holds, problem in checks if not holds), None)


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value <= _MAX_SEQ


def _deeper_than(limit: int, value: object) -> bool:
    """Tell whether lists and objects nest deeper than `limit`; keeps every recursion bounded."""
    children: Iterable[object]
    if isinstance(value, Mapping):
        children = value.values()
    elif isinstance(value, list | tuple):
        children = value
    else:
        return False
    if limit == 0:
        return True
    for child in children:
        if isinstance(child, dict | list | tuple) and _deeper_than(limit - 1, child):
            return True
    return False


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "it is not JSON in UTF-8"
    return str(error)
