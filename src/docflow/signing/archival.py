"""What a PDF claims of PDF/A, and what is drawn on it so that the claim stays true.

Rules:
- A claim is read from the metadata as they lie there; whether it was true before is not judged.
- What is drawn is grey or RGB. The output intent says what they are; where it is one of four inks, or
  cannot be added because there is one of another standard, they get colour spaces of their own.
- What shows through does so by a mask without half tones where soft ones are forbidden (PDF/A-1) or
  need an output intent that is not there.

Source: ISO 19005-1, 6.2.3 (colour), 6.4 (transparency), 6.7.11 (identification); ISO 19005-2, 6.2.4 and
6.2.10; IEC 61966-2-1 (sRGB).
"""

from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from typing import Any, Final, Self

import pikepdf
from PIL import Image
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader

from docflow.signing.verifying.safexml import parse_xml

_PDFAID: Final = "{http://www.aiim.org/pdfa/ns/id/}part"
_PARTS: Final = frozenset({"1", "2", "3", "4"})
_INTENT: Final = "/GTS_PDFA1"
_RGB: Final = 3
_SOFT_FROM: Final = 2
_HALF: Final = 128
_KEY: Final = 255  # white and nothing else means: not drawn
_FINE_PIXELS: Final = 1_000_000
_WHITE_POINT: Final = (0.9505, 1, 1.089)
_GAMMA: Final = 2.2
_MATRIX: Final = (0.4124, 0.2126, 0.0193, 0.3576, 0.7152, 0.1192, 0.1805, 0.0722, 0.9505)


@dataclass(frozen=True, slots=True)
class Archival:
    """What a file claims: the part of ISO 19005; and how many inks its output intent has, 0 without one."""

    part: int
    inks: int

    @property
    def admits_soft_masks(self) -> bool:
        """Tell whether half-transparent pictures may be drawn."""
        return self.part >= _SOFT_FROM and self.inks > 0

    @property
    def admits_rgb(self) -> bool:
        """Tell whether RGB may be drawn as the device has it."""
        return self.inks == _RGB

    @classmethod
    def of_pikepdf(cls, pdf: pikepdf.Pdf) -> Self | None:
        """Return what an open file claims, None if nothing."""
        try:
            intents = [
                (str(one.S), int(one.DestOutputProfile.N))
                for one in pdf.Root.get("/OutputIntents", pikepdf.Array())
            ]
            return cls._of(pdf.Root.Metadata.read_bytes(), intents)
        except (pikepdf.PdfError, AttributeError, KeyError, TypeError, ValueError):
            return None

    @classmethod
    def of_reader(cls, reader: PdfFileReader) -> Self | None:
        """Return what a file that is to be signed claims, None if nothing."""
        try:
            intents = [
                (str(one["/S"]), int(one["/DestOutputProfile"]["/N"]))
                for one in map(_resolved, reader.root.get("/OutputIntents", ()))
            ]
            return cls._of(reader.root["/Metadata"].data, intents)
        except (PdfError, AttributeError, KeyError, TypeError, ValueError):
            return None

    @classmethod
    def _of(cls, metadata: bytes, intents: list[tuple[str, int]]) -> Self | None:
        for element in parse_xml(metadata).iter():
            told = element.text if element.tag == _PDFAID else element.get(_PDFAID)
            if told is not None and told.strip() in _PARTS:
                return cls(int(told), next((n for kind, n in intents if kind == _INTENT), 0))
        return None


def _resolved(one: Any) -> Any:
    return one.get_object()


def ready_to_draw(pdf: pikepdf.Pdf) -> Archival | None:
    """Return what a file claims, after giving it the output intent that what is drawn needs.

    A file without one has no colour that an intent would change.
    """
    claim = Archival.of_pikepdf(pdf)
    if claim is None or claim.inks or "/OutputIntents" in pdf.Root:
        return claim
    profile = pdf.make_stream(files("pikepdf").joinpath("pdfa", "data", "sRGB.icc").read_bytes())
    profile.N = _RGB
    intent = pikepdf.Dictionary(
        Type=pikepdf.Name.OutputIntent,
        S=pikepdf.Name(_INTENT),
        OutputConditionIdentifier="sRGB IEC61966-2.1",
        Info="sRGB IEC61966-2.1",
        DestOutputProfile=profile,
    )
    pdf.Root.OutputIntents = pikepdf.Array([pdf.make_indirect(intent)])
    return Archival(claim.part, _RGB)


def calibrated(drawing: bytes) -> bytes:
    """Return a drawing of one page whose grey and RGB mean the same on every device."""
    small = BytesIO()
    with pikepdf.open(BytesIO(drawing)) as pdf:
        calibrate(pdf.pages[0].obj)
        pdf.save(small, deterministic_id=True, recompress_flate=True)
    return small.getvalue()


def calibrate(drawing: Any) -> None:
    """Give a page or a form of pikepdf the colour spaces that grey and RGB stand for."""
    white: Any = pikepdf.Array(_WHITE_POINT)
    grey = pikepdf.Dictionary(WhitePoint=white, Gamma=_GAMMA)
    rgb = pikepdf.Dictionary(
        WhitePoint=white,
        Gamma=pikepdf.Array([_GAMMA] * 3),
        Matrix=pikepdf.Array(_MATRIX),
    )
    resources = drawing.get("/Resources", pikepdf.Dictionary())
    resources.ColorSpace = pikepdf.Dictionary(
        DefaultGray=pikepdf.Array([pikepdf.Name.CalGray, grey]),
        DefaultRGB=pikepdf.Array([pikepdf.Name.CalRGB, rgb]),
    )
    drawing.Resources = resources


def without_half_tones(png: bytes) -> tuple[Image.Image, list[int]]:
    """Return a transparent picture as one whose pixels are drawn or not, and the mask that says which.

    Half-transparent pixels are laid on white; the mask is a range of colours that is not drawn.
    """
    with Image.open(BytesIO(png), formats=("PNG",)) as opened:
        picture = opened.convert("RGBA")
    if picture.width * picture.height <= _FINE_PIXELS:  # so that no edge looks torn
        picture = picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.LANCZOS)
    shown = picture.getchannel("A").point(lambda alpha: 255 if alpha >= _HALF else 0)
    laid = Image.new("RGBA", picture.size, (_KEY, _KEY, _KEY, 255))
    laid.alpha_composite(picture)
    inked = laid.convert("RGB").point(lambda value: min(value, _KEY - 1))
    flat = Image.new("RGB", picture.size, (_KEY, _KEY, _KEY))
    flat.paste(inked, mask=shown)
    return flat, [_KEY] * 6
