"""The typeface docflow draws with: Noto Sans, cut once to Latin and Vietnamese.

Rules:
- No font file lies in the repository. A wheel carries the cut fonts (its build calls
  `build_subset`); a source checkout cuts them once into the instance's cache folder.
- A cut font is checked before every use by the checksum that the TrueType format itself demands,
  so a torn or damaged cache is made again, never drawn with.
- This file imports nothing of docflow and no dependency at module level: the build hook of the
  wheel loads it by path, before docflow is installed.

Source: Noto Sans of the package pymupdf-fonts, SIL Open Font License 1.1.
"""

import contextlib
import functools
import hashlib
import logging
import os
import struct
import tempfile
import threading
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

REGULAR = "NotoSans"
BOLD = "NotoSans-Bold"
ITALIC = "NotoSans-Italic"

_FILES = {
    "NotoSans-subset.ttf": "notos",
    "NotoSans-Bold-subset.ttf": "notosbo",
    "NotoSans-Italic-subset.ttf": "notosit",
}
_NOTICE_FILE = "NOTICE.txt"
_NOTICE = """\
The fonts in this folder are subsets of Noto Sans, version 2.000.
Copyright 2015 Google Inc. All Rights Reserved.
They are licensed under the SIL Open Font License, Version 1.1:

"""

# Inclusive ranges of Unicode. What the face lacks is left out without complaint.
_RANGES = (
    (0x0020, 0x007E),  # Basic Latin
    (0x00A0, 0x017F),  # Latin-1 Supplement, Latin Extended-A (ă đ ĩ ũ)
    (0x0192, 0x0192),
    (0x01A0, 0x01A1),  # ơ
    (0x01AF, 0x01B0),  # ư
    (0x0218, 0x021B),
    (0x02C6, 0x02DD),
    (0x0300, 0x0304),  # combining marks, for text that has no composed form
    (0x0306, 0x030C),
    (0x031B, 0x031B),
    (0x0323, 0x0323),
    (0x1E00, 0x1EFF),  # Latin Extended Additional: the Vietnamese tones
    (0x2010, 0x205E),  # dashes, quotation marks, bullets, ellipsis
    (0x2070, 0x209F),  # superscripts, subscripts
    (0x20A0, 0x20BF),  # currency, with ₫
    (0x2100, 0x2122),  # №, ™
    (0x2153, 0x215E),
    (0x2190, 0x2193),
    (0x2212, 0x2215),
    (0x221E, 0x221E),
    (0x2248, 0x2265),
    (0x25A0, 0x25CF),
    (0xFFFD, 0xFFFD),
)
# What all 32-bit words of a TrueType file add up to (OpenType, table `head`).
_CHECKSUM = 0xB1B0AFBA
_SMALLEST_BYTES = 10_000

# reportlab keeps fonts, a reading position in each, and per-document state in module-level tables:
# whoever saves a drawing (or draws and saves a small one) in this process holds this.
DRAWING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Fonts:
    """Where the three cut faces lie."""

    regular: Path
    bold: Path
    italic: Path


def ensure_fonts(cache_dir: Path) -> Fonts:
    """Return the cut faces: the wheel's own if it carries them, else those in `cache_dir`.

    Makes them there on first use (about 1 s). Safe when several processes start at once: each
    writes to a name of its own and renames, and all write the same bytes.

    Raises:
        OSError: if the cache folder cannot be written.
    """
    from docflow.kernel.resources import bundled

    with contextlib.suppress(FileNotFoundError):
        folder = bundled("fonts")
        if all(is_sound(folder / name) for name in _FILES):
            return _fonts_in(folder)
    folder = cache_dir / f"fonts-{_recipe()}"
    if not all(is_sound(folder / name) for name in _FILES):
        build_subset(folder)
    return _fonts_in(folder)


