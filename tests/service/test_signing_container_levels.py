"""Containers and signature files at every level: our gate, OpenSSL and the verifier judge."""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from docflow.kernel.errors import ConflictError, IntegrityError, OutsideUnavailableError
from docflow.signing.containerrenewal import validate_renewed_container
from docflow.signing.containerstamp import renew_container
from docflow.signing.containing import (
    SealedPart,
    SignedAnnex,
    validate_container,
    validate_detached,
)
from docflow.signing.detached import Member, sign_detached, write_container
from docflow.signing.levels import Level, for_person
from docflow.signing.manifest import ARCHIVE, MANIFEST, SIGNATURE, token
from docflow.signing.pades import seal, sign_person
from docflow.signing.report import VerificationReport
from docflow.signing.signed import Expected, SignedFile
from docflow.signing.strict import validate_release
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.dispatch import verify_any
from docflow.signing.verifying.terms import Policy
from tests.archive_support import openssl_stamped
from tests.container_support import openssl_verifies
from tests.levels_support import longterm
from tests.pki_support import START, LivePki
from tests.unit.signing.forge import make_pdf, run

PDF, TABLE, BESIDE = "quyết định.pdf", "bảng.csv", "bảng.csv.p7s"
LEVELS: tuple[Level, ...] = ("B-B", "B-T", "B-LT", "B-LTA")


@dataclass(frozen=True)
class Made:
    """A container of a sealed PDF and a signed table."""

    pki: LivePki
    path: Path
    part: SealedPart
    annex: SignedAnnex
    level: Level

    def validate(self, now: datetime = START, level: Level | None = None) -> SignedFile:
        return validate_container(
            self.path, self.pki.roots, parts=[self.part], annexes=[self.annex],
            seal=self.pki.identity("seal", "organisation", now=START).sha256,
            level=level or self.level, now=now,
        )  # fmt: skip

    def judge(self, now: datetime = START, policy: Policy | None = None) -> VerificationReport:
        return verify_any(
            self.path, self.pki.roots, now=now, own_roots=TrustRoots(()), policy=policy
        )

    def members(self, folder: Path) -> dict[str, Path]:
        found = {}
        with zipfile.ZipFile(self.path) as archive:
            for number, name in enumerate(archive.namelist()):
                found[name] = folder / f"member{number}"
                found[name].write_bytes(archive.read(name))
        return found


def make(folder: Path, pki: LivePki, level: Level, *tsas: str) -> Made:
    """Sign a table, sign and seal a PDF, and seal both in a container, all at one level."""
    maker, now = longterm(pki, *tsas), pki.now()
    person, organisation = pki.identity("person", "person"), pki.identity("seal", "organisation")
    options = {"now": now, "longterm": maker}
    plain, signed, sealed = folder / "plain.pdf", folder / "signed.pdf", folder / "sealed.pdf"
    plain.write_bytes(make_pdf("Điều 1"))
    sign_person(plain, signed, person, level=for_person(level), **options)  # type: ignore[arg-type]
    seal(signed, sealed, organisation, level=level, **options)  # type: ignore[arg-type]
    proof = validate_release(
        sealed, pki.roots, person=person.certificate, seal=organisation.certificate, now=now,
        person_level=for_person(level), seal_level=level,
    )  # fmt: skip
    table, beside, path = folder / "table", folder / "beside.p7s", folder / "c.asice"
    table.write_text("số,ngày\n1,2\n")
    sign_detached(table, beside, person, level=for_person(level), **options)  # type: ignore[arg-type]
    members = [
        Member(PDF, sealed, "application/pdf"), Member(TABLE, table, "text/csv"),
        Member(BESIDE, beside, "application/pkcs7-signature", True),
    ]  # fmt: skip
    made = write_container(path, members, organisation, level=level, **options)  # type: ignore[arg-type]
    assert (made.level, made.stamped_at) == (level, None if level == "B-B" else now)
    with zipfile.ZipFile(path) as archive:
        assert not archive.testzip()
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    persons = (Expected(person.certificate, for_person(level)),)
    return Made(
        pki, path, SealedPart(PDF, proof), SignedAnnex(TABLE, digest, BESIDE, persons), level
    )


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_passes_the_gate_and_is_what_the_verifier_finds(
    pki: LivePki, tmp_path: Path, level: Level
) -> None:
    made = make(tmp_path, pki, level)
    proof = made.validate()
    assert (proof.seal.level, proof.seal_level) == (level, level)
    assert len(proof.archive_stamps) == (level == "B-LTA")
    report = made.judge()
    assert report.indication == "TOTAL-PASSED"
    assert report.signatures[0].level == level
    for higher in LEVELS[LEVELS.index(level) + 1 :]:
        with pytest.raises(IntegrityError) as caught:
            made.validate(level=higher)
        assert caught.value.code == "release-not-valid"


