"""What signatures show, judged on the rendered page: colours, places, words; and that both stay valid."""

import warnings
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pikepdf
import pytest
from PIL import Image

from docflow.kernel.errors import ConfigurationError, DevelopmentModeWarning, InvalidInputError
from docflow.signing.appearance import Look, Looks, written_at
from docflow.signing.devpictures import development_pictures
from docflow.signing.finishing import finish_person
from docflow.signing.interrupted import prepare_person
from docflow.signing.pades import seal, sign_person
from docflow.signing.pictures import Picture, Pictures, pictures_from
from docflow.signing.plan import Anchor, parse_anchor
from docflow.signing.strict import SignedFile
from tests.service.signing_office import SigningOffice
from tests.unit.signing.forge import NOW, make_pdf, run

DPI = 60
MM = DPI / 25.4
Rectangle = tuple[float, float, float, float]


def square(colour: tuple[int, int, int, int]) -> bytes:
    """A picture filled with a colour, but for a transparent frame."""
    image = Image.new("RGBA", (60, 60), (255, 255, 255, 0))
    image.paste(colour, (3, 3, 57, 57))
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


BLUE = Picture.of(square((0, 0, 255, 255)), 30, "blue")
RED = Picture.of(square((255, 0, 0, 255)), 36, "red")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> SigningOffice:
    return SigningOffice.make(tmp_path_factory.mktemp("office"))


def turned(degrees: int, **entries: object) -> bytes:
    with pikepdf.open(BytesIO(make_pdf(pages=2))) as pdf:
        for page in pdf.pages:
            page.obj["/Rotate"] = degrees
            for name, value in entries.items():
                page.obj[f"/{name}"] = value
        out = BytesIO()
        pdf.save(out)
    return out.getvalue()


def released(
    office: SigningOffice, folder: Path, looks: Looks, data: bytes | None = None
) -> SignedFile:
    source = office.stamped(folder / "stamped.pdf", data)
    sign_person(source, folder / "person.pdf", office.person, now=NOW, looks=looks)
    path = folder / "sealed.pdf"
    seal(folder / "person.pdf", path, office.organisation, now=NOW, look=looks.seal)
    return office.validate(path)


def seen(path: Path, page: int = -1) -> Image.Image:
    with pikepdf.open(path) as pdf:
        number = str(page if page > 0 else len(pdf.pages))
    root = path.with_suffix("")
    run("pdftoppm", "-cropbox", "-r", str(DPI), "-f", number, "-l", number, "-singlefile", "-png",
        path, root)  # fmt: skip
    return Image.open(root.with_suffix(".png")).convert("RGB")


def where(image: Image.Image, channel: int) -> Rectangle | None:
    """Return left, top, right and bottom (mm) of what has one colour channel and not the others."""
    data = image.tobytes()
    pixels = zip(data[0::3], data[1::3], data[2::3], strict=True)
    mask = Image.frombytes(
        "L", image.size,
        bytes(255 if p[channel] > 180 and sum(p) - p[channel] < 120 else 0 for p in pixels),
    )  # fmt: skip
    box = mask.getbbox()
    return None if box is None else (box[0] / MM, box[1] / MM, box[2] / MM, box[3] / MM)


def beside(office: SigningOffice, at: Anchor) -> Looks:
    return Looks(Look(office.fonts, BLUE), at, Look(office.fonts, RED))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_the_seal_covers_a_third_of_the_handwriting_to_its_left_however_the_page_is_turned(
    office: SigningOffice, tmp_path: Path, degrees: int
) -> None:
    signed = released(
        office, tmp_path, beside(office, Anchor(page=-1, x_mm=90, y_mm=100)), turned(degrees)
    )
    image = seen(signed.path)
    red, blue = where(image, 0), where(image, 2)
    assert red is not None
    assert blue is not None
    # the handwriting is from 90 to 120 mm; the seal ends a third into it, at 100, and is 36 mm wide
    assert red == pytest.approx((65.8, 98.8, 98.2, 131.2), abs=1.0)
    assert blue == pytest.approx((98.2, 101.5, 118.5, 128.5), abs=1.0)
    assert where(seen(signed.path, 1), 0) is None  # nothing on the first page


def test_crop_boxes_are_accounted_for(office: SigningOffice, tmp_path: Path) -> None:
    data = turned(90, CropBox=pikepdf.Array([100, 50, 500, 800]))
    signed = released(office, tmp_path, beside(office, Anchor(page=1, x_mm=60, y_mm=60)), data)
    blue = where(seen(signed.path, 1), 2)
    assert blue is not None
    assert blue[2:] == pytest.approx((88.5, 88.5), abs=1.0)


