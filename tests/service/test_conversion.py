"""Office files become PDF/A, and PDFs that act become still ones: by a job, checked, with their origin."""

import dataclasses
import io
import subprocess
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from docflow.audit.verify import verify_everything
from docflow.bootstrap.parts import inputs_of
from docflow.conversion import Converter, find_sandbox
from docflow.documents import change, converting
from docflow.documents.content import ReceivedFile
from docflow.documents.create import NewDocument, create
from docflow.documents.desk import Desk
from docflow.documents.intake import Intake, for_change
from docflow.jobs.model import JobRun
from docflow.kernel.errors import (
    ConflictError,
    DevelopmentModeWarning,
    InvalidInputError,
    UnavailableError,
    UnsupportedContentError,
)
from docflow.settings import Settings
from tests.office_files import TEXT, docx, odt, rtf, xlsx
from tests.office_support import CLERK, HEAD, LEADER, SPECIALIST, Instance
from tests.preflight import violations
from tests.unit.signing.forge import make_pdf

DRAFT = NewDocument(
    subject="Ban hành Quy chế", type_code="QĐ", direction="outgoing", recipients=["STC"]
)


def post(
    instance: Instance,
    main: bytes,
    *annexes: bytes,
    desk: Desk | None = None,
    new: NewDocument = DRAFT,
    name: str = "quyết định.docx",
) -> str:
    return create(
        desk or instance.services.desk,
        instance.actor(SPECIALIST),
        new,
        main=instance.received(main, name),
        annexes=[instance.received(data, "phụ lục.odt") for data in annexes],
    )


def run_jobs(instance: Instance, document: str, desk: Desk | None = None) -> None:
    """Run the conversions of a document as the engine does: what cannot heal is told to `on_failed`."""
    desk = desk or instance.services.desk
    for row in instance.rows("jobs", subject_id=document):
        if row["kind"] != converting.KIND:
            continue
        run = JobRun(instance.job(row["id"]), lambda _name, function: function())
        try:
            converting.run(desk, run)
        except (InvalidInputError, ConflictError) as error:
            converting.on_failed(desk, run, error.detail)
            converting.on_failed(desk, run, error.detail)  # a crash may have it told twice


def files(instance: Instance, document: str) -> list[dict[str, Any]]:
    found = instance.rows("files", document_id=document)
    return sorted(found, key=lambda row: (row["position"], not row["current"]))


def content(instance: Instance, row: dict[str, Any]) -> bytes:
    with instance.services.desk.vault.open(row) as file:
        return file.read()


def with_inputs(instance: Instance, **values: Any) -> Desk:
    desk = instance.services.desk
    return dataclasses.replace(desk, inputs=dataclasses.replace(desk.inputs, **values))


def text_of(data: bytes, folder: Path) -> str:
    path = folder / "read.pdf"
    path.write_bytes(data)
    return subprocess.run(
        ["pdftotext", str(path), "-"], capture_output=True, check=True
    ).stdout.decode()


def assert_archival(data: bytes, folder: Path) -> None:
    """Check the claim of PDF/A-2b, colours, fonts and no encryption here, and by pikepdf's validator."""
    with pikepdf.open(io.BytesIO(data)) as pdf:
        assert pdf.open_metadata().pdfa_status == "2B"
        assert "/Filter" not in pdf.Root.Metadata.stream_dict
        [intent] = list(pdf.Root.OutputIntents)
        assert pikepdf.Name("/GTS_PDFA1") == intent.S
        assert len(intent.DestOutputProfile.read_bytes()) > 0
        assert not pdf.is_encrypted
    path = folder / "archival.pdf"
    path.write_bytes(data)
    listed = subprocess.run(["pdffonts", str(path)], capture_output=True, check=True, text=True)
    fonts = [line.split() for line in listed.stdout.splitlines()[2:]]
    assert fonts
    assert all(font[-5] == "yes" for font in fonts), listed.stdout
    assert violations(path, "2b") == []


