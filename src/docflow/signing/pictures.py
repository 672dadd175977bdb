"""The pictures that signatures show: a person's handwriting, the organisation's seal.

Rules:
- A picture is a PNG with transparency, as the page has to show through; it is bounded in bytes and
  in pixels, opened once, at the start, and drawn at the width that the operator names.
- It proves nothing: what counts is the signature. It is never sent out but on a signed page.

Source: Decree 30/2020/ND-CP, Annex I (handwriting blue, seal red and of true size, both transparent PNG).
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image

from docflow.kernel.errors import ConfigurationError

SEAL_MM: Final = 36.0
PERSON_MM: Final = 40.0
_SMALLEST_MM, _LARGEST_MM = 5.0, 100.0
_MOST_BYTES = 2 << 20
_MOST_PIXELS = 4_000_000
_KEYS = {"image", "width_mm"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A transparent PNG, checked, and how large it is on the page, in millimetres."""

    png: bytes = field(repr=False)
    width_mm: float
    height_mm: float

    @classmethod
    def of(cls, png: bytes, width_mm: float, where: str) -> "Picture":
        """Check a PNG and the width at which it is drawn.

        Raises:
            ConfigurationError: code `signature-picture`, naming `where` and what would be right.
        """
        if len(png) > _MOST_BYTES:
            raise _wrong(where, f"has more than {_MOST_BYTES} bytes")
        if not _SMALLEST_MM <= width_mm <= _LARGEST_MM:
            raise _wrong(
                where,
                f"is {width_mm:g} mm wide; {_SMALLEST_MM:g} to {_LARGEST_MM:g} mm are allowed",
            )
        try:
            with Image.open(BytesIO(png), formats=("PNG",)) as image:  # reads the head alone
                width, height = image.size
                if width * height > _MOST_PIXELS:
                    raise _wrong(where, f"has more than {_MOST_PIXELS} pixels")
                image.load()
                transparent = image.has_transparency_data
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            raise _wrong(where, "is not a whole PNG") from None
        if not transparent:
            raise _wrong(where, "is opaque, and would hide what it is put on")
        return cls(png, width_mm, width_mm * height / width)


class Pictures:
    """The pictures of one instance; who has none shows text."""

    def __init__(
        self,
        seal: Picture | None = None,
        people: Mapping[str, Picture] | None = None,
        make: Callable[[str], Picture] | None = None,
    ) -> None:
        """Hold them.

        Args:
            seal: the organisation's.
            people: login → picture.
            make: draws one for a login; development only.
        """
        self.seal = seal
        self._people = dict(people or {})
        self._make = make
        self._lock = threading.Lock()

    def person(self, login: str) -> Picture | None:
        """Return a person's picture."""
        with self._lock:
            if login not in self._people and self._make is not None:
                self._people[login] = self._make(login)
            return self._people.get(login)


def pictures_from(path: Path, data: Any) -> Pictures:
    """Read the part `appearances` of the signers file at `path`; files in it are relative to it.

    Raises:
        ConfigurationError: code `signature-picture`, naming what is wrong and what would be right.
    """
    if data is None:
        return Pictures()
    people = data.get("people") or {} if isinstance(data, dict) else None
    if not isinstance(people, dict) or set(data) - {"seal", "people"}:
        raise _wrong(f"{path}: appearances", "must be a mapping with seal, people or both")
    seal = data.get("seal")
    return Pictures(
        None if seal is None else _read(path, "appearances/seal", seal, SEAL_MM),
        {
            str(login): _read(path, f"appearances/people/{login}", value, PERSON_MM)
            for login, value in people.items()
        },
    )


def _read(path: Path, name: str, value: Any, usual_mm: float) -> Picture:
    where = f"{path}: {name}"
    if not isinstance(value, dict) or "image" not in value or set(value) - _KEYS:
        raise _wrong(where, "must be a mapping with image, and perhaps width_mm")
    width = value.get("width_mm", usual_mm)
    if isinstance(width, bool) or not isinstance(width, int | float):
        raise _wrong(where, "has a width_mm that is no number")
    file = path.parent / str(value["image"])
    try:
        with file.open("rb") as source:
            png = source.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _wrong(where, f"names {file}, which cannot be read ({error.strerror})") from error
    return Picture.of(png, float(width), where)


def _wrong(where: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"The picture of a signature, {where}, {what}.",
        code="signature-picture",
        satisfied_by=f"Give a transparent PNG of at most {_MOST_PIXELS} pixels and {_MOST_BYTES} bytes, "
        "and its width on the page in millimetres.",
    )
