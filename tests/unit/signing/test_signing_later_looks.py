"""What the signatures after the first show, judged on the page; their boxes are made with the first."""

from collections.abc import Sequence
from pathlib import Path

import pikepdf
import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from docflow.kernel.errors import IntegrityError, InvalidInputError
from docflow.signing.appearance import LATER_MM, Look, Looks
from docflow.signing.finishing import finish_person
from docflow.signing.identity import SignerIdentity
from docflow.signing.interrupted import prepare_person
from docflow.signing.pades import Slot, seal, sign_person
from docflow.signing.pictures import Picture
from docflow.signing.plan import Anchor
from docflow.signing.strict import Expected, SignedFile, validate_release
from tests.service.signing_office import SigningOffice
from tests.unit.signing.forge import NOW, run
from tests.unit.signing.test_signing_appearance import BLUE, RED, seen, square, turned, where

FIRST = Anchor(page=-1, x_mm=100, y_mm=30)
SECOND = Anchor(page=-1, x_mm=20, y_mm=100)
THIRD = Anchor(page=-1, x_mm=100, y_mm=100)
GREEN = Picture.of(square((0, 255, 0, 255)), 90, "green")  # larger than a later one's box
WIDE, HIGH = LATER_MM


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> SigningOffice:
    return SigningOffice.make(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def people(office: SigningOffice) -> list[SignerIdentity]:
    made = [office.forge.identity(office.folder / f"l{n}.p12", "person") for n in (2, 3)]
    return [office.person, *made]


def half_signed(office: SigningOffice, folder: Path, looks: Looks, of: int, data: bytes) -> Path:
    path = folder / "signed-1.pdf"
    source = office.stamped(folder / "stamped.pdf", data)
    sign_person(source, path, office.person, now=NOW, looks=looks, slot=Slot(1, of))
    return path


def released(
    office: SigningOffice,
    folder: Path,
    people: Sequence[SignerIdentity],
    looks: Sequence[Looks],
    data: bytes,
) -> SignedFile:
    path = half_signed(office, folder, looks[0], len(people), data)
    for number, person in enumerate(people[1:], 2):
        target = folder / f"signed-{number}.pdf"
        slot = Slot(number, len(people))
        sign_person(path, target, person, now=NOW, looks=looks[number - 1], slot=slot)
        path = target
    return validated(office, path, people, looks[0].seal)


def validated(
    office: SigningOffice, path: Path, people: Sequence[SignerIdentity], look: Look | None
) -> SignedFile:
    sealed = path.with_name("sealed.pdf")
    seal(path, sealed, office.organisation, now=NOW, look=look)
    return validate_release(
        sealed, office.roots, person=people[0].sha256, seal=office.organisation.sha256, now=NOW,
        others=[Expected(one.sha256) for one in people[1:]],
    )  # fmt: skip


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_each_is_seen_in_its_box_however_the_page_is_turned(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path, degrees: int
) -> None:
    first = Looks(Look(office.fonts, BLUE), FIRST, later_at=(SECOND, THIRD))
    looks = [first, Looks(Look(office.fonts, RED)), Looks(Look(office.fonts, GREEN))]
    signed = released(office, tmp_path, people, looks, turned(degrees))
    assert run("pdfsig", "-nocert", signed.path).count("Signature is Valid") == 4
    assert "No syntax or stream encoding errors" in run("qpdf", "--check", signed.path)
    image = seen(signed.path)
    red, green = where(image, 0), where(image, 1)
    # each is made as small as its box is high, stands in the box's middle, and has a clear frame of 5 %
    inside = HIGH * 0.9
    for found, at in ((red, SECOND), (green, THIRD)):
        assert found is not None
        assert at.x_mm is not None
        assert found[0] == pytest.approx(at.x_mm + (WIDE - inside) / 2, abs=1.0)
        assert found[2] - found[0] == pytest.approx(inside, abs=1.0)
        assert found[3] - found[1] == pytest.approx(inside, abs=1.0)
    assert where(image, 2) is not None  # the first one's is as it was


def test_words_are_seen_and_name_the_capacity(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    lines = ("KT. GIÁM ĐỐC", "Nguyễn Thị Lan", "02-03-2026 08:30:00 +07:00")
    looks = [Looks(later_at=(SECOND,)), Looks(Look(office.fonts, lines=lines))]
    signed = released(office, tmp_path, people[:2], looks, turned(0))
    words = run("pdftotext", "-f", "2", "-l", "2", signed.path, "-")
    assert [line for line in lines if line in words] == list(lines)
    with pikepdf.open(signed.path) as pdf:
        boxes = {str(f.T): [float(one) for one in f.Rect] for f in pdf.Root.AcroForm.Fields}
    assert boxes["Person"] == boxes["Seal"] == [0, 0, 0, 0]
    assert boxes["Person2"][2] - boxes["Person2"][0] == pytest.approx(WIDE * 72 / 25.4)


def test_a_capacity_stands_over_the_handwriting(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    look = Look(office.fonts, BLUE, ("KT. GIÁM ĐỐC",))
    looks = [Looks(look, FIRST, later_at=(SECOND,)), Looks(look)]
    signed = released(office, tmp_path, people[:2], looks, turned(0))
    words = run("pdftotext", "-f", "2", "-l", "2", signed.path, "-")
    assert words.count("KT. GIÁM ĐỐC") == 2
    blue = where(seen(signed.path), 2)
    assert blue is not None
    assert blue[1] > FIRST.y_mm + 4.5 if FIRST.y_mm else False  # a line of 13 pt is above it


def test_a_later_card_is_seen_alike(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    half = half_signed(office, tmp_path, Looks(later_at=(SECOND,)), 2, turned(0))
    ready, path, card = tmp_path / "ready.pdf", tmp_path / "done.pdf", people[1]
    looks = Looks(Look(office.fonts, RED))
    prepared = prepare_person(half, ready, card, now=NOW, looks=looks, slot=Slot(2, 2))
    signature = card.signer.sign_bytes(prepared.attributes)
    finish_person(ready, path, card, prepared, signature, signed_at=NOW, now=NOW)
    signed = validated(office, path, people[:2], None)
    assert where(seen(signed.path), 0) is not None


def test_a_box_moved_before_it_is_signed_is_refused(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    half = half_signed(office, tmp_path, Looks(later_at=(SECOND,)), 2, turned(0))
    moved = tmp_path / "moved.pdf"
    with half.open("rb") as file:
        writer = IncrementalPdfFileWriter(file)
        (field,) = (
            one.get_object() for one in writer.root["/AcroForm"]["/Fields"]
            if one.get_object()["/T"] == "Person2"
        )  # fmt: skip
        field["/Rect"] = generic.ArrayObject(map(generic.NumberObject, (10, 10, 500, 500)))
        writer.update_container(field)
        moved.write_bytes(half.read_bytes())
        with moved.open("w+b") as out:
            writer.write(out)  # type: ignore[no-untyped-call]
    path = tmp_path / "c.pdf"
    looks = Looks(Look(office.fonts, RED))
    sign_person(moved, path, people[1], now=NOW, looks=looks, slot=Slot(2, 2))
    with pytest.raises(IntegrityError, match="may not be released"):
        validated(office, path, people[:2], None)


@pytest.mark.parametrize(
    ("looks", "code", "said"),
    [
        ((SECOND, SECOND), "stamp-overlap", "signature 3 would cover personal signature 2"),
        ((FIRST,), "stamp-overlap", "signature 2 would cover personal signature 1"),
        ((Anchor(page=1, x_mm=180, y_mm=9),), "stamp-anchor", "personal signature 2 would leave"),
        ((Anchor(page=7, x_mm=18, y_mm=9),), "stamp-anchor", "page 7, and the document has 2"),
    ],
)
def test_boxes_over_one_another_or_off_the_page_are_refused(
    office: SigningOffice, tmp_path: Path, looks: tuple[Anchor, ...], code: str, said: str
) -> None:
    first = Looks(Look(office.fonts, BLUE), FIRST, later_at=looks)
    with pytest.raises(InvalidInputError, match=said) as refused:
        half_signed(office, tmp_path, first, 1 + len(looks), turned(0))
    assert refused.value.code == code


def test_boxes_on_different_pages_are_apart(
    office: SigningOffice, people: list[SignerIdentity], tmp_path: Path
) -> None:
    at = Anchor(page=1, x_mm=FIRST.x_mm, y_mm=FIRST.y_mm)
    look = Look(office.fonts, BLUE)
    looks = [Looks(look, FIRST, later_at=(at,)), Looks(look)]
    signed = released(office, tmp_path, people[:2], looks, turned(0))
    assert where(seen(signed.path, 1), 2) is not None
    assert where(seen(signed.path, 2), 2) is not None