@pytest.mark.slow
@pytest.mark.parametrize("make", [docx, odt, rtf, xlsx], ids=["docx", "odt", "rtf", "xlsx"])
def test_an_office_file_becomes_the_pdf_that_is_approved_signed_and_released(
    make: Any, instance: Instance, tmp_path: Path
) -> None:
    sent = make()
    document = post(instance, sent)
    before = instance.row(document)

    [waiting] = files(instance, document)
    assert (waiting["current"], waiting["conversion"]) == (False, "pending")
    with pytest.raises(ConflictError, match="still being converted") as refusal:
        instance.fire(SPECIALIST, document, "submit")
    assert refusal.value.satisfied_by

    run_jobs(instance, document)
    run_jobs(instance, document)  # once more, as after a crash: nothing more is made
    made, origin = files(instance, document)
    assert origin["conversion"] == "done"
    assert content(instance, origin) == sent
    assert (made["origin_id"], made["current"], made["form"]) == (origin["id"], True, "original")
    assert (made["name"], made["media_type"]) == ("quyết định.pdf", "application/pdf")
    assert instance.row(document)["main_sha256"] == made["sha256"]
    assert instance.row(document)["version"] == before["version"] + 1

    assert TEXT in text_of(content(instance, made), tmp_path)
    instance.to_released(document)
    for row in files(instance, document):
        if row["media_type"] == "application/pdf":  # made, signed and released alike
            assert_archival(content(instance, row), tmp_path)
    released = [row for row in files(instance, document) if row["form"] == "released"]
    assert len(released) == 1
    assert TEXT in text_of(content(instance, released[0]), tmp_path)
    report = verify_everything(
        instance.database, instance.services.store, instance.services.log_key.verifier
    )
    assert report.ok, report


@pytest.mark.slow
def test_an_annex_is_converted_too_and_takes_its_place(instance: Instance) -> None:
    document = post(
        instance,
        instance.decision.read_bytes(),
        odt(),
    )
    with pytest.raises(ConflictError, match="still being converted"):
        instance.fire(SPECIALIST, document, "submit")
    run_jobs(instance, document)
    main, annex, origin = files(instance, document)
    assert (main["role"], annex["role"], annex["position"]) == ("main", "annex", 1)
    assert (annex["name"], annex["origin_id"]) == ("phụ lục.pdf", origin["id"])
    instance.fire(SPECIALIST, document, "submit")


def test_what_waits_may_be_replaced_and_taken_out(instance: Instance) -> None:
    desk, actor = instance.services.desk, instance.actor(SPECIALIST)
    document = post(instance, docx(), odt())
    _, annex = files(instance, document)
    version = change.remove_annex(
        desk, actor, document, annex["id"], if_version=instance.row(document)["version"]
    )
    intake = for_change(desk, actor, document)
    change.put_main(desk, actor, intake, instance.received(make_pdf()), if_version=version)
    run_jobs(instance, document)
    assert [row["conversion"] for row in files(instance, document)] == [None, "dropped", "dropped"]
    instance.fire(SPECIALIST, document, "submit")


def test_what_cannot_be_converted_says_why_and_stops_the_document(instance: Instance) -> None:
    document = post(instance, docx())
    converter = Converter(Path("/bin/true"), instance.folder / "conversion")
    run_jobs(instance, document, with_inputs(instance, converter=converter))
    [row] = files(instance, document)
    assert row["conversion"] == "failed"
    assert "could not be converted" in row["conversion_problem"]
    with pytest.raises(ConflictError, match="could not be converted") as refusal:
        instance.fire(SPECIALIST, document, "submit")
    assert "PDF" in str(refusal.value.satisfied_by)
    entries = instance.rows("history_entries", subject_id=document)
    assert [e["action"] for e in entries].count("document.conversion-failed") == 1

    run_jobs(instance, document)  # an operator has it run again, and LibreOffice is well now
    assert [row["conversion"] for row in files(instance, document)] == [None, "done"]


def test_without_a_converter_the_refusal_says_so_and_nothing_is_stored(instance: Instance) -> None:
    with pytest.raises(UnsupportedContentError) as refusal:
        post(instance, docx(), desk=with_inputs(instance, converter=None))
    assert refusal.value.code == "converter-missing"
    assert "LibreOffice" in str(refusal.value.satisfied_by)
    assert instance.rows("files") == []


def confidential(instance: Instance, desk: Desk, main: bytes) -> str:
    """Post a confidential draft with an office file, received as the door does."""
    intake = Intake(desk, classification="confidential")
    receiving = intake.begin()
    receiving.write(main)
    received = ReceivedFile("mật.docx", receiving.finish())
    new = dataclasses.replace(DRAFT, classification="confidential")
    return create(desk, instance.actor(SPECIALIST), new, main=received, intake=intake)


def without_sandbox(instance: Instance) -> Desk:
    converter = instance.services.desk.inputs.converter
    assert converter is not None, "LibreOffice is not installed"
    return with_inputs(instance, converter=dataclasses.replace(converter, sandbox=None))


