"""The small types that workflow definitions are made of, with their shorthands and JSON Schema.

Rules:
1. Each reader takes what YAML gave (text, whole numbers, booleans, tuples, dicts) and returns the
   opened form, or raises with a sentence; it never coerces.
2. Names of the vocabulary are checked here, so that an error carries the place of the name itself.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from docflow.workflow import durations, retention
from docflow.workflow.vocabulary import (
    CODE_PATTERN,
    FIELD_TYPES,
    GUARDS,
    LANGUAGE_PATTERN,
    NAME_PATTERN,
    REFUSED_ROLES,
    ROLES,
    SIGN_AS,
    SIGN_CONTAINERS,
    SIGN_LEVELS,
    Word,
    unknown,
)

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


def wrong(sentence: str) -> PydanticCustomError:
    """Return the error that makes `sentence` the whole message of a validation failure."""
    return PydanticCustomError("workflow", "{sentence}", {"sentence": sentence})


class Definition(BaseModel):
    """Base of every definition: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def _words(words: Mapping[str, str | Word]) -> list[dict[str, str]]:
    """Return the JSON Schema alternatives of a vocabulary, each with its description."""
    return [
        {"const": name, "description": word.description if isinstance(word, Word) else word}
        for name, word in words.items()
    ]


def _known(kind: str, names: Iterable[str]) -> Callable[[str], str]:
    listed = tuple(names)

    def check(written: str) -> str:
        if written not in listed:
            raise wrong(unknown(kind, written, listed))
        return written

    return check


def _role(written: str) -> str:
    if written in REFUSED_ROLES:
        raise wrong(
            f"{written!r} may never fire a transition: {REFUSED_ROLES[written]}; "
            f"known: {', '.join(sorted(ROLES))}"
        )
    return _known("role", ROLES)(written)


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Code = Annotated[str, StringConstraints(pattern=CODE_PATTERN)]
Language = Annotated[str, StringConstraints(pattern=LANGUAGE_PATTERN)]
Note = Annotated[str, StringConstraints(min_length=1, max_length=200)]

RoleName = Annotated[
    str, AfterValidator(_role), WithJsonSchema({"type": "string", "anyOf": _words(ROLES)})
]
GuardName = Annotated[
    str,
    AfterValidator(_known("guard", GUARDS)),
    WithJsonSchema({"type": "string", "anyOf": _words(GUARDS)}),
]
FieldType = Annotated[
    str,
    AfterValidator(_known("field type", FIELD_TYPES)),
    WithJsonSchema({"type": "string", "anyOf": _words(FIELD_TYPES)}),
]
SignAs = Annotated[
    str,
    AfterValidator(_known("signer", SIGN_AS)),
    WithJsonSchema({"type": "string", "anyOf": _words(SIGN_AS)}),
]
SignLevel = Annotated[
    str,
    AfterValidator(_known("signature level", SIGN_LEVELS)),
    WithJsonSchema({"type": "string", "anyOf": _words(SIGN_LEVELS)}),
]
SignContainer = Annotated[
    str,
    AfterValidator(_known("container", SIGN_CONTAINERS)),
    WithJsonSchema({"type": "string", "anyOf": _words(SIGN_CONTAINERS)}),
]


def _as_tuple(written: Any) -> Any:
    return (written,) if isinstance(written, str) else written


OneOrManyNames = Annotated[
    tuple[Name, ...], BeforeValidator(_as_tuple, json_schema_input_type=Name | tuple[Name, ...])
]
OneOrManyRoles = Annotated[
    tuple[RoleName, ...],
    BeforeValidator(_as_tuple, json_schema_input_type=RoleName | tuple[RoleName, ...]),
]


def _read_duration(written: Any) -> durations.Duration:
    if not isinstance(written, str):
        raise wrong(
            f"{written!r} is not a duration; write a whole number and d, h or m, as in 3d or 4h"
        )
    try:
        return durations.parse_duration(written)
    except ValueError as error:
        raise wrong(str(error)) from error


DurationText = Annotated[
    durations.Duration,
    PlainValidator(_read_duration),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": durations.PATTERN,
            "description": "office time as 3d, 4h or 30m; time on the clock as `24h wall`; "
            "-4h is four hours before",
        }
    ),
]


@dataclass(frozen=True, slots=True)
class Retain:
    """How long a state has files kept; None where the document's type says it."""

    retention: retention.Retention | None


def _read_retain(written: Any) -> Retain:
    try:
        return Retain(retention.parse_retention(written, of_kind=True))
    except ValueError as error:
        raise wrong(str(error)) from error


RetainText = Annotated[
    Retain,
    PlainValidator(_read_retain),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": retention.OF_KIND, "description": "as the document's type says"},
                {
                    "type": "string",
                    "pattern": retention.PATTERN,
                    "description": "years as 10y, days as 90d, or permanent (a hundred years)",
                },
            ]
        }
    ),
]


def frozen(mapping: Mapping[K, V]) -> Mapping[K, V]:
    """Return a read-only view of `mapping`, in its order."""
    return MappingProxyType(dict(mapping))


Titles = Annotated[Mapping[Language, Note], AfterValidator(frozen)]


def empty() -> Mapping[Any, Any]:
    """Return a read-only mapping of nothing: the default of optional mappings."""
    return MappingProxyType({})
