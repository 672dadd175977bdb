"""In whose place a later person signs is on the page and in the signature, or they do not sign so."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConflictError
from docflow.release import batches
from tests.card_support import Card, answer_session, give
from tests.jobs_support import settled, started
from tests.office_support import HEAD, LEADER, SPECIALIST, Instance, copy_instance
from tests.persons_support import DATA, SECOND_LEADER, approved, sign_all, stored
from tests.service.test_release_later_looks import ask, deputy
from tests.unit.signing.forge import run

UNSEEN = (
    ("outgoing-three", "place: {signature: {page: last, x: 125, y: 190}}"),
    ("outgoing-joint", "place: {signature: {page: last, x: 130, y: 225}}"),
    ("outgoing-joint", "place: {signature: {page: last, x: 55, y: 225}}"),
)
"""Places of later signatures that the workflows of this office do not name."""


@pytest.fixture(params=["sqlite", "postgresql"])
def office(
    request: pytest.FixtureRequest, tmp_path: Path, prepared: Path, clock: ManualClock
) -> Iterator[Instance]:
    """An office in which the last of several persons signs unseen, unless the first makes room."""
    copy_instance(prepared, tmp_path / "var")
    workflows = tmp_path / "workflows"
    workflows.mkdir()
    for name in ("outgoing-three", "outgoing-joint"):
        text = (DATA / f"{name}.yaml").read_text("utf-8")
        for whose, place in UNSEEN:
            if whose == name:
                assert f", {place}" in text
                text = text.replace(f", {place}", "")
        (workflows / f"{name}.yaml").write_text(text, "utf-8")
    url, server = f"sqlite:///{tmp_path / 'var' / 'docflow.sqlite3'}", None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        template = request.getfixturevalue("prepared_postgres")
        url = server.create("capacity", template=template)
    made = Instance(tmp_path / "var", url, clock, workflows_dir=workflows)
    yield made
    made.close()
    if server is not None:
        server.drop("capacity")


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(ConflictError) as caught:
        yield
    assert (caught.value.code, caught.value.rule) == ("capacity-unseen", "capacity-on-the-page")


def page_and_reasons(path: Path) -> tuple[str, list[str | None]]:
    with path.open("rb") as file:
        signatures = PdfFileReader(file).embedded_signatures
        reasons = [one.sig_object.get("/Reason") for one in signatures]
    return run("pdftotext", "-layout", path, "-"), reasons


def test_where_the_later_signature_is_seen_its_capacity_is_too(
    office: Instance, tmp_path: Path
) -> None:
    document = approved(office, "outgoing-three")
    ask(office, LEADER, document, "sign", mandate=deputy(office, LEADER, "CHỦ TỊCH"))
    ask(
        office,
        SECOND_LEADER,
        document,
        "countersign",
        mandate=deputy(office, SECOND_LEADER, "PHÓ CHỦ TỊCH"),
    )
    words, reasons = page_and_reasons(stored(office, document, "signed", tmp_path))
    for at, capacity in enumerate(("KT. CHỦ TỊCH", "KT. PHÓ CHỦ TỊCH")):
        assert capacity in words
        assert reasons[at] == capacity


def test_where_it_is_not_seen_a_mandate_is_refused_and_ones_own_name_is_not(
    office: Instance,
) -> None:
    document = approved(office, "outgoing-three")
    sign_all(office, document, ((LEADER, "sign"), (SECOND_LEADER, "countersign")))
    before = office.row(document)
    mandate = deputy(office, HEAD, "GIÁM ĐỐC")
    with refused():
        ask(office, HEAD, document, "attest", mandate=mandate)
    assert office.row(document) == before
    ask(office, HEAD, document, "attest")
    assert office.row(document)["state"] == "signed"


def test_room_that_the_first_request_made_counts(office: Instance, tmp_path: Path) -> None:
    document = approved(office, "outgoing-three")
    ask(office, LEADER, document, "sign", place={"signature3": {"page": 1, "x": 20, "y": 120}})
    ask(office, SECOND_LEADER, document, "countersign")
    ask(office, HEAD, document, "attest", mandate=deputy(office, HEAD, "GIÁM ĐỐC"))
    words, reasons = page_and_reasons(stored(office, document, "signed", tmp_path))
    assert "KT. GIÁM ĐỐC" in words
    assert reasons[2] == "KT. GIÁM ĐỐC"


def test_room_of_signatures_that_were_dropped_does_not_count(office: Instance) -> None:
    document = approved(office, "outgoing-joint")
    room = {"signature2": {"page": 1, "x": 20, "y": 120}}
    ask(office, HEAD, document, "sign_as_head", place=room)
    office.fire(HEAD, document, "return", reason="Sửa lại.")
    office.fire(SPECIALIST, document, "submit")
    office.fire(HEAD, document, "approve")
    ask(office, HEAD, document, "sign_as_head")
    with refused():
        ask(
            office, LEADER, document, "countersign_as_leader",
            mandate=deputy(office, LEADER, "CHỦ TỊCH"),
        )  # fmt: skip


def test_room_that_a_cards_request_made_counts_and_a_batch_is_refused_too(
    office: Instance, clock: ManualClock
) -> None:
    card = give(office, Card.issue(office.folder / "pki", "Thủ trưởng", clock.now()), HEAD)
    mandate = deputy(office, LEADER, "CHỦ TỊCH")
    documents = []
    for room in ({"signature2": {"page": 1, "x": 20, "y": 120}}, None):
        document = approved(office, "outgoing-joint")
        version = office.row(document)["version"]
        ask(office, HEAD, document, "sign_as_head", place=room)
        session_id = f"card-{document}-{version}"
        office.run_job(answer_session(office, session_id, card, HEAD))
        documents.append(document)
    studio, leader = office.services.studio, office.actor(LEADER)
    wanted = [
        batches.Wanted(one, office.row(one)["version"], "countersign_as_leader", mandate)
        for one in documents
    ]
    batch_id = batches.authorise(studio, leader, wanted)
    with started(office.services.engine) as engine:
        settled(engine, f"batch-{batch_id}", "done")
    seen, unseen = batches.show(studio, leader, batch_id).items
    assert seen["state"] in ("signing", "signed")
    assert (unseen["state"], unseen["code"]) == ("refused", "capacity-unseen")
