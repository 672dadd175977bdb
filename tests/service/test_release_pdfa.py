"""Files that are PDF/A stay PDF/A through stamp, signatures, seal and time stamps: Preflight says so."""

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pikepdf
import pytest
from reportlab.pdfgen.canvas import Canvas

from docflow.documents.create import NewDocument, create
from docflow.documents.intake import Intake
from docflow.kernel.clock import ManualClock
from docflow.signing.archive import renew
from docflow.signing.font import DRAWING, REGULAR, Fonts, register
from docflow.signing.pades import Slot, seal
from docflow.signing.plan import plan_stamp
from docflow.signing.stamp import stamp
from tests.levels_support import Offices, longterm, offices_in
from tests.office_files import odt
from tests.office_support import SPECIALIST, Instance
from tests.pki_support import START, LivePki
from tests.preflight import OTHER_PART, TAGGED, approved, complaints, violations
from tests.service.test_signing_cards import finished
from tests.unit.signing.forge import make_pdf

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
    with offices_in(tmp_path, prepared, clock) as make:
        yield lambda person, seal, **options: make(
            pki, person=f"level: {person}", seal=f", level: {seal}", seen=True, **options
        )


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
        del pdf.pages[0].Trans
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


def judged(paths: list[Path], flavour: str) -> dict[str, list[str]]:
    """Return what both validators say of each file."""
    return {path.name: complaints(path) + violations(path, flavour) for path in paths}


@pytest.mark.slow
@pytest.mark.parametrize(("person", "seal"), LEVELS)
def test_a_pdf_a_1b_is_one_when_it_is_released(
    person: str, seal: str, offices: Offices, tmp_path: Path
) -> None:
    office = offices(person, seal)
    document = posted(office, archival(office.services.studio.fonts))
    office.to_released(document)
    paths = released(office, document, tmp_path)
    assert judged(paths, "1b") == {path.name: [] for path in paths}
    assert len(paths) == 6
    assert masks(paths) == [[255] * 6] * 2  # they do show pictures, which hide nothing


def masks(paths: list[Path]) -> list[object]:
    """Return how the pictures of both signatures of the main file let the page show through."""
    [path] = [one for one in paths if one.name == "released-0.pdf"]
    found: list[object] = []
    with pikepdf.open(path) as pdf:
        fields = {str(one.T): one.AP.N for one in pdf.Root.AcroForm.Fields}
        for name in ("Person", "Seal"):
            [image] = fields[name].Resources.XObject.values()
            found.append("soft" if "/SMask" in image else [int(one) for one in image.Mask])
    return found


def by_libreoffice(folder: Path, part: int) -> bytes:
    """What LibreOffice writes as PDF/A, with the output intent and the tags that it gives."""
    source = folder / "given.odt"
    source.write_bytes(odt())
    options = f'{{"SelectPdfVersion":{{"type":"long","value":"{part}"}}}}'
    subprocess.run(
        ["soffice", f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless",
         "--convert-to", f"pdf:writer_pdf_Export:{options}", "--outdir", folder, source],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return (folder / "given.pdf").read_bytes()


@pytest.mark.slow
def test_what_libreoffice_writes_as_pdf_a_1b_is_one_when_it_is_released(
    offices: Offices, tmp_path: Path
) -> None:
    office = offices("B-T", "B-LTA")
    document = posted(office, by_libreoffice(tmp_path, 1))
    office.to_released(document)
    paths = released(office, document, tmp_path)
    assert {path.name: complaints(path) for path in paths} == {path.name: [] for path in paths}
    # what pikepdf has against it from the start (a date's apostrophe) is all it has in the end
    told = [set(violations(path, "1b")) for path in paths]
    assert told == [told[0]] * 6
    assert TAGGED in told[0]


@pytest.mark.slow
def test_a_pdf_a_2b_is_one_when_it_is_released_and_its_pictures_are_soft(
    offices: Offices, tmp_path: Path
) -> None:
    office = offices("B-T", "B-LTA")
    document = posted(office, by_libreoffice(tmp_path, 2))
    office.to_released(document)
    paths = released(office, document, tmp_path)
    assert {path.name: violations(path, "2b") for path in paths} == {p.name: [] for p in paths}
    assert masks(paths) == ["soft", "soft"]
    annex = [path for path in paths if path.name.endswith("-1.pdf")]  # it shows no pictures
    assert [complaints(path) for path in annex] == [[OTHER_PART]] * 3


def test_the_validators_see_what_is_wrong(tmp_path: Path, instance: Instance) -> None:
    path = tmp_path / "plain.pdf"
    path.write_bytes(make_pdf())
    assert complaints(path)
    assert violations(path, "1b")
    path.write_bytes(archival(instance.services.studio.fonts))
    assert (complaints(path), violations(path, "1b")) == ([], [])
    with pikepdf.open(path, allow_overwriting_input=True) as pdf:
        pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="1")
        pdf.save(path)
    assert complaints(path)


@pytest.mark.slow
def test_cards_of_two_persons_and_a_renewal_keep_pdf_a_too(
    pki: LivePki, instance: Instance, tmp_path: Path
) -> None:
    makes, studio = longterm(pki), instance.services.studio
    stamped = tmp_path / "stamped.pdf"
    stamp(io.BytesIO(archival(studio.fonts)), stamped, plan_stamp(number="Số: 1"), studio.fonts)
    first = finished(pki, tmp_path, "B-LT", makes, source=stamped, slot=Slot(1, 2))
    second = finished(pki, tmp_path, "B-T", makes, source=first.path, slot=Slot(2, 2))
    sealed = seal(
        second.path, tmp_path / "sealed.pdf", pki.identity("seal", "organisation"), now=START,
        level="B-LTA", longterm=makes,
    )  # fmt: skip
    renewed = tmp_path / "renewed.pdf"
    assert renew(sealed.path, renewed, longterm(pki, "tsa-second"), now=START).number == 2
    paths = [stamped, first.path, second.path, sealed.path, renewed]
    assert judged(paths, "1b") == {path.name: [] for path in paths}
    assert approved(stamped, "1b")
