"""Three people sign in any order through the real jobs: in their places, once each, at every level."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from docflow.audit.verify import verify_everything
from docflow.documents.fire import fire
from docflow.documents.rows import SIGNED
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConflictError, ForbiddenError, InvalidInputError
from docflow.signing.ades import levels_reached
from docflow.signing.report import PASSED
from tests.card_support import carry, give
from tests.levels_support import card_of
from tests.office_support import CLERK, HEAD, LEADER, SPECIALIST, Instance
from tests.persons_support import (
    ANY_ORDER,
    SECOND_LEADER,
    THREE,
    approved,
    persons_at,
    persons_office,
    report_on,
    sign_all,
    stored,
)
from tests.pki_support import LivePki
from tests.service.test_release_later_looks import deputy, lefts, released, without_pictures
from tests.unit.signing.forge import run

MM = 72 / 25.4
AT = {"sign_as_chairman": 135 * MM, "sign_as_deputy": 61 * MM, "sign_as_head": 5 * MM}
WORKFLOW = "outgoing-any-order"
Order = Sequence[tuple[str, str]]


@pytest.fixture
def office(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Instance]:
    made = persons_office(tmp_path / "office", prepared, clock)
    yield made
    made.close()


def fields_of(order: Order) -> dict[str, str]:
    """Return in which field each signs by which transition."""
    first, *others = [trigger for _, trigger in order]
    listed = [first, *(name for name in AT if name in others)]
    return {name: f"Person{number}" if number > 1 else "Person"
            for number, name in enumerate(listed, 1)}  # fmt: skip


def require_good(office: Instance, path: Path, order: Order) -> None:
    said = run("pdfsig", "-nocert", path)
    assert said.count("Signature is Valid") == 4
    assert "No syntax or stream encoding errors" in run("qpdf", "--check", path)
    report = report_on(office, path)
    assert report.indication == PASSED
    persons = [one for one in report.signatures if one.field.startswith("Person")]
    fields = fields_of(order)
    assert [one.field for one in persons] == [fields[trigger] for _, trigger in order]
    assert [one.certifies for one in persons] == [True, False, False]
    found = lefts(path)
    for trigger, field in fields.items():
        assert found[field] == pytest.approx(AT[trigger], abs=0.01)


@pytest.mark.parametrize("order", list(permutations(ANY_ORDER)))
def test_whoever_is_first_each_is_seen_in_their_own_place(
    office: Instance, clock: ManualClock, tmp_path: Path, order: Order
) -> None:
    without_pictures(office)
    document = approved(office, WORKFLOW)
    due = office.row(document)["due_at"]
    for count, (login, trigger) in enumerate(order, 1):
        clock.advance(timedelta(minutes=4))
        office.run(office.fire(login, document, trigger))
        row = office.row(document)
        assert row["state"] == ("signed" if count == 3 else "approved")
        assert (row["pending"], row["stage"]) == (None, None)
        assert count == 3 or row["due_at"] == due  # who waits is late as before
        path = stored(office, document, "signed", tmp_path)
        assert len(lefts(path)) == 4  # everybody's box is there from the first on
    path = released(office, document, tmp_path)
    require_good(office, path, order)
    words = run("pdftotext", path, "-")
    assert words.count("Số: ") == 1  # whoever was first put it there
    for login, trigger in order:
        left = int(AT[trigger])
        box = ("-f", "2", "-l", "2", "-x", str(left), "-y", "600", "-W", "165", "-H", "120")
        assert office.actor(login).name.split()[-1] in run("pdftotext", *box, path, "-")
    services = office.services
    services.sequencer.run()
    judged = verify_everything(
        services.database, services.store, services.log_key.verifier, lambda *_: None
    )
    assert [one.check for one in judged.findings] == []


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0)], ids=["head first", "deputy first"])
@pytest.mark.parametrize("level", ["B-T", "B-LT"])
def test_cards_and_keys_of_the_service_mixed_reach_the_level_in_any_order(
    tmp_path: Path,
    prepared: Path,
    clock: ManualClock,
    pki: LivePki,
    order: tuple[int, ...],
    level: str,
) -> None:
    office = persons_at(tmp_path, prepared, clock, pki, level)
    try:
        card = give(office, card_of(pki, "person-second"), SECOND_LEADER)
        document = approved(office, WORKFLOW)
        chosen = [ANY_ORDER[number] for number in order]
        for login, trigger in chosen:
            clock.advance(timedelta(minutes=5))
            if login == SECOND_LEADER:
                carry(office, document, trigger, card, login)
            else:
                sign_all(office, document, [(login, trigger)])
        path = released(office, document, tmp_path)
        require_good(office, path, chosen)
        found = {one.field: one.level for one in levels_reached(path, pki.roots, now=clock.now())}
        assert found == dict.fromkeys(("Person", "Person2", "Person3", "Seal"), "B-LTA")
    finally:
        office.close()


def test_in_whose_place_each_signs_is_seen_at_each(office: Instance, tmp_path: Path) -> None:
    without_pictures(office)
    document = approved(office, WORKFLOW)
    for login, trigger, title in (
        (HEAD, "sign_as_head", "TRƯỞNG PHÒNG"),
        (SECOND_LEADER, "sign_as_deputy", "CHỦ TỊCH"),
        (LEADER, "sign_as_chairman", "GIÁM ĐỐC"),
    ):
        fired(office, login, document, trigger, mandate=deputy(office, login, title))
    path = released(office, document, tmp_path)
    words = run("pdftotext", path, "-")
    for title in ("TRƯỞNG PHÒNG", "CHỦ TỊCH", "GIÁM ĐỐC"):
        assert words.count(f"KT. {title}") == 1
    with pikepdf.open(path) as pdf:
        reasons = [str(f.V.get("/Reason", "")) for f in pdf.Root.AcroForm.Fields]
    assert reasons == ["KT. TRƯỞNG PHÒNG", "KT. GIÁM ĐỐC", "KT. CHỦ TỊCH", ""]


def fired(office: Instance, login: str, document: str, trigger: str, **wanted: Any) -> None:
    version = office.row(document)["version"]
    desk, actor = office.services.desk, office.actor(login)
    office.run(fire(desk, actor, document, trigger, {}, if_version=version, **wanted))


def test_who_is_first_may_place_the_others_elsewhere(office: Instance, tmp_path: Path) -> None:
    document = approved(office, WORKFLOW)
    place = {"signature3": {"page": 1, "x": 20, "y": 120}}
    fired(office, HEAD, document, "sign_as_head", place=place)
    sign_all(office, document, ANY_ORDER[:2])
    found = lefts(released(office, document, tmp_path))
    assert found["Person2"] == pytest.approx(AT["sign_as_chairman"], abs=0.01)
    assert found["Person3"] == pytest.approx(20 * MM, abs=0.01)  # the deputy's, who is listed after


def test_the_seal_is_beside_the_one_that_is_listed_first_whoever_signs_first(
    office: Instance, tmp_path: Path
) -> None:
    seals = set()
    for order in (ANY_ORDER, ANY_ORDER[::-1]):
        document = approved(office, WORKFLOW)
        sign_all(office, document, order)
        seals.add(round(lefts(released(office, document, tmp_path))["Seal"]))
    (left,) = seals
    assert left < AT["sign_as_chairman"] < left + 60 * MM


def test_a_seal_that_would_cover_another_person_fails_the_first_and_nothing_is_signed(
    office: Instance,
) -> None:
    document = approved(office, WORKFLOW)
    with pytest.raises(InvalidInputError, match="would cover personal signature 3") as refused:
        fired(
            office,
            HEAD,
            document,
            "sign_as_head",
            place={"signature3": {"page": -1, "x": 70, "y": 225}},
        )
    assert refused.value.code == "stamp-overlap"
    assert not office.rows("files", document_id=document, form="signed")


def test_who_signed_and_who_signed_for_another_are_refused(office: Instance) -> None:
    document = approved(office, WORKFLOW)
    sign_all(office, document, ANY_ORDER[:1])
    with pytest.raises(ConflictError) as again:
        office.fire(SECOND_LEADER, document, "sign_as_chairman")
    assert again.value.code == "already-signed"
    with pytest.raises(ForbiddenError) as twice:
        office.fire(LEADER, document, "sign_as_deputy")
    assert twice.value.code == "separation-of-duties"
    with pytest.raises(ConflictError) as early:
        office.fire(CLERK, document, "release")
    assert early.value.code == "not-from-this-state"
    with pytest.raises(InvalidInputError) as placed:
        fired(office, HEAD, document, "sign_as_head", place={"signature": "top-left"})
    assert placed.value.code == "stamp-anchor"
    allowed = {one.trigger: one.allowed for one in office.show(HEAD, document).available}
    assert allowed["sign_as_head"]
    assert not allowed["sign_as_chairman"]


def test_while_one_signs_the_others_wait(office: Instance, tmp_path: Path) -> None:
    document = approved(office, WORKFLOW)
    asked = office.fire(SECOND_LEADER, document, "sign_as_deputy")
    with pytest.raises(ConflictError) as waiting:
        office.fire(HEAD, document, "sign_as_head")
    assert waiting.value.code == "signing-in-progress"
    office.run(asked)
    sign_all(office, document, (ANY_ORDER[2], ANY_ORDER[0]))
    path = released(office, document, tmp_path)
    require_good(office, path, (ANY_ORDER[1], ANY_ORDER[2], ANY_ORDER[0]))


def test_a_confidential_one_is_signed_in_any_order_and_never_lies_in_the_clear(
    office: Instance,
) -> None:
    office.clear(SPECIALIST, HEAD, LEADER, SECOND_LEADER)
    document = office.sealed_draft(workflow=WORKFLOW)
    office.fire(SPECIALIST, document, "submit")
    office.fire(HEAD, document, "approve")
    sign_all(office, document, ANY_ORDER[::-1])
    assert office.row(document)["state"] == "signed"
    steps = office.rows("signature_steps", document_id=document, step="signed")
    assert sorted(step["evidence"]["slot"] for step in steps) == [1, 2, 3]
    for step in steps:
        with office.services.store.open(step["storage_key"]) as file:
            assert b"%PDF" not in file.read()


def test_a_return_drops_what_was_signed_and_everyone_signs_anew(
    office: Instance, tmp_path: Path
) -> None:
    document = approved(office, WORKFLOW)
    sign_all(office, document, ANY_ORDER[:2])
    assert [one.split()[0] for one in office.row(document)["fired_by"][SIGNED]] == [
        trigger for _, trigger in ANY_ORDER[:2]
    ]
    office.fire(HEAD, document, "return", reason="một lỗi chính tả")
    assert SIGNED not in office.row(document)["fired_by"]
    office.fire(SPECIALIST, document, "submit")
    office.fire(HEAD, document, "approve")
    # the chairman may be the deputy this time: nothing of before is on the file
    again = (
        (LEADER, "sign_as_deputy"),
        (HEAD, "sign_as_head"),
        (SECOND_LEADER, "sign_as_chairman"),
    )
    sign_all(office, document, again)
    require_good(office, released(office, document, tmp_path), again)


def test_who_signs_unseen_among_them_is_not_on_the_page(
    tmp_path: Path, prepared: Path, clock: ManualClock
) -> None:
    office = persons_office(tmp_path / "office", prepared, clock, unseen=("sign_as_deputy",))
    try:
        document = approved(office, WORKFLOW)
        sign_all(office, document, (ANY_ORDER[1], ANY_ORDER[0], ANY_ORDER[2]))
        path = released(office, document, tmp_path)
        found = lefts(path)
        assert found["Person"] == 0.0
        assert found["Person2"] == pytest.approx(AT["sign_as_chairman"], abs=0.01)
        assert found["Person3"] == pytest.approx(AT["sign_as_head"], abs=0.01)
        assert found["Seal"] > 0  # beside the chairman's, though the first one is not seen
        assert run("pdfsig", "-nocert", path).count("Signature is Valid") == 4
    finally:
        office.close()


def test_a_document_half_signed_before_places_were_kept_is_finished(
    office: Instance, tmp_path: Path
) -> None:
    document = approved(office, "outgoing-three")
    sign_all(office, document, THREE[:1])
    fired_by = office.row(document)["fired_by"]
    del fired_by[SIGNED]
    with closing(sqlite3.connect(str(office.database.engine.url.database))) as old:
        written = (json.dumps(fired_by), document)  # as a service of before wrote it
        old.execute("UPDATE documents SET fired_by = ? WHERE id = ?", written)
        old.commit()
    sign_all(office, document, THREE[1:])
    assert SIGNED not in office.row(document)["fired_by"]
    path = released(office, document, tmp_path)
    assert run("pdfsig", "-nocert", path).count("Signature is Valid") == 4
