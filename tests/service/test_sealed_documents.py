"""Confidential documents, end to end in one process: sealed at rest, opened for whoever may, recorded."""

import io
import json
import zlib
from pathlib import Path

import pytest
import sqlalchemy as sa
from reportlab.pdfgen.canvas import Canvas

from docflow.audit import queries as history
from docflow.audit.verify import verify_everything
from docflow.documents import change, queries, reclassify, resealing
from docflow.documents.content import ReceivedFile
from docflow.documents.intake import for_change
from docflow.documents.queries import Filters
from docflow.jobs.model import JobRun
from docflow.kernel.errors import ConflictError, ForbiddenError, NotFoundError
from docflow.storage import MemoryFile, SealedFile
from tests.office_support import (
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    OTHER_SPECIALIST,
    SPECIALIST,
    Instance,
)

MARKER = "dấu hiệu 7h3-m4rk3r"
PLAIN = b"7h3-m4rk3r"


def marked_pdf() -> bytes:
    """A PDF that carries the marker in the open, as a title and in an uncompressed page."""
    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=0, invariant=1)
    canvas.setTitle("7h3-m4rk3r")
    canvas.drawString(72, 700, "7h3-m4rk3r")
    canvas.showPage()
    canvas.save()
    return out.getvalue()


@pytest.fixture
def office(any_instance: Instance) -> Instance:
    any_instance.clear(SPECIALIST, HEAD, LEADER, CLERK, AUDITOR)
    return any_instance


def run_reseal(office: Instance, document: str) -> int:
    return resealing.reseal(office.services.desk, document, "reseal-test")


def everywhere(office: Instance) -> bytes:
    """All that lies at rest: every column of every table, and every file below the data folder."""
    with office.database.read() as connection:
        tables = sa.inspect(connection).get_table_names()
        text = "\n".join(rows_of(connection, name) for name in tables)
    paths = [path for path in office.folder.rglob("*") if path.is_file()]
    files = [path.read_bytes() for path in paths if path.name != "decision.pdf"]
    return b"\n".join([text.encode(), *files])


def rows_of(connection: sa.Connection, table: str) -> str:
    """Every row of a table, as the driver has it."""
    found = connection.exec_driver_sql(f'SELECT * FROM "{table}"')  # noqa: S608
    return "\n".join(json.dumps([str(value) for value in row], ensure_ascii=False) for row in found)


def test_a_confidential_document_is_opened_for_who_is_cleared(office: Instance) -> None:
    document = office.sealed_draft(subject=MARKER, fields={"copies": 3})
    shown = office.show(SPECIALIST, document)
    assert (shown.row["subject"], shown.row["fields"]) == (MARKER, {"copies": 3})
    (file,) = shown.files
    assert file["name"] == "phương án.pdf"
    row = queries.file_to_open(office.services.desk, office.actor(HEAD), document, file["id"])
    with office.services.desk.vault.open(row) as source:
        assert source.read() == office.decision.read_bytes()


def test_it_is_not_there_for_who_is_not_cleared_or_has_no_reason(office: Instance) -> None:
    document = office.sealed_draft()
    office.clear(OTHER_SPECIALIST)
    office.clear(HEAD, level="internal")
    for login in (OTHER_SPECIALIST, HEAD):
        with pytest.raises(NotFoundError):
            office.show(login, document)
        listed = queries.find(
            office.services.desk, office.actor(login), Filters(), before=None, limit=10
        )
        assert document not in [row["id"] for row in listed]


def test_who_is_not_cleared_cannot_post_one(office: Instance) -> None:
    office.clear(SPECIALIST, level="internal")
    with pytest.raises(ForbiddenError) as refused:
        office.sealed_draft()
    assert refused.value.code == "clearance-required"
    assert office.rows("documents") == []


def test_lists_and_searches_show_no_subject(office: Instance) -> None:
    document = office.sealed_draft(subject=MARKER)
    desk, actor = office.services.desk, office.actor(HEAD)
    (row,) = queries.find(desk, actor, Filters(), before=None, limit=10)
    assert (row["id"], row["subject"], row["fields"]) == (document, "", {})
    assert queries.find(desk, actor, Filters(text=MARKER), before=None, limit=10) == []
    assert office.actions(document) == ["document.posted"]  # a list is no reading


def test_each_reading_is_history_before_the_bytes(office: Instance) -> None:
    document = office.sealed_draft()
    (file,) = office.show(HEAD, document).files
    queries.file_to_open(office.services.desk, office.actor(HEAD), document, file["id"])
    history.of_document(office.services.desk, office.actor(HEAD), document, after=None, limit=9)
    entries = history.of_document(
        office.services.desk, office.actor(AUDITOR), document, after=None, limit=9
    )
    told = [(e["action"], e["data"].get("what"), e["data"].get("by")) for e in entries[1:]]
    assert told == [
        ("document.read", "page", "head"),
        ("document.read", "file", "head"),
        ("document.read", "history", "head"),
        ("document.read", "history", "auditor"),
    ]
    assert office.row(document)["version"] == 1


