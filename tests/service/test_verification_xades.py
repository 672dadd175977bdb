"""XAdES in containers: what xmlsec1 accepts passes, at the level that it has."""

from pathlib import Path

import pytest
from lxml import etree

from docflow.signing.verifying.terms import Policy
from tests.pki_support import START, LivePki
from tests.service.test_verification import DATA, Judge, verdict
from tests.verification_support import Maker, container, manifest
from tests.xades_support import (
    EXCLUSIVE,
    INCLUSIVE,
    INCLUSIVE_11,
    NAME,
    Style,
    XadesMaker,
    Xmlsec,
    serialised,
)
from tests.xades_support import one as find

FILES = {"công văn.pdf": b"main", "phụ lục/1.txt": b"annex"}


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    return Judge(tmp_path, pki)


@pytest.fixture
def maker(pki: LivePki) -> XadesMaker:
    return XadesMaker(pki)


@pytest.fixture
def xmlsec(tmp_path: Path, pki: LivePki) -> Xmlsec:
    return Xmlsec(tmp_path, pki)


class TestForms:
    def test_a_container_passes_and_tells_all(
        self, judge: Judge, maker: XadesMaker, xmlsec: Xmlsec
    ) -> None:
        made = maker.asic(FILES)
        assert xmlsec.accepts(made)
        report = judge(made)
        (one,) = report.signatures
        assert (report.indication, report.form, one.level) == ("TOTAL-PASSED", "asic-e", "B-B")
        assert (one.format, one.covers, one.signed_at) == ("XAdES", tuple(FILES), START)
        assert (one.signer, one.algorithm) == ("Nguyễn Hồng Sơn", "ECDSA secp256r1, SHA-256")
        assert (one.intact, one.valid, one.trusted, len(one.path)) == (True, True, True, 3)
        assert (one.time_is_proven, one.revocation, one.field) == (False, "unknown", NAME)

    @pytest.mark.parametrize(
        "style",
        [
            Style(canonical=INCLUSIVE, properties_canonical=INCLUSIVE),
            Style(canonical=INCLUSIVE_11, properties_canonical=INCLUSIVE_11),
            Style(properties_canonical=None),
            Style(digest="sha512"),
            Style(digest="sha384", canonical=INCLUSIVE, properties_canonical=None),
            Style(sign_key_info=True),
            Style(version=""),
        ],
        ids=["c14n", "c14n-1.1", "no-transform", "sha512", "sha384", "key-info", "version-1"],
    )
    def test_every_usual_form_passes_both_judges(
        self, either: LivePki, tmp_path: Path, style: Style
    ) -> None:
        made = XadesMaker(either).asic(FILES, style)
        assert Xmlsec(tmp_path, either).accepts(made)
        assert Judge(tmp_path, either)(made).indication == "TOTAL-PASSED"

    def test_padding_pss_passes(self, rsa_server: LivePki, tmp_path: Path) -> None:
        made = XadesMaker(rsa_server).asic(FILES, Style(pss=True))
        report = Judge(tmp_path, rsa_server)(made)
        assert report.indication == "TOTAL-PASSED"
        assert report.signatures[0].algorithm == "RSA 3072 (PSS), SHA-256"

    @pytest.mark.parametrize("canonical", [EXCLUSIVE, INCLUSIVE])
    def test_what_xmlsec1_signed_passes(
        self, either: LivePki, tmp_path: Path, canonical: str
    ) -> None:
        style = Style(canonical=canonical, properties_canonical=canonical)
        template = serialised(XadesMaker(either).template(FILES, style))
        made = Xmlsec(tmp_path, either).signed(template, FILES)
        report = Judge(tmp_path, either)(made)
        assert (report.indication, report.signatures[0].level) == ("TOTAL-PASSED", "B-B")

    def test_several_signatures_are_judged_each(self, judge: Judge, maker: XadesMaker) -> None:
        second = maker.signed(FILES, label="person-second", identity="S1")
        report = judge(maker.asic(FILES, extra={"META-INF/signatures1.xml": second}))
        assert report.indication == "TOTAL-PASSED"
        assert [one.signer for one in report.signatures] == ["Nguyễn Hồng Sơn", "Bùi Thanh Mai"]

    def test_two_in_one_file_are_told_apart(self, judge: Judge, maker: XadesMaker) -> None:
        one = maker.signed(FILES, identity="S0")
        two = maker.signed(FILES, label="stranger", issuer="stranger-root", identity="S1")
        head, tail = one.rsplit(b"</asic:XAdESSignatures>", 1)
        inner = two[two.index(b"<ds:Signature ") : two.rindex(b"</asic:XAdESSignatures>")]
        both = head + inner + b"</asic:XAdESSignatures>" + tail
        report = judge(container({**FILES, NAME: both}))
        assert verdict(report) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")
        assert [one.field for one in report.signatures] == [f"{NAME}#1", f"{NAME}#2"]

    def test_beside_cades_both_are_judged(
        self, judge: Judge, maker: XadesMaker, pki: LivePki
    ) -> None:
        signed = manifest("META-INF/signature001.p7s", FILES)
        beside = {
            "META-INF/ASiCManifest001.xml": signed,
            "META-INF/signature001.p7s": Maker(pki).cades(signed),
        }
        report = judge(maker.asic(FILES, extra=beside))
        assert report.indication == "TOTAL-PASSED"
        assert {one.format for one in report.signatures} == {"XAdES", "CAdES"}

    def test_a_simple_container_passes(self, judge: Judge, maker: XadesMaker) -> None:
        made = maker.asic({"a.txt": DATA}, mimetype="application/vnd.etsi.asic-s+zip")
        report = judge(made)
        assert (report.indication, report.form) == ("TOTAL-PASSED", "asic-s")

    def test_a_signed_web_page_with_a_document_type_is_bytes_like_any(
        self, judge: Judge, maker: XadesMaker, xmlsec: Xmlsec
    ) -> None:
        page = b'<!DOCTYPE html [<!ENTITY a "b">]><html>&a;</html>'
        made = maker.asic({"page.xhtml": page})
        assert xmlsec.accepts(made)
        assert judge(made).indication == "TOTAL-PASSED"

    def test_a_plain_signature_without_properties_is_not_passed(
        self, judge: Judge, maker: XadesMaker
    ) -> None:
        def plain(root: etree._Element) -> None:
            for place in ("//ds:Object", "//ds:Reference[@Type]"):
                find(root, place).getparent().remove(find(root, place))

        report = judge(maker.asic(FILES, Style(before=plain)))
        assert verdict(report) == ("INDETERMINATE", "SIG_CONSTRAINTS_FAILURE")

    def test_without_a_signing_time_it_has_no_level(self, judge: Judge, maker: XadesMaker) -> None:
        (one,) = judge(maker.asic(FILES, Style(signing_time=None))).signatures
        assert (one.indication, one.level, one.signed_at) == ("TOTAL-PASSED", "none", None)


