"""Sample documents, made for demonstrations and tests: a decision, a letter, a scanned page.

Rules: equal arguments give equal bytes (no clock, no unseeded chance); everybody and everything
named is invented; places that docflow draws on before signing stay free: the number at 25-85 mm
and the date at 115-195 mm, both at 36-46 mm from the top of page 1, and the bottom 25 mm.

Layout of the decision: Decree 30/2020/NĐ-CP, Annex I (margins, motto, name of the organisation,
place for number and date, articles, signature, recipients).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY, TA_LEFT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from docflow.cli.hostile import make_hostile
from docflow.cli.scan import write_scan
from docflow.signing.font import BOLD, ITALIC, REGULAR, Fonts, register

__all__ = ["make_hostile", "write_decision", "write_letter", "write_scan"]

_WIDTH, _HEIGHT = A4
_LEFT, _RIGHT, _TOP, _BOTTOM = 30 * mm, 15 * mm, 20 * mm, 25 * mm
_HEAD_LEFT, _HEAD_RIGHT = 57 * mm, 143 * mm  # the middles of the two columns of the head
_BODY_TOP = 49 * mm  # of page 1, below number and date

_BODY = ParagraphStyle(
    "body", fontName=REGULAR, fontSize=12, leading=17, spaceAfter=6, alignment=TA_JUSTIFY
)
_INDENTED = ParagraphStyle("indented", parent=_BODY, firstLineIndent=10 * mm)
_BASIS = ParagraphStyle("basis", parent=_INDENTED, fontName=ITALIC)
_TITLE = ParagraphStyle(
    "title", parent=_BODY, fontName=BOLD, fontSize=13.5, leading=18, alignment=TA_CENTER
)
_SMALL = ParagraphStyle(
    "small", parent=_BODY, fontSize=10, leading=13, spaceAfter=0, alignment=TA_LEFT
)

DECISION_ABOUT = "Về việc ban hành Quy chế tiếp nhận, xử lý và phát hành văn bản điện tử"
DECISION_BASES = (
    "Căn cứ Luật Tổ chức chính quyền địa phương;",
    "Căn cứ Luật Lưu trữ ngày 21 tháng 6 năm 2024;",
    "Căn cứ Nghị định số 30/2020/NĐ-CP ngày 05 tháng 3 năm 2020 của Chính phủ về công tác văn thư;",
    "Căn cứ Quy chế làm việc của Văn phòng Ủy ban nhân dân tỉnh Lam Giang;",
    "Theo đề nghị của Trưởng phòng Tổng hợp.",
)
DECISION_ARTICLES = (
    "Ban hành kèm theo Quyết định này Quy chế tiếp nhận, xử lý và phát hành văn bản điện tử của "
    "Văn phòng Ủy ban nhân dân tỉnh Lam Giang. Quy chế áp dụng đối với các phòng, bộ phận, công "
    "chức, viên chức và người lao động thuộc Văn phòng.",
    "Văn bản đến được văn thư tiếp nhận, đăng ký vào sổ và chuyển đến đơn vị có trách nhiệm xử lý "
    "ngay trong ngày làm việc; văn bản đến có dấu chỉ mức độ khẩn phải được đăng ký, trình và "
    "chuyển giao ngay sau khi nhận được. Người được giao chủ trì chịu trách nhiệm về nội dung và "
    "thời hạn giải quyết; người được giao phối hợp có ý kiến trong thời hạn do người chủ trì ấn "
    "định.",
    "Văn bản đi chỉ được phát hành sau khi đã được người có thẩm quyền ký và có chữ ký số của cơ "
    "quan. Số và thời gian ban hành được lấy theo thứ tự trong hệ thống, thống nhất giữa văn bản "
    "giấy và văn bản điện tử, bắt đầu từ số 01 vào ngày 01 tháng 01 và kết thúc vào ngày 31 tháng "
    "12 hằng năm. Số đã cấp mà không dùng thì phải hủy và ghi rõ lý do trong sổ; không cấp lại.",
    "Trưởng các phòng có trách nhiệm phổ biến Quy chế này đến từng công chức, viên chức; định kỳ "
    "sáu tháng báo cáo Chánh Văn phòng về tình hình xử lý văn bản, trong đó nêu rõ số văn bản quá "
    "hạn, nguyên nhân và biện pháp khắc phục.",
    "Bộ phận Văn thư lập hồ sơ, lưu bản gốc và theo dõi việc gửi, nhận văn bản; kịp thời báo cáo "
    "khi phát hiện văn bản gửi sai nơi nhận, thiếu trang hoặc không bảo đảm tính xác thực.",
    "Quyết định này có hiệu lực kể từ ngày ký và thay thế các quy định trước đây trái với Quyết "
    "định này. Chánh Văn phòng, Trưởng các phòng và các tổ chức, cá nhân có liên quan chịu trách "
    "nhiệm thi hành Quyết định này./.",
)
LETTER_BODY = (
    "Dear Sir or Madam,",
    "We refer to our meeting of 12 October and to the exchange of documents between your Office "
    "and our Foundation under the programme for safe drinking water in upland communes.",
    "The engineering survey of the three reservoirs has been completed. It confirms that the dam at "
    "Tan Hoa can be raised by 1.5 metres without resettlement, and that the pumping station at Phuoc "
    "Loc needs a new intake before the next rainy season. The full report is enclosed.",
    "We should be grateful if you would forward the report to the departments concerned, let us "
    "have their comments by 15 December, and name the officer with whom our engineers may arrange "
    "the second visit to the sites.",
    "The Foundation remains committed to its share of the costs as set out in our memorandum.",
    "Yours faithfully,",
)


def write_decision(
    path: Path,
    fonts: Fonts,
    *,
    about: str = DECISION_ABOUT,
    bases: Sequence[str] = DECISION_BASES,
    articles: Sequence[str] = DECISION_ARTICLES,
    superior: str = "UBND TỈNH LAM GIANG",
    organisation: str = "VĂN PHÒNG",
    authority: str = "CHÁNH VĂN PHÒNG ỦY BAN NHÂN DÂN TỈNH LAM GIANG",
    signer_title: str = "CHÁNH VĂN PHÒNG",
    signer: str = "Nguyễn Hữu Sơn",
    recipients: Sequence[str] = ("Như Điều 6", "Sở Nội vụ", "Lưu: VT, TH"),
) -> None:
    """Write a decision (quyết định) to `path`: two pages with the default text.

    Number, date and signatures are left out; docflow puts them on.

    Raises:
        OSError: if the file cannot be written.
    """
    register(fonts)
    story: list[Flowable] = [
        Paragraph("QUYẾT ĐỊNH", _TITLE),
        Paragraph(escape(about), ParagraphStyle("about", parent=_TITLE, fontSize=12, spaceAfter=2)),
        _Rule(45 * mm),
        Paragraph(escape(authority), ParagraphStyle("authority", parent=_TITLE, fontSize=12)),
        *(Paragraph(escape(basis), _BASIS) for basis in bases),
        Paragraph("QUYẾT ĐỊNH:", ParagraphStyle("decides", parent=_TITLE, fontSize=12.5)),
    ]
    for number, article in enumerate(articles, start=1):
        story.append(Paragraph(f"<b>Điều {number}.</b> {escape(article)}", _INDENTED))
    story.append(_signature_block(signer_title, signer, recipients))

    _typeset(
        path,
        story,
        title=about,
        author=organisation,
        lang="vi",
        first_page=lambda canvas, _: _state_head(canvas, superior, organisation),
    )


def _state_head(canvas: Canvas, superior: str, organisation: str) -> None:
    """Draw the head of a state document: who writes at the left, the motto at the right [ND30]."""
    canvas.setFont(REGULAR, 11)
    canvas.drawCentredString(_HEAD_LEFT, _HEIGHT - 24 * mm, superior)
    canvas.setFont(BOLD, 11)
    canvas.drawCentredString(_HEAD_LEFT, _HEIGHT - 29 * mm, organisation)
    canvas.drawCentredString(_HEAD_RIGHT, _HEIGHT - 24 * mm, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM")
    canvas.setFont(BOLD, 12)
    canvas.drawCentredString(_HEAD_RIGHT, _HEIGHT - 29.5 * mm, "Độc lập - Tự do - Hạnh phúc")
    motto = canvas.stringWidth("Độc lập - Tự do - Hạnh phúc", BOLD, 12)
    canvas.setLineWidth(0.7)
    canvas.line(
        _HEAD_RIGHT - motto / 2,
        _HEIGHT - 31.5 * mm,
        _HEAD_RIGHT + motto / 2,
        _HEIGHT - 31.5 * mm,
    )
    canvas.line(
        _HEAD_LEFT - 10 * mm, _HEIGHT - 31.5 * mm, _HEAD_LEFT + 10 * mm, _HEIGHT - 31.5 * mm
    )


def write_letter(
    path: Path,
    fonts: Fonts,
    *,
    sender: Sequence[str] = (
        "Clearwater Foundation",
        "14 Quay Street, Port Alder",
        "letters@clearwater.example",
    ),
    addressee: Sequence[str] = (
        "Office of the People's Committee of Lam Giang Province",
        "1 Tran Hung Dao Street",
        "Lam Giang, Viet Nam",
    ),
    dated: str = "16 November 2026",
    reference: str = "CF/2026/118",
    subject: str = "Survey of the reservoirs at Tan Hoa and Phuoc Loc",
    body: Sequence[str] = LETTER_BODY,
    signer: Sequence[str] = ("Eleanor Whitcombe", "Programme Director"),
) -> None:
    """Write an English letter of one page to `path`.

    Raises:
        OSError: if the file cannot be written.
    """
    register(fonts)
    plain = ParagraphStyle("plain", parent=_BODY, alignment=TA_LEFT)
    story: list[Flowable] = [
        *(Paragraph(escape(line), _tight(plain)) for line in addressee),
        Spacer(1, 8 * mm),
        Paragraph(escape(dated), _tight(plain)),
        Paragraph(f"Our reference: {escape(reference)}", plain),
        Spacer(1, 4 * mm),
        Paragraph(f"<b>{escape(subject)}</b>", plain),
        *(Paragraph(escape(text), plain) for text in body),
        Spacer(1, 18 * mm),
        *(Paragraph(escape(line), _tight(plain)) for line in signer),
    ]

    def head(canvas: Canvas, _: Any) -> None:
        canvas.setFont(BOLD, 15)
        canvas.setFillColorRGB(0.07, 0.29, 0.42)
        canvas.drawString(_LEFT, _HEIGHT - 24 * mm, sender[0])
        canvas.setFont(REGULAR, 9)
        canvas.setFillGray(0.25)
        canvas.drawString(_LEFT, _HEIGHT - 29 * mm, "  ·  ".join(sender[1:]))
        canvas.setLineWidth(0.7)
        canvas.line(_LEFT, _HEIGHT - 32 * mm, _WIDTH - _RIGHT, _HEIGHT - 32 * mm)

    _typeset(path, story, title=subject, author=sender[0], lang="en", first_page=head)


def _tight(style: ParagraphStyle) -> ParagraphStyle:
    return ParagraphStyle(f"{style.name}-tight", parent=style, spaceAfter=0)


class _Rule(Flowable):
    """A short centred line under a title."""

    def __init__(self, length: float) -> None:
        super().__init__()
        self.length = length
        self.height = 5 * mm

    def wrap(self, available_width: float, _: float) -> tuple[float, float]:
        self.width = available_width
        return available_width, self.height

    def draw(self) -> None:
        self.canv.setLineWidth(0.7)
        middle = self.width / 2
        self.canv.line(middle - self.length / 2, 4 * mm, middle + self.length / 2, 4 * mm)


def _signature_block(title: str, signer: str, recipients: Sequence[str]) -> Flowable:
    centred = ParagraphStyle("signer", parent=_TITLE, fontSize=12, spaceAfter=0)
    items = [f"- {escape(name)}{';' if name != recipients[-1] else '.'}" for name in recipients]
    left = [
        Paragraph("<b><i>Nơi nhận:</i></b>", _SMALL),
        *(Paragraph(item, _SMALL) for item in items),
    ]
    right = [Paragraph(escape(title), centred), Spacer(1, 30 * mm)]
    right.append(Paragraph(escape(signer), centred))
    block = Table([[left, right]], colWidths=[80 * mm, _WIDTH - _LEFT - _RIGHT - 80 * mm])
    block.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (0, 0), 0),
                ("FONTNAME", (0, 0), (-1, -1), REGULAR),  # else Helvetica is named, not embedded
            ]
        )
    )
    return KeepTogether([Spacer(1, 5 * mm), block])


def _typeset(
    path: Path,
    story: list[Flowable],
    *,
    title: str,
    author: str,
    lang: str,
    first_page: Callable[[Canvas, Any], None],
) -> None:
    """Lay `story` out on A4: page 1 with its head, later ones with their number at the top."""
    width = _WIDTH - _LEFT - _RIGHT
    first = Frame(_LEFT, _BOTTOM, width, _HEIGHT - _BODY_TOP - _BOTTOM, 0, 0, 0, 0, id="first")
    later = Frame(_LEFT, _BOTTOM, width, _HEIGHT - _TOP - _BOTTOM, 0, 0, 0, 0, id="later")

    def number(canvas: Canvas, _: Any) -> None:
        canvas.setFont(REGULAR, 12)
        canvas.drawCentredString(_WIDTH / 2, _HEIGHT - 14 * mm, str(canvas.getPageNumber()))

    document = BaseDocTemplate(
        str(path),
        pagesize=A4,
        title=title,
        author=author,
        lang=lang,
        invariant=1,
        initialFontName=REGULAR,
    )
    document.addPageTemplates(
        [
            PageTemplate("first", [first], onPage=first_page, autoNextPageTemplate="later"),
            PageTemplate("later", [later], onPage=number),
        ]
    )
    document.build(story)
