"""Containers for the long term: archive manifests and their time stamps, judged decades on, and forged."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from asn1crypto import cms

from docflow.signing.report import SignatureReport, VerificationReport
from docflow.signing.verifying.algorithms import AlgorithmPolicy, shipped_policy
from docflow.signing.verifying.terms import Policy
from tests.archive_support import (
    ARCHIVE,
    MANIFEST,
    SIGNATURE,
    Entries,
    archived,
    long_term,
    openssl_stamped,
    packed,
    token_name,
)
from tests.container_support import openssl_verifies
from tests.pki_support import START, LivePki
from tests.service.test_verification import Judge
from tests.verification_support import Maker, manifest, written

FILES = {"công văn.pdf": b"main", "phụ lục/1.txt": b"annex"}
IN_2031 = START.replace(year=2031)
IN_2036 = START.replace(year=2036)


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    return Judge(tmp_path, pki)


@pytest.fixture
def maker(pki: LivePki) -> Maker:
    return Maker(pki)


@pytest.fixture
def made(maker: Maker) -> Entries:
    """A container at B-LTA."""
    return archived(long_term(maker, FILES), maker)


def signature(report: VerificationReport) -> SignatureReport:
    (one,) = [one for one in report.signatures if one.kind == "signature"]
    return one


def stamps(report: VerificationReport) -> dict[str, SignatureReport]:
    return {one.field: one for one in report.signatures if one.kind == "timestamp"}


def renewed(made: Entries, maker: Maker, at: datetime = IN_2031, **options: object) -> Entries:
    """Return the container with the next archive time stamp, of an authority that lasts until 2040."""
    maker.pki.now = lambda: at
    return archived(made, maker, "tsa-second", **options)  # type: ignore[arg-type]


class TestLongTerm:
    def test_evidence_in_the_signature_makes_b_lt(self, judge: Judge, maker: Maker) -> None:
        one = signature(judge(packed(long_term(maker, FILES))))
        assert (one.indication, one.level, one.revocation) == ("TOTAL-PASSED", "B-LT", "good")

    def test_an_archive_time_stamp_over_everything_makes_b_lta(
        self, judge: Judge, made: Entries
    ) -> None:
        report = judge(packed(made))
        one = signature(report)
        assert (report.indication, report.form, one.level) == ("TOTAL-PASSED", "asic-e", "B-LTA")
        assert (one.revocation, one.proven_at, one.covers) == ("good", START, tuple(FILES))
        assert [stamp.kind for stamp in one.timestamps] == ["signature", "document"]
        stamp = stamps(report)[token_name(1)]
        assert set(stamp.covers) == {*FILES, MANIFEST, SIGNATURE}

    def test_it_outlives_the_signers_certificate_and_no_longer_than_its_own(
        self, judge: Judge, made: Entries
    ) -> None:
        one = signature(judge(packed(made), IN_2031))
        assert (one.indication, one.level) == ("TOTAL-PASSED", "B-LTA")
        report = judge(packed(made), IN_2036)
        assert report.indication == "INDETERMINATE"
        assert signature(report).level != "B-LTA"

    def test_a_chain_renewed_in_time_passes_ten_years_on(
        self, judge: Judge, made: Entries, maker: Maker
    ) -> None:
        report = judge(packed(renewed(made, maker)), IN_2036)
        assert [one.indication for one in report.signatures] == ["TOTAL-PASSED"] * 3
        assert (signature(report).level, signature(report).proven_at) == ("B-LTA", START)
        found = stamps(report)
        assert found[token_name(1)].proven_at == START
        assert found[token_name(2)].proven_at == IN_2031
        assert found[token_name(1)].revocation == "good"

    def test_a_second_person_who_signed_after_the_stamp_is_not_proven_by_it(
        self, judge: Judge, made: Entries, maker: Maker
    ) -> None:
        second = manifest("META-INF/signature002.p7s", FILES)
        made["META-INF/ASiCManifest002.xml"] = second
        made["META-INF/signature002.p7s"] = maker.cades(second, tsa="tsa", label="person-second")
        first, later = (one for one in judge(packed(made)).signatures if one.kind == "signature")
        assert (first.level, later.level) == ("B-LTA", "B-T")
        first, later = (
            one for one in judge(packed(made), IN_2031).signatures if one.kind == "signature"
        )
        assert first.indication == "TOTAL-PASSED"
        assert later.level != "B-LTA"

    def test_a_signature_without_a_time_stamp_of_its_own_is_proven_but_raised_to_no_level(
        self, judge: Judge, maker: Maker
    ) -> None:
        made = archived(long_term(maker, FILES, tsa=None), maker)
        one = signature(judge(packed(made), IN_2031))
        assert (one.indication, one.level, one.proven_at) == ("TOTAL-PASSED", "B-B", START)

    def test_a_digest_that_ended_counts_where_a_later_stamp_covered_the_same_file_before(
        self, judge: Judge, maker: Maker
    ) -> None:
        policy, in_2027 = Policy(algorithms=ending_sha1("2028-01-01")), START.replace(year=2027)
        made = archived_by_sha1(long_term(maker, FILES), maker)
        assert judge(packed(made), in_2027, policy=policy).indication == "TOTAL-PASSED"
        assert judge(packed(made), IN_2031, policy=policy).indication == "INDETERMINATE"
        whole = judge(packed(renewed(made, maker, in_2027)), IN_2031, policy=policy)
        assert (whole.indication, signature(whole).level) == ("TOTAL-PASSED", "B-LTA")
        part = renewed(made, maker, in_2027, without=["công văn.pdf"])
        report = judge(packed(part), IN_2031, policy=policy)
        assert report.indication == "INDETERMINATE"
        assert stamps(report)[token_name(1)].sub_indication == "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
        assert signature(report).level != "B-LTA"

    def test_openssl_agrees_on_every_part(
        self, made: Entries, maker: Maker, tmp_path: Path, pki: LivePki
    ) -> None:
        roots = pki.pem("root")
        assert "OK" in openssl_stamped(tmp_path, made[token_name(1)], made[ARCHIVE], roots)
        told = openssl_verifies(
            written(tmp_path, "signature", made[SIGNATURE]),
            written(tmp_path, "manifest", made[MANIFEST]),
            roots,
        )
        assert "CAdES Verification successful" in told


def ending_sha1(day: str) -> AlgorithmPolicy:
    data = shipped_policy().to_dict()
    data["digests"]["sha1"] = {"until": day}
    return AlgorithmPolicy.from_data(data)


def archived_by_sha1(entries: Entries, maker: Maker) -> Entries:
    """Return the files with an archive manifest that names them by SHA-1."""
    digests = {name: hashlib.sha1(data).digest() for name, data in entries.items()}  # noqa: S324
    named = manifest(token_name(1), entries, digests).replace(
        b"http://www.w3.org/2001/04/xmlenc#sha256", b"http://www.w3.org/2000/09/xmldsig#sha1"
    )
    return {**entries, ARCHIVE: named, token_name(1): maker.token(named)}


# -- what is forged ------------------------------------------------------------------------------------


def _a_changed_file(made: Entries, maker: Maker) -> Entries:
    return {**made, "công văn.pdf": b"other"}


def _a_changed_signature_file(made: Entries, maker: Maker) -> Entries:
    return {**made, SIGNATURE: maker.with_revocation(made[SIGNATURE])}


def _a_changed_archive_manifest(made: Entries, maker: Maker) -> Entries:
    return {**made, ARCHIVE: made[ARCHIVE].replace(b"octet-stream", b"pdf", 1)}


def _a_token_over_something_else(made: Entries, maker: Maker) -> Entries:
    return archived(long_term(maker, FILES), maker, stamped=b"something else")


def _a_member_that_is_gone(made: Entries, maker: Maker) -> Entries:
    files = {**long_term(maker, FILES), "META-INF/notes.txt": b"notes"}
    stamped = archived(files, maker)
    del stamped["META-INF/notes.txt"]
    return stamped


def _a_false_digest(made: Entries, maker: Maker) -> Entries:
    false = {"công văn.pdf": hashlib.sha256(b"other").digest()}
    return archived(long_term(maker, FILES), maker, digests=false)


def _a_file_that_nobody_signed(made: Entries, maker: Maker) -> Entries:
    return {**made, "hợp đồng.pdf": b"mine"}


def _two_manifests_for_one_token(made: Entries, maker: Maker) -> Entries:
    return {**made, "META-INF/ASiCArchiveManifest9.xml": manifest(token_name(1), FILES)}


def _a_manifest_that_names_itself(made: Entries, maker: Maker) -> Entries:
    named = {**long_term(maker, FILES), ARCHIVE: b"itself"}
    itself = manifest(token_name(1), named)
    return {**named, ARCHIVE: itself, token_name(1): maker.token(itself)}


def _manifests_that_name_each_other(made: Entries, maker: Maker) -> Entries:
    files = long_term(maker, FILES)
    other = "META-INF/ASiCArchiveManifest002.xml"
    one = manifest(token_name(1), {**files, other: b"", token_name(2): b""})
    two = manifest(token_name(2), {**files, ARCHIVE: one, token_name(1): b""})
    return {
        **files, ARCHIVE: one, other: two,
        token_name(1): maker.token(one), token_name(2): maker.token(two),
    }  # fmt: skip


def _a_stranger_s_token(made: Entries, maker: Maker) -> Entries:
    return archived(long_term(maker, FILES), maker, "stranger-tsa")


_FORGED: list[Callable[[Entries, Maker], Entries]] = [
    _a_changed_file,
    _a_changed_signature_file,
    _a_changed_archive_manifest,
    _a_token_over_something_else,
    _a_member_that_is_gone,
    _a_false_digest,
    _a_file_that_nobody_signed,
    _two_manifests_for_one_token,
    _a_manifest_that_names_itself,
    _manifests_that_name_each_other,
    _a_stranger_s_token,
]


class TestForged:
    @pytest.mark.parametrize("forge", _FORGED, ids=lambda forge: forge.__name__.strip("_"))
    def test_no_forgery_passes_or_is_proven_for_the_long_term(
        self,
        judge: Judge,
        made: Entries,
        maker: Maker,
        forge: Callable[[Entries, Maker], Entries],
    ) -> None:
        forged = packed(forge(made, maker))
        report = judge(forged)
        assert report.indication in {"TOTAL-FAILED", "INDETERMINATE"}
        assert any(one.reasons for one in report.signatures)
        if forge is not _a_file_that_nobody_signed:
            assert signature(report).level != "B-LTA"
        later = judge(forged, IN_2031)
        assert later.indication in {"TOTAL-FAILED", "INDETERMINATE"}

    @pytest.mark.parametrize("left_out", ["công văn.pdf", MANIFEST, SIGNATURE])
    def test_a_member_that_the_stamp_leaves_out_is_not_proven_by_it(
        self, judge: Judge, maker: Maker, left_out: str
    ) -> None:
        made = packed(archived(long_term(maker, FILES), maker, without=[left_out]))
        one = signature(judge(made))
        assert (one.indication, one.level) == ("TOTAL-PASSED", "B-LT")
        assert signature(judge(made, IN_2031)).timestamps[-1].kind == "signature"

    def test_a_renewal_that_leaves_the_stamp_before_out_carries_nothing_on(
        self, judge: Judge, made: Entries, maker: Maker
    ) -> None:
        for left_out in (token_name(1), "META-INF/ASiCArchiveManifest001.xml"):
            report = judge(packed(renewed(made, maker, without=[left_out])), IN_2036)
            assert report.indication == "INDETERMINATE"
            assert stamps(report)[token_name(1)].indication == "INDETERMINATE"

    def test_a_renewal_that_came_too_late_carries_nothing_on(
        self, judge: Judge, made: Entries, maker: Maker
    ) -> None:
        late = renewed(made, maker, START.replace(year=2033))
        report = judge(packed(late), IN_2036)
        assert report.indication == "INDETERMINATE"
        assert signature(report).level != "B-LTA"

    def test_a_later_stamp_of_an_earlier_time_is_out_of_order(
        self, judge: Judge, maker: Maker
    ) -> None:
        maker.pki.now = lambda: START.replace(month=6)
        first = archived(long_term(maker, FILES), maker)
        report = judge(packed(renewed(first, maker, START)), START.replace(month=7))
        before = stamps(report)[token_name(1)]
        assert (before.indication, before.sub_indication) == (
            "INDETERMINATE", "TIMESTAMP_ORDER_FAILURE",
        )  # fmt: skip

    def test_evidence_that_was_old_when_it_was_signed_raises_nothing(
        self, judge: Judge, maker: Maker
    ) -> None:
        maker.pki.now = lambda: START.replace(year=2025)
        stale = maker.with_revocation(maker.cades(b"anything"))
        maker.pki.now = lambda: START
        made = long_term(maker, FILES)
        lists = cms.ContentInfo.load(stale)["content"]["crls"]
        info = cms.ContentInfo.load(made[SIGNATURE])
        info["content"]["crls"] = cms.RevocationInfoChoices([one.copy() for one in lists])
        made[SIGNATURE] = bytes(info.dump(force=True))
        one = signature(judge(packed(archived(made, maker))))
        assert (one.revocation, one.level) == ("unknown", "B-T")

    def test_what_a_revoked_signer_signed_stays_refused(self, judge: Judge, maker: Maker) -> None:
        made = archived(long_term(maker, FILES, label="revoked"), maker)
        assert judge(packed(made), IN_2031).indication != "TOTAL-PASSED"