def test_without_a_sandbox_a_confidential_office_file_is_refused_before_anything_is_stored(
    instance: Instance,
) -> None:
    instance.clear(SPECIALIST)
    with pytest.raises(ConflictError) as refusal:
        confidential(instance, without_sandbox(instance), docx())
    assert refusal.value.code == "conversion-classified"
    assert instance.rows("files") == []


def test_without_a_sandbox_a_document_classified_while_it_waited_is_not_converted(
    instance: Instance,
) -> None:
    instance.clear(SPECIALIST)
    document = post(instance, docx())
    classify(instance, document)
    run_jobs(instance, document, without_sandbox(instance))
    [row] = files(instance, document)
    assert row["conversion"] == "failed"
    assert "in the clear" in row["conversion_problem"]


def classify(instance: Instance, document: str) -> None:
    change.edit(
        instance.services.desk,
        instance.actor(SPECIALIST),
        document,
        {"classification": "confidential"},
        if_version=instance.row(document)["version"],
    )


@pytest.mark.slow
def test_a_confidential_office_file_is_converted_sealed_and_released(
    instance: Instance, tmp_path: Path
) -> None:
    instance.clear(SPECIALIST, HEAD, LEADER, CLERK)
    sent = docx()
    document = confidential(instance, instance.services.desk, sent)
    run_jobs(instance, document)
    made, origin = files(instance, document)
    assert made["data_key_id"] is not None
    assert content(instance, origin) == sent
    assert TEXT in text_of(content(instance, made), tmp_path)
    assert not (instance.folder / "conversion").exists()  # no folder was needed on the disk
    instance.to_signed(document)


@pytest.mark.slow
def test_a_document_classified_while_it_waited_is_converted_and_sealed(instance: Instance) -> None:
    instance.clear(SPECIALIST)
    document = post(instance, docx())
    classify(instance, document)
    run_jobs(instance, document)
    made, origin = files(instance, document)
    assert (origin["conversion"], made["data_key_id"] is not None) == ("done", True)


def test_a_document_of_the_old_word_is_converted_in_a_sandbox_alone(instance: Instance) -> None:
    given = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600)
    with pytest.raises(UnsupportedContentError) as refusal:
        post(instance, given, desk=without_sandbox(instance))
    assert refusal.value.code == "converter-unconfined"
    with pytest.raises(InvalidInputError) as broken:  # with one, it is looked into
        post(instance, given)
    assert broken.value.code == "office-broken"
    assert instance.rows("files") == []


def test_production_converts_nothing_without_a_sandbox_unless_it_is_told_to(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soffice = tmp_path / "soffice"
    soffice.write_text("#!/bin/sh\n")
    soffice.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))  # there is no bwrap
    find_sandbox.cache_clear()
    try:
        production = Settings(environment="production", data_dir=tmp_path)
        refusing = inputs_of(production)
        allowed = inputs_of(production.model_copy(update={"conversion_unconfined": True}))
        with pytest.warns(DevelopmentModeWarning, match="LibreOffice sees"):
            development = inputs_of(Settings(data_dir=tmp_path))
    finally:
        find_sandbox.cache_clear()
    assert refusing.converter is None
    for weaker in (allowed.converter, development.converter):
        assert weaker is not None
        assert not weaker.confined
    desk = dataclasses.replace(instance.services.desk, inputs=refusing)
    with pytest.raises(UnsupportedContentError) as refusal:
        post(instance, docx(), desk=desk)
    assert refusal.value.code == "converter-unconfined"
    assert "bubblewrap" in str(refusal.value.satisfied_by)
    assert instance.rows("files") == []
    document = post(instance, docx())
    with pytest.raises(UnavailableError, match="nothing would keep"):  # is tried elsewhere
        run_jobs(instance, document, desk)


def test_nothing_is_converted_under_a_document_that_left_its_draft(instance: Instance) -> None:
    document = post(instance, docx())
    instance.fire(HEAD, document, "withdraw", reason="thôi")
    run_jobs(instance, document)
    [row] = files(instance, document)
    assert (row["conversion"], row["current"]) == ("failed", False)


