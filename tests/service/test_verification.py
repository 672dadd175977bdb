"""Signatures of every kind and level, judged as a stranger's file is: with a living PKI behind them."""

from datetime import datetime
from pathlib import Path

import pytest

from docflow.signing.report import VerificationReport
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.dispatch import verify_any
from docflow.signing.verifying.terms import Policy
from tests.pki_support import START, LivePki
from tests.unit.signing.forge import make_pdf
from tests.verification_support import Maker, container, manifest, written

NOBODY = TrustRoots(())
DATA = b"the very bytes that were signed\n" * 100
FILES = {"công văn.pdf": b"main", "phụ lục/1.txt": b"annex"}


class Judge:
    """Judges bytes at an instant."""

    def __init__(self, folder: Path, pki: LivePki) -> None:
        self.folder = folder
        self.roots = pki.roots

    def __call__(
        self,
        file: bytes,
        now: datetime = START,
        *,
        data: bytes | None = None,
        policy: Policy | None = None,
        roots: TrustRoots | None = None,
    ) -> VerificationReport:
        return verify_any(
            written(self.folder, "file", file),
            roots or self.roots,
            now=now,
            own_roots=NOBODY,
            data=written(self.folder, "data", data) if data is not None else None,
            policy=policy,
        )


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    return Judge(tmp_path, pki)


@pytest.fixture
def maker(pki: LivePki) -> Maker:
    return Maker(pki)


def verdict(report: VerificationReport) -> tuple[str, str | None]:
    return report.indication, report.sub_indication


class TestLevels:
    @pytest.mark.parametrize("level", ["B-B", "B-T", "B-LT", "B-LTA"])
    def test_a_pdf_of_each_level_passes_and_is_told(
        self, judge: Judge, maker: Maker, level: str
    ) -> None:
        report = judge(maker.pdf(level))
        one = report.signatures[0]
        assert (report.indication, one.level, report.form) == ("TOTAL-PASSED", level, "pdf")
        assert one.time_is_proven == (level != "B-B")
        assert one.revocation == ("good" if level in {"B-LT", "B-LTA"} else "unknown")
        assert [len(one.path), one.path[0].subject, one.path[-1].subject] == [
            3, one.path[0].issuer, one.subject,
        ]  # fmt: skip

    @pytest.mark.parametrize("level", ["B-B", "B-T", "B-LT", "B-LTA"])
    def test_ten_years_on_none_passes_without_a_renewal(
        self, judge: Judge, maker: Maker, level: str
    ) -> None:
        later = START.replace(year=2036)
        assert verdict(judge(maker.pdf(level), later)) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE")

    @pytest.mark.parametrize(("year", "level"), [(2030, "B-T"), (2030, "B-LT"), (2031, "B-LTA")])
    def test_a_timestamp_outlives_the_signers_certificate(
        self, judge: Judge, maker: Maker, year: int, level: str
    ) -> None:
        report = judge(maker.pdf(level), START.replace(year=year))
        assert (report.indication, report.signatures[0].level) == ("TOTAL-PASSED", level)
        assert report.signatures[0].proven_at == START

    def test_a_renewed_archive_passes_ten_years_on(
        self, judge: Judge, maker: Maker, pki: LivePki
    ) -> None:
        made = maker.pdf("B-LTA")
        pki.now = lambda: START.replace(year=2031)
        renewed = maker.archived(made)
        report = judge(renewed, START.replace(year=2036))
        assert [one.indication for one in report.signatures] == ["TOTAL-PASSED"] * 3
        assert report.signatures[0].level == "B-LTA"
        assert report.signatures[0].revocation == "good"

    def test_a_timestamp_that_nobody_trusts_adds_and_takes_nothing(
        self, judge: Judge, maker: Maker
    ) -> None:
        report = judge(maker.pdf("B-T", tsa="stranger-tsa"))
        (one,) = report.signatures
        assert (one.indication, one.level, one.time_is_proven) == ("TOTAL-PASSED", "B-B", False)
        (stamp,) = one.timestamps
        assert (stamp.indication, stamp.sub_indication) == (
            "INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND",
        )  # fmt: skip

    def test_anchors_for_timestamps_count_for_timestamps_alone(
        self, judge: Judge, maker: Maker, pki: LivePki
    ) -> None:
        policy = Policy(timestamp_roots=TrustRoots((pki.certificate("stranger-root"),)))
        (one,) = judge(maker.pdf("B-T", tsa="stranger-tsa"), policy=policy).signatures
        assert (one.level, one.time_is_proven) == ("B-T", True)
        report = judge(maker.pdf(label="stranger", issuer="stranger-root"), policy=policy)
        assert verdict(report) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")