def test_a_whole_confidential_release_leaves_the_marker_nowhere(office: Instance) -> None:
    content = marked_pdf()
    assert PLAIN in content
    document = office.sealed_draft(content, subject=MARKER)
    desk, author = office.services.desk, office.actor(SPECIALIST)
    intake = for_change(desk, author, document)
    receiving = intake.begin()
    receiving.write(content + b"\n% phu luc\n")
    annex = ReceivedFile(f"{MARKER}.pdf", receiving.finish())
    change.add_annex(desk, author, intake, annex, if_version=1)
    change.edit(desk, author, document, {"subject": f"{MARKER} (sửa)"}, if_version=2)
    office.fire(SPECIALIST, document, "submit")
    office.fire(HEAD, document, "return", reason=f"chưa rõ {MARKER}")
    office.fire(SPECIALIST, document, "submit")
    office.fire(HEAD, document, "approve")
    office.run(office.fire(LEADER, document, "sign"))
    office.services.sequencer.run()
    assert PLAIN not in everywhere(office)
    shown = office.show(LEADER, document)
    assert shown.row["subject"] == f"{MARKER} (sửa)"
    assert [(f["form"], f["name"]) for f in shown.files if f["current"]] == [
        ("original", "phương án.pdf"),
        ("signed", "phương án.pdf"),
        ("original", f"{MARKER}.pdf"),
        ("signed", f"{MARKER}.pdf"),
    ]
    told = history.of_document(desk, office.actor(LEADER), document, after=None, limit=50)
    assert [e["details"] for e in told if e["details"]] == [
        {"subject": MARKER},
        {"subject": f"{MARKER} (sửa)"},
        {"asked": {"reason": f"chưa rõ {MARKER}"}},
    ]
    report = verify_everything(
        office.database,
        office.services.store,
        office.services.log_key.verifier,
        contents=True,
        vault=desk.vault,
    )
    assert report.findings == ()


def test_the_number_of_a_withdrawn_one_is_voided_with_a_sealed_reason(office: Instance) -> None:
    document = office.to_approved(office.sealed_draft())
    office.fire(LEADER, document, "withdraw", reason=MARKER)
    (entry,) = office.rows("register_entries")
    assert entry["void_reason"].startswith("sealed:v1:")
    assert PLAIN not in everywhere(office)


def test_a_signed_confidential_file_is_what_pdfsig_calls_valid(
    office: Instance, tmp_path: Path
) -> None:
    import subprocess

    document = office.to_signed(office.sealed_draft())
    signed = next(f for f in office.show(LEADER, document).files if f["form"] == "signed")
    target = tmp_path / "signed.pdf"
    with office.services.desk.vault.open(signed) as source:
        target.write_bytes(source.read())
    told = subprocess.run(["pdfsig", "-nocert", target], capture_output=True, text=True, check=True)
    assert "Signature is Valid" in told.stdout


def test_the_staging_folder_is_empty_after_a_signature(office: Instance) -> None:
    office.to_signed(office.sealed_draft())
    assert list(office.services.staging.folder.iterdir()) == []