def build_subset(target_dir: Path) -> tuple[Path, ...]:
    """Cut the faces into `target_dir`, with their licence notice; return the paths written.

    Equal inputs give equal bytes. Needs the packages pymupdf-fonts and fonttools.

    Raises:
        FileNotFoundError: if pymupdf-fonts is installed without its licence.
    """
    from importlib.metadata import distribution

    from pymupdf_fonts import myfont

    target_dir.mkdir(parents=True, exist_ok=True)
    written = []
    for name, key in _FILES.items():
        path = target_dir / name
        _write_atomically(path, _cut(myfont(key)))
        written.append(path)
    notice = target_dir / _NOTICE_FILE
    licence = distribution("pymupdf-fonts").read_text("LICENSE.txt")
    if licence is None:
        raise FileNotFoundError("the package pymupdf-fonts lacks the licence that its fonts demand")
    _, title, text = licence.partition("SIL OPEN FONT LICENSE")  # before it: other faces' makers
    _write_atomically(notice, (_NOTICE + title + text).encode())
    return (*written, notice)


def is_sound(path: Path) -> bool:
    """Tell whether `path` is a whole TrueType file, by the format's own checksum."""
    try:
        data = path.read_bytes()
    except OSError:
        return False
    if len(data) < _SMALLEST_BYTES or len(data) % 4 or data[:4] != b"\x00\x01\x00\x00":
        return False
    words = array("I", data)
    if struct.pack("=I", 1) != struct.pack(">I", 1):
        words.byteswap()
    return sum(words) & 0xFFFFFFFF == _CHECKSUM


def register(fonts: Fonts) -> None:
    """Make the faces known to reportlab as `NotoSans`, `NotoSans-Bold` and `NotoSans-Italic`.

    Calling it again with the same fonts does nothing.
    """
    _register(fonts)


@functools.lru_cache(maxsize=4)
def _register(fonts: Fonts) -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(TTFont(REGULAR, str(fonts.regular)))
    pdfmetrics.registerFont(TTFont(BOLD, str(fonts.bold)))
    pdfmetrics.registerFont(TTFont(ITALIC, str(fonts.italic)))
    pdfmetrics.registerFontFamily(
        REGULAR, normal=REGULAR, bold=BOLD, italic=ITALIC, boldItalic=BOLD
    )


def missing_characters(text: str, font_name: str = REGULAR) -> str:
    """Return the characters of `text` that a registered face cannot draw, each once, in order."""
    from reportlab.pdfbase import pdfmetrics

    font: Any = pdfmetrics.getFont(font_name)
    glyphs = font.face.charToGlyph
    return "".join(dict.fromkeys(char for char in text if ord(char) not in glyphs))


def _fonts_in(folder: Path) -> Fonts:
    regular, bold, italic = (folder / name for name in _FILES)
    return Fonts(regular=regular, bold=bold, italic=italic)


def _recipe() -> str:
    """Name what is cut, so that a cache made by another version of docflow is not taken."""
    return hashlib.sha256(repr((_RANGES, sorted(_FILES.items()))).encode()).hexdigest()[:12]


def _cut(face: bytes) -> bytes:
    from fontTools import subset
    from fontTools.ttLib import TTFont

    options = subset.Options()
    options.layout_features = []  # reportlab and PDF text need no OpenType layout
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "DSIG", "STAT", "MATH"]
    options.hinting = False
    options.notdef_outline = True
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]  # keeps copyright and licence
    options.recalc_timestamp = False
    with _quiet("fontTools"):
        font = TTFont(BytesIO(face), recalcTimestamp=False)
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=[c for first, last in _RANGES for c in range(first, last + 1)])
        cutter.subset(font)
        out = BytesIO()
        font.save(out)
        font.close()
    return out.getvalue()


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Silence a chatty library's logger while a font is cut."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _write_atomically(path: Path, data: bytes) -> None:
    """Write so that a reader sees the old file or the whole new one, whatever else happens."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
