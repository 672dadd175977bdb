"""What a file claims of PDF/A, and what is drawn for it."""

import io
from typing import Any

import pikepdf
import pytest
from PIL import Image
from pyhanko.pdf_utils.reader import PdfFileReader

from docflow.signing.appearance import Look, Looks
from docflow.signing.archival import Archival, ready_to_draw, without_half_tones
from docflow.signing.font import Fonts
from docflow.signing.identity import SignerIdentity
from docflow.signing.pades import sign_person
from docflow.signing.pictures import Picture
from docflow.signing.plan import Anchor, plan_stamp
from docflow.signing.stamp import stamp
from tests.unit.signing.forge import NOW, Forge, make_pdf

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
ID = 'xmlns:i="http://www.aiim.org/pdfa/ns/id/"'


def claiming(xmp: str, inks: int = 0, standard: str = "/GTS_PDFA1") -> bytes:
    pdf = pikepdf.open(io.BytesIO(make_pdf()))
    pdf.Root.Metadata = pdf.make_stream(xmp.encode())
    if inks:
        profile = pdf.make_stream(b"a profile", N=inks)
        intent: Any = pikepdf.Dictionary(S=pikepdf.Name(standard), DestOutputProfile=profile)
        pdf.Root.OutputIntents = pikepdf.Array([intent])
    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue()


def element(part: str) -> str:
    return (
        f"<rdf:RDF {RDF}><rdf:Description {ID}><i:part>{part}</i:part></rdf:Description></rdf:RDF>"
    )


def both(data: bytes) -> Archival | None:
    """Read with both libraries, which agree."""
    with pikepdf.open(io.BytesIO(data)) as pdf:
        one = Archival.of_pikepdf(pdf)
    assert Archival.of_reader(PdfFileReader(io.BytesIO(data))) == one
    return one


@pytest.mark.parametrize(
    ("data", "claim"),
    [
        (claiming(element("1")), Archival(1, 0)),
        (claiming(element(" 2 "), 3), Archival(2, 3)),
        (claiming(element("3"), 4), Archival(3, 4)),
        (claiming(element("2"), 3, "/GTS_PDFX"), Archival(2, 0)),
        (claiming(f'<rdf:RDF {RDF}><rdf:Description {ID} i:part="1"/></rdf:RDF>'), Archival(1, 0)),
        (claiming(element("9")), None),
        (claiming("<rdf:RDF/>"), None),
        (claiming("no XML"), None),
        (claiming('<!DOCTYPE x [<!ENTITY y "1">]><x>&y;</x>'), None),
        (make_pdf(), None),
    ],
)
def test_a_claim_is_read_as_it_stands(data: bytes, claim: Archival | None) -> None:
    assert both(data) == claim


def test_a_file_without_output_intent_gets_one_and_another_standards_is_left() -> None:
    for data, inks in (
        (claiming(element("1")), 3),
        (claiming(element("1"), 4), 4),
        (claiming(element("1"), 4, "/GTS_PDFX"), 0),
    ):
        with pikepdf.open(io.BytesIO(data)) as pdf:
            claim = ready_to_draw(pdf)
            assert claim == Archival(1, inks)
            assert len(pdf.Root.OutputIntents) == 1
    with pikepdf.open(io.BytesIO(make_pdf())) as pdf:
        assert ready_to_draw(pdf) is None
        assert "/OutputIntents" not in pdf.Root


def test_where_rgb_is_not_the_files_colour_it_has_a_colour_space_of_its_own(
    fonts: Fonts, tmp_path: Any
) -> None:
    """A profile of four inks cannot be made here: what is drawn is looked at, not validated."""
    identity: SignerIdentity = Forge().identity(tmp_path / "person.p12", "person")
    picture = Picture.of(transparent(), 20.0, "test")
    looks = Looks(person=Look(fonts, picture), person_at=Anchor(name="signature", page=-1))
    for inks, standard, own in (
        (4, "/GTS_PDFA1", True),
        (4, "/GTS_PDFX", True),
        (3, "/GTS_PDFA1", False),
    ):
        source, target = tmp_path / "stamped.pdf", tmp_path / "signed.pdf"
        given = io.BytesIO(claiming(element("2"), inks, standard))
        stamp(given, source, plan_stamp(number="Số: 1"), fonts)
        sign_person(source, target, identity, now=NOW, looks=looks)
        with pikepdf.open(target) as pdf:
            [drawing] = [one.AP.N for one in pdf.Root.AcroForm.Fields if one.T == "Person"]
            assert ("/ColorSpace" in drawing.Resources) == own
            drawn = pdf.pages[0].Resources.XObject.DocflowStamp1
            assert ("/ColorSpace" in drawn.Resources) == (standard == "/GTS_PDFX")


def transparent() -> bytes:
    picture = Image.new("RGBA", (4, 1), (255, 255, 255, 0))
    for place, colour in enumerate(((200, 0, 0, 255), (255, 255, 255, 255), (0, 0, 0, 100))):
        picture.putpixel((place, 0), colour)
    out = io.BytesIO()
    picture.resize((4000, 1000), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()


def test_a_picture_without_half_tones_shows_what_is_more_than_half_there() -> None:
    flat, mask = without_half_tones(transparent())
    assert mask == [255] * 6
    assert [flat.getpixel((x, 500)) for x in (500, 1500, 2500, 3500)] == [
        (200, 0, 0),
        (254, 254, 254),  # white ink is ink
        (255, 255, 255),
        (255, 255, 255),
    ]
