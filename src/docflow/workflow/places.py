"""Where number, date, QR code and the personal signature itself go on the page.

Rules:
1. A place is `standard`, a corner of the first page, or a page and a point in millimetres from
   that page's top-left corner to the top-left corner of what is placed.
2. Only the first personal signature places anything but itself: once the page is signed, nothing may
   be added. Room for the later ones is made with it (`later_places`). Of those who sign in any order,
   whoever is first places what any of them says.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

from pydantic import Field, PlainValidator, WithJsonSchema

from docflow.workflow.shapes import Definition, wrong
from docflow.workflow.vocabulary import CORNERS, STANDARD_PLACE, unknown

SIGNATURE: Final = "signature"
_LARGEST_MM: Final = 1200  # A0 is 841 x 1189 mm
_LARGEST_PAGE: Final = 10_000
_KEYS: Final = ("page", "x", "y")


@dataclass(frozen=True, slots=True)
class Anchor:
    """One place: a `corner`, or a point `x_mm`, `y_mm` on `page`.

    `corner` is a corner of the first page, or "number", "date", "qr" or "signature": the standard
    place of each.
    `page` counts from 1; -1 is the last page.
    """

    page: int = 1
    corner: str | None = None
    x_mm: float | None = None
    y_mm: float | None = None

    def as_plain(self) -> str | dict[str, int | float]:
        """Return the place as a name, or as `{"page": 1, "x": 150.0, "y": 20.0}`; JSON-able."""
        if self.corner is not None:
            return self.corner
        return {"page": self.page, "x": self.x_mm or 0.0, "y": self.y_mm or 0.0}


def _read_anchor(written: Any, item: str) -> Anchor:
    if isinstance(written, str):
        if written == STANDARD_PLACE:
            return Anchor(corner=item)
        if written not in CORNERS:
            raise wrong(unknown("place on the page", written, (STANDARD_PLACE, *CORNERS)))
        return Anchor(corner=written)
    if not isinstance(written, dict):
        raise wrong("a place is standard, a corner as top-right, or {page: first, x: 150, y: 20}")
    for key in written:
        if key not in _KEYS:
            raise wrong(unknown("key of a place", str(key), _KEYS))
    missing = [key for key in _KEYS if key not in written]
    if missing:
        raise wrong(f"a place lacks {' and '.join(missing)}; write {{page: first, x: 150, y: 20}}")
    return Anchor(
        _read_page(written["page"]),
        x_mm=_read_mm("x", written["x"]),
        y_mm=_read_mm("y", written["y"]),
    )


def _read_page(written: Any) -> int:
    if written in ("first", "last"):
        return 1 if written == "first" else -1
    if isinstance(written, int) and not isinstance(written, bool) and 1 <= written <= _LARGEST_PAGE:
        return written
    raise wrong(f"page {written!r} is not a page; write first, last or a number from 1")


def _read_mm(key: str, written: Any) -> float:
    number = isinstance(written, int | float) and not isinstance(written, bool)
    if number and 0 <= written <= _LARGEST_MM:
        return float(written)
    raise wrong(f"{key}: {written!r} is not a length; write millimetres from 0 to {_LARGEST_MM}")


_MM: Final = {"type": "number", "minimum": 0, "maximum": _LARGEST_MM}

_SCHEMA: Final = {
    "anyOf": [
        {"const": STANDARD_PLACE, "description": "where Decree 30/2020/NĐ-CP, Annex I, has it"},
        {"enum": list(CORNERS), "description": "a corner of the first page"},
        {
            "type": "object",
            "description": "a point on a page, in millimetres from its top-left corner",
            "properties": {
                "page": {
                    "anyOf": [
                        {"enum": ["first", "last"]},
                        {"type": "integer", "minimum": 1, "maximum": _LARGEST_PAGE},
                    ]
                },
                "x": _MM,
                "y": _MM,
            },
            "required": list(_KEYS),
            "additionalProperties": False,
        },
    ]
}

_NumberPlace = Annotated[
    Anchor, PlainValidator(partial(_read_anchor, item="number")), WithJsonSchema(_SCHEMA)
]
_DatePlace = Annotated[
    Anchor, PlainValidator(partial(_read_anchor, item="date")), WithJsonSchema(_SCHEMA)
]
_CodePlace = Annotated[
    Anchor, PlainValidator(partial(_read_anchor, item="qr")), WithJsonSchema(_SCHEMA)
]

_SignaturePlace = Annotated[
    Anchor, PlainValidator(partial(_read_anchor, item="signature")), WithJsonSchema(_SCHEMA)
]


class SignPlace(Definition):
    """What is put on the page with a personal signature, and where; what is None is left out."""

    number: _NumberPlace | None = Field(None, description="where the number goes")
    date: _DatePlace | None = Field(None, description="where the date of the number goes")
    qr: _CodePlace | None = Field(None, description="where the QR code for verification goes")
    signature: _SignaturePlace | None = Field(
        None,
        description="where the personal signature is seen, the first with the seal to its left; left "
        "out, it is invisible",
    )

    def anchors(self) -> dict[str, Anchor]:
        """Return the places by item; what is left out is left out."""
        placed = {
            "number": self.number,
            "date": self.date,
            "qr": self.qr,
            SIGNATURE: self.signature,
        }
        return {item: anchor for item, anchor in placed.items() if anchor is not None}

    def as_plain(self) -> dict[str, str | dict[str, int | float]]:
        """Return the places by item, JSON-able; what is left out is left out."""
        return {item: anchor.as_plain() for item, anchor in self.anchors().items()}
