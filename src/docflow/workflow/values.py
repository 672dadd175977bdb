"""Checks the values of fields: what a document holds and what a transition asked for. Pure.

Rules:
1. Values are JSON: text, whole numbers, true/false. A date is text, 2026-11-22.
2. Text is brought to NFC and stripped of outer white space; blank text counts as not given, and so
   does null. Control characters other than line breaks and tabs are refused.
3. Whether a person or unit exists is for the caller to check; here it is only an id.
4. Every bad field is reported, each with a JSON pointer (RFC 6901).
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from docflow.kernel.errors import FieldProblem
from docflow.kernel.text import normalise
from docflow.workflow.definition import FieldDefinition, WorkflowDefinition
from docflow.workflow.vocabulary import unknown

DEFAULT_MAX_CHARACTERS: Final = 4000
"""The most characters of a text field that has no `max`."""

_ID = re.compile(r"[\w.:-]{1,100}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WHOLE: Final = 2**53 - 1


def validate_fields(
    definition: WorkflowDefinition, values: Mapping[str, Any], complete: bool
) -> list[FieldProblem]:
    """Return what is wrong with the values of a document's own fields, as `/fields/NAME`.

    Args:
        definition: the workflow that names the fields.
        values: name → JSON value.
        complete: whether required fields must be filled already.
    """
    return check_values(definition.fields, values, complete=complete, pointer="/fields")[1]


def clean_fields(definition: WorkflowDefinition, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the normalised values of a document's own fields; bad and empty ones left out."""
    return check_values(definition.fields, values, complete=False, pointer="")[0]


def check_values(
    specifications: Mapping[str, FieldDefinition],
    values: Mapping[str, Any],
    *,
    complete: bool,
    pointer: str,
) -> tuple[dict[str, Any], list[FieldProblem]]:
    """Return the normalised good values, and a problem for every bad one."""
    clean: dict[str, Any] = {}
    problems = [
        FieldProblem(f"{pointer}/{_escape(name)}", unknown("field here", str(name), specifications))
        for name in values
        if name not in specifications
    ]
    for name, specification in specifications.items():
        value = values.get(name)
        if isinstance(value, str):
            value = normalise(value).strip()
        if value is None or value == "":
            if complete and specification.required:
                problems.append(
                    FieldProblem(f"{pointer}/{name}", f"{name} is required ({specification.type})")
                )
            continue
        wrong = _CHECKS[specification.type](value, specification)
        if wrong:
            problems.append(FieldProblem(f"{pointer}/{name}", wrong))
        else:
            clean[name] = value
    return clean, problems


def _escape(name: str) -> str:
    sayable = str(name)[:100].encode("utf-8", "replace").decode("utf-8")
    return sayable.replace("~", "~0").replace("/", "~1")


def _text(value: Any, specification: FieldDefinition) -> str | None:
    if not isinstance(value, str):
        return "must be text"
    for char in value:
        if unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\r\t":
            return f"contains the control character U+{ord(char):04X}; leave it out"
    if specification.min is not None and len(value) < specification.min:
        return f"has {len(value)} characters; at least {specification.min}"
    most = DEFAULT_MAX_CHARACTERS if specification.max is None else specification.max
    if len(value) > most:
        return f"has {len(value)} characters; at most {most}"
    return None


def _integer(value: Any, specification: FieldDefinition) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return "must be a whole number"
    least = -_WHOLE if specification.min is None else specification.min
    most = _WHOLE if specification.max is None else specification.max
    if not least <= value <= most:
        return f"must be from {least} to {most}"
    return None


def _date(value: Any, _: FieldDefinition) -> str | None:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            date.fromisoformat(value)
        except ValueError:
            return f"{value} is not a day of the calendar"
        return None
    return "must be a date as 2026-11-22"


def _boolean(value: Any, _: FieldDefinition) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _choice(value: Any, specification: FieldDefinition) -> str | None:
    if isinstance(value, str) and value in specification.choices:
        return None
    return f"must be one of: {', '.join(specification.choices)}"


def _id(value: Any, specification: FieldDefinition) -> str | None:
    if isinstance(value, str) and _ID.fullmatch(value):
        return None
    return f"must be the id of a {specification.type}"


_CHECKS: Final[Mapping[str, Callable[[Any, FieldDefinition], str | None]]] = {
    "text": _text,
    "integer": _integer,
    "date": _date,
    "boolean": _boolean,
    "choice": _choice,
    "person": _id,
    "unit": _id,
}
