import contextlib
import html
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from docflow.kernel.errors import InvalidInputError
from docflow.signing.font import Fonts
from docflow.signing.plan import StampPlan, plan_stamp
from docflow.signing.stamp import stamp
from tests.unit.signing.forge import make_pdf, run, with_catalogue

_WORD = r'<word xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">(.*?)<'
A4 = (595.28, 841.89)
URL = "https://docflow.example.vn/v/01936f1e-7c1a-7d3e-9b1a-1234567890ab"
WORDS = {
    "number": "Số: 15/QĐ-VP",
    "date": "Lam Giang, ngày 05 tháng 02 năm 2026",
    "url": URL,
    "caption": ("Quét mã để kiểm tra văn bản", "docflow.example.vn"),
}


def stamped(data: bytes, folder: Path, fonts: Fonts, plan: StampPlan | None = None) -> Path:
    target = folder / "stamped.pdf"
    stamp(BytesIO(data), target, plan or plan_stamp(**WORDS), fonts)  # type: ignore[arg-type]
    return target


def picture(path: Path, dpi: int = 150) -> Path:
    root = path.with_suffix("")
    run("pdftoppm", "-cropbox", "-r", str(dpi), "-singlefile", "-png", path, root)
    return root.with_suffix(".png")


def words(
    path: Path, left: float, top: float, width: float, height: float, *, unit: float = 1
) -> str:
    """Return the words inside a rectangle of page 1, in millimetres from the visible top left.

    Poppler does not know user units: `unit` is that of the page.
    """
    found = []
    page = run("pdftotext", "-cropbox", "-bbox", path, "-").split("</page>", 1)[0]
    for *box, word in re.findall(_WORD, page):
        x1, y1, x2, y2 = (float(v) * unit * 25.4 / 72 for v in box)
        if left <= x1 and x2 <= left + width and top <= y1 and y2 <= top + height:
            found.append(html.unescape(word))
    return " ".join(found)


def changed(**entries: Any) -> bytes:
    """Return a page with other entries (boxes, rotation)."""
    with pikepdf.open(BytesIO(make_pdf())) as pdf:
        for name, value in entries.items():
            pdf.pages[0][f"/{name}"] = value
        out = BytesIO()
        pdf.save(out)
    return out.getvalue()


def test_number_date_and_code_are_where_a_state_document_has_them(
    fonts: Fonts, tmp_path: Path
) -> None:
    path = stamped(make_pdf(), tmp_path, fonts)
    assert words(path, 30, 36, 60, 8) == "Số: 15/QĐ-VP"
    assert words(path, 95, 36, 100, 8) == "Lam Giang, ngày 05 tháng 02 năm 2026"
    assert words(path, 120, 270, 70, 25) == "Quét mã để kiểm tra văn bản docflow.example.vn"
    assert run("zbarimg", "-q", "--raw", picture(path)).splitlines()[0] == URL


@pytest.mark.parametrize("length", [35, 66, 100, 140, 200])
def test_codes_of_any_allowed_length_are_read_at_150_dpi(
    fonts: Fonts, tmp_path: Path, length: int
) -> None:
    url = ("https://docflow.example.vn/v/" + "0a9f-" * 40)[:length]
    path = stamped(make_pdf(), tmp_path, fonts, plan_stamp(url=url))
    assert run("zbarimg", "-q", "--raw", picture(path)).splitlines()[0] == url


PAGES = {
    "turned by 90": changed(Rotate=90),
    "turned by 180": changed(Rotate=180),
    "turned by 270": changed(Rotate=-90),
    "moved origin": changed(MediaBox=Array([100, 200, 695, 1042])),
    "cropped": changed(CropBox=Array([20, 30, 575, 800])),
    "crop beyond the paper": changed(CropBox=Array([-500, -500, 5000, 5000])),
    "corners swapped": changed(MediaBox=Array([595, 842, 0, 0])),
    "turned and cropped": changed(Rotate=90, CropBox=Array([20, 30, 575, 800])),
    "landscape": make_pdf(size=(A4[1], A4[0])),
    "large": make_pdf(size=(2 * A4[0], 2 * A4[1])),
    "user units": changed(UserUnit=2, MediaBox=Array([0, 0, 298, 421])),
}


