"""A page that looks scanned: text drawn as a picture, sealed and signed by hand, askew and noisy.

Rules: no text layer, so that what reads text finds none; a colour JPEG at 200 dpi as Decree
30/2020/NĐ-CP, Annex I, demands of digitised paper; equal arguments give equal bytes.
"""

import math
import random
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from docflow.signing.font import REGULAR, Fonts, register

_WIDTH, _HEIGHT = A4
_DPI = 200
_PAPER = (247, 245, 239)
_INK = (38, 38, 42)
_RED = (196, 44, 48)
_BLUE = (34, 52, 140)
_TILT_DEGREES = 0.9
_NOISE = 0.07
_JPEG_QUALITY = 72

SCAN_BODY = (
    "Kính gửi: Văn phòng Ủy ban nhân dân tỉnh Lam Giang",
    "Ủy ban nhân dân xã Tân Hòa báo cáo tình hình thiệt hại do đợt mưa lớn từ ngày 08 đến ngày "
    "11 tháng 11 năm 2026 như sau:",
    "1. Về nhà ở: 14 nhà bị tốc mái, 03 nhà bị ngập; đã di dời 09 hộ đến nơi an toàn, không có "
    "thiệt hại về người.",
    "2. Về sản xuất: 27 ha lúa và 06 ha hoa màu bị ngập; tuyến kênh nội đồng bị sạt lở 120 m.",
    "3. Về giao thông: cầu tràn thôn Đông không qua lại được; xã đã cắm biển cảnh báo và phân "
    "công lực lượng trực 24/24 giờ.",
    "Ủy ban nhân dân xã kính đề nghị Văn phòng xem xét, trình Ủy ban nhân dân tỉnh hỗ trợ kinh "
    "phí khắc phục tuyến kênh và cầu tràn trước ngày 30 tháng 11 năm 2026./.",
)


