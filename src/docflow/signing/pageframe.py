"""A page as its reader sees it, and boxes on it in the page's own units and directions.

Source: ISO 32000-2, 7.7.3 (page tree, /MediaBox, /CropBox, /Rotate, /UserUnit).
"""

from dataclasses import dataclass
from typing import Any, Final

from pyhanko.pdf_utils.reader import PdfFileReader

from docflow.kernel.errors import InvalidInputError
from docflow.signing.plan import Anchor

PT_PER_MM: Final = 72 / 25.4
_EPSILON = 1e-6

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a field is: index of its page, and its box in the page's own units and directions."""

    page: int
    box: Box

    def overlaps(self, other: "Spot") -> bool:
        """Tell whether two boxes on one page share more than an edge."""
        left, bottom, right, top = self.box
        a, b, c, d = other.box
        across = min(right, c) - max(left, a)
        high = min(top, d) - max(bottom, b)
        return self.page == other.page and across > _EPSILON and high > _EPSILON


@dataclass(frozen=True, slots=True)
class Page:
    """A page as a reader shows it; lengths in points as seen, from its top left corner."""

    index: int
    box: Box
    turned: int
    unit: float
    width: float
    height: float

    @classmethod
    def of(cls, reader: PdfFileReader, number: int) -> "Page":
        """Return a page, counted from 1, or from the end with -1.

        Raises:
            InvalidInputError: code `stamp-anchor` if it is not there.
        """
        count = int(reader.root["/Pages"]["/Count"])
        if not (1 <= number <= count or -count <= number <= -1):
            raise InvalidInputError(
                f"The place of a signature names page {number}, and the document has {count}.",
                code="stamp-anchor",
            )
        index = number - 1 if number > 0 else count + number
        page = reader.find_page_for_modification(index)[0].get_object()  # type: ignore[no-untyped-call]
        media = _ordered(inherited(page, "/MediaBox") or (0, 0, 612, 792))
        crop = _ordered(inherited(page, "/CropBox") or media)
        left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
        right, top = min(media[2], crop[2]), min(media[3], crop[3])
        if left >= right or bottom >= top:
            left, bottom, right, top = media
        unit, turned = float(page.get("/UserUnit", 1)), int(inherited(page, "/Rotate") or 0) % 360
        width, height = (right - left) * unit, (top - bottom) * unit
        if turned in (90, 270):
            width, height = height, width
        return cls(index, (left, bottom, right, top), turned, unit, width, height)

    def place(self, anchor: Anchor, size: tuple[float, float]) -> Box:
        """Return left, top, width and height of a look."""
        at = anchor.resolve(self.width / PT_PER_MM, self.height / PT_PER_MM)
        width, height = size
        left = at.x_mm * PT_PER_MM - {"left": 0.0, "centre": width / 2, "right": width}[at.align]
        return left, at.y_mm * PT_PER_MM - (height if at.stands else 0.0), width, height

    def spot(self, what: str, visible: Box) -> Spot:
        """Return the same place in the page's own units and directions."""
        x, y, width, height = visible
        if (
            min(x, y) < -_EPSILON
            or x + width > self.width + _EPSILON
            or y + height > self.height + _EPSILON
        ):
            across, down, wide, high = (length / PT_PER_MM for length in visible)
            raise InvalidInputError(
                f"The {what} would leave the page: it needs {wide:.0f} × {high:.0f} mm at {across:.0f}, "
                f"{down:.0f} mm, and the page is {self.width / PT_PER_MM:.0f} × "
                f"{self.height / PT_PER_MM:.0f} mm.",
                code="stamp-anchor",
            )
        one, other = self._own(x, y), self._own(x + width, y + height)
        (left, right), (bottom, top) = sorted((one[0], other[0])), sorted((one[1], other[1]))
        return Spot(self.index, (left, bottom, right, top))

    def _own(self, x: float, y: float) -> tuple[float, float]:
        left, bottom, right, top = self.box
        x, y = x / self.unit, y / self.unit
        match self.turned:
            case 90:
                return left + y, bottom + x
            case 180:
                return right - x, bottom + y
            case 270:
                return right - y, top - x
            case _:
                return left + x, top - y


def inherited(page: Any, name: str) -> Any:
    """Return an entry of a page or of what is above it; the depth of the tree is bounded."""
    for _ in range(100):
        if name in page:
            return page[name]
        if "/Parent" not in page:
            break
        page = page["/Parent"]
    return None


def _ordered(box: Any) -> Box:
    a, b, c, d = (float(value) for value in box)
    return min(a, c), min(b, d), max(a, c), max(b, d)