@pytest.mark.parametrize("data", PAGES.values(), ids=PAGES)
def test_it_stands_upright_however_the_page_lies(fonts: Fonts, tmp_path: Path, data: bytes) -> None:
    plan = plan_stamp(number="Số: 15/QĐ-VP", url=URL, number_at={"x": 20, "y": 10})
    path = stamped(data, tmp_path, fonts, plan)
    run("qpdf", "--check", path)
    unit = 2 if b"/UserUnit" in data else 1
    read = run("zbarimg", "-q", "--xml", picture(path, 150 * unit))
    assert URL in read
    assert "orientation='UP'" in read
    assert words(path, 18, 8, 60, 10, unit=unit) == "Số: 15/QĐ-VP"


def test_what_a_page_leaves_set_does_not_move_the_stamp(fonts: Fonts, tmp_path: Path) -> None:
    with pikepdf.open(BytesIO(make_pdf())) as pdf:
        page = pdf.pages[0]
        page.contents_add(b"0.3 0 0 0.3 90 90 cm 1 0 0 rg\n", prepend=True)
        out = BytesIO()
        pdf.save(out)
    path = stamped(out.getvalue(), tmp_path, fonts)
    assert words(path, 30, 36, 60, 8) == "Số: 15/QĐ-VP"


def test_the_typeface_is_embedded(fonts: Fonts, tmp_path: Path) -> None:
    stamped_path = stamped(make_pdf(), tmp_path, fonts)
    with pikepdf.open(stamped_path) as pdf:
        drawing = pdf.pages[0].Resources.XObject["/DocflowStamp1"]
        made = list(drawing.Resources.Font.as_dict().values())
        assert made
        for font in made:
            assert str(font.Subtype) == "/TrueType"
            assert len(font.FontDescriptor.FontFile2.read_bytes()) > 1000


def test_equal_inputs_give_equal_bytes(fonts: Fonts, tmp_path: Path) -> None:
    first = stamped(make_pdf(), tmp_path, fonts).read_bytes()
    assert stamped(make_pdf(), tmp_path, fonts).read_bytes() == first


def test_several_threads_draw_the_same(fonts: Fonts, tmp_path: Path) -> None:
    def one(number: int) -> bytes:
        (tmp_path / str(number)).mkdir()
        return stamped(make_pdf(), tmp_path / str(number), fonts).read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(one, range(8)))) == 1


def test_only_the_page_named_is_drawn_on(fonts: Fonts, tmp_path: Path) -> None:
    plan = plan_stamp(number="Số: 7", number_at={"page": -1, "x": 20, "y": 20})
    path = stamped(make_pdf(pages=3), tmp_path, fonts, plan)
    texts = run("pdftotext", path, "-").split("\f")
    assert ["Số: 7" in text for text in texts[:3]] == [False, False, True]


def test_pages_that_share_their_resources_are_told_apart(fonts: Fonts, tmp_path: Path) -> None:
    with pikepdf.open(BytesIO(make_pdf(pages=2))) as pdf:
        shared = pdf.make_indirect(pdf.pages[0].Resources)
        for page in pdf.pages:
            page.Resources = shared
        out = BytesIO()
        pdf.save(out)
    plan = plan_stamp(
        number="Số: 7",
        date="ngày 8",
        number_at={"page": 1, "x": 20, "y": 20},
        date_at={"page": 2, "x": 20, "y": 20},
    )
    path = stamped(out.getvalue(), tmp_path, fonts, plan)
    first, second = run("pdftotext", path, "-").split("\f")[:2]
    assert ("Số: 7" in first, "ngày 8" in first) == (True, False)
    assert ("Số: 7" in second, "ngày 8" in second) == (False, True)


