"""The sample documents: right pages, free places for the stamp, equal bytes, Vietnamese intact."""

import shutil
import subprocess
from pathlib import Path

import pikepdf
import pytest

from docflow.cli.hostile import harmless
from docflow.cli.samples import make_hostile, write_decision, write_letter, write_scan
from docflow.kernel.errors import DocflowError
from docflow.signing.font import Fonts, ensure_fonts
from docflow.signing.inspection import inspect_pdf, require_signable
from docflow.signing.plan import plan_stamp
from docflow.signing.stamp import stamp

WRITERS = [write_decision, write_letter, write_scan]
reads_text = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="poppler-utils is not installed"
)


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> Fonts:
    return ensure_fonts(tmp_path_factory.mktemp("fonts"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_hostile(tmp_path_factory.mktemp("hostile"))


def text_of(path: Path, *arguments: str) -> str:
    run = subprocess.run(
        ["pdftotext", *arguments, "-layout", str(path), "-"], capture_output=True, check=True
    )
    return " ".join(run.stdout.decode().split())


def region(path: Path, left: int, top: int, width: int, height: int) -> str:
    """The text within a rectangle of page 1, in millimetres from its top left corner."""
    box = [round(value / 25.4 * 72) for value in (left, top, width, height)]
    names = ("-x", "-y", "-W", "-H")
    sized = [item for name, value in zip(names, box, strict=True) for item in (name, str(value))]
    return text_of(path, "-l", "1", *sized)


@pytest.mark.parametrize("write", WRITERS)
def test_a_sample_is_a_signable_pdf_with_embedded_fonts_only(
    write: object, fonts: Fonts, tmp_path: Path
) -> None:
    assert callable(write)
    write(tmp_path / "a.pdf", fonts)
    require_signable(inspect_pdf(tmp_path / "a.pdf"))
    with pikepdf.open(tmp_path / "a.pdf") as pdf:
        used = [o for o in pdf.objects if isinstance(o, pikepdf.Dictionary) and "/BaseFont" in o]
        assert all("/FontFile2" in font.FontDescriptor for font in used)
        assert bool(used) == (write is not write_scan)


@pytest.mark.parametrize("write", WRITERS)
def test_equal_arguments_give_equal_bytes(write: object, fonts: Fonts, tmp_path: Path) -> None:
    assert callable(write)
    write(tmp_path / "a.pdf", fonts)
    write(tmp_path / "b.pdf", fonts)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


@reads_text
def test_the_decision_has_two_pages_in_order(fonts: Fonts, tmp_path: Path) -> None:
    path = tmp_path / "decision.pdf"
    write_decision(path, fonts)
    with pikepdf.open(path) as pdf:
        assert len(pdf.pages) == 2
    text = text_of(path)
    parts = ["CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "Độc lập - Tự do - Hạnh phúc", "QUYẾT ĐỊNH",
             "Về việc ban hành", "Điều 1.", "Điều 6.", "Nơi nhận:", "Nguyễn Hữu Sơn"]  # fmt: skip
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


@reads_text
def test_the_decision_leaves_the_places_of_number_date_and_code_free(
    fonts: Fonts, tmp_path: Path
) -> None:
    path = tmp_path / "decision.pdf"
    write_decision(path, fonts)
    assert "VĂN PHÒNG" in region(path, 25, 20, 65, 16)
    assert region(path, 0, 36, 210, 10) == ""
    assert region(path, 0, 273, 210, 24) == ""


@reads_text
def test_number_date_and_code_fit_on_the_decision(fonts: Fonts, tmp_path: Path) -> None:
    write_decision(tmp_path / "decision.pdf", fonts)
    plan = plan_stamp(
        number="Số: 15/QĐ-VPUB",
        date="Lam Giang, ngày 22 tháng 11 năm 2026",
        url="https://docflow.example/v/0123456789",
    )
    stamp(tmp_path / "decision.pdf", tmp_path / "stamped.pdf", plan, fonts)
    assert region(tmp_path / "stamped.pdf", 25, 36, 65, 10) == "Số: 15/QĐ-VPUB"
    assert (
        region(tmp_path / "stamped.pdf", 91, 36, 110, 10) == "Lam Giang, ngày 22 tháng 11 năm 2026"
    )


@reads_text
def test_the_decision_takes_its_words_and_escapes_them(fonts: Fonts, tmp_path: Path) -> None:
    path = tmp_path / "own.pdf"
    write_decision(
        path, fonts, about="Về <b> & giá", articles=["Một < hai & ba."], recipients=["Sở Y tế"]
    )
    text = text_of(path)
    assert "Về <b> & giá" in text
    assert "Điều 1. Một < hai & ba." in text
    assert "- Sở Y tế." in text


@reads_text
def test_the_letter_is_one_page_of_english(fonts: Fonts, tmp_path: Path) -> None:
    path = tmp_path / "letter.pdf"
    write_letter(path, fonts, subject="On <drains>")
    with pikepdf.open(path) as pdf:
        assert len(pdf.pages) == 1
        assert str(pdf.Root.Lang) == "en"
    assert "On <drains>" in text_of(path)
    assert "Yours faithfully," in text_of(path)


def test_the_scan_is_one_colour_picture_of_200_dpi(fonts: Fonts, tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    write_scan(path, fonts)
    with pikepdf.open(path) as pdf:
        (picture,) = pdf.pages[0].Resources.XObject.as_dict().values()
        found = [str(picture[key]) for key in ("/Width", "/Height", "/ColorSpace")]
        assert found == ["1654", "2339", "/DeviceRGB"]  # A4 at 200 dots per inch
        assert str(picture.Filter[-1]) == "/DCTDecode"
        assert b"Tj" not in pdf.pages[0].Contents.read_bytes()  # no text is shown


def test_another_seed_gives_another_scan(fonts: Fonts, tmp_path: Path) -> None:
    write_scan(tmp_path / "a.pdf", fonts, seed=1)
    write_scan(tmp_path / "b.pdf", fonts, seed=2)
    assert (tmp_path / "a.pdf").read_bytes() != (tmp_path / "b.pdf").read_bytes()


def test_what_the_hostile_files_are_made_from_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "harmless.pdf").write_bytes(harmless())
    require_signable(inspect_pdf(tmp_path / "harmless.pdf"))


def test_hostile_files_are_small_enough_to_pass_as_uploads(hostile: dict[str, Path]) -> None:
    assert len(hostile) == 30
    assert all(path.stat().st_size < 25_000_000 for path in hostile.values())
    assert all(path.name == f"{name}.pdf" for name, path in hostile.items())


def test_hostile_files_are_refused_by_the_inspection(hostile: dict[str, Path]) -> None:
    accepted = set()
    for name, path in hostile.items():
        try:
            require_signable(inspect_pdf(path))
        except DocflowError:
            continue
        accepted.add(name)
    assert accepted <= {"bomb", "huge-size"}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("empty", "pdf-empty"),
        ("truncated", "pdf-broken"),
        ("encrypted", "pdf-encrypted"),
        ("owner-encrypted", "pdf-encrypted"),
        ("javascript-names", "pdf-scripted"),
        ("launch-link", "pdf-scripted"),
        ("attachment", "pdf-attachments"),
    ],
)
def test_each_is_hostile_in_the_way_its_name_says(
    hostile: dict[str, Path], name: str, code: str
) -> None:
    with pytest.raises(DocflowError) as caught:
        require_signable(inspect_pdf(hostile[name]))
    assert caught.value.code == code