@pytest.mark.parametrize("level", LEVELS)
def test_openssl_verifies_every_part(pki: LivePki, tmp_path: Path, level: Level) -> None:
    made, roots = make(tmp_path, pki, level), pki.pem("root")
    members = made.members(tmp_path)
    assert "successful" in openssl_verifies(members[SIGNATURE], members[MANIFEST], roots)
    assert "successful" in openssl_verifies(members[BESIDE], members[TABLE], roots)
    if level == "B-LTA":
        stamp, stamped = members[token(1)].read_bytes(), members[ARCHIVE].read_bytes()
        assert "OK" in openssl_stamped(tmp_path, stamp, stamped, roots)


def test_it_is_good_without_asking_anyone_after_the_signers_certificates_ended(
    pki: LivePki, tmp_path: Path
) -> None:
    made = make(tmp_path, pki, "B-LTA")
    report = made.judge(START.replace(year=2031))
    assert report.indication == "TOTAL-PASSED"
    assert (report.signatures[0].level, report.signatures[0].revocation) == ("B-LTA", "good")
    required = Policy(revocation="required")
    assert made.judge(START + timedelta(minutes=5), required).indication == "TOTAL-PASSED"


@pytest.mark.parametrize(
    ("part", "code"), [("/tsa/", "tsa-unavailable"), ("/ocsp/", "revocation-unavailable")]
)
def test_nothing_is_left_while_an_authority_is_away(
    pki: LivePki, tmp_path: Path, part: str, code: str
) -> None:
    (tmp_path / "a").write_bytes(b"a")
    members = [Member("a", tmp_path / "a", "text/plain")]
    organisation, target = pki.identity("seal", "organisation"), tmp_path / "c"
    maker = longterm(pki)
    pki.break_("/crls/", "away")
    with pki.fails(part, "away"), pytest.raises(OutsideUnavailableError) as caught:
        write_container(target, members, organisation, now=pki.now(), level="B-LTA", longterm=maker)
    assert caught.value.code == code
    assert target.read_bytes() == b""
    if part == "/ocsp/":
        assert pki.asked("/tsa/") == 1  # the sample; a responder that is away costs no stamp