def write_scan(
    path: Path,
    fonts: Fonts,
    *,
    organisation: str = "ỦY BAN NHÂN DÂN XÃ TÂN HÒA",
    symbol: str = "Số: 87/BC-UBND",
    dated: str = "Tân Hòa, ngày 12 tháng 11 năm 2026",
    title: str = "BÁO CÁO",
    about: str = "Tình hình thiệt hại do mưa lớn và công tác khắc phục",
    body: Sequence[str] = SCAN_BODY,
    signer: Sequence[str] = ("CHỦ TỊCH", "Lê Văn Phúc"),
    seed: int = 30,
) -> None:
    """Write a page that looks scanned (a colour JPEG at 200 dpi, askew, noisy, without text).

    `seed` decides the noise and the angle.

    Raises:
        OSError: if the file cannot be written.
    """
    register(fonts)
    page = Image.new("RGB", (round(_WIDTH / 72 * _DPI), round(_HEIGHT / 72 * _DPI)), _PAPER)
    pen = _Pen(ImageDraw.Draw(page), fonts)
    pen.centred(57, 24, organisation, 10, bold=True)
    pen.centred(143, 24, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", 10.5, bold=True)
    pen.centred(143, 29.5, "Độc lập - Tự do - Hạnh phúc", 11, bold=True)
    pen.rule(57, 27, 20)
    pen.rule(143, 31.5, 50)
    pen.centred(57, 40, symbol, 11.5)
    pen.centred(143, 40, dated, 11.5)
    at = 56.0
    for line in (title, about):
        pen.centred(112, at, line, 12.5, bold=True)
        at += 7
    at += 4
    for text in body:
        at = pen.paragraph(30, at, 165, text, 12) + 2.5
    pen.centred(150, at + 8, signer[0], 12, bold=True)
    pen.seal(136, at + 26)
    pen.scrawl(142, at + 24)
    pen.centred(150, at + 42, signer[1], 12, bold=True)
    _print_image(path, _scanned(page, seed), about, organisation)


class _Pen:
    """Draws on the page in millimetres from its top left corner; y is the baseline."""

    def __init__(self, draw: ImageDraw.ImageDraw, fonts: Fonts) -> None:
        self._draw = draw
        self._fonts = fonts

    def centred(self, x: float, y: float, text: str, size: float, *, bold: bool = False) -> None:
        self._draw.text((_px(x), _px(y)), text, _INK, self._face(size, bold=bold), anchor="ms")

    def rule(self, x: float, y: float, length: float) -> None:
        ends = [(_px(x - length / 2), _px(y)), (_px(x + length / 2), _px(y))]
        self._draw.line(ends, fill=_INK, width=2)

    def paragraph(self, left: float, y: float, width: float, text: str, size: float) -> float:
        """Draw `text` broken into lines; return the next baseline."""
        face = self._face(size)
        line = ""
        for word in text.split():
            wider = f"{line} {word}".strip()
            if line and face.getlength(wider) > _px(width):
                self._draw.text((_px(left), _px(y)), line, _INK, face, anchor="ls")
                line, y = word, y + size * 0.53
            else:
                line = wider
        self._draw.text((_px(left), _px(y)), line, _INK, face, anchor="ls")
        return y + size * 0.53

    def seal(self, x: float, y: float) -> None:
        """Draw a round red seal with a star."""
        for radius, width in ((17.0, 5), (11.0, 2)):
            box = [_px(v) for v in (x - radius, y - radius, x + radius, y + radius)]
            self._draw.ellipse(box, outline=_RED, width=width)
        points = []
        for corner in range(10):
            reach = 5.5 if corner % 2 == 0 else 2.1
            angle = math.pi * corner / 5
            points.append((_px(x + reach * math.sin(angle)), _px(y - reach * math.cos(angle))))
        self._draw.polygon(points, fill=_RED)

    def scrawl(self, x: float, y: float) -> None:
        """Draw a signature by hand."""
        points = []
        for step in range(220):
            t = step / 219
            points.append(
                (
                    _px(x + 30 * t + 3 * math.sin(31 * t)),
                    _px(y + 6 * math.sin(17 * t) * (1 - t) - 4 * t + 2 * math.cos(43 * t)),
                )
            )
        self._draw.line(points, fill=_BLUE, width=4, joint="curve")

    def _face(self, size: float, *, bold: bool = False) -> ImageFont.FreeTypeFont:
        path = self._fonts.bold if bold else self._fonts.regular
        return ImageFont.truetype(str(path), size / 72 * _DPI)


def _px(millimetres: float) -> int:
    return round(millimetres / 25.4 * _DPI)


def _scanned(page: Image.Image, seed: int) -> bytes:
    """Return the page as a scanner gives it: turned a little, blurred, grainy, as JPEG."""
    chance = random.Random(seed)  # noqa: S311 - grain on a picture
    tilt = chance.uniform(0.4, _TILT_DEGREES) * chance.choice((-1, 1))
    turned = page.rotate(tilt, Image.Resampling.BICUBIC, fillcolor=_PAPER)
    soft = turned.filter(ImageFilter.GaussianBlur(0.6))
    grain = Image.frombytes("L", soft.size, chance.randbytes(soft.width * soft.height))
    grainy = Image.blend(soft, Image.merge("RGB", (grain, grain, grain)), _NOISE)
    lit = ImageChops.screen(grainy, Image.new("RGB", soft.size, (18, 18, 18)))
    out = BytesIO()
    lit.save(out, "JPEG", quality=_JPEG_QUALITY, dpi=(_DPI, _DPI))
    return out.getvalue()


def _print_image(path: Path, jpeg: bytes, title: str, author: str) -> None:
    canvas = Canvas(
        str(path),
        pagesize=A4,
        invariant=1,
        initialFontName=REGULAR,  # type: ignore[arg-type]  # the stub says float
    )
    canvas.setTitle(title)
    canvas.setAuthor(author)
    canvas.drawImage(ImageReader(BytesIO(jpeg)), 0, 0, _WIDTH, _HEIGHT)
    canvas.showPage()
    canvas.save()
