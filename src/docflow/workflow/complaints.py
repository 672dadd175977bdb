"""Turns Pydantic's validation errors into sentences: what was written, and what would be right."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from docflow.workflow.definition import (
    FieldDefinition,
    NumberDefinition,
    SignDefinition,
    StateDefinition,
    TransitionDefinition,
    WorkflowDefinition,
)
from docflow.workflow.places import SignPlace
from docflow.workflow.resolve import Complaint
from docflow.workflow.source import Path
from docflow.workflow.vocabulary import CODE_PATTERN, LANGUAGE_PATTERN, NAME_PATTERN, nearest

_PATTERNS: Final[Mapping[str, str]] = {
    NAME_PATTERN: "a name; write up to 40 lower-case letters, digits and _, a letter first",
    CODE_PATTERN: "a code; write up to 40 lower-case letters, digits and -, a letter first",
    LANGUAGE_PATTERN: "a language; write a code as en or vi",
}

_MISSING: Final[Mapping[str, str]] = {
    "workflow": "workflow: outgoing",
    "version": "version: 1",
    "title": "title: {en: Outgoing document}",
    "direction": "direction: outgoing",
    "states": "states: {draft: {initial: true}, …}",
    "transitions": "transitions: {submit: {from: draft, to: review, by: author}, …}",
    "from": "from: draft",
    "to": "to: review",
    "by": "by: author",
    "type": "type: text",
    "as": "as: person",
    "book": "book: outgoing",
}

_MAPPINGS: Final = {"model_type", "dict_type", "mapping_type", "model_attributes_type"}
_SEQUENCES: Final = {"tuple_type", "list_type"}


def explain(error: ValidationError) -> Iterator[Complaint]:
    """Yield a complaint for every error that validating a workflow found."""
    found = error.errors(include_url=False)
    for details in found:
        if details["type"] == "too_short" and any(_within(details, other) for other in found):
            continue  # it is short only because what is in it was wrong, which is told
        # "[key]" marks an error about the key itself, whose own name stands before it
        path: Path = tuple(part for part in details["loc"] if part != "[key]")
        yield path, _sentence(details, path)


def _within(outer: ErrorDetails, inner: ErrorDetails) -> bool:
    return inner is not outer and inner["loc"][: len(outer["loc"])] == outer["loc"]


def _sentence(details: ErrorDetails, path: Path) -> str:
    kind, context = details["type"], details.get("ctx", {})
    written = _shown(details["input"])
    if kind in _MAPPINGS:
        return f"{written} is not a mapping; write key: value pairs, {{}} if there are none"
    if kind in _SEQUENCES:
        return f"{written} is not a list; write it as [{written.strip(chr(39))}]"
    return _SENTENCES.get(kind, _other)(written, context, path, details["msg"])


_Writer = Callable[[str, Mapping[str, Any], Path, str], str]


def _workflow(_: str, context: Mapping[str, Any], __: Path, ___: str) -> str:
    return str(context["sentence"])


def _missing(_: str, __: Mapping[str, Any], path: Path, ___: str) -> str:
    key = str(path[-1])
    return f"is missing; write {_MISSING.get(key, f'{key}: …')}"


def _extra(_: str, __: Mapping[str, Any], path: Path, ___: str) -> str:
    key, known = str(path[-1]), _keys(path[:-1])
    guess = nearest(key, known)
    hint = f"did you mean {guess!r}? " if guess else ""
    return f"{key[:80]!r} is not a key here; {hint}known: {', '.join(known)}"


def _pattern(written: str, context: Mapping[str, Any], _: Path, __: str) -> str:
    return f"{written} is not {_PATTERNS[context['pattern']]}"


def _literal(written: str, context: Mapping[str, Any], _: Path, __: str) -> str:
    return f"{written} is not known here; write {context['expected']}"


def _bound(written: str, context: Mapping[str, Any], _: Path, __: str) -> str:
    limit = context["ge"] if "ge" in context else context["le"]
    return (
        f"{written} is out of bounds; write {'at least' if 'ge' in context else 'at most'} {limit}"
    )


def _too_few(_: str, context: Mapping[str, Any], __: Path, ___: str) -> str:
    return f"is empty; write at least {context['min_length']}"


def _too_many(_: str, context: Mapping[str, Any], __: Path, ___: str) -> str:
    return f"is too long; at most {context['max_length']}"


def _other(written: str, _: Mapping[str, Any], __: Path, message: str) -> str:
    return f"{written} is wrong here: {message[:1].lower()}{message[1:]}"


_SENTENCES: Final[Mapping[str, _Writer]] = {
    "workflow": _workflow,
    "missing": _missing,
    "extra_forbidden": _extra,
    "string_pattern_mismatch": _pattern,
    "literal_error": _literal,
    "greater_than_equal": _bound,
    "less_than_equal": _bound,
    "too_short": _too_few,
    "too_long": _too_many,
    "string_too_short": _too_few,
    "string_too_long": _too_many,
    "string_type": lambda written, *_: f"{written} is not text; write a name or quote it",
    "int_type": lambda written, *_: f"{written} is not a whole number; write one as 1",
    "int_from_float": lambda written, *_: f"{written} is not a whole number; write one as 1",
    "bool_type": lambda written, *_: f"{written} is neither true nor false; write true or false",
}


def _shown(written: Any) -> str:
    match written:
        case None:
            return "nothing"
        case bool():
            return "true" if written else "false"
        case dict():
            return "a mapping"
        case tuple():
            return "a list"
        case str() if len(written) > 80:  # noqa: PLR2004 - what fits into a line
            return repr(written[:79] + "…")
        case _:
            return repr(written)


def _keys(path: Path) -> list[str]:
    """Return the keys that are known at a path of the language."""
    model: type[BaseModel] = WorkflowDefinition
    match path:
        case ("fields", _) | ("transitions", _, "ask", _):
            model = FieldDefinition
        case ("states", _):
            model = StateDefinition
        case ("transitions", _):
            model = TransitionDefinition
        case ("transitions", _, "number"):
            model = NumberDefinition
        case ("transitions", _, "sign"):
            model = SignDefinition
        case ("transitions", _, "sign", "place"):
            model = SignPlace
        case _:
            pass
    return sorted(field.alias or name for name, field in model.model_fields.items())
