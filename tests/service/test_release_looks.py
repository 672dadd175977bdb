"""What a release shows of its signatures, through the real jobs."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from docflow.documents.create import NewDocument, create
from docflow.documents.fire import fire
from docflow.documents.intake import Intake
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import InvalidInputError
from docflow.kernel.resources import bundled
from docflow.signing.ades import levels_reached
from docflow.signing.strict import validate_release
from tests.levels_support import office_at
from tests.office_support import CLERK, LEADER, SPECIALIST, Instance, copy_instance
from tests.pki_support import LivePki
from tests.unit.signing.forge import make_pdf, run

PLACES = "{number: standard, date: standard, qr: standard}"
SEEN = "{number: standard, date: standard, qr: standard, signature: standard}"
Offices = Callable[..., Instance]


@pytest.fixture
def offices(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Offices]:
    """Make instances with the outgoing procedure that ships, but for where signatures are seen."""
    made: list[Instance] = []

    def make(places: str = SEEN, **settings: Any) -> Instance:
        folder = tmp_path / f"office{len(made)}"
        shutil.copytree(bundled("workflows"), folder / "workflows")
        path = folder / "workflows" / "outgoing.yaml"
        text = path.read_text("utf-8")
        assert PLACES in text
        if places != PLACES:
            text = text.replace("version: 2\n", "version: 3\n", 1).replace(PLACES, places)
        path.write_text(text, "utf-8")
        copy_instance(prepared, folder / "var")
        made.append(
            Instance(
                folder / "var", f"sqlite:///{folder / 'var' / 'docflow.sqlite3'}", clock,
                workflows_dir=folder / "workflows", **settings,
            )
        )  # fmt: skip
        return made[-1]

    yield make
    for one in made:
        one.close()


def with_annex(office: Instance) -> str:
    new = NewDocument(
        subject="Ban hành Quy chế", type_code="QĐ", direction="outgoing", recipients=["STC"]
    )
    intake = Intake(office.services.desk, classification=new.classification)
    main = office.receive(intake, office.decision)
    annex = office.receive(intake, make_pdf("Annex", pages=2), "phụ lục.pdf")
    actor = office.actor(SPECIALIST)
    return create(office.services.desk, actor, new, main=main, annexes=[annex], intake=intake)


def released(office: Instance, document_id: str, folder: Path) -> list[Path]:
    """Return the released files, judged strictly again, the main file first."""
    paths = []
    signers, now = office.services.studio.signers, office.services.database.clock.now()
    person = signers.person(LEADER, "", now).sha256
    files = office.rows("files", document_id=document_id, form="released")
    for row in sorted(files, key=lambda one: int(one["position"])):
        path = folder / f"{row['role']}.pdf"
        with office.services.desk.vault.open(row) as file:
            path.write_bytes(file.read())
        validate_release(
            path, signers.own_roots, person=person, seal=signers.seal(now).sha256, now=now
        )
        run("qpdf", "--check", path)
        assert run("pdfsig", "-nocert", path).count("Signature is Valid") == 2
        paths.append(path)
    return paths


def rectangles(path: Path) -> dict[str, list[float]]:
    with pikepdf.open(path) as pdf:
        return {str(f.T): [float(v) for v in f.Rect] for f in pdf.Root.AcroForm.Fields}


def pictures(path: Path) -> list[bool]:
    """Tell for the person's and the seal's field whether it shows a picture."""
    with pikepdf.open(path) as pdf:
        return [
            "/XObject" in f.AP.N.get("/Resources", {}) if "/AP" in f else False
            for f in pdf.Root.AcroForm.Fields
        ]


def test_the_main_file_shows_handwriting_and_seal_and_the_annex_number_and_time(
    offices: Offices, tmp_path: Path
) -> None:
    office = offices()
    document_id = office.to_released(with_annex(office))
    main, annex = released(office, document_id, tmp_path)
    person, seal = rectangles(main).values()
    assert pictures(main) == [True, True]
    assert seal[0] < person[0] < seal[2] < person[2]
    assert (seal[2] - person[0]) / (person[2] - person[0]) == pytest.approx(1 / 3, abs=0.01)

    symbol = office.row(document_id)["symbol"]
    words = run("pdftotext", "-f", "1", "-l", "1", annex, "-")
    assert symbol in words
    assert " +07:00" in words
    assert pictures(annex) == [False, False]
    assert rectangles(annex)["Person"] == [0, 0, 0, 0]
    left, bottom, *_ = rectangles(annex)["Seal"]
    assert left > 297
    assert bottom > 780  # the top right of an A4 page


def test_signatures_are_invisible_where_the_workflow_names_no_place(
    offices: Offices, tmp_path: Path
) -> None:
    office = offices(PLACES)
    for path in released(office, office.to_released(with_annex(office)), tmp_path):
        assert set(map(tuple, rectangles(path).values())) == {(0, 0, 0, 0)}


def test_a_request_may_name_the_place_and_is_refused_a_wrong_one(
    offices: Offices, tmp_path: Path
) -> None:
    office = offices(PLACES)
    document_id = office.to_approved(office.draft())
    desk, leader = office.services.desk, office.actor(LEADER)
    version = office.row(document_id)["version"]
    with pytest.raises(
        InvalidInputError, match="page is first, last, or a whole number"
    ) as refused:
        fire(desk, leader, document_id, "sign", {}, if_version=version,
             place={"signature": {"page": 0, "x": 1, "y": 1}})  # fmt: skip
    assert refused.value.code == "stamp-anchor"
    place = {"signature": {"page": 1, "x": 120, "y": 200}}
    office.run(fire(desk, leader, document_id, "sign", {}, if_version=version, place=place))
    office.run(office.fire(CLERK, document_id, "release"))
    (main,) = released(office, document_id, tmp_path)
    assert rectangles(main)["Person"][0] == pytest.approx(120 * 72 / 25.4)


def test_without_pictures_the_signature_is_capacity_name_and_time(
    offices: Offices, tmp_path: Path
) -> None:
    office = offices()
    signers = office.services.studio.signers
    signers.pictures = type(signers.pictures)()  # as a signers file without appearances gives
    (main,) = released(office, office.to_released(office.draft()), tmp_path)
    words = run("pdftotext", main, "-")
    assert office.actor(LEADER).name in words
    assert " +07:00" in words
    assert rectangles(main)["Seal"] == [0, 0, 0, 0]


def test_a_confidential_document_is_seen_signed_and_leaves_nothing_on_the_disk(
    offices: Offices, tmp_path: Path
) -> None:
    office = offices()
    office.clear(SPECIALIST, LEADER, CLERK, "dung.tq")
    document_id = office.to_signed(office.sealed_draft())
    (row,) = office.rows("files", document_id=document_id, form="signed")
    path = tmp_path / "signed.pdf"
    with office.services.desk.vault.open(row) as file:
        path.write_bytes(file.read())
    assert pictures(path)[0]
    assert rectangles(path)["Seal"][2] > 0
    assert not list(office.services.staging.folder.iterdir())


def test_what_is_seen_stands_at_the_highest_level_too(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> None:
    office = office_at(tmp_path, prepared, clock, pki)
    try:
        document_id = office.to_approved(office.draft())
        version = office.row(document_id)["version"]
        desk, leader = office.services.desk, office.actor(LEADER)
        place = {"signature": {"page": 1, "x": 120, "y": 200}}
        office.run(fire(desk, leader, document_id, "sign", {}, if_version=version, place=place))
        office.run(office.fire(CLERK, document_id, "release"))  # judged strictly before it is out
        (row,) = office.rows("files", document_id=document_id, form="released")
        path = tmp_path / "released.pdf"
        with office.services.store.open(row["storage_key"]) as file:
            path.write_bytes(file.read())
    finally:
        office.close()
    found = levels_reached(path, pki.roots, now=clock.now())
    assert [(one.field, one.level) for one in found] == [("Person", "B-LTA"), ("Seal", "B-LTA")]
    assert rectangles(path)["Person"][0] == pytest.approx(120 * 72 / 25.4)
    assert run("pdfsig", "-nocert", path).count("Signature is Valid") == 2
