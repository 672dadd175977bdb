"""The forms that everything in an office seed is made of: codes, texts, names, frozen values."""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False)]  # YAML has lists; what is read is frozen
Code = Annotated[str, StringConstraints(pattern=r"^[^\W_](?:[\w-]{0,30}[^\W_])?$")]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
Login = Annotated[str, StringConstraints(pattern=r"^[a-z](?:[a-z0-9.-]{0,62}[a-z0-9])?$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]
Timezone = Annotated[str, StringConstraints(pattern=r"^(?:UTC|[A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+)$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Frozen(BaseModel):
    """A part of the seed: strict, frozen, and no name in it that is not known."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", populate_by_name=True)


class Name(Frozen):
    """A name in the languages that the office writes."""

    vi: Text
    en: Text