def scripted(**more: Any) -> bytes:
    """A PDF with a script that runs when it is opened, a form field, and a file inside."""
    pdf = pikepdf.open(io.BytesIO(make_pdf()))
    pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert(1)")
    pdf.attachments["ẩn.txt"] = b"hidden"
    shown = pdf.make_stream(b"BT /F 12 Tf 2 2 Td (x) Tj ET")
    shown.Type, shown.Subtype = pikepdf.Name.XObject, pikepdf.Name.Form
    shown.BBox = pikepdf.Array([0, 0, 100, 20])
    field = pdf.make_indirect(
        pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, FT=pikepdf.Name.Tx, T="f", V="x",
            Rect=[10, 10, 110, 30], F=4, AP=pikepdf.Dictionary(N=shown),
        )
    )  # fmt: skip
    pdf.pages[0].Annots = pikepdf.Array([field])
    pdf.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([field]))
    layer = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.OCG, Name="lớp"))
    default = pikepdf.Dictionary(ON=pikepdf.Array([layer]), **more)
    if more.pop("hidden", False):
        default = pikepdf.Dictionary(OFF=pikepdf.Array([layer]))
    pdf.Root.OCProperties = pikepdf.Dictionary(OCGs=pikepdf.Array([layer]), D=default)
    file = io.BytesIO()
    pdf.save(file)
    return file.getvalue()


def test_a_pdf_that_acts_is_refused_by_default(instance: Instance) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        post(instance, scripted())
    assert refusal.value.code == "pdf-scripted"


def test_where_the_policy_is_to_clean_a_still_copy_is_what_is_approved(instance: Instance) -> None:
    desk = with_inputs(instance, clean=True)
    sent = scripted()
    document = post(instance, sent, desk=desk, name="mẫu.pdf")
    with pytest.raises(ConflictError, match="still being converted"):
        instance.fire(SPECIALIST, document, "submit")
    run_jobs(instance, document, desk)
    made, origin = files(instance, document)
    assert content(instance, origin) == sent
    assert made["name"] == "mẫu.pdf"
    cleaned = content(instance, made)
    for gone in (
        b"JavaScript",
        b"EmbeddedFile",
        b"AcroForm",
        b"OCProperties",
        b"/Widget",
        b"alert",
    ):
        assert gone not in cleaned
    with pikepdf.open(io.BytesIO(cleaned)) as pdf:
        assert "/Annots" not in pdf.pages[0] or len(pdf.pages[0].Annots) == 0
        assert any(
            b"(x) Tj" in form.read_bytes() for form in pdf.pages[0].Resources.XObject.values()
        )  # what the field showed is on the page
    instance.to_signed(document)


def test_hidden_layers_are_nobodys_to_flatten(instance: Instance) -> None:
    desk = with_inputs(instance, clean=True)
    document = post(instance, scripted(hidden=True), desk=desk)
    run_jobs(instance, document, desk)
    [row] = files(instance, document)
    assert row["conversion"] == "failed"
    assert "hidden" in row["conversion_problem"]


def test_a_confidential_pdf_is_cleaned_without_touching_the_disk(instance: Instance) -> None:
    instance.clear(SPECIALIST)
    desk = with_inputs(instance, clean=True)
    intake = Intake(desk, classification="confidential")
    receiving = intake.begin()
    receiving.write(scripted())
    received = dataclasses.replace(instance.received(b"x"), staged=receiving.finish())
    new = dataclasses.replace(DRAFT, classification="confidential")
    document = create(desk, instance.actor(SPECIALIST), new, main=received, intake=intake)
    run_jobs(instance, document, desk)
    made, _ = files(instance, document)
    assert made["data_key_id"] is not None
    assert b"JavaScript" not in content(instance, made)


def test_a_signed_pdf_is_never_cleaned(instance: Instance) -> None:
    desk = with_inputs(instance, clean=True)
    document = instance.to_signed(instance.draft())
    [signed] = [row for row in files(instance, document) if row["form"] == "signed"]
    with pytest.raises(InvalidInputError) as refusal:
        post(instance, content(instance, signed), desk=desk)
    assert refusal.value.code == "pdf-signed"


def test_what_comes_in_stays_as_it_came(instance: Instance) -> None:
    desk = with_inputs(instance, clean=True)
    incoming = NewDocument(
        subject="Công văn", type_code="CV", direction="incoming", issuer="Sở Tài chính"
    )
    pdf = pikepdf.open(io.BytesIO(make_pdf()))
    pdf.attachments["kèm.txt"] = b"inside"
    file = io.BytesIO()
    pdf.save(file)
    document = create(
        desk,
        instance.actor(CLERK),
        incoming,
        main=instance.received(file.getvalue()),
        annexes=[instance.received(odt(), "phụ lục.odt")],
    )
    main, annex = files(instance, document)
    assert [(row["current"], row["conversion"]) for row in (main, annex)] == [(True, None)] * 2
    assert content(instance, main) == file.getvalue()
    assert content(instance, annex) == odt()
    with pytest.raises(InvalidInputError) as refusal:  # nor is one that acts cleaned: it is refused
        create(desk, instance.actor(CLERK), incoming, main=instance.received(scripted()))
    assert refusal.value.code == "pdf-scripted"