class TestRevocation:
    def test_a_list_that_is_carried_accuses(self, judge: Judge, maker: Maker) -> None:
        made = maker.with_revocation(maker.cades(DATA, label="revoked"))
        report = judge(made, data=DATA)
        assert report.indication != "TOTAL-PASSED"
        assert report.signatures[0].revocation == "revoked"
        assert any("revoked" in reason for reason in report.signatures[0].reasons)

    @pytest.mark.parametrize("tsa", [None, "tsa"])
    def test_a_stale_list_accuses_all_the_same(
        self, judge: Judge, maker: Maker, tsa: str | None
    ) -> None:
        made = maker.with_revocation(maker.cades(DATA, label="revoked", tsa=tsa))
        later = START.replace(month=12)
        assert judge(made, later, data=DATA).signatures[0].revocation == "revoked"

    def test_nothing_known_passes_by_default_and_says_so(self, judge: Judge, maker: Maker) -> None:
        (one,) = judge(maker.pdf("B-B")).signatures
        assert "not known" in " ".join(one.reasons)

    def test_nothing_known_does_not_pass_where_it_is_required(
        self, judge: Judge, maker: Maker
    ) -> None:
        policy = Policy(revocation="required")
        assert verdict(judge(maker.pdf("B-B"), policy=policy)) == ("INDETERMINATE", "TRY_LATER")
        assert judge(maker.pdf("B-LT"), policy=policy).indication == "TOTAL-PASSED"


class TestCades:
    @pytest.mark.parametrize(
        ("tsa", "revocation", "level"),
        [(None, False, "B-B"), ("tsa", False, "B-T"), ("tsa", True, "B-LT")],
    )
    def test_a_detached_signature_passes_with_its_file(
        self, judge: Judge, maker: Maker, tsa: str | None, revocation: bool, level: str
    ) -> None:
        made = maker.cades(DATA, tsa=tsa, revocation=revocation)
        report = judge(made, data=DATA)
        (one,) = report.signatures
        assert (report.indication, report.form, one.level) == ("TOTAL-PASSED", "cades", level)
        assert one.format == "CAdES"

    def test_it_cannot_be_told_without_its_file(self, judge: Judge, maker: Maker) -> None:
        report = judge(maker.cades(DATA))
        assert verdict(report) == ("INDETERMINATE", "SIGNED_DATA_NOT_FOUND")

    def test_it_fails_with_another_file(self, judge: Judge, maker: Maker) -> None:
        report = judge(maker.cades(DATA), data=DATA[:-1])
        assert verdict(report) == ("TOTAL-FAILED", "HASH_FAILURE")

    def test_an_enveloping_signature_passes_alone(self, judge: Judge, maker: Maker) -> None:
        made = maker.cades(DATA, detached=False)
        assert judge(made).indication == "TOTAL-PASSED"
        assert judge(made, data=DATA).indication == "TOTAL-PASSED"
        assert verdict(judge(made, data=b"other")) == ("TOTAL-FAILED", "HASH_FAILURE")

    def test_what_follows_the_signature_fails(self, judge: Judge, maker: Maker) -> None:
        report = judge(maker.cades(DATA) + b"more", data=DATA)
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")

    def test_pem_is_read_too(self, judge: Judge, maker: Maker) -> None:
        from asn1crypto import pem

        armoured = pem.armor("PKCS7", maker.cades(DATA))
        assert judge(armoured, data=DATA).indication == "TOTAL-PASSED"

    def test_a_pdf_takes_no_data(self, judge: Judge) -> None:
        report = judge(make_pdf(), data=DATA)
        assert "detached" in report.reasons[0]


