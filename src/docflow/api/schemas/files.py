"""Files of documents."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from docflow.api.schemas.common import Output
from docflow.db import Row


class FileOut(Output):
    """A file of a document; only `current` ones count."""

    id: str
    role: Literal["main", "annex"]
    form: Literal["original", "signed", "released"]
    origin_id: str | None = Field(
        description="The file that this one was made of: a signed file of its original, a converted or "
        "cleaned one of what was sent."
    )
    name: str
    media_type: str
    size: int = Field(description="Bytes.")
    sha256: str
    pages: int | None
    current: bool
    derived: bool = Field(
        description="Whether docflow made this original of the file in `origin_id`, by converting or "
        "cleaning it."
    )
    conversion: Literal["pending", "failed", "done", "dropped"] | None = Field(
        description="Of a file that a PDF has to be made of before it counts: how far that is. "
        "`dropped`: it was replaced or taken out before."
    )
    conversion_problem: str | None = Field(
        description="Why it could not be made; while it is `pending`, what it waits for."
    )
    created_at: datetime

    @classmethod
    def of(cls, row: Row) -> "FileOut":
        """Build from a row."""
        derived = row["form"] == "original" and row["origin_id"] is not None
        told = {"derived": derived, "conversion": None, "conversion_problem": None} | row
        return cls(**{name: told[name] for name in cls.model_fields})
