"""What is to be put on the page before signing, and where.

Rules:
- Places are measured in millimetres from the top left corner of the page as a reader sees it.
- A named place follows the page: it is laid out for A4 and moves with the page's size.
- An item that would leave the page, or cover another item, is refused; nothing is moved silently.

Layout: Decree 30/2020/ND-CP, Annex I (number under the name of the organisation, place and date under
the national motto in italics). The code stands in the bottom margin, which body text keeps free.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from docflow.kernel.errors import FieldProblem, InvalidInputError

Align = Literal["left", "centre", "right"]

A4_WIDTH_MM, A4_HEIGHT_MM = 210.0, 297.0
NUMBER_PT = 12.0
DATE_PT = 12.0
CAPTION_PT = 6.0
CAPACITY_PT = 9.0
QR_MM = 20.0
_MAX_TEXT = 120
_MAX_PAYLOAD_BYTES = 200
_LARGEST_MM = 1200  # A0 is 841 x 1189 mm
_LARGEST_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """A point on a page: where an item's box hangs (or stands), and by which of its edges."""

    x_mm: float
    y_mm: float
    align: Align
    stands: bool = False  # y is the box's bottom edge, not its top edge


_NAMED: dict[str, Place] = {
    "number": Place(57.0, 38.0, "centre"),
    "date": Place(143.0, 38.0, "centre"),
    "qr": Place(196.0, 293.5, "right", stands=True),
    "signature": Place(143.0, 255.0, "centre", stands=True),
    "top-left": Place(20.0, 10.0, "left"),
    "top-centre": Place(105.0, 10.0, "centre"),
    "top-right": Place(195.0, 10.0, "right"),
    "bottom-left": Place(4.0, 293.5, "left", stands=True),
    "bottom-centre": Place(105.0, 293.5, "centre", stands=True),
    "bottom-right": Place(196.0, 293.5, "right", stands=True),
}
ANCHOR_NAMES = tuple(_NAMED)
_ON_THE_LAST_PAGE = {"signature"}


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place for one item: its box's top edge, and the left, middle or right of that edge.

    `page` counts from 1; negative pages count from the end (-1 is the last). Either `name` is set, or
    `x_mm` and `y_mm` are.
    """

    name: str | None = None
    page: int = 1
    x_mm: float | None = None
    y_mm: float | None = None
    align: Align = "left"

    def resolve(self, width_mm: float, height_mm: float) -> Place:
        """Return the place on a page of this size."""
        if self.name is not None:
            at = _NAMED[self.name]
            x, y = at.x_mm * width_mm / A4_WIDTH_MM, at.y_mm * height_mm / A4_HEIGHT_MM
            return Place(x, y, at.align, at.stands)
        if self.x_mm is None or self.y_mm is None:
            raise ValueError("an anchor has a name or a place")
        return Place(self.x_mm, self.y_mm, self.align)


@dataclass(frozen=True, slots=True)
class TextItem:
    """One line of text, in points of size; `style` picks the face."""

    text: str
    anchor: Anchor
    size_pt: float = NUMBER_PT
    style: Literal["regular", "bold", "italic"] = "regular"


@dataclass(frozen=True, slots=True)
class CodeItem:
    """A QR code (a square of `QR_MM` or more, quiet zone included) and lines of caption beside it."""

    payload: str
    anchor: Anchor
    caption: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StampPlan:
    """Everything that goes on the page before the first signature; what is None is left out."""

    number: TextItem | None = None
    date: TextItem | None = None
    code: CodeItem | None = None
    capacity: TextItem | None = None


def plan_stamp(
    *,
    number: str | None = None,
    date: str | None = None,
    url: str | None = None,
    caption: tuple[str, ...] = (),
    number_at: Anchor | str | Mapping[str, Any] | None = None,
    date_at: Anchor | str | Mapping[str, Any] | None = None,
    code_at: Anchor | str | Mapping[str, Any] | None = None,
    capacity: str | None = None,
    capacity_at: Anchor | str | Mapping[str, Any] | None = None,
) -> StampPlan:
    """Build a plan from plain values as a workflow or a request gives them.

    Raises:
        InvalidInputError: `stamp-anchor` for a place that does not exist, `stamp-text` for a text or
            payload that is empty, too long or holds control characters.
    """
    return StampPlan(
        number=None
        if number is None
        else TextItem(_line(number, "number"), parse_anchor(number_at, "number"), NUMBER_PT),
        date=None
        if date is None
        else TextItem(_line(date, "date"), parse_anchor(date_at, "date"), DATE_PT, "italic"),
        code=None
        if url is None
        else CodeItem(
            _payload(url),
            parse_anchor(code_at, "qr"),
            caption=tuple(_line(line, "caption") for line in caption),
        ),
        capacity=None
        if capacity is None
        else TextItem(
            _line(capacity, "capacity"),
            parse_anchor(capacity_at, "bottom-left"),
            CAPACITY_PT,
            "bold",
        ),
    )


def parse_anchor(value: object, default: str) -> Anchor:
    """Read an anchor: a name, or a mapping with `page`, `x`, `y` (mm) and `align`, or with `name`.

    Raises:
        InvalidInputError: code `stamp-anchor`, with what would be right.
    """
    if value is None:
        return _named(default)
    if isinstance(value, Anchor):
        return value
    if isinstance(value, str):
        return _named(_known(value))
    if not isinstance(value, Mapping):
        raise _bad_anchor("write a place's name, or an object with page, x and y.")
    unknown = sorted(set(value) - {"name", "page", "x", "y", "align"})
    if unknown:
        raise _bad_anchor(f"{unknown[0]!r} is not part of a place; use name, page, x, y, align.")
    page = value.get("page", 1)
    page = _PAGES.get(page, page) if isinstance(page, str) else page
    whole = isinstance(page, int) and not isinstance(page, bool)
    if not whole or not 1 <= abs(page) <= _LARGEST_PAGE:
        raise _bad_anchor(
            "page is first, last, or a whole number: 1 is the first page, -1 the last."
        )
    if "name" in value:
        return Anchor(name=_known(str(value["name"])), page=page)
    x, y, align = value.get("x"), value.get("y"), value.get("align", "left")
    if not _is_length(x) or not _is_length(y):
        raise _bad_anchor(
            "x and y are numbers, in millimetres from the top left corner, "
            f"from 0 to {_LARGEST_MM}."
        )
    if align not in ("left", "centre", "right"):
        raise _bad_anchor("align is left, centre or right.")
    return Anchor(page=page, x_mm=float(x), y_mm=float(y), align=align)


_PAGES = {"first": 1, "last": -1}  # as a workflow names them


def _named(name: str) -> Anchor:
    return Anchor(name=name, page=-1 if name in _ON_THE_LAST_PAGE else 1)


def _known(name: str) -> str:
    if name not in _NAMED:
        raise _bad_anchor(f"there is no place {name!r}; the places are {', '.join(ANCHOR_NAMES)}.")
    return name


def _bad_anchor(message: str) -> InvalidInputError:
    return InvalidInputError(f"The place of a stamp is wrong: {message}", code="stamp-anchor")


def _is_length(value: object) -> TypeGuard[int | float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= _LARGEST_MM


def _line(text: str, what: str) -> str:
    if not text.strip() or len(text) > _MAX_TEXT or not text.isprintable():
        raise InvalidInputError(
            f"The {what} on the page must be one line of 1 to {_MAX_TEXT} printable characters.",
            code="stamp-text",
            fields=[FieldProblem(f"/{what}", "not one printable line")],
        )
    return text


def _payload(url: str) -> str:
    if not url.isascii() or not url.isprintable() or not 1 <= len(url) <= _MAX_PAYLOAD_BYTES:
        raise InvalidInputError(
            f"The verification link must be 1 to {_MAX_PAYLOAD_BYTES} printable ASCII characters.",
            code="stamp-text",
            fields=[FieldProblem("/url", "not a short ASCII link")],
        )
    return url