class TestContainers:
    def test_a_container_passes_and_names_what_is_covered(self, judge: Judge, maker: Maker) -> None:
        report = judge(maker.asic(FILES, tsa="tsa", token="tsa"))
        signature, stamp = report.signatures
        assert (report.indication, report.form) == ("TOTAL-PASSED", "asic-e")
        assert (signature.level, signature.covers) == ("B-T", tuple(FILES))
        assert (stamp.kind, stamp.time_is_proven, stamp.signed_at) == ("timestamp", True, START)

    def test_a_simple_container_passes(self, judge: Judge, maker: Maker) -> None:
        made = container(
            {"a.txt": DATA, "META-INF/signature.p7s": maker.cades(DATA)},
            "application/vnd.etsi.asic-s+zip",
        )
        report = judge(made)
        assert (report.indication, report.form) == ("TOTAL-PASSED", "asic-s")

    def test_a_file_that_nobody_signed_fails_it(self, judge: Judge, maker: Maker) -> None:
        report = judge(maker.asic(FILES, extra={"hợp đồng.pdf": b"mine"}))
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")
        assert "hợp đồng.pdf" in report.reasons[0]

    def test_a_changed_file_fails_it(self, judge: Judge, maker: Maker) -> None:
        signed = manifest("META-INF/signature001.p7s", FILES)
        made = container(
            {
                **FILES,
                "công văn.pdf": b"other",
                "META-INF/ASiCManifest001.xml": signed,
                "META-INF/signature001.p7s": maker.cades(signed),
            }
        )
        report = judge(made)
        assert verdict(report) == ("TOTAL-FAILED", "HASH_FAILURE")
        assert not report.signatures[0].intact

    def test_a_changed_manifest_fails_it(self, judge: Judge, maker: Maker) -> None:
        signed = manifest("META-INF/signature001.p7s", FILES)
        made = container(
            {
                **FILES,
                "META-INF/ASiCManifest001.xml": signed.replace(b"octet-stream", b"pdf"),
                "META-INF/signature001.p7s": maker.cades(signed),
            }
        )
        assert verdict(judge(made)) == ("TOTAL-FAILED", "HASH_FAILURE")

    def test_a_missing_file_is_not_found(self, judge: Judge, maker: Maker) -> None:
        signed = manifest("META-INF/signature001.p7s", {**FILES, "gone.txt": b"gone"})
        made = container(
            {
                **FILES,
                "META-INF/ASiCManifest001.xml": signed,
                "META-INF/signature001.p7s": maker.cades(signed),
            }
        )
        assert verdict(judge(made)) == ("INDETERMINATE", "SIGNED_DATA_NOT_FOUND")

    def test_a_signature_in_xml_that_is_none_is_not_hidden(
        self, judge: Judge, maker: Maker
    ) -> None:
        report = judge(maker.asic(FILES, extra={"META-INF/signatures0.xml": b"<a/>"}))
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")
        assert "XAdES" in [one.format for one in report.signatures]

    def test_two_manifests_for_one_signature_fail_it(self, judge: Judge, maker: Maker) -> None:
        other = manifest("META-INF/signature001.p7s", {"công văn.pdf": b"main"})
        report = judge(maker.asic(FILES, extra={"META-INF/ASiCManifest009.xml": other}))
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")

    def test_no_signature_is_called_that(self, judge: Judge) -> None:
        assert judge(container(FILES)).indication == "NOT-SIGNED"
