"""Pictures for development: a seal and a scrawl that say what they are.

They lie in the folder of the throw-away PKI (`seal.png`, `people/<login>.png`), are drawn once, and
may be replaced by other PNG files.
"""

import hashlib
import math
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from docflow.signing.devpki import locked, write_private
from docflow.signing.pictures import PERSON_MM, SEAL_MM, Picture, Pictures

_RED = (200, 20, 30, 255)
_BLUE = (25, 50, 165, 255)
_CLEAR = (255, 255, 255, 0)
_LARGER = 2  # drawn larger and made smaller: smooth edges
_SEAL_PX = 425  # 36 mm at 300 dpi
_PERSON_PX = (472, 190)  # 40 mm at 300 dpi
_POINTS = 240
_WORDS = ("DEVELOPMENT ONLY", "NOT A REAL SEAL")


def development_pictures(folder: Path) -> Pictures:
    """Return the seal's picture and one for each person who signs, drawn as needed."""

    def kept(path: Path, png: bytes, width_mm: float) -> Picture:
        with locked(folder):
            if not path.exists():
                path.parent.mkdir(exist_ok=True, mode=0o700)
                write_private(path, png)
        return Picture.of(path.read_bytes(), width_mm, str(path))

    return Pictures(
        kept(folder / "seal.png", _seal(), SEAL_MM),
        make=lambda login: kept(folder / "people" / f"{login}.png", _scrawl(login), PERSON_MM),
    )


def _seal() -> bytes:
    """Draw two rings, a star and the words that it is no seal."""
    side = _SEAL_PX * _LARGER
    image = Image.new("RGBA", (side, side), _CLEAR)
    draw = ImageDraw.Draw(image)
    middle = side / 2
    for radius, width in ((0.49, 12), (0.42, 5)):
        edge = radius * side
        draw.ellipse(
            (middle - edge, middle - edge, middle + edge, middle + edge), outline=_RED, width=width
        )
    star = [
        (
            middle + (0.13 if step % 2 == 0 else 0.055) * side * math.sin(step * math.pi / 5),
            middle - (0.13 if step % 2 == 0 else 0.055) * side * math.cos(step * math.pi / 5),
        )
        for step in range(10)
    ]
    draw.polygon(star, fill=_RED)
    for words, height in zip(_WORDS, (0.28, 0.72), strict=True):
        font = ImageFont.load_default(side * 0.058)
        draw.text((middle, height * side), words, font=font, fill=_RED, anchor="mm")
    return _png(image, (_SEAL_PX, _SEAL_PX))


def _scrawl(login: str) -> bytes:
    """Draw a line that swings as the login has it, and the words that it is no signature."""
    width, height = (length * _LARGER for length in _PERSON_PX)
    image = Image.new("RGBA", (width, height), _CLEAR)
    draw = ImageDraw.Draw(image)
    swing = [1 + byte / 64 for byte in hashlib.sha256(login.encode()).digest()[:4]]

    def at(step: int) -> tuple[float, float]:
        t = step / _POINTS
        loops = math.sin(t * 9 * swing[0]) * math.cos(t * 5 * swing[1]) * (1 - t / 2)
        back = 0.06 * math.sin(t * 17 * swing[2])
        return (0.06 + 0.85 * t + back) * width, (0.42 - 0.34 * loops) * height

    draw.line([at(step) for step in range(_POINTS + 1)], fill=_BLUE, width=7, joint="curve")
    font = ImageFont.load_default(height * 0.11)
    draw.text((width / 2, 0.91 * height), _WORDS[0], font=font, fill=_BLUE, anchor="mm")
    return _png(image, _PERSON_PX)


def _png(image: Image.Image, size: tuple[int, int]) -> bytes:
    out = BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(out, "PNG", optimize=True)
    return out.getvalue()