def test_user_units_are_accounted_for(office: SigningOffice, tmp_path: Path) -> None:
    looks = beside(office, Anchor(page=1, x_mm=100, y_mm=100))
    signed = released(office, tmp_path, looks, turned(0, UserUnit=2))
    with pikepdf.open(signed.path) as pdf:
        left, bottom, right, top = map(float, pdf.Root.AcroForm.Fields[0].Rect)
        height = float(pdf.pages[0].mediabox[3])
    assert (left, height - top) == pytest.approx((100 * 72 / 25.4 / 2, 100 * 72 / 25.4 / 2))
    assert (right - left, top - bottom) == pytest.approx((30 * 72 / 25.4 / 2, 30 * 72 / 25.4 / 2))


def test_both_signatures_stay_valid_for_other_tools_and_the_file_whole(
    office: SigningOffice, tmp_path: Path
) -> None:
    looks = beside(office, parse_anchor("signature", "signature"))
    signed = released(office, tmp_path, looks)
    said = run("pdfsig", "-nocert", signed.path)
    assert said.count("Signature is Valid") == 2
    assert "  - Total document signed" in said.split("Signature #")[2]
    assert "No syntax or stream encoding errors" in run("qpdf", "--check", signed.path)
    assert signed.seal.changes_after == "none"
    assert signed.path.read_bytes().startswith((tmp_path / "person.pdf").read_bytes())


def test_a_signature_of_a_card_is_seen_alike(office: SigningOffice, tmp_path: Path) -> None:
    looks = beside(office, Anchor(page=-1, x_mm=90, y_mm=100))
    source, ready, person, path = (tmp_path / f"{name}.pdf" for name in "abcd")
    office.stamped(source)
    prepared = prepare_person(source, ready, office.person, now=NOW, looks=looks)
    signature = office.person.signer.sign_bytes(prepared.attributes)
    finish_person(ready, person, office.person, prepared, signature, signed_at=NOW, now=NOW)
    seal(person, path, office.organisation, now=NOW, look=looks.seal)
    office.validate(path)
    assert where(seen(path), 2) is not None


def test_without_looks_nothing_is_seen(office: SigningOffice, tmp_path: Path) -> None:
    signed = released(office, tmp_path, Looks())
    with pikepdf.open(signed.path) as pdf:
        for field in pdf.Root.AcroForm.Fields:
            assert [float(one) for one in field.Rect] == [0, 0, 0, 0]


def test_words_are_drawn_with_an_embedded_face(office: SigningOffice, tmp_path: Path) -> None:
    look = Look(
        office.fonts, lines=("KT. GIÁM ĐỐC", "Nguyễn Thị Lan", "02-03-2026 08:30:00 +07:00")
    )
    annex = Look(office.fonts, lines=("15/QĐ-VP", "02-03-2026 08:31:00 +07:00"))
    signed = released(
        office, tmp_path, Looks(look, Anchor(name="signature", page=-1), annex, Anchor(name="top-right"))
    )  # fmt: skip
    first, last = (run("pdftotext", "-f", n, "-l", n, signed.path, "-") for n in ("1", "2"))
    assert "15/QĐ-VP" in first
    assert "02-03-2026 08:31:00 +07:00" in first
    for line in look.lines:
        assert line in last
    fonts = run("pdffonts", signed.path).splitlines()[2:]
    noto = [line for line in fonts if "NotoSans" in line]
    assert len(noto) >= 2
    assert all(" yes yes " in line for line in noto)  # embedded, a subset


def test_a_seal_without_its_picture_any_more_is_still_seen(
    office: SigningOffice, tmp_path: Path
) -> None:
    source = office.stamped(tmp_path / "stamped.pdf")
    looks = beside(office, Anchor(name="signature", page=-1))
    sign_person(source, tmp_path / "person.pdf", office.person, now=NOW, looks=looks)
    text = Look(office.fonts, lines=("15/QĐ-VP",))
    path = tmp_path / "sealed.pdf"
    seal(tmp_path / "person.pdf", path, office.organisation, now=NOW, look=text)
    office.validate(path)
    assert "15/QĐ-VP" in run("pdftotext", "-f", "2", path, "-")


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (Anchor(page=9, x_mm=90, y_mm=100), "names page 9, and the document has 2"),
        (Anchor(page=1, x_mm=195, y_mm=100), "personal signature would leave the page"),
        (Anchor(page=1, x_mm=5, y_mm=100), "seal would leave the page"),
        (Anchor(page=1, x_mm=90, y_mm=290), "personal signature would leave the page"),
    ],
)
def test_what_would_leave_the_page_is_refused(
    office: SigningOffice, tmp_path: Path, at: Anchor, said: str
) -> None:
    source = office.stamped(tmp_path / "stamped.pdf")
    with pytest.raises(InvalidInputError, match=said) as refused:
        sign_person(source, tmp_path / "p.pdf", office.person, now=NOW, looks=beside(office, at))
    assert refused.value.code == "stamp-anchor"


