"""The closed vocabulary of workflow files: every role, guard, effect and type that YAML may name.

Rules:
1. A name that is not here is an error when a file is loaded, with the nearest name that is.
2. The one-line description here is the one in the JSON Schema, the error messages and the guide.
3. Nothing here is configuration: which person holds a role is decided by `people`, when asked.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

NAME_PATTERN: Final = r"^[a-z][a-z0-9_]{0,39}$"
"""States, triggers and fields: lower-case words joined by `_`, at most 40 characters."""

CODE_PATTERN: Final = r"^[a-z][a-z0-9-]{0,39}$"
"""Workflows, calendars and books: lower-case words joined by `-`, at most 40 characters."""

LANGUAGE_PATTERN: Final = r"^[a-z]{2,3}(-[A-Za-z]{2,4})?$"
"""A language of a title: `en`, `vi`, `pt-BR`, `zh-Hant`."""


@dataclass(frozen=True, slots=True)
class Word:
    """One name of the vocabulary: what it means, and its title for diagrams and front ends."""

    description: str
    title: Mapping[str, str]


def _word(description: str, en: str, vi: str) -> Word:
    return Word(description, MappingProxyType({"en": en, "vi": vi}))


OFFICE_ROLES: Final[Mapping[str, Word]] = MappingProxyType(
    {
        "clerk": _word(
            "holds the office of clerk: registers, routes, seals and releases", "Clerk", "Văn thư"
        ),
        "specialist": _word(
            "holds the office of specialist: drafts and handles documents",
            "Specialist",
            "Chuyên viên",
        ),
        "head": _word("is head of any unit", "Head of any unit", "Trưởng đơn vị bất kỳ"),
        "leader": _word("leads the organisation: routes and signs", "Leader", "Lãnh đạo"),
    }
)

RELATIVE_ROLES: Final[Mapping[str, Word]] = MappingProxyType(
    {
        "author": _word("created the document", "Author", "Người soạn"),
        "assignee": _word("is the person the document is assigned to", "Assignee", "Người xử lý"),
        "unit_head": _word("is head of the document's own unit", "Unit head", "Trưởng đơn vị"),
        "system": _word(
            "is docflow itself, acting for no person; never a personal signature",
            "System",
            "Hệ thống",
        ),
    }
)

ROLES: Final[Mapping[str, Word]] = MappingProxyType({**OFFICE_ROLES, **RELATIVE_ROLES})
"""Everything that `by` may name."""

SEPARABLE_ROLES: Final = ("author", "assignee")
"""The relative roles that `separate_from` may name, beside triggers."""

REFUSED_ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "administrator": "administrators keep the system running and take no part in a procedure",
        "auditor": "auditors read the history and change nothing",
    }
)
"""Offices that exist and may never fire a transition, with the reason."""

GUARDS: Final[Mapping[str, Word]] = MappingProxyType(
    {
        "has_main_file": _word("the document has a main file", "main file", "tệp văn bản"),
        "has_recipients": _word(
            "the document has at least one recipient", "recipients", "nơi nhận"
        ),
        "has_assignee": _word("the document is assigned to a person", "assignee", "người xử lý"),
        "has_unit": _word("the document is routed to a unit", "unit", "đơn vị"),
        "has_number": _word("the document has its number in the register", "number", "số văn bản"),
        "not_duplicate": _word(
            "no unresolved report says that the document is a duplicate",
            "no duplicate",
            "không trùng",
        ),
        "is_signed": _word(
            "a valid personal signature is on the current file",
            "personal signature",
            "chữ ký cá nhân",
        ),
        "signature_valid": _word(
            "the main file came in signed, and every signature was verified as valid",
            "valid signature",
            "chữ ký số hợp lệ",
        ),
    }
)

EFFECTS: Final[Mapping[str, Word]] = MappingProxyType(
    {
        "assign": _word(
            "assigns the document to the person given in an `ask` field (`assignee` by default)",
            "assigns",
            "giao xử lý",
        ),
        "route": _word(
            "routes the document to the unit given in an `ask` field (`unit` by default)",
            "routes",
            "chuyển đơn vị",
        ),
        "deliver": _word(
            "hands the signed and sealed file to the recipients", "delivers", "phát hành"
        ),
        "void_number": _word(
            "voids the document's number; the reason is the `ask` field `reason`",
            "voids the number",
            "huỷ số",
        ),
    }
)

EFFECT_FIELDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {"assign": ("assignee", "person"), "route": ("unit", "unit"), "void_number": ("reason", "text")}
)
"""For an effect that uses an `ask` field: the field's default name and the type it must have."""

FIELD_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "text": "text; `min` and `max` count characters",
        "integer": "a whole number; `min` and `max` bound its value",
        "date": "a day, written 2026-11-22",
        "boolean": "true or false",
        "choice": "one of `choices`",
        "person": "the id of a person of the organisation",
        "unit": "the id of a unit of the organisation",
    }
)

SIGN_AS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "person": "the personal signature of whoever fires the transition",
        "organisation": "the organisation's seal; always the last signature",
    }
)

SIGN_LEVELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "B-B": "the signature alone; worth nothing once its certificate has expired",
        "B-T": "with a time stamp that proves when it existed",
        "B-LT": "with everything in the file that a later validation needs",
        "B-LTA": "with an archive time stamp over all that, renewed as long as wanted",
    }
)
"""The PAdES baseline levels (ETSI EN 319 142-1), lowest first."""

SIGN_CONTAINERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ASiC-E": "one file with everything that is released, sealed as a whole; annexes need be no PDF",
    }
)
"""What a release is put into, beside its sealed PDFs (ETSI EN 319 162-1)."""

STANDARD_PLACE: Final = "standard"
"""Where Decree 30/2020/NĐ-CP, Annex I, has the number and the date; the QR code at the foot."""

CORNERS: Final = (
    "top-left",
    "top-centre",
    "top-right",
    "bottom-left",
    "bottom-centre",
    "bottom-right",
)
"""Places on the first page that `sign.place` may name."""

HOLDINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sign": "a personal signature",
        "seal": "the organisation's seal",
        "number": "a number",
    }
)
"""What a `never` rule may speak of: `STATE without sign|seal|number`."""


def nearest(written: str, known: Iterable[str]) -> str | None:
    """Return the name in `known` that `written` was most likely meant to be, or None."""
    close = difflib.get_close_matches(written[:80], list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def unknown(kind: str, written: str, known: Iterable[str]) -> str:
    """Return the sentence that says `written` is no `kind`, and what would be right."""
    names = sorted(known)
    guess = nearest(written, names)
    hint = f"did you mean {guess!r}? " if guess else ""
    listed = ", ".join(names) if names else "none here"
    shown = written if len(written) <= 80 else f"{written[:77]}…"  # noqa: PLR2004 - as cut above
    return f"{shown!r} is no {kind}; {hint}known: {listed}"


def title_of(titles: Mapping[str, str], language: str, name: str) -> str:
    """Return the title in `language`, else in English, else any, else the name in words."""
    if not titles:
        return name.replace("_", " ").replace("-", " ").capitalize()
    return titles.get(language) or titles.get("en") or next(iter(titles.values()))
