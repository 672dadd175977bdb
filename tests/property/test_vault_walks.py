"""Whatever is done to a document in whatever order, it stays readable and equal, and ends sealed.

Random walks on a real instance whose ceiling is lifted, so that there are several sealed levels: post,
edit, annex, replace, raise, lower, reseal, rotate keys. After each step every text and every file
that was ever put is what it was; after the job none lies otherwise than its document.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import docflow
from docflow.db import Draft
from docflow.documents import change, reclassify, resealing, rows
from docflow.documents.content import ReceivedFile
from docflow.documents.intake import for_change
from docflow.documents.keyroom import KeyRoom
from docflow.kernel.clock import ManualClock
from docflow.kernel.text import normalise
from docflow.storage.sealing import rewrap
from tests.classified_support import marked_pdf
from tests.conftest import START
from tests.office_support import HEAD, LEADER, SPECIALIST, Instance, copy_instance

LEVELS = ("public", "internal", "confidential", "secret", "top-secret")
_TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=40)
_STEP = st.one_of(
    st.tuples(st.just("level"), st.sampled_from(LEVELS)),
    st.tuples(st.just("level"), st.sampled_from(LEVELS)),
    st.tuples(st.just("edit"), _TEXT),
    st.tuples(st.just("annex"), _TEXT),
    st.tuples(st.just("replace"), _TEXT),
    st.tuples(st.just("job"), st.none()),
    st.tuples(st.just("rotate"), st.none()),
)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Any:
    folder = tmp_path_factory.mktemp("vault-walks")
    copy_instance(prepared, folder)
    sample = Path(docflow.__file__).parent / "data" / "office.yaml"
    text = sample.read_text("utf-8")
    assert "ceiling: confidential" in text
    lifted = folder / "office.yaml"
    lifted.write_text(text.replace("ceiling: confidential", "ceiling: top-secret"), "utf-8")
    url = f"sqlite:///{folder / 'docflow.sqlite3'}"
    instance = Instance(folder, url, ManualClock(START), office_file=lifted)
    instance.clear(SPECIALIST, HEAD, LEADER, level="top-secret")
    yield instance
    instance.close()


class Walk:
    """A document, and what must be read of it."""

    def __init__(self, office: Instance, level: str) -> None:
        self.office = office
        self.desk = office.services.desk
        self.pages = 1
        self.subject = "ban đầu"
        self.document = office.sealed_draft(
            marked_pdf(), subject=self.subject, classification=level
        )
        self.files = [("phương án.pdf", marked_pdf())]

    @property
    def row(self) -> dict[str, Any]:
        return self.office.row(self.document)

    def level(self, to: str) -> None:
        with self.office.database.unit_of_work(self.office.actor(LEADER)) as uow:
            row = rows.lock(uow, self.document)
            if row["classification"] != to:
                told = {"from": row["classification"], "to": to}
                reclassify.apply(self.desk, uow, row, to, Draft("document.classified", told))

    def edit(self, text: str) -> None:
        author = self.office.actor(SPECIALIST)
        version = self.row["version"]
        change.edit(self.desk, author, self.document, {"subject": text}, if_version=version)
        self.subject = normalise(text).strip()

    def annex(self, name: str) -> None:
        self.received(change.add_annex, f"{name}.pdf")

    def replace(self, name: str) -> None:
        self.received(change.put_main, f"{name}.pdf")

    def received(self, put: Any, name: str) -> None:
        author = self.office.actor(SPECIALIST)
        intake = for_change(self.desk, author, self.document)
        receiving = intake.begin()
        self.pages += 1
        content = marked_pdf(self.pages)
        receiving.write(content)
        received = ReceivedFile(name, receiving.finish())
        put(self.desk, author, intake, received, if_version=self.row["version"])
        self.files.append((normalise(name), content))

    def job(self, _: None) -> None:
        resealing.reseal(self.desk, self.document, "walk")
        assert resealing.reseal(self.desk, self.document, "walk") == 0
        row = self.row
        keys = {k["id"]: k for k in self.office.rows("data_keys", document_id=self.document)}
        for file in self.office.rows("files", document_id=self.document):
            key = keys.get(file["data_key_id"])
            level = key["classification"] if key else None
            assert level == (row["classification"] if self.desk.vault.is_sealed(row) else None)

    def rotate(self, _: None) -> None:
        ring = self.desk.vault.keyring
        for key_id in ring.provider.key_ids():
            ring.rotate(key_id)
        room = KeyRoom(self.office.database, ring, "VPUB")
        done = list(rewrap(ring, room.records(), room.save))
        assert not done or done[-1].failed == 0

    def check(self) -> None:
        row = self.row
        sealed = self.desk.vault.is_sealed(row)
        assert (row["sealed_content"] is not None) is sealed
        assert (row["subject"] == "") is sealed
        shown = self.office.show(HEAD, self.document)
        assert shown.row["subject"] == self.subject
        found = []
        for file in shown.files:
            with self.desk.vault.open(file) as source:
                found.append((file["name"], source.read()))
        assert sorted(found) == sorted(self.files)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(first=st.sampled_from(LEVELS), steps=st.lists(_STEP, min_size=1, max_size=10))
def test_any_walk_keeps_every_text_and_file(
    office: Instance, first: str, steps: list[tuple[str, Any]]
) -> None:
    walk = Walk(office, first)
    walk.check()
    for name, value in steps:
        getattr(walk, name)(value)
        walk.check()
    walk.job(None)
    walk.check()
