"""Certificates that the office file names, and which of several is encrypted to."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from docflow import bootstrap
from docflow.db import Database
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConfigurationError, ConflictError, DevelopmentModeWarning
from docflow.people.certificates import MOST_IN_FORCE, RecipientCertificates
from docflow.people.certifying import openers_of
from docflow.people.openers import Openers
from docflow.people.seed_models import OfficeSeed
from docflow.settings import Settings
from docflow.signing.trust import sha256_of
from tests.sealed_support import opener, pem
from tests.service.people_office import ADMINISTRATOR, SampleOffice, sample_seed


@pytest.fixture
def office(database: Database) -> SampleOffice:
    return SampleOffice.make(database)


def naming(**files: str) -> OfficeSeed:
    """The sample office, with certificate files of recipients."""
    listed = tuple(
        one.model_copy(update={"certificate": files.get(one.code)})
        for one in sample_seed().recipients
    )
    return sample_seed().model_copy(update={"recipients": listed})


def on_record(office: SampleOffice, **filters: Any) -> list[str]:
    certificates = RecipientCertificates(office.database)
    page = certificates.list(office.actor(ADMINISTRATOR), **filters)
    return [one.row["sha256"] for one in page.items]


def test_a_certificate_of_the_office_file_is_recorded_once_and_stays_revoked(
    office: SampleOffice, clock: ManualClock, tmp_path: Path
) -> None:
    one, administrator = opener(clock), office.actor(ADMINISTRATOR)
    (tmp_path / "stc.pem").write_bytes(pem(one.certificate))
    certificates = RecipientCertificates(office.database)
    assert certificates.record_from_office(naming(STC="stc.pem"), tmp_path) == 1
    assert certificates.record_from_office(naming(STC="stc.pem"), tmp_path) == 0
    digest = sha256_of(one.certificate)
    assert on_record(office) == [digest]
    (row,) = [x.row for x in certificates.list(administrator).items]
    certificates.revoke(administrator, row["recipient_id"], digest, "Lộ khoá.")
    clock.advance(timedelta(days=800))  # expired as well, which a second run does not mind
    assert certificates.record_from_office(naming(STC="stc.pem"), tmp_path) == 0
    assert on_record(office, revoked=True) == [digest]


def test_a_file_that_cannot_be_used_is_named(
    office: SampleOffice, clock: ManualClock, tmp_path: Path
) -> None:
    certificates = RecipientCertificates(office.database)
    with pytest.raises(ConfigurationError, match=r"STC.*none\.pem.*cannot be read"):
        certificates.record_from_office(naming(STC="none.pem"), tmp_path)
    wrong = opener(clock, uses=("digital_signature",))
    (tmp_path / "stc.pem").write_bytes(pem(wrong.certificate))
    with pytest.raises(ConfigurationError, match=r"STC: .*keyAgreement"):
        certificates.record_from_office(naming(STC="stc.pem"), tmp_path)
    assert on_record(office) == []


def test_a_fresh_development_instance_can_release_confidentially_at_once(
    office: SampleOffice, clock: ManualClock, tmp_path: Path
) -> None:
    settings = Settings.load(data_dir=tmp_path)
    outside = [one for one in sample_seed().recipients if one.external]
    with pytest.warns(DevelopmentModeWarning, match="throw-away"):
        assert bootstrap.certify_recipients(settings, office.database) == len(outside)
    assert bootstrap.certify_recipients(settings, office.database) == 0
    listed = office.recipients.list(office.actor(ADMINISTRATOR), external=True).items
    with office.database.read() as connection:
        found = Openers().usable(connection, [one.id for one in listed], clock.now())
    assert len(found) == len(outside)
    production = Settings.load(data_dir=tmp_path / "other", environment="production")
    with pytest.raises(ConfigurationError, match="DOCFLOW_OFFICE_FILE"):
        bootstrap.certify_recipients(production, office.database)
    assert not (tmp_path / "other").exists()


def test_who_has_none_and_who_has_a_bad_one_are_told_together(
    office: SampleOffice, clock: ManualClock
) -> None:
    certificates, administrator = (
        RecipientCertificates(office.database),
        office.actor(ADMINISTRATOR),
    )
    ids = {one.code: one.id for one in office.recipients.list(administrator).items}
    short = opener(clock, valid_until=clock.now() + timedelta(days=1))
    certificates.add(administrator, ids["STC"], pem(short.certificate))
    certificates.add(administrator, ids["SNV"], pem(opener(clock, which=1).certificate))
    clock.advance(timedelta(days=2))
    with office.database.read() as connection, pytest.raises(ConflictError) as caught:
        Openers().usable(connection, [ids["STC"], ids["SNV"], ids["SYT"]], clock.now())
    told = {one["recipient"]: one["reasons"] for one in caught.value.extra["recipients"]}
    assert set(told) == {"Sở Tài chính", "Sở Y tế"}
    assert "expired on" in told["Sở Tài chính"][0]
    assert told["Sở Y tế"] == ["is not on record"]


def test_a_recipient_has_a_bounded_number_of_them(office: SampleOffice, clock: ManualClock) -> None:
    certificates, administrator = (
        RecipientCertificates(office.database),
        office.actor(ADMINISTRATOR),
    )
    (stc,) = office.recipients.list(administrator, code="STC").items
    for which in range(MOST_IN_FORCE):
        certificates.add(administrator, stc.id, pem(opener(clock, which=which).certificate))
    with pytest.raises(ConflictError) as caught:
        certificates.add(administrator, stc.id, pem(opener(clock, which=99).certificate))
    assert caught.value.code == "too-many-certificates"


def test_a_recovery_certificate_that_cannot_be_used_stops_the_start(
    clock: ManualClock, tmp_path: Path
) -> None:
    path = tmp_path / "escrow.pem"
    settings = Settings.load(data_dir=tmp_path, recovery_certificate_file=path)
    with pytest.raises(ConfigurationError, match=r"RECOVERY_CERTIFICATE_FILE.*cannot be read"):
        openers_of(settings, clock.now())
    path.write_bytes(pem(opener(clock, uses=("digital_signature",)).certificate))
    with pytest.raises(ConfigurationError, match=r"escrow\.pem.*keyAgreement"):
        openers_of(settings, clock.now())
    escrow = opener(clock)
    path.write_bytes(pem(escrow.certificate))
    found = openers_of(settings, clock.now()).recovery(clock.now())
    assert found is not None
    assert found.certificate == escrow.certificate
