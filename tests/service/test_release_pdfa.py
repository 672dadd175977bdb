"""Files that are PDF/A stay PDF/A through stamp, signatures, seal and time stamps: Preflight says so."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from reportlab.pdfgen.canvas import Canvas

from docflow.documents.create import NewDocument, create
from docflow.documents.intake import Intake
from docflow.kernel.clock import ManualClock
from docflow.signing.font import DRAWING, REGULAR, Fonts, register
from tests.levels_support import office_at
from tests.office_support import SPECIALIST, Instance
from tests.pki_support import LivePki
from tests.preflight import complaints

Offices = Callable[..., Instance]
LEVELS = [("B-B", "B-B"), ("B-T", "B-T"), ("B-LT", "B-LT"), ("B-T", "B-LTA")]
XMP = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/"><pdfaid:part>{part}</pdfaid:part>'
    "<pdfaid:conformance>B</pdfaid:conformance></rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
)


@pytest.fixture
def offices(tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki) -> Iterator[Offices]:
    """Make instances that sign with the living PKI, with pictures on the page."""
    made: list[Instance] = []

    def make(person: str, seal: str, **options: Any) -> Instance:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        levels = {"person": f"level: {person}", "seal": f", level: {seal}", "seen": True}
        made.append(office_at(folder, prepared, clock, pki, **(levels | options)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def archival(fonts: Fonts, part: int = 1) -> bytes:
    """A file that claims PDF/A-*part*b and has no output intent: its grey is calibrated."""
    register(fonts)
    out = io.BytesIO()
    with DRAWING:
        canvas = Canvas(out, invariant=1, initialFontName=REGULAR)  # type: ignore[arg-type]
        canvas.setFont(REGULAR, 12)
        canvas.setFillGray(0)
        canvas.drawString(72, 600, "Quyết định ban hành Quy chế làm việc")
        canvas.showPage()
        canvas.save()
    file = io.BytesIO()
    with pikepdf.open(out) as pdf:
        del pdf.trailer["/Info"]
        grey = pikepdf.Dictionary(WhitePoint=pikepdf.Array([0.9505, 1, 1.089]))
        pdf.pages[0].Resources.ColorSpace = pikepdf.Dictionary(
            DefaultGray=pikepdf.Array([pikepdf.Name.CalGray, grey])
        )
        stream = pdf.make_stream(XMP.format(part=part).encode())
        stream.Type, stream.Subtype = pikepdf.Name.Metadata, pikepdf.Name.XML
        pdf.Root.Metadata = stream
        pdf.save(file, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    return file.getvalue()


def posted(office: Instance, main: bytes) -> str:
    new = NewDocument(
        subject="Ban hành Quy chế", type_code="QĐ", direction="outgoing", recipients=["STC"]
    )
    intake = Intake(office.services.desk, classification=new.classification)
    return create(
        office.services.desk, office.actor(SPECIALIST), new,
        main=office.receive(intake, main), annexes=[office.receive(intake, main, "phụ lục.pdf")],
        intake=intake,
    )  # fmt: skip


def released(office: Instance, document: str, folder: Path) -> list[Path]:
    rows = office.rows("files", document_id=document)
    paths = []
    for row in sorted(rows, key=lambda one: (one["form"], one["position"])):
        path = folder / f"{row['form']}-{row['position']}.pdf"
        with office.services.desk.vault.open(row) as file:
            path.write_bytes(file.read())
        paths.append(path)
    return paths


@pytest.mark.slow
@pytest.mark.parametrize(("person", "seal"), LEVELS)
def test_a_pdf_a_1b_is_one_when_it_is_released(
    person: str, seal: str, offices: Offices, tmp_path: Path
) -> None:
    office = offices(person, seal)
    document = posted(office, archival(office.services.studio.fonts))
    office.to_released(document)
    paths = released(office, document, tmp_path)
    assert {path.name: complaints(path) for path in paths} == {path.name: [] for path in paths}
    with pikepdf.open(next(path for path in paths if path.name == "released-0.pdf")) as pdf:
        fields = {str(one.T): one.AP.N for one in pdf.Root.AcroForm.Fields}
        for name in ("Person", "Seal"):  # they do show pictures, which hide nothing
            [image] = fields[name].Resources.XObject.values()
            assert "/SMask" not in image
            assert list(image.Mask) == [255] * 6
