"""The fault table of sealing a document's files anew: each write × failed before or after it persisted.

The job runs against the real store and the real database, which fail once where told; then it runs
again, as the job engine would run it. In the end every file is what it was, lies as the document's
classification wants it, and is told once.
"""

import dataclasses
from typing import Any

import pytest

from docflow.db import Draft
from docflow.documents import change, reclassify, resealing, rows
from docflow.documents.content import ReceivedFile
from docflow.documents.intake import for_change
from docflow.documents.vault import Vault
from docflow.kernel.errors import UnavailableError
from tests.classified_support import MARKER, marked_pdf
from tests.crash.test_release_faults import Crash, Fault, FaultyDatabase, FaultyStore
from tests.office_support import CLERK, HEAD, LEADER, SPECIALIST, Instance

MAIN, ANNEX = marked_pdf(), marked_pdf(2)
_FAULTS = [
    pytest.param(where, nth, persisted, error, id=f"{where}{nth}-{'after' if persisted else 'before'}-"
                 f"{'crash' if error is Crash else 'error'}")
    for where in ("store", "commit")
    for nth in (1, 2)
    for persisted in (False, True)
    for error in (Crash, UnavailableError)
]  # fmt: skip


def document_with_two_files(office: Instance, classification: str) -> str:
    document = office.sealed_draft(MAIN, subject=MARKER, classification=classification)
    desk, author = office.services.desk, office.actor(SPECIALIST)
    intake = for_change(desk, author, document)
    receiving = intake.begin()
    receiving.write(ANNEX)
    change.add_annex(
        desk, author, intake, ReceivedFile("phụ lục.pdf", receiving.finish()), if_version=1
    )
    return document


def reclassified(office: Instance, document: str, to: str) -> None:
    desk = office.services.desk
    with office.database.unit_of_work(office.actor(LEADER)) as uow:
        row = rows.lock(uow, document)
        told = {"from": row["classification"], "to": to}
        reclassify.apply(desk, uow, row, to, Draft("document.classified", told))


def faulty_desk(office: Instance, fault: Fault) -> Any:
    desk = office.services.desk
    database = FaultyDatabase(office.database.url, office.services.clock, fault)
    store = FaultyStore(desk.store, fault)
    vault = Vault(database, store, desk.staging, desk.catalogue, desk.vault.keyring)
    database.seal_details("document", vault.seal_details)
    return dataclasses.replace(desk, database=database, store=store, vault=vault)


@pytest.mark.parametrize(("where", "nth", "persisted", "error"), _FAULTS)
@pytest.mark.parametrize(
    ("before", "after"), [("internal", "confidential"), ("confidential", "internal")]
)
def test_a_fault_at_any_write_changes_nothing_in_the_end(
    instance: Instance, before: str, after: str, where: str, nth: int, persisted: bool,
    error: type[BaseException],
) -> None:  # fmt: skip
    instance.clear(SPECIALIST, HEAD, LEADER, CLERK)
    document = document_with_two_files(instance, before)
    reclassified(instance, document, after)
    fault = Fault(where, nth, persisted, error)
    desk = faulty_desk(instance, fault)
    with pytest.raises(error):
        resealing.reseal(desk, document, "job")
    desk.database.dispose()
    assert fault.fired
    readable(instance, document)  # half of it done, and all of it there

    left = resealing.reseal(instance.services.desk, document, "job")
    done_before = nth if where == "commit" and persisted else nth - 1
    assert left == 2 - done_before
    assert resealing.reseal(instance.services.desk, document, "job") == 0
    verify(instance, document, after)


def readable(office: Instance, document: str) -> None:
    shown = office.show(HEAD, document)
    assert shown.row["subject"] == MARKER
    contents = {}
    for row in shown.files:
        with office.services.desk.vault.open(row) as source:
            contents[row["name"]] = source.read()
    assert contents == {"phương án.pdf": MAIN, "phụ lục.pdf": ANNEX}


def verify(office: Instance, document: str, classification: str) -> None:
    readable(office, document)
    files = office.rows("files", document_id=document)
    keys = {row["id"]: row for row in office.rows("data_keys", document_id=document)}
    text_key = office.row(document)["data_key_id"]
    sealed = classification == "confidential"
    assert all((file["data_key_id"] is not None) is sealed for file in files)
    assert keys.keys() - {text_key} == {file["data_key_id"] for file in files} - {None}
    entries = office.rows("history_entries", subject_id=document)
    told = [entry for entry in entries if entry["action"] == "document.resealed"]
    assert len(told) == 2
    assert list(office.services.staging.folder.iterdir()) == []
