"""What the office leans on is told of 60, 30 and 7 days before it ends, and once it is over."""

from datetime import timedelta
from pathlib import Path

from cryptography import x509

from docflow.kernel.clock import ManualClock
from docflow.release import expiry, standing
from docflow.release.expiry import CertificateStanding
from docflow.signing.trust import sha256_of
from tests import card_support, sealed_support
from tests.levels_support import Offices, card_of
from tests.office_support import ADMINISTRATOR, LEADER, Instance
from tests.pki_support import LivePki
from tests.sealed_support import opener
from tests.unit.signing.forge import Forge, Recipe
from tests.unit.signing.test_verification_trust import service, trusted_list

DAY = timedelta(days=1)


def told(office: Instance, use: str) -> list[CertificateStanding]:
    anchors = office.services.studio.verifier.anchors
    return [one for one in expiry.leaned_on(office.services.desk, anchors) if one.use == use]


def names(found: list[CertificateStanding]) -> list[tuple[str, int | None]]:
    return [(one.name, one.warning) for one in found]


def write(path: Path, *certificates: x509.Certificate) -> Path:
    path.write_bytes(b"".join(map(sealed_support.pem, certificates)))
    return path


def test_seal_persons_and_the_authorities_above_them_are_told(
    offices: Offices, clock: ManualClock, pki: LivePki
) -> None:
    office = offices(signers={"seal": "expiring"})
    assert names(told(office, "seal")) == [("Con dấu sắp hết hạn", 30)]
    assert names(told(office, "person")) == [("Nguyễn Hồng Sơn", None)]
    (authority,) = told(office, "authority")
    assert authority.sha256 == sha256_of(pki.certificate("authority"))
    (root,) = told(office, "root")
    assert root.sha256 == sha256_of(pki.certificate("root"))
    end = pki.certificate("authority").not_valid_after_utc
    for days, warning in ((61, None), (60, 60), (30, 30), (7, 7), (0, 0), (-3, 0)):
        now = clock.now()
        clock.advance(end - days * DAY - now)
        (authority,) = told(office, "authority")
        assert (authority.warning, authority.days_left) == (warning, days)
        clock.advance(now - clock.now())


def test_what_authorities_stamp_with_is_looked_at_by_a_duty_once_a_day_and_kept(
    offices: Offices, clock: ManualClock, pki: LivePki
) -> None:
    office = offices(tsas=("tsa-ending", "tsa-second"))
    desk = office.services.desk
    assert told(office, "timestamp-authority") == []
    duties = {name: call for name, _, call in office.services.duties()}
    with pki.fails("/tsa/tsa-second", "away"):
        assert duties["stamping-certificates"]() == 1
    assert expiry.look_at_authorities(desk) == 1  # the one that was away
    assert expiry.look_at_authorities(desk) == 0
    first, second = told(office, "timestamp-authority")
    assert first.name.startswith("tsa-ending: ")
    assert (first.warning, second.warning) == (None, None)
    assert first.sha256 == sha256_of(pki.certificate("tsa-ending"))
    asked = len(pki.requests)
    clock.advance(60 * DAY)
    first, _ = told(office, "timestamp-authority")
    assert (first.warning, first.days_left) == (60, 30)  # 30 days and some hours
    assert len(pki.requests) == asked  # telling asks nobody
    assert expiry.look_at_authorities(desk) == 2


def test_an_enrolled_card_is_told_when_it_ends_soon_and_a_revoked_one_is_not(
    offices: Offices, clock: ManualClock, pki: LivePki
) -> None:
    office = offices()
    card_support.give(office, card_of(pki, "person-second"))
    assert told(office, "card") == []
    end = pki.certificate("person-second").not_valid_after_utc
    clock.advance(end - 30 * DAY - clock.now())
    (card,) = told(office, "card")
    assert (card.warning, card.days_left, card.kind) == (30, 30, "person")
    clock.advance(31 * DAY)
    assert told(office, "card")[0].warning == 0
    (row,) = office.rows("person_certificates")
    leader = office.actor(LEADER)
    office.services.signer_certificates.revoke(leader, leader.id, row["id"], "Thẻ đã hết hạn.")
    assert told(office, "card") == []


def test_of_a_recipient_the_certificate_that_lasts_longest_counts(
    offices: Offices, clock: ManualClock
) -> None:
    office = offices()
    ending = opener(clock, valid_until=clock.now() + 20 * DAY)
    sealed_support.give(office, "STC", ending)
    (one,) = [
        one for one in told(office, "recipient") if one.sha256 == sha256_of(ending.certificate)
    ]
    assert (one.warning, one.kind) == (30, "organisation")
    sealed_support.give(office, "STC", opener(clock, which=1))
    assert sha256_of(ending.certificate) not in {one.sha256 for one in told(office, "recipient")}


def test_anchors_lists_and_what_encryption_needs_are_told(
    offices: Offices, clock: ManualClock, tmp_path: Path
) -> None:
    forge = Forge()

    def root(days: int) -> x509.Certificate:
        recipe = Recipe(
            {x509.NameOID.COMMON_NAME: f"Root of {days} days"}, authority=True,
            usage=frozenset({"key_cert_sign"}), valid_until=clock.now() + days * DAY,
        )  # fmt: skip
        return forge.issue(recipe, self_made=True).certificate

    trust = tmp_path / "trust"
    trust.mkdir()
    write(trust / "partners.pem", root(50), root(900), root(5))
    (trust / "vn.xml").write_bytes(trusted_list(service(forge.root)))
    escrow = opener(clock, valid_until=clock.now() + 25 * DAY)
    office = offices(
        trust_dir=trust,
        trust_lists_unsigned="accept",
        recipient_roots_file=write(tmp_path / "recipients.pem", root(40)),
        recovery_certificate_file=write(tmp_path / "escrow.pem", escrow.certificate),
    )
    assert names(told(office, "anchor")) == [("Root of 5 days", 7), ("Root of 50 days", 60)]
    assert names(told(office, "recipient-root")) == [("Root of 40 days", 60)]
    assert [one.warning for one in told(office, "recovery")] == [30]
    assert told(office, "trusted-list") == []
    clock.advance(45 * DAY)  # it is to be replaced by 1 June
    (listed,) = told(office, "trusted-list")
    assert (listed.name, listed.warning, listed.sha256) == ("vn.xml", 60, None)
    assert names(told(office, "anchor")) == [("Root of 50 days", 7)]  # what is over is no news


def test_the_standing_has_them_all_in_order(offices: Offices) -> None:
    office = offices(signers={"seal": "expiring"})
    services = office.services
    expiry.look_at_authorities(services.desk)
    found = standing.standing(services.keeper, office.actor(ADMINISTRATOR)).certificates
    assert [one.use for one in found] == [
        "seal", "person", "timestamp-authority", "authority", "root"
    ]  # fmt: skip
