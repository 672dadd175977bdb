"""A certificate signs for one person: the one it is enrolled for, and nobody once it is revoked."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from docflow.db import migrate
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConfigurationError, ConflictError, InvalidInputError
from docflow.signing.signersfile import signers_from_file
from tests.card_support import give
from tests.levels_support import card_of, office_at, write_signers
from tests.office_support import ADMINISTRATOR, CLERK, LEADER, Instance
from tests.pki_support import LivePki


@pytest.fixture
def office(tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki) -> Iterator[Instance]:
    made = office_at(
        tmp_path, prepared, clock, pki, person="level: B-B", signers={CLERK: "person-second"}
    )
    yield made
    made.close()


def refused_to_sign(office: Instance) -> str:
    document_id = office.to_approved(office.draft())
    with pytest.raises(ConflictError) as caught:
        office.fire(LEADER, document_id, "sign")
    return caught.value.code


@pytest.mark.parametrize(("login", "label"), [(CLERK, "person"), (LEADER, "person-third")])
def test_the_service_signs_only_for_whom_the_signers_file_names(
    office: Instance, pki: LivePki, login: str, label: str
) -> None:
    certificates = office.services.signer_certificates
    with pytest.raises(InvalidInputError) as caught:
        certificates.enrol(
            office.actor(ADMINISTRATOR), office.actor(login).id, card_of(pki, label).pem, "service"
        )
    assert caught.value.code == "certificate-unfit"
    assert "signers file" in caught.value.detail
    assert not office.rows("person_certificates")


def test_a_certificate_that_is_enrolled_for_somebody_else_signs_nothing(
    office: Instance, pki: LivePki
) -> None:
    asked = office.fire(LEADER, office.to_approved(office.draft()), "sign")
    give(office, card_of(pki, "person"), CLERK)
    assert refused_to_sign(office) == "certificate-not-enrolled"
    with pytest.raises(ConflictError) as caught:
        office.run(asked)
    assert caught.value.code == "certificate-not-enrolled"


def test_a_certificate_that_was_revoked_for_anybody_signs_nothing(
    office: Instance, pki: LivePki
) -> None:
    give(office, card_of(pki, "person"), CLERK)
    (row,) = office.rows("person_certificates")
    office.services.signer_certificates.revoke(
        office.actor(ADMINISTRATOR), row["person_id"], row["id"], "By mistake."
    )
    assert refused_to_sign(office) == "certificate-revoked"


def test_one_key_for_two_people_stops_the_start(
    tmp_path: Path, pki: LivePki, clock: ManualClock
) -> None:
    path = write_signers(tmp_path, pki, **{CLERK: "person"})
    with pytest.raises(ConfigurationError, match="have the same key"):
        signers_from_file(path, now=clock.now())


def test_what_was_enrolled_by_mistake_goes_to_whom_it_belongs(
    office: Instance, pki: LivePki
) -> None:
    certificates, administrator = office.services.signer_certificates, office.actor(ADMINISTRATOR)
    card, clerk, leader = card_of(pki, "person"), office.actor(CLERK), office.actor(LEADER)
    give(office, card, CLERK)
    with pytest.raises(ConflictError) as caught:
        certificates.enrol(administrator, leader.id, card.pem, "service")
    assert caught.value.code == "certificate-known"
    (row,) = office.rows("person_certificates")
    certificates.revoke(administrator, clerk.id, row["id"], "By mistake.")
    with pytest.raises(ConflictError) as caught:
        certificates.enrol(administrator, clerk.id, card.pem, "card")
    assert caught.value.code == "certificate-known"
    enrolled = certificates.enrol(administrator, leader.id, card.pem, "service")
    assert enrolled.state == "enrolled"
    office.to_signed(office.draft())
    certificates.revoke(administrator, leader.id, enrolled.id, "It signed.")
    for person in (clerk, leader, office.actor(ADMINISTRATOR)):
        with pytest.raises(ConflictError) as caught:
            certificates.enrol(administrator, person.id, card.pem, "card")
        assert caught.value.code == "certificate-known"


def test_the_migration_keeps_certificates_and_the_sessions_that_name_them(
    office: Instance, pki: LivePki
) -> None:
    give(office, card_of(pki, "person-third"))
    office.run(office.fire(LEADER, office.to_approved(office.draft()), "sign"))
    before = {
        name: office.rows(name)
        for name in ("person_certificates", "signing_sessions", "history_entries")
    }
    assert before["signing_sessions"]
    migrate.downgrade(office.database, "0013")
    migrate.upgrade(office.database)
    assert {name: office.rows(name) for name in before} == before
    assert migrate.drift(office.database) == []
    with office.database.read() as connection:
        assert connection.execute(sa.text("PRAGMA foreign_key_check")).all() == []
