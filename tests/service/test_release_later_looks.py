"""Several people's signatures are seen, each in its place and capacity, through the real jobs."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from docflow.documents.fire import fire
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import InvalidInputError
from docflow.people.mandates import Mandates, NewMandate
from docflow.signing.ades import levels_reached
from tests.office_support import ADMINISTRATOR, CLERK, HEAD, LEADER, Instance
from tests.persons_support import (
    HEAD_FIRST,
    LEADER_FIRST,
    SECOND_LEADER,
    THREE,
    approved,
    persons_at,
    persons_office,
    sign_all,
    stored,
)
from tests.pki_support import LivePki
from tests.preflight import complaints, violations
from tests.service.test_release_pdfa import archival
from tests.unit.signing.forge import run

MM = 72 / 25.4
HEAD_AT, LEADER_AT = 55 * MM, 130 * MM


@pytest.fixture
def office(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Instance]:
    made = persons_office(tmp_path / "office", prepared, clock)
    yield made
    made.close()


def without_pictures(office: Instance) -> None:
    signers = office.services.studio.signers
    signers.pictures = type(signers.pictures)()  # as a signers file without appearances gives


def lefts(path: Path) -> dict[str, float]:
    with pikepdf.open(path) as pdf:
        return {str(f.T): float(f.Rect[0]) for f in pdf.Root.AcroForm.Fields}


def ask(office: Instance, login: str, document: str, trigger: str, **wanted: Any) -> None:
    version = office.row(document)["version"]
    desk, actor = office.services.desk, office.actor(login)
    office.run(fire(desk, actor, document, trigger, {}, if_version=version, **wanted))


def released(office: Instance, document: str, folder: Path) -> Path:
    office.run(office.fire(CLERK, document, "release"))
    assert office.row(document)["state"] == "released"
    return stored(office, document, "released", folder)


def deputy(office: Instance, login: str, title: str) -> str:
    """Grant a mandate to sign in the place of the director."""
    person = office.actor(login).id
    unit = office.rows("units", code="VP")[0]["id"]
    new = NewMandate(
        "KT", title, unit, None, "QĐ 1", datetime(2020, 1, 1, tzinfo=UTC), None
    )  # fmt: skip
    return Mandates(office.services.database).grant(office.actor(ADMINISTRATOR), person, new).id


@pytest.mark.parametrize("order", [HEAD_FIRST, LEADER_FIRST], ids=["head first", "leader first"])
def test_each_of_two_is_seen_in_their_own_place_whoever_is_first(
    office: Instance, tmp_path: Path, order: tuple[tuple[str, str], ...]
) -> None:
    without_pictures(office)
    document = approved(office, "outgoing-joint")
    sign_all(office, document, order)
    path = released(office, document, tmp_path)
    found = lefts(path)
    first, second = (HEAD_AT, LEADER_AT) if order == HEAD_FIRST else (LEADER_AT, HEAD_AT)
    assert found["Person"] == pytest.approx(first)
    assert found["Person2"] == pytest.approx(second)
    words = run("pdftotext", path, "-")
    assert [office.actor(who).name in words for who in (HEAD, LEADER)] == [True, True]


def test_three_in_order_are_seen_with_their_pictures(office: Instance, tmp_path: Path) -> None:
    document = approved(office, "outgoing-three")
    sign_all(office, document, THREE)
    path = released(office, document, tmp_path)
    with pikepdf.open(path) as pdf:
        fields = list(pdf.Root.AcroForm.Fields)
        assert all("/XObject" in f.AP.N.Resources for f in fields)
        assert len({f.AP.N.objgen for f in fields}) == 4
    words = run("pdftotext", "-f", "2", "-l", "2", path, "-")
    assert (
        "02-03-2026" not in words
    )  # pictures stand alone: number and time are for where there is none


def test_the_first_persons_request_places_the_later_ones(office: Instance, tmp_path: Path) -> None:
    document = approved(office, "outgoing-three")
    place = {"signature3": {"page": 1, "x": 20, "y": 120}}
    ask(office, LEADER, document, "sign", place=place)
    sign_all(office, document, THREE[1:])
    found = lefts(released(office, document, tmp_path))
    assert found["Person2"] == pytest.approx(60 * MM)  # as the workflow says
    assert found["Person3"] == pytest.approx(20 * MM)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ({"signature4": "top-left"}, "'signature4' is not placed on the page"),
        ({"signature1": "top-left"}, "'signature1' is not placed on the page"),
        ({"signature2": "nowhere"}, "there is no place 'nowhere'"),
        ({"signature2": {"page": 1, "x": 5}}, "x and y are numbers"),
    ],
)
def test_a_wrong_place_of_a_later_one_is_refused_at_once(
    office: Instance, place: dict[str, Any], said: str
) -> None:
    document = approved(office, "outgoing-three")
    with pytest.raises(InvalidInputError, match=said) as refused:
        ask(office, LEADER, document, "sign", place=place)
    assert refused.value.code == "stamp-anchor"
    assert [one.pointer for one in refused.value.fields] == [f"/place/{next(iter(place))}"]
    assert office.row(document)["pending"] is None


def test_a_request_names_places_in_the_words_of_a_workflow(office: Instance) -> None:
    document = approved(office, "outgoing-three")
    place = {"number": "standard", "qr": {"page": "last", "x": 20, "y": 20}}
    ask(office, LEADER, document, "sign", place=place)
    assert office.row(document)["state"] == "first"


def test_one_that_covers_another_fails_the_first_and_nothing_is_signed(office: Instance) -> None:
    document = approved(office, "outgoing-three")
    version = office.row(document)["version"]
    place = {"signature3": {"page": -1, "x": 61, "y": 191}}
    desk, leader = office.services.desk, office.actor(LEADER)
    outcome = fire(desk, leader, document, "sign", {}, if_version=version, place=place)
    with pytest.raises(
        InvalidInputError, match="signature 3 would cover personal signature 2"
    ) as found:
        office.run(outcome)
    assert found.value.code == "stamp-overlap"
    assert not office.rows("files", document_id=document, form="signed")


def test_in_whose_place_each_signs_is_on_the_page_once(office: Instance, tmp_path: Path) -> None:
    without_pictures(office)
    document = approved(office, "outgoing-three")
    ask(office, LEADER, document, "sign", mandate=deputy(office, LEADER, "GIÁM ĐỐC"))
    ask(office, SECOND_LEADER, document, "countersign",
        mandate=deputy(office, SECOND_LEADER, "CHỦ TỊCH"))  # fmt: skip
    sign_all(office, document, THREE[2:])
    path = released(office, document, tmp_path)
    words = run("pdftotext", path, "-")
    assert words.count("KT. GIÁM ĐỐC") == 1
    assert words.count("KT. CHỦ TỊCH") == 1
    with pikepdf.open(path) as pdf:
        reasons = [str(f.V.get("/Reason", "")) for f in pdf.Root.AcroForm.Fields]
    assert reasons == ["KT. GIÁM ĐỐC", "KT. CHỦ TỊCH", "", ""]


def test_a_capacity_with_a_place_of_its_own_is_there_and_not_in_the_signature(
    office: Instance, tmp_path: Path
) -> None:
    document = approved(office, "outgoing-three")
    mandate = deputy(office, LEADER, "GIÁM ĐỐC")
    ask(office, LEADER, document, "sign", mandate=mandate, place={"capacity": "top-left"})
    path = stored(office, document, "signed", tmp_path)
    assert run("pdftotext", path, "-").count("KT. GIÁM ĐỐC") == 1
    line = run("pdftotext", "-x", "0", "-y", "0", "-W", "300", "-H", "60", path, "-")
    assert "KT. GIÁM ĐỐC" in line  # the top left corner of the first page


def test_what_later_ones_show_stands_at_the_highest_level(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> None:
    office = persons_at(tmp_path, prepared, clock, pki, "B-LT")
    try:
        document = approved(office, "outgoing-three")
        sign_all(office, document, THREE)
        path = released(office, document, tmp_path)
        found = {one.field: one.level for one in levels_reached(path, pki.roots, now=clock.now())}
        assert found == dict.fromkeys(("Person", "Person2", "Person3", "Seal"), "B-LTA")
        assert lefts(path)["Person3"] == pytest.approx(125 * MM)
    finally:
        office.close()


@pytest.mark.slow
def test_what_later_ones_show_keeps_pdf_a(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> None:
    office = persons_at(tmp_path, prepared, clock, pki)
    try:
        office.decision = tmp_path / "archival.pdf"
        office.decision.write_bytes(archival(office.services.studio.fonts))
        document = approved(office, "outgoing-three")
        sign_all(office, document, THREE[:1])
        half = stored(office, document, "signed", tmp_path)  # with two boxes to be filled
        assert complaints(half) == violations(half, "1b") == []
        sign_all(office, document, THREE[1:])
        path = released(office, document, tmp_path)
        assert complaints(path) == violations(path, "1b") == []
        assert lefts(path)["Person3"] == pytest.approx(125 * MM)
    finally:
        office.close()
