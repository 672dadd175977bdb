"""What its authority revoked signs at no level; where nobody tells, what is made says so."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConflictError
from docflow.signing.pades import sign_person
from docflow.signing.signedsince import require_standing
from tests.card_support import answer_session, give
from tests.levels_support import Offices, card_of, longterm
from tests.office_support import ADMINISTRATOR, CLERK, LEADER
from tests.pki_support import START, LivePki
from tests.unit.signing.forge import make_pdf


@pytest.mark.parametrize("level", ["B-B", "B-T"])
def test_a_signer_that_its_authority_revoked_signs_at_no_level(
    offices: Offices, level: str
) -> None:
    office = offices(person=f"level: {level}", signers={"person": "revoked"})
    document_id = office.to_approved(office.draft())
    asked = office.fire(LEADER, document_id, "sign")
    with pytest.raises(ConflictError) as caught:
        office.run(asked)
    assert caught.value.code == "signer-revoked"
    assert not office.rows("certificate_uses")


@pytest.mark.parametrize("level", ["B-B", "B-T"])
def test_a_seal_that_its_authority_revoked_seals_at_no_level(offices: Offices, level: str) -> None:
    office = offices(
        person="level: B-B", seal=f", level: {level}", signers={"seal": "seal-revoked"}
    )
    document_id = office.to_signed(office.draft())
    asked = office.fire(CLERK, document_id, "release")
    with pytest.raises(ConflictError) as caught:
        office.run(asked)
    assert caught.value.code == "signer-revoked"
    assert not office.rows("deliveries", document_id=document_id)


@pytest.mark.parametrize("seal", ["B-B", "B-T", "B-LTA"])
@pytest.mark.parametrize("person", ["B-B", "B-T"])
def test_what_a_person_signed_who_is_found_to_be_revoked_is_not_sealed(
    offices: Offices, pki: LivePki, clock: ManualClock, person: str, seal: str
) -> None:
    office = offices(
        person=f"level: {person}", seal=f", level: {seal}", signers={"person": "revoked"}
    )
    with pki.fails("ocsp", "away"), pki.fails("crls", "away"):
        document_id = office.to_signed(office.draft())  # nobody told then
    clock.advance(timedelta(minutes=2))
    asked = office.fire(CLERK, document_id, "release")
    with pytest.raises(ConflictError, match="who signed, was revoked since") as caught:
        office.run(asked)
    assert caught.value.code == "signer-revoked"
    assert not office.rows("deliveries", document_id=document_id)


def test_a_time_stamp_that_is_older_than_the_revocation_keeps_a_signature_good(
    pki: LivePki, tmp_path: Path
) -> None:
    before = datetime(2025, 6, 1, tzinfo=UTC)
    (tmp_path / "a.pdf").write_bytes(make_pdf("Điều 1"))
    for level in ("B-B", "B-T"):
        pki.now = lambda: before
        signer = pki.identity("revoked", "person")
        signed = tmp_path / f"{level}.pdf"
        sign_person(
            tmp_path / "a.pdf", signed, signer, now=before, level=level, longterm=longterm(pki)
        )
        pki.now = lambda: START
        asking = longterm(pki, ask_revocation=True)
        if level == "B-T":
            require_standing(signed, asking, START)
        else:
            with pytest.raises(ConflictError):
                require_standing(signed, asking, START)
        with pki.fails("ocsp", "away"), pki.fails("crls", "away"):
            require_standing(signed, longterm(pki, ask_revocation=True), START)  # nobody tells


def test_where_nobody_tells_a_basic_signature_is_made_and_says_so(
    offices: Offices, pki: LivePki, clock: ManualClock
) -> None:
    office = offices(person="level: B-B", seal=", level: B-T")
    with pki.fails("ocsp", "away"), pki.fails("crls", "away"):
        document_id = office.to_released(office.draft())
    steps = {row["step"]: row["evidence"] for row in office.rows("signature_steps")}
    for step in ("signed", "sealed"):
        assert "cannot be told" in steps[step]["revocation_unknown"]
    clock.advance(timedelta(minutes=2))  # responders are back, and are asked again
    other = office.to_released(office.draft())
    steps = {row["step"]: row["evidence"] for row in office.rows("signature_steps")
             if row["document_id"] == other}  # fmt: skip
    assert all("revocation_unknown" not in one for one in steps.values())
    assert document_id != other


def test_an_authority_of_which_nobody_tells_hides_no_revoked_signer(
    offices: Offices, pki: LivePki
) -> None:
    office = offices(person="level: B-B", signers={"person": "revoked"})
    document_id = office.to_approved(office.draft())
    asked = office.fire(LEADER, document_id, "sign")
    with pki.fails("crls/root", "away"), pytest.raises(ConflictError) as caught:
        office.run(asked)
    assert caught.value.code == "signer-revoked"


def test_a_card_that_its_authority_revoked_is_neither_enrolled_nor_proved(
    offices: Offices, pki: LivePki, clock: ManualClock
) -> None:
    office = offices()
    with pytest.raises(ConflictError) as caught:
        give(office, card_of(pki, "revoked"))
    assert caught.value.code == "certificate-revoked"
    clock.advance(timedelta(minutes=6))  # what was told is asked again
    with pki.fails("ocsp", "away"), pki.fails("crls", "away"):
        certificates, person = office.services.signer_certificates, office.actor(LEADER)
        card = card_of(pki, "revoked")
        waits = certificates.enrol(office.actor(ADMINISTRATOR), person.id, card.pem, "card")
    clock.advance(timedelta(minutes=2))
    proof = base64.b64decode(card.sign(str(waits.challenge).encode()))
    with pytest.raises(ConflictError) as caught:
        certificates.prove(person, person.id, waits.id, proof)
    assert caught.value.code == "certificate-revoked"
    assert certificates.get(person, person.id, waits.id).state == "proposed"


@pytest.mark.parametrize("when", ["asked", "answered"])
def test_a_card_that_its_authority_revoked_meanwhile_signs_nothing(
    offices: Offices, pki: LivePki, clock: ManualClock, when: str
) -> None:
    office = offices(person="level: B-B")
    with pki.fails("ocsp", "away"), pki.fails("crls", "away"):
        card = give(office, card_of(pki, "revoked"))  # nobody told then
        document_id = office.to_approved(office.draft())
        job_id = str(office.fire(LEADER, document_id, "sign").job_id)
        if when == "answered":
            office.run_job(job_id)
            job_id = answer_session(office, job_id, card)
    clock.advance(timedelta(minutes=2))
    with pytest.raises(ConflictError) as caught:
        office.run_job(job_id)
    assert caught.value.code == "signer-revoked"
    assert not office.rows("certificate_uses")