class TestTime:
    def test_a_timestamp_makes_it_b_t(
        self, judge: Judge, maker: XadesMaker, xmlsec: Xmlsec
    ) -> None:
        made = maker.asic(FILES, tsa="tsa")
        assert xmlsec.accepts(made)
        report = judge(made)
        (one,) = report.signatures
        assert (report.indication, one.level, one.proven_at) == ("TOTAL-PASSED", "B-T", START)
        assert (one.time_is_proven, one.timestamps[0].authority is not None) == (True, True)

    @pytest.mark.parametrize("answer", [False, True], ids=["crl", "ocsp"])
    def test_with_validation_data_it_is_b_lt(
        self, judge: Judge, maker: XadesMaker, answer: bool
    ) -> None:
        report = judge(maker.asic(FILES, tsa="tsa", revocation=True, answer=answer))
        (one,) = report.signatures
        assert (report.indication, one.level, one.revocation) == ("TOTAL-PASSED", "B-LT", "good")

    def test_b_lt_passes_where_revocation_is_required(
        self, judge: Judge, maker: XadesMaker
    ) -> None:
        policy = Policy(revocation="required")
        assert verdict(judge(maker.asic(FILES), policy=policy)) == ("INDETERMINATE", "TRY_LATER")
        made = maker.asic(FILES, tsa="tsa", revocation=True)
        assert judge(made, policy=policy).indication == "TOTAL-PASSED"

    @pytest.mark.parametrize("revocation", [False, True])
    def test_a_timestamp_outlives_the_signers_certificate(
        self, judge: Judge, maker: XadesMaker, revocation: bool
    ) -> None:
        later = START.replace(year=2030)
        assert verdict(judge(maker.asic(FILES), later)) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE")
        report = judge(maker.asic(FILES, tsa="tsa", revocation=revocation), later)
        assert (report.indication, report.signatures[0].proven_at) == ("TOTAL-PASSED", START)

    def test_ten_years_on_it_does_not_pass(self, judge: Judge, maker: XadesMaker) -> None:
        made = maker.asic(FILES, tsa="tsa", revocation=True)
        assert judge(made, START.replace(year=2036)).indication == "INDETERMINATE"

    def test_a_timestamp_that_nobody_trusts_adds_and_takes_nothing(
        self, judge: Judge, maker: XadesMaker
    ) -> None:
        (one,) = judge(maker.asic(FILES, tsa="stranger-tsa")).signatures
        assert (one.indication, one.level, one.time_is_proven) == ("TOTAL-PASSED", "B-B", False)
        (stamp,) = one.timestamps
        assert (stamp.indication, stamp.sub_indication) == (
            "INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND",
        )  # fmt: skip

    def test_a_timestamp_over_another_signature_proves_nothing(
        self, judge: Judge, maker: XadesMaker
    ) -> None:
        other = find(_parsed(maker.signed(FILES, tsa="tsa")), "//xades:UnsignedProperties")
        made = maker.asic(
            FILES,
            Style(after=lambda root: find(root, "//xades:QualifyingProperties").append(other)),
        )
        (one,) = judge(made).signatures
        assert (one.level, one.time_is_proven, one.timestamps[0].sub_indication) == (
            "B-B", False, "HASH_FAILURE",
        )  # fmt: skip