def test_characters_without_a_glyph_are_refused(office: SigningOffice, tmp_path: Path) -> None:
    looks = Looks(Look(office.fonts, lines=("署名",)), Anchor(name="signature", page=-1))
    with pytest.raises(InvalidInputError, match="署名") as refused:
        sign_person(
            office.stamped(tmp_path / "a.pdf"), tmp_path / "b.pdf", office.person, now=NOW, looks=looks
        )  # fmt: skip
    assert refused.value.code == "stamp-text"


def test_times_are_written_as_the_decree_has_them() -> None:
    moment = datetime(2026, 12, 31, 20, 5, 9, tzinfo=UTC)
    assert written_at(moment, ZoneInfo("Asia/Ho_Chi_Minh")) == "01-01-2027 03:05:09 +07:00"
    assert written_at(moment, ZoneInfo("America/St_Johns")) == "31-12-2026 16:35:09 -03:30"


class TestPictures:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        (tmp_path / "seal.png").write_bytes(square((255, 0, 0, 255)))
        return tmp_path / "signers.yaml"

    def test_they_are_read_at_their_size(self, file: Path) -> None:
        read = pictures_from(
            file,
            {
                "seal": {"image": "seal.png"},
                "people": {"lan": {"image": "seal.png", "width_mm": 25}},
            },
        )
        lan = read.person("lan")
        assert read.seal is not None
        assert lan is not None
        assert (read.seal.width_mm, lan.width_mm, lan.height_mm) == (36.0, 25.0, 25.0)
        assert read.person("another") is None
        assert "png" not in repr(lan)

    def test_none_are_needed(self, file: Path) -> None:
        assert pictures_from(file, None).seal is None
        assert Pictures().person("lan") is None

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("seal.png", "must be a mapping with seal, people or both"),
            ({"seals": {}}, "must be a mapping with seal, people or both"),
            ({"people": ["lan"]}, "must be a mapping with seal, people or both"),
            ({"seal": "seal.png"}, "appearances/seal, must be a mapping with image"),
            ({"seal": {"image": "seal.png", "width": 3}}, "must be a mapping with image"),
            ({"seal": {"image": "seal.png", "width_mm": True}}, "no number"),
            ({"seal": {"image": "seal.png", "width_mm": 400}}, "5 to 100 mm"),
            ({"seal": {"image": "seal.png", "width_mm": float("nan")}}, "5 to 100 mm"),
            (
                {"people": {"lan": {"image": "none.png"}}},
                "people/lan, names .*none.png, which cannot",
            ),
        ],
    )
    def test_a_wrong_entry_stops_the_start(self, file: Path, given: object, said: str) -> None:
        with pytest.raises(ConfigurationError, match=said) as refused:
            pictures_from(file, given)
        assert refused.value.code == "signature-picture"

    def test_only_whole_transparent_pngs_of_a_sane_size_are_taken(self) -> None:
        def png(image: Image.Image, kind: str = "PNG") -> bytes:
            out = BytesIO()
            image.save(out, kind)
            return out.getvalue()

        opaque, good = Image.new("RGB", (9, 9)), square((1, 2, 3, 255))
        wrong = {
            "opaque": png(opaque),
            "not a whole PNG": png(opaque, "JPEG"),
            "whole PNG": good[: len(good) // 2],
            "pixels": png(Image.new("LA", (3000, 3000))),
            "bytes": good + bytes(3 << 20),
        }
        for said, data in wrong.items():
            with pytest.raises(ConfigurationError, match=said):
                Picture.of(data, 30, "the seal")

    def test_those_of_development_say_what_they_are_and_are_drawn_once(
        self, tmp_path: Path
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DevelopmentModeWarning)
            made = development_pictures(tmp_path)
        son, khoa = made.person("son.nh"), made.person("khoa.ld")
        assert made.seal is not None
        assert son is not None
        assert khoa is not None
        assert son.png != khoa.png
        red = Image.open(BytesIO(made.seal.png)).convert("RGBA")
        assert red.getpixel((0, 0))[3] == 0  # type: ignore[index]
        (tmp_path / "seal.png").write_bytes(square((255, 0, 0, 255)))
        again = development_pictures(tmp_path)
        assert again.seal is not None
        assert again.seal.png == square((255, 0, 0, 255))
        assert (tmp_path / "people" / "son.nh.png").read_bytes() == son.png
