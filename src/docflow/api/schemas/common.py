"""Types that every schema uses."""

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints


class Input(BaseModel):
    """A request body: strict about names, so that a typing error is not silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Output(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


def _storable(text: str) -> str:
    """Refuse what no database and no page can hold."""
    if any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("has a NUL character or a lone surrogate")
    return text


def _storable_throughout(values: dict[str, Any]) -> dict[str, Any]:
    """Refuse the same anywhere within a JSON object, and numbers that JSON does not have."""
    left: list[Any] = [values]
    while left:  # not by recursion: whoever sends it decides how deep it is
        match left.pop():
            case str(text):
                _storable(text)
            case float(number) if not math.isfinite(number):
                raise ValueError("has a number that is not finite")
            case dict(inner):
                left += [*inner.keys(), *inner.values()]
            case list(inner):
                left += inner
    return values


def _one_line(text: str) -> str:
    if any(not char.isprintable() for char in text):
        raise ValueError("has control characters or line breaks")
    return text


Text = Annotated[
    str, StringConstraints(max_length=4000, strip_whitespace=True), AfterValidator(_storable)
]
Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=500, strip_whitespace=True),
    AfterValidator(_storable),
    AfterValidator(_one_line),
]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, strip_whitespace=True),
    AfterValidator(_storable),
    AfterValidator(_one_line),
]

Block = Annotated[
    str, StringConstraints(min_length=1, max_length=40_000), AfterValidator(_storable)
]
"""Lines of text that are kept as they are, as PEM."""
Base64 = Annotated[
    str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[A-Za-z0-9+/]+={0,2}$")
]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside of the years 1 to 9999 in UTC") from None


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
JsonObject = dict[str, Any]
InputObject = Annotated[JsonObject, AfterValidator(_storable_throughout)]


class FieldProblemOut(Output):
    """One bad field."""

    pointer: str = Field(description="RFC 6901 pointer into the body, or query:NAME, header:NAME.")
    message: str


class Problem(Output):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    title: str
    status: int
    code: str = Field(description="Stable name of what went wrong; see docs/errors.md.")
    detail: str
    instance: str | None = None
    rule: str | None = Field(None, description="The rule that said no.")
    satisfied_by: str | None = Field(None, description="What would satisfy it.")
    errors: list[FieldProblemOut] | None = None


PROBLEM: Final[dict[str, Any]] = {
    "model": Problem,
    "content": {"application/problem+json": {}},
}
"""How a route describes a refusal in OpenAPI, beside its `description`."""
