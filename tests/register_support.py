"""What the tests of the registers share: numbers given and voided, and what lies below the door."""

import csv
from typing import Any

from docflow.audit.verify import verify_everything
from docflow.db import Draft
from docflow.documents import registers, rows
from docflow.documents.tables import documents
from docflow.kernel.actor import SERVICE
from tests.api_support import Door, Office
from tests.office_support import CLERK, HEAD

ENTRIES = "/v1/books/incoming/entries"
OUTGOING = "/v1/books/outgoing/entries"
VOID_1 = f"{OUTGOING}/1/void"
BECAUSE = {"reason": "Cấp nhầm"}


def register(office: Office, count: int, first: int = 1, door: Door | None = None) -> list[str]:
    """Post and register incoming documents as the clerk; return their ids."""
    clerk = door or office.login(CLERK)
    ids = [office.incoming(number)["id"] for number in range(first, first + count)]
    for document_id in ids:
        clerk.fire(document_id, "register")
    return ids


def numbers(door: Door, url: str = ENTRIES, **query: Any) -> list[int]:
    return [item["number"] for item in door.read(url, **query)["items"]]


def printed(door: Door, book: str, **query: Any) -> list[dict[str, str]]:
    """The printed register as rows by column title."""
    answer = door.get(f"/v1/books/{book}/print", format="csv", **query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    text = answer.content.decode("utf-8-sig")
    return list(csv.DictReader(text.splitlines(keepends=True)))


def returned(office: Office) -> str:
    """A draft that was numbered 1 when it was approved, and then returned to its author."""
    document_id = office.approved()
    office.login(HEAD).fire(document_id, "return", reason="Sai căn cứ")
    return document_id


def last_action(office: Office, document_id: str) -> str:
    entries = office.instance.rows("history_entries", subject_id=document_id)
    return str(max(entries, key=lambda entry: entry["subject_seq"])["action"])


def unexplained(office: Office) -> list[object]:
    """What an audit of the whole database finds that history does not tell."""
    services = office.services
    services.sequencer.run()
    report = verify_everything(services.database, services.store, services.log_key.verifier)
    return list(report.findings)


def classify(office: Office, document_id: str) -> None:
    """Give a document a classification that this version refuses at the door."""
    with office.services.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, document_id)
        draft = Draft("document.edited", {"changed": ["classification"]})
        uow.change(documents, row, {"classification": "secret"}, draft)


def give_number(office: Office, document_id: str, kind: str) -> None:
    """Number a draft in the Party's book, as a workflow that names it would."""
    desk = office.services.desk
    with desk.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, document_id)
        given = registers.allocate(uow, desk, row | {"type_code": kind}, "party-outgoing", None)
        uow.change(documents, row, given.columns(), Draft("document.edited", {"changed": []}))