def test_a_revoked_person_signs_nothing_beside(pki: LivePki, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(ConflictError) as caught:
        sign_detached(
            tmp_path / "a", tmp_path / "a.p7s", pki.identity("revoked", "person"),
            now=pki.now(), level="B-LT", longterm=longterm(pki),
        )  # fmt: skip
    assert caught.value.code == "signer-revoked"


def test_a_person_who_was_revoked_after_signing_beside_is_told_before_the_seal(
    pki: LivePki, tmp_path: Path
) -> None:
    table, beside = tmp_path / "table", tmp_path / "table.p7s"
    table.write_bytes(b"1,2")
    sign_detached(table, beside, pki.identity("revoked", "person"), now=START)  # at B-B none asks
    members = [
        Member("table", table, "text/csv"), Member("table.p7s", beside, "application/pkcs7-signature", True)
    ]  # fmt: skip
    with pytest.raises(ConflictError) as caught:
        write_container(
            tmp_path / "c", members, pki.identity("seal", "organisation"), now=START,
            level="B-LT", longterm=longterm(pki),
        )  # fmt: skip
    assert caught.value.code == "signer-revoked"


def test_two_people_beside_one_annex_have_evidence_each(pki: LivePki, tmp_path: Path) -> None:
    table, first, both = tmp_path / "table", tmp_path / "1.p7s", tmp_path / "2.p7s"
    table.write_bytes(b"1,2")
    one, two = pki.identity("person", "person"), pki.identity("person-second", "person")
    maker = longterm(pki)
    sign_detached(table, first, one, now=START, level="B-LT", longterm=maker)
    sign_detached(table, both, two, now=START, level="B-LT", longterm=maker, beside=first)
    persons = [Expected(who.certificate, "B-LT") for who in (one, two)]
    reports = validate_detached(both, table, pki.roots, persons=persons, now=START)
    assert [report.level for report in reports] == ["B-LT", "B-LT"]
    assert "successful" in openssl_verifies(both, table, pki.pem("root"))


def test_a_person_at_b_lta_does_not_exist(pki: LivePki, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(ValueError, match="whole container"):
        sign_detached(
            tmp_path / "a", tmp_path / "a.p7s", pki.identity("person", "person"),
            now=START, level="B-LTA", longterm=longterm(pki),
        )  # fmt: skip


def _without_evidence(files: dict[str, bytes]) -> None:
    from asn1crypto import cms

    info = cms.ContentInfo.load(files[SIGNATURE])
    info["content"]["crls"] = cms.RevocationInfoChoices([])
    files[SIGNATURE] = bytes(info.dump(force=True))


def _without_the_stamp(files: dict[str, bytes]) -> None:
    del files[ARCHIVE], files[token(1)]


def _another_stamp_beside(files: dict[str, bytes]) -> None:
    files["META-INF/timestamp009.tst"] = files[token(1)]


def _a_changed_archive_manifest(files: dict[str, bytes]) -> None:
    files[ARCHIVE] = files[ARCHIVE].replace(b"text/csv", b"text/xml")


@pytest.mark.parametrize(
    "attack",
    [_without_evidence, _without_the_stamp, _another_stamp_beside, _a_changed_archive_manifest],
)
def test_the_gate_refuses_what_is_not_whole(
    pki: LivePki, tmp_path: Path, attack: Callable[[dict[str, bytes]], None]
) -> None:
    made = make(tmp_path, pki, "B-LTA")
    with zipfile.ZipFile(made.path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    attack(files)
    with zipfile.ZipFile(made.path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(IntegrityError) as caught:
        made.validate()
    assert caught.value.code == "release-not-valid"


class TestRenewal:
    def test_the_next_stamp_carries_the_container_on_for_decades_and_openssl_agrees(
        self, pki: LivePki, tmp_path: Path
    ) -> None:
        made = make(tmp_path, pki, "B-LTA")
        renewed = self._renewed(made, tmp_path, 2031)
        validate_renewed_container(
            renewed.path, made.path, pki.roots, pki.roots, now=pki.now(), number=2
        )
        report = renewed.judge(START.replace(year=2038))
        assert [one.indication for one in report.signatures] == ["TOTAL-PASSED"] * 3
        assert (report.signatures[0].level, report.signatures[0].proven_at) == ("B-LTA", START)
        assert made.judge(START.replace(year=2038)).indication == "INDETERMINATE"
        members, roots = renewed.members(tmp_path), pki.pem("root")
        assert "OK" in openssl_stamped(
            tmp_path, members[token(2)].read_bytes(), members[ARCHIVE].read_bytes(), roots
        )
        run(
            "openssl", "cms", "-verify", "-inform", "DER", "-in", members[token(1)], "-CAfile", roots,
            "-purpose", "any", "-no_check_time", "-out", "/dev/null",
        )  # fmt: skip
        assert "successful" in openssl_verifies(members[SIGNATURE], members[MANIFEST], roots)
        run("unzip", "-tq", renewed.path)

    def test_what_is_no_good_any_more_cannot_be_carried_on(
        self, pki: LivePki, tmp_path: Path
    ) -> None:
        made = make(tmp_path, pki, "B-LTA")
        with pytest.raises(ConflictError) as caught:
            self._renewed(made, tmp_path, 2033)
        assert caught.value.code == "archive-timestamp-lost"

    def test_a_container_without_a_stamp_and_what_is_none_have_nothing_to_renew(
        self, pki: LivePki, tmp_path: Path
    ) -> None:
        made = make(tmp_path, pki, "B-LT")
        with pytest.raises(ConflictError) as caught:
            self._renewed(made, tmp_path, 2027)
        assert caught.value.code == "no-archive-timestamp"
        made.path.write_bytes(b"PK none")
        with pytest.raises(IntegrityError):
            self._renewed(made, tmp_path, 2027)

    @pytest.mark.parametrize("name", [TABLE, BESIDE, SIGNATURE, token(1), token(2), ARCHIVE])
    def test_a_renewed_container_in_which_anything_else_changed_is_refused(
        self, pki: LivePki, tmp_path: Path, name: str
    ) -> None:
        made = make(tmp_path, pki, "B-LTA")
        renewed = self._renewed(made, tmp_path, 2031)
        with zipfile.ZipFile(renewed.path) as archive:
            files = {one: archive.read(one) for one in archive.namelist()}
        files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])
        with zipfile.ZipFile(renewed.path, "w") as archive:
            for one, content in files.items():
                archive.writestr(one, content)
        with pytest.raises(IntegrityError) as caught:
            validate_renewed_container(
                renewed.path, made.path, pki.roots, pki.roots, now=pki.now(), number=2
            )
        assert caught.value.code == "renewal-not-valid"

    def _renewed(self, made: Made, folder: Path, year: int) -> Made:
        made.pki.now = lambda: START.replace(year=year)
        target = folder / "renewed.asice"
        renew_container(made.path, target, longterm(made.pki, "tsa-second"), now=made.pki.now())
        return replace(made, path=target)


def test_a_signature_of_weeks_ago_still_passes_and_its_evidence_is_judged_as_of_then(
    pki: LivePki, tmp_path: Path
) -> None:
    table, beside = tmp_path / "table", tmp_path / "1.p7s"
    table.write_bytes(b"1,2")
    person = pki.identity("person", "person")
    sign_detached(table, beside, person, now=START, level="B-LT", longterm=longterm(pki))
    later = START + timedelta(days=90)
    (one,) = validate_detached(
        beside, table, pki.roots, persons=[Expected(person.certificate, "B-LT")], now=later
    )
    assert (one.indication, one.level, one.proven_at) == ("TOTAL-PASSED", "B-LT", START)
    made = make(tmp_path, pki, "B-LTA")
    assert made.validate(later).seal.indication == "TOTAL-PASSED"