@contextlib.contextmanager
def refused(code: str, *sentence: str) -> Iterator[None]:
    with pytest.raises(InvalidInputError) as caught:
        yield
    assert caught.value.code == code
    for part in sentence:
        assert part in caught.value.detail


@pytest.mark.parametrize(("x", "y"), [(205, 10), (10, 295), (500, 500), (1200, 1200)])
def test_an_anchor_outside_the_page_is_refused(
    fonts: Fonts, tmp_path: Path, x: float, y: float
) -> None:
    with refused("stamp-anchor", "leave the page", "210 × 297 mm"):
        plan = plan_stamp(number="Số: 15", number_at={"x": x, "y": y})
        stamped(make_pdf(), tmp_path, fonts, plan)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("page", [3, -3, 99])
def test_a_page_that_is_not_there_is_refused(fonts: Fonts, tmp_path: Path, page: int) -> None:
    with refused("stamp-anchor", f"page {page}", "has 2"):
        plan = plan_stamp(number="Số: 15", number_at={"x": 9, "y": 9, "page": page})
        stamped(make_pdf(pages=2), tmp_path, fonts, plan)


def test_items_that_cover_each_other_are_refused(fonts: Fonts, tmp_path: Path) -> None:
    with refused("stamp-overlap", "date", "number"):
        stamped(make_pdf(), tmp_path, fonts, plan_stamp(number="1", date="2", date_at="number"))


def test_a_letter_the_typeface_lacks_is_refused(fonts: Fonts, tmp_path: Path) -> None:
    with refused("stamp-text", "'漢'"):
        stamped(make_pdf(), tmp_path, fonts, plan_stamp(number="Số: 漢"))


def test_decomposed_text_is_drawn_composed(fonts: Fonts, tmp_path: Path) -> None:
    import unicodedata

    plan = plan_stamp(number=unicodedata.normalize("NFD", "Số: 15/QĐ-ỦBND"))
    path = stamped(make_pdf(), tmp_path, fonts, plan)
    assert words(path, 30, 36, 60, 8) == "Số: 15/QĐ-ỦBND"


def test_forms_and_annotations_are_drawn_into_the_page(fonts: Fonts, tmp_path: Path) -> None:
    with pikepdf.open(BytesIO(make_pdf())) as pdf:
        look = pikepdf.Stream(pdf, b"0 0 1 rg 0 0 100 20 re f")
        look.Type, look.Subtype, look.BBox = Name.XObject, Name.Form, Array([0, 0, 100, 20])
        field = Dictionary(
            Type=Name.Annot,
            Subtype=Name.Widget,
            FT=Name.Tx,
            T=String("a"),
            V=String("b"),
            F=4,
            Rect=Array([50, 50, 150, 70]),
            AP=Dictionary(N=pdf.make_indirect(look)),
        )
        reference = pdf.make_indirect(field)
        pdf.pages[0].Annots = Array([reference])
        pdf.Root.AcroForm = Dictionary(Fields=Array([reference]))
        out = BytesIO()
        pdf.save(out)
    with pikepdf.open(stamped(out.getvalue(), tmp_path, fonts)) as pdf:
        assert "/AcroForm" not in pdf.Root
        assert "/Annots" not in pdf.pages[0]
        assert len(pdf.pages[0].Resources.XObject.as_dict()) == 2


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (with_catalogue(X=Dictionary(ByteRange=Array([0, 1, 2, 3]))), "pdf-signed"),
        (with_catalogue(OCProperties=Dictionary(OCGs=Array())), "pdf-layered"),
        (b"%PDF-1.7 no", "pdf-broken"),
    ],
    ids=["signed", "layered", "broken"],
)
def test_what_may_not_be_signed_is_not_stamped(
    fonts: Fonts, tmp_path: Path, data: bytes, code: str
) -> None:
    with refused(code):
        stamped(data, tmp_path, fonts)
    assert not list(tmp_path.iterdir())
