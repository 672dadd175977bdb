"""Several persons sign one PDF through the real jobs, and everyone finds their signatures valid."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from docflow.audit.verify import verify_everything
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConflictError, ForbiddenError, InvalidInputError
from docflow.release import persons
from docflow.signing.ades import levels_reached
from docflow.signing.archive import renew, validate_renewed
from docflow.signing.report import PASSED
from tests.levels_support import longterm
from tests.office_support import CLERK, HEAD, LEADER, SPECIALIST, Instance
from tests.persons_support import (
    HEAD_FIRST,
    LEADER_FIRST,
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
from tests.unit.signing.forge import run

Order = Sequence[tuple[str, str]]


@pytest.fixture
def office(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Instance]:
    made = persons_office(tmp_path, prepared, clock)
    yield made
    made.close()


def logins(office: Instance, order: Order) -> list[str]:
    """Return the fingerprints of those who sign in this order."""
    signers, now = office.services.studio.signers, office.services.clock.now()
    return [signers.person(login, "", now).sha256 for login, _ in order]


def require_good(office: Instance, path: Path, order: Order) -> None:
    """Judge a released file by poppler, by qpdf and by our own verifier."""
    count = len(order)
    fields = ["Person", *(f"Person{number}" for number in range(2, count + 1)), "Seal"]
    told = run("pdfsig", "-nocert", path).split("Signature #")[1:]
    signatures = [one for one in told if "ETSI.CAdES" in one]
    assert len(signatures) == count + 1
    for field, one in zip(fields, signatures, strict=True):
        assert f"Field Name: {field}\n" in one
        assert "Signature is Valid." in one
    assert "  - Total document signed" in told[-1]
    assert "No syntax or stream encoding errors" in run("qpdf", "--check", path)
    report = report_on(office, path)
    assert report.indication == PASSED
    found = [one for one in report.signatures if one.kind == "signature"]
    assert [one.field for one in found] == fields
    assert all(one.ours and one.intact for one in found)
    assert [one.certificate_sha256 for one in found[:-1]] == logins(office, order)
    assert [one.certifies for one in found] == [True, *[False] * count]


@pytest.mark.parametrize(
    ("workflow", "order"),
    [
        ("outgoing-joint", HEAD_FIRST),
        ("outgoing-joint", LEADER_FIRST),
        ("outgoing-three", THREE),
    ],
    ids=["head first", "leader first", "three"],
)
def test_a_document_signed_by_several_is_released(
    office: Instance, tmp_path: Path, workflow: str, order: Order
) -> None:
    document = approved(office, workflow)
    sign_all(office, document, order)
    before = stored(office, document, "signed", tmp_path)
    assert len(office.rows("files", document_id=document, form="signed")) == len(order)
    office.run(office.fire(CLERK, document, "release"))
    path = stored(office, document, "released", tmp_path)
    require_good(office, path, order)
    assert path.read_bytes().startswith(before.read_bytes())  # what they signed stays as it was
    assert office.row(document)["state"] == "released"
    uses = office.rows("certificate_uses", document_id=document, role="person")
    assert sorted(one["certificate_sha256"] for one in uses) == sorted(logins(office, order))
    (validated,) = [
        row for row in office.rows("signature_steps", document_id=document)
        if row["step"] == "validated"
    ]  # fmt: skip
    assert len(validated["evidence"]["others"]) == len(order) - 1
    services = office.services
    services.sequencer.run()
    judged = verify_everything(
        services.database, services.store, services.log_key.verifier, lambda *_: None
    )
    assert [one.check for one in judged.findings] == []


def test_each_person_of_a_time_stamped_release_reaches_the_level_and_a_renewal_keeps_it(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> None:
    office = persons_at(tmp_path, prepared, clock, pki)
    try:
        document = approved(office, "outgoing-three")
        sign_all(office, document, THREE)
        steps = office.rows("signature_steps", document_id=document, step="signed")
        assert {row["evidence"]["level"] for row in steps} == {"B-T"}
        office.run(office.fire(CLERK, document, "release"))
        path = stored(office, document, "released", tmp_path)
        require_good(office, path, THREE)
        found = [(one.field, one.level) for one in levels_reached(path, pki.roots, now=clock.now())]
        names = ("Person", "Person2", "Person3", "Seal")
        assert found == [(field, "B-LTA") for field in names]
        (released,) = office.rows("files", document_id=document, form="released")
        clock.advance(timedelta(days=1))
        renewed = renew(
            path, tmp_path / "renewed.pdf", longterm(pki, "tsa-second"), now=clock.now()
        )
        validate_renewed(
            tmp_path / "renewed.pdf", pki.roots, pki.roots, now=clock.now(),
            before=(released["sha256"], released["size"]), number=renewed.number,
        )  # fmt: skip
    finally:
        office.close()


def test_what_not_everyone_has_signed_is_not_sealed(office: Instance) -> None:
    document = approved(office, "outgoing-joint")
    sign_all(office, document, HEAD_FIRST[:1])
    with pytest.raises(ConflictError) as caught:
        office.fire(CLERK, document, "release")
    assert caught.value.code == "not-from-this-state"
    # and if the workflow let it: the job counts the signatures on the very file
    known = persons.on_files(office.services.studio, document)
    (carried,) = known.values()
    with pytest.raises(ConflictError, match="carries 1 of 2 personal signatures") as caught:
        persons.require_all(carried, persons.how_many(office.services.studio, document))
    assert caught.value.code == "signature-missing"


def test_one_person_does_not_sign_for_two(office: Instance) -> None:
    document = approved(office, "outgoing-three")
    sign_all(office, document, THREE[:1])
    with pytest.raises(ForbiddenError) as caught:
        office.fire(LEADER, document, "countersign")
    assert caught.value.code == "separation-of-duties"
    office.run(office.fire(SECOND_LEADER, document, "countersign"))
    assert office.row(document)["state"] == "second"


def test_a_return_drops_every_signature_and_all_sign_anew(office: Instance, tmp_path: Path) -> None:
    document = approved(office, "outgoing-joint")
    sign_all(office, document, HEAD_FIRST)
    office.fire(HEAD, document, "return", reason="Sửa nơi nhận")
    assert office.rows("files", document_id=document, form="signed", current=True) == []
    office.fire(SPECIALIST, document, "submit")
    office.fire(HEAD, document, "approve")
    sign_all(office, document, LEADER_FIRST)
    office.run(office.fire(CLERK, document, "release"))
    require_good(office, stored(office, document, "released", tmp_path), LEADER_FIRST)


def test_two_people_sign_a_confidential_document_that_never_lies_in_the_clear(
    office: Instance,
) -> None:
    office.clear(SPECIALIST, HEAD, LEADER)
    document = office.sealed_draft(workflow="outgoing-joint")
    office.fire(SPECIALIST, document, "submit")
    office.fire(HEAD, document, "approve")
    sign_all(office, document, LEADER_FIRST)
    assert office.row(document)["state"] == "signed"
    made = office.rows("files", document_id=document, form="signed")
    assert len({file["data_key_id"] for file in made} - {None}) == len(LEADER_FIRST)
    for file in made:
        with office.services.store.open(file["storage_key"]) as stored_file:
            assert b"%PDF" not in stored_file.read()
    (known,) = [
        whose for digest, whose in persons.on_files(office.services.studio, document).items()
        if digest == next(file["sha256"] for file in made if file["current"])
    ]  # fmt: skip
    assert [one["certificate_sha256"] for one in known] == logins(office, LEADER_FIRST)


def test_nothing_more_goes_on_a_page_that_is_signed(office: Instance) -> None:
    from docflow.documents.fire import fire

    document = approved(office, "outgoing-joint")
    sign_all(office, document, HEAD_FIRST[:1])
    with pytest.raises(InvalidInputError) as caught:
        fire(
            office.services.desk, office.actor(LEADER), document, "countersign_as_leader", {},
            if_version=office.row(document)["version"], place={"number": "top-left"},
        )  # fmt: skip
    assert caught.value.code == "stamp-anchor"
    assert office.row(document)["pending"] is None


def test_a_file_that_another_hand_put_in_the_place_of_the_signed_one_is_signed_by_nobody(
    office: Instance,
) -> None:
    from docflow.kernel.errors import DocflowError

    document = approved(office, "outgoing-joint")
    sign_all(office, document, HEAD_FIRST[:1])
    (signed,) = office.rows("files", document_id=document, form="signed")
    path = office.folder / "store" / signed["storage_key"]
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(data))
    asked = office.fire(LEADER, document, "countersign_as_leader")
    with pytest.raises(DocflowError):
        office.run(asked)
    assert office.row(document)["state"] == "head_signed"