class TestRaising:
    def test_it_is_immediate_and_seals_what_was_in_the_open(self, office: Instance) -> None:
        document = office.draft(subject=MARKER)
        office.fire(SPECIALIST, document, "submit")
        office.fire(HEAD, document, "return", reason=MARKER)
        desk, head = office.services.desk, office.actor(HEAD)
        level, version = reclassify.raise_classification(
            desk, head, document, "confidential", reason=MARKER, if_version=3
        )
        assert (level, version) == ("confidential", 4)
        office.clear(CLERK, level="internal")
        with pytest.raises(NotFoundError):
            office.show(CLERK, document)
        assert run_reseal(office, document) == 1
        assert run_reseal(office, document) == 0
        (file,) = office.rows("files")
        assert file["data_key_id"] is not None
        with office.database.read() as connection:
            tables = ("documents", "files", "history_entries", "register_entries")
            stored = "".join(rows_of(connection, name) for name in tables)
        assert "7h3-m4rk3r" not in stored
        assert office.show(HEAD, document).row["subject"] == MARKER
        told = history.of_document(desk, head, document, after=None, limit=50)
        assert told[0]["details"] == {"subject": MARKER}
        report = verify_everything(
            office.database,
            office.services.store,
            office.services.log_key.verifier,
            contents=True,
            vault=desk.vault,
        )
        assert report.findings == ()
        without_keys = verify_everything(
            office.database, office.services.store, office.services.log_key.verifier, contents=True
        )
        assert without_keys.findings == ()
        assert without_keys.checked["details-not-opened"] == 2

    def test_the_database_admits_sealing_of_details_and_nothing_else(
        self, office: Instance
    ) -> None:
        document = office.sealed_draft()
        entries = office.tables["history_entries"]
        for values in (
            {"details": {"sealed": "sealed:v1:AAAA"}},  # sealed already
            {"details": {"subject": "khác"}},
            {"leaf": "{}"},
        ):
            with pytest.raises(sa.exc.DBAPIError), office.database.engine.begin() as connection:
                connection.execute(
                    sa.update(entries).where(entries.c.subject_id == document).values(**values)
                )
        with office.database.engine.connect() as connection:
            if office.database.is_sqlite:
                with pytest.raises(sa.exc.DBAPIError):
                    connection.execute(sa.delete(entries))

    def test_a_file_that_is_classified_higher_raises_its_document(self, office: Instance) -> None:
        document = office.draft(subject=MARKER)
        desk, author = office.services.desk, office.actor(SPECIALIST)
        intake = for_change(desk, author, document, "confidential")
        receiving = intake.begin()
        receiving.write(office.decision.read_bytes() + b"\n%2\n")
        staged = receiving.finish()
        assert isinstance(staged, SealedFile)
        change.add_annex(desk, author, intake, ReceivedFile("a.pdf", staged), if_version=1)
        assert office.row(document)["classification"] == "confidential"
        assert office.row(document)["subject"] == ""
        assert run_reseal(office, document) == 1

    def test_a_file_received_for_another_level_is_refused(self, office: Instance) -> None:
        document = office.draft()
        desk, author = office.services.desk, office.actor(SPECIALIST)
        intake = for_change(desk, author, document)
        receiving = intake.begin()
        receiving.write(office.decision.read_bytes())
        received = ReceivedFile("a.pdf", receiving.finish())
        reclassify.raise_classification(
            desk, author, document, "confidential", reason="x", if_version=1
        )
        with pytest.raises(ConflictError) as refused:
            change.put_main(desk, author, intake, received, if_version=2)
        assert refused.value.code == "classification-changed"

    def test_lowering_takes_two(self, office: Instance) -> None:
        document = office.sealed_draft()
        desk, author = office.services.desk, office.actor(SPECIALIST)
        with pytest.raises(ConflictError) as refused:
            change.edit(desk, author, document, {"classification": "internal"}, if_version=1)
        assert refused.value.code == "lowering-needs-two"

    def test_lowered_again_it_lies_open_and_its_history_stays_sealed(
        self, office: Instance
    ) -> None:
        from docflow.db import Draft
        from docflow.documents import rows

        document = office.sealed_draft(subject=MARKER)
        desk = office.services.desk
        with office.database.unit_of_work(office.actor(LEADER)) as uow:
            row = rows.lock(uow, document)
            told = {"from": "confidential", "to": "internal"}
            version = reclassify.apply(
                desk, uow, row, "internal", Draft("document.classified", told)
            )
        assert version == 2
        assert run_reseal(office, document) == 1
        row = office.row(document)
        assert (row["subject"], row["sealed_content"]) == (MARKER, None)
        (file,) = office.rows("files")
        assert (file["name"], file["data_key_id"]) == ("phương án.pdf", None)
        entries = history.of_document(desk, office.actor(HEAD), document, after=None, limit=9)
        assert entries[0]["details"] == {"subject": MARKER}
        with office.database.unit_of_work(office.actor(LEADER)) as uow:
            row = rows.lock(uow, document)
            told = {"from": "internal", "to": "confidential"}
            reclassify.apply(desk, uow, row, "confidential", Draft("document.classified", told))
        assert run_reseal(office, document) == 1
        assert office.show(HEAD, document).row["subject"] == MARKER


def test_a_file_in_memory_has_a_path_and_ends(tmp_path: Path) -> None:
    with MemoryFile.of(io.BytesIO(zlib.compress(b"x"))) as file:
        path = file.path
        assert zlib.decompress(path.read_bytes()) == b"x"
    assert not path.exists()


def test_a_job_reseals_what_a_crash_left(office: Instance) -> None:
    document = office.draft()
    desk = office.services.desk
    reclassify.raise_classification(
        desk, office.actor(HEAD), document, "confidential", reason="x", if_version=1
    )
    job = office.job(f"reseal-{document}-2")
    done: dict[str, object] = {}

    def step(name: str, function: object) -> object:
        done[name] = function()  # type: ignore[operator]
        return done[name]

    resealing.run(desk, JobRun(job, step))
    assert done == {"resealed": 1}
    assert office.actions(document)[-1] == "document.resealed"