class TestSigners:
    def test_an_expired_certificate_does_not_pass(self, judge: Judge, maker: XadesMaker) -> None:
        report = judge(maker.asic(FILES, label="expired"))
        assert verdict(report) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE")
        assert report.signatures[0].reasons

    @pytest.mark.parametrize("tsa", [None, "tsa"])
    @pytest.mark.parametrize("answer", [False, True], ids=["crl", "ocsp"])
    def test_a_revoked_certificate_does_not_pass(
        self, judge: Judge, maker: XadesMaker, tsa: str | None, answer: bool
    ) -> None:
        made = maker.asic(FILES, label="revoked", revocation=True, tsa=tsa, answer=answer)
        (one,) = judge(made).signatures
        assert (one.indication, one.revocation) == ("INDETERMINATE", "revoked")
        assert any("revoked" in reason for reason in one.reasons)

    def test_a_stale_list_accuses_all_the_same(self, judge: Judge, maker: XadesMaker) -> None:
        made = maker.asic(FILES, label="revoked", revocation=True)
        assert judge(made, START.replace(month=12)).signatures[0].revocation == "revoked"

    def test_a_stranger_does_not_pass(self, judge: Judge, maker: XadesMaker) -> None:
        report = judge(maker.asic(FILES, label="stranger", issuer="stranger-root"))
        assert verdict(report) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")


def _parsed(xml: bytes) -> etree._Element:
    return etree.fromstring(xml)
