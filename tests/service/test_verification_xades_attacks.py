"""Attacks on signatures in XML: none is ever passed, none is followed, and each has its reason.

Source: McIntosh and Austel 2005 (signature wrapping); W3C XML Signature Best Practices (transforms,
entities, references to elsewhere); Jensen et al. 2011.
"""

import base64
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from docflow.signing.isolated import verify_isolated
from docflow.signing.report import VerificationReport
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.terms import Policy
from tests.pki_support import START, LivePki
from tests.service.test_verification import Judge, verdict
from tests.verification_support import container, written
from tests.xades_support import (
    DS,
    EXCLUSIVE,
    NAME,
    XADES,
    Style,
    XadesMaker,
    Xmlsec,
    certificate_base64,
    one,
)

FILES = {"công văn.pdf": b"main", "phụ lục/1.txt": b"annex"}
NOBODY = TrustRoots(())


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    return Judge(tmp_path, pki)


@pytest.fixture
def maker(pki: LivePki) -> XadesMaker:
    return XadesMaker(pki)


@pytest.fixture
def xmlsec(tmp_path: Path, pki: LivePki) -> Xmlsec:
    return Xmlsec(tmp_path, pki)


def told(report: VerificationReport) -> str:
    return " ".join([*report.reasons, *(r for each in report.signatures for r in each.reasons)])


class TestFiles:
    def test_a_changed_file_fails(self, judge: Judge, maker: XadesMaker, xmlsec: Xmlsec) -> None:
        made = container({**FILES, "công văn.pdf": b"other", NAME: maker.signed(FILES)})
        report = judge(made)
        assert verdict(report) == ("TOTAL-FAILED", "HASH_FAILURE")
        assert "công văn.pdf" in told(report)
        assert not report.signatures[0].intact
        assert not xmlsec.accepts(made)

    def test_a_missing_file_is_not_found(self, judge: Judge, maker: XadesMaker) -> None:
        made = container({"công văn.pdf": b"main", NAME: maker.signed(FILES)})
        assert verdict(judge(made)) == ("INDETERMINATE", "SIGNED_DATA_NOT_FOUND")

    def test_a_file_that_nobody_signed_fails(self, judge: Judge, maker: XadesMaker) -> None:
        report = judge(maker.asic(FILES, extra={"hợp đồng.pdf": b"mine"}))
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")
        assert "hợp đồng.pdf" in report.reasons[0]

    def test_a_digest_changed_along_with_its_file_fails(
        self, judge: Judge, maker: XadesMaker, xmlsec: Xmlsec
    ) -> None:
        other = {**FILES, "công văn.pdf": b"other"}

        def digest(root: etree._Element) -> None:
            digest = hashes.Hash(hashes.SHA256())
            digest.update(b"other")
            one(root, "//ds:DigestValue").text = base64.b64encode(digest.finalize()).decode()

        made = container({**other, NAME: maker.signed(FILES, Style(after=digest))})
        assert verdict(judge(made)) == ("TOTAL-FAILED", "SIG_CRYPTO_FAILURE")
        assert not xmlsec.accepts(made)


class TestProperties:
    def test_a_changed_signing_time_fails(
        self, judge: Judge, maker: XadesMaker, xmlsec: Xmlsec
    ) -> None:
        def earlier(root: etree._Element) -> None:
            one(root, "//xades:SigningTime").text = "2025-03-02T01:30:00Z"

        made = maker.asic(FILES, Style(after=earlier))
        assert verdict(judge(made)) == ("TOTAL-FAILED", "HASH_FAILURE")
        assert not xmlsec.accepts(made)

    def test_anothers_certificate_fails(self, judge: Judge, maker: XadesMaker) -> None:
        def swap(root: etree._Element) -> None:
            other = maker.pki.certificate("person-second")
            one(root, "//ds:X509Certificate").text = certificate_base64(other)

        report = judge(maker.asic(FILES, Style(after=swap)))
        assert verdict(report) == ("TOTAL-FAILED", "SIG_CRYPTO_FAILURE")

    def test_another_certificate_for_the_same_key_is_not_the_signers(
        self, judge: Judge, maker: XadesMaker
    ) -> None:
        def swap(root: etree._Element) -> None:
            made = certificate_base64(_reissued(maker.pki, "person"))
            one(root, "//ds:X509Certificate").text = made

        report = judge(maker.asic(FILES, Style(after=swap)))
        assert verdict(report) == ("INDETERMINATE", "NO_SIGNING_CERTIFICATE_FOUND")

    def test_a_certificate_that_is_not_named_does_not_pass(
        self, judge: Judge, maker: XadesMaker
    ) -> None:
        def nameless(root: etree._Element) -> None:
            named = one(root, "//xades:SigningCertificateV2")
            named.getparent().remove(named)

        report = judge(maker.asic(FILES, Style(before=nameless)))
        assert verdict(report) == ("INDETERMINATE", "SIG_CONSTRAINTS_FAILURE")

    def test_without_any_certificate_nobody_signed(self, judge: Judge, maker: XadesMaker) -> None:
        def keyless(root: etree._Element) -> None:
            info = one(root, "//ds:KeyInfo")
            info.getparent().remove(info)

        report = judge(maker.asic(FILES, Style(after=keyless)))
        assert verdict(report) == ("INDETERMINATE", "NO_SIGNING_CERTIFICATE_FOUND")


def _reissued(pki: LivePki, label: str) -> x509.Certificate:
    """Return a certificate of the authority for the same key and somebody else."""
    maker = XadesMaker(pki)
    old, authority = pki.certificate(label), pki.certificate("authority")
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Somebody else")]))
        .issuer_name(authority.subject)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
        .add_extension(old.extensions.get_extension_for_class(x509.KeyUsage).value, critical=True)
        .sign(maker.key("authority"), hashes.SHA256())
    )


def _fake_properties(root: etree._Element) -> etree._Element:
    """Return a copy of the SignedProperties that tells another time."""
    fake = deepcopy(one(root, "//xades:SignedProperties"))
    one(fake, "./xades:SignedSignatureProperties/xades:SigningTime").text = "2020-01-01T00:00:00Z"
    return fake


def _moved_aside(root: etree._Element) -> None:
    """The signed properties go to an object of their own, forged ones take their place."""
    real = one(root, "//xades:SignedProperties")
    fake = _fake_properties(root)
    fake.set("Id", "other")
    real.getparent().replace(real, fake)
    etree.SubElement(one(root, "//ds:Signature"), f"{{{DS}}}Object").append(real)


def _same_id_twice(root: etree._Element) -> None:
    real = one(root, "//xades:SignedProperties")
    real.getparent().replace(real, _fake_properties(root))
    etree.SubElement(one(root, "//ds:Signature"), f"{{{DS}}}Object").append(real)


def _two_sets(root: etree._Element) -> None:
    forged = deepcopy(one(root, "//ds:Object"))
    properties = one(forged, "./xades:QualifyingProperties/xades:SignedProperties")
    properties.set("Id", "other")
    one(properties, ".//xades:SigningTime").text = "2020-01-01T00:00:00Z"
    one(root, "//ds:Object").addprevious(forged)


def _two_in_one_set(root: etree._Element) -> None:
    fake = _fake_properties(root)
    fake.set("Id", "other")
    one(root, "//xades:SignedProperties").addprevious(fake)


def _about_another(root: etree._Element) -> None:
    one(root, "//xades:QualifyingProperties").set("Target", "#S9")


def _under_a_wrapper(root: etree._Element) -> None:
    signature = one(root, "//ds:Signature")
    etree.SubElement(root, "wrapper").append(signature)


def _inside_another(root: etree._Element) -> None:
    """A signature of nobody holds the good one in an object."""
    signature = one(root, "//ds:Signature")
    outer = deepcopy(signature)
    for element in outer.iter():
        if element.get("Id"):
            element.set("Id", "outer-" + element.get("Id"))
    root.replace(signature, outer)
    etree.SubElement(outer, f"{{{DS}}}Object").append(signature)


def _two_signed_infos(root: etree._Element) -> None:
    info = one(root, "//ds:SignedInfo")
    forged = deepcopy(info)
    one(forged, "./ds:Reference").set("URI", "other.txt")
    info.addprevious(forged)


def _properties_by_comment(root: etree._Element) -> None:
    """A comment cuts a value for readers that take the text up to it."""
    time = one(root, "//xades:SigningTime")
    time.text = "2026-03-02T01:30:00"
    time.append(etree.Comment("cut"))
    time[0].tail = "Z"


class TestWrapping:
    @pytest.mark.parametrize(
        "wrap",
        [
            _moved_aside, _same_id_twice, _two_sets, _two_in_one_set, _about_another,
            _under_a_wrapper, _inside_another, _two_signed_infos,
        ],
    )  # fmt: skip
    def test_it_never_passes(
        self, judge: Judge, maker: XadesMaker, wrap: Callable[[etree._Element], None]
    ) -> None:
        report = judge(maker.asic(FILES, Style(after=wrap)))
        assert report.indication in {"TOTAL-FAILED", "INDETERMINATE"}
        assert report.sub_indication in {"FORMAT_FAILURE", "SIG_CONSTRAINTS_FAILURE"}
        assert told(report)

    def test_a_comment_cuts_nothing(self, judge: Judge, maker: XadesMaker) -> None:
        (one,) = judge(maker.asic(FILES, Style(after=_properties_by_comment))).signatures
        assert (one.indication, one.signed_at) == ("TOTAL-PASSED", START)

    def test_properties_that_are_not_signed_are_not_believed(
        self, judge: Judge, maker: XadesMaker
    ) -> None:
        def unsigned(root: etree._Element) -> None:
            reference = one(root, "//ds:Reference[@Type]")
            reference.getparent().remove(reference)

        report = judge(maker.asic(FILES, Style(before=unsigned)))
        assert verdict(report) == ("INDETERMINATE", "SIG_CONSTRAINTS_FAILURE")

    def test_a_signature_over_itself_alone_signs_no_file(
        self, judge: Judge, maker: XadesMaker
    ) -> None:
        report = judge(container({**FILES, NAME: maker.signed({})}))
        assert report.indication in {"TOTAL-FAILED", "INDETERMINATE"}
        assert "no file" in told(report)


class TestReferences:
    @pytest.mark.parametrize(
        "uri",
        [
            "file:///etc/hostname", "/etc/hostname", "../../etc/hostname", "a/../../b", "..\\b",
            "#xpointer(/)", "#nothing", "", "công%20văn.pdf#part", "phụ%20lục/1.txt?x", "%00",
            "//127.0.0.1/x", "ftp://127.0.0.1/x", "META-INF/signatures0.xml", "%ff",
        ],
    )  # fmt: skip
    def test_one_that_leads_elsewhere_never_passes(
        self, judge: Judge, maker: XadesMaker, uri: str
    ) -> None:
        def elsewhere(root: etree._Element) -> None:
            one(root, "//ds:Reference").set("URI", uri)

        report = judge(maker.asic(FILES, Style(before=_digestible(elsewhere, uri))))
        assert report.indication in {"TOTAL-FAILED", "INDETERMINATE"}
        assert told(report)

    def test_an_address_is_never_asked(self, judge: Judge, maker: XadesMaker, pki: LivePki) -> None:
        address = f"http://127.0.0.1:{pki.port}/docflow/crls/root/latest.crl"

        def external(root: etree._Element) -> None:
            one(root, "//ds:Reference").set("URI", address)

        made = maker.asic(FILES, Style(before=external))
        pki.requests.clear()
        report = judge(made)
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")
        assert "not in the container" in told(report)
        assert pki.requests == []

    def test_a_key_at_an_address_is_never_asked_for(
        self, judge: Judge, maker: XadesMaker, pki: LivePki
    ) -> None:
        def retrieved(root: etree._Element) -> None:
            info = one(root, "//ds:KeyInfo")
            info.clear()
            etree.SubElement(
                info, f"{{{DS}}}RetrievalMethod", URI=f"http://127.0.0.1:{pki.port}/key"
            )

        made = maker.asic(FILES, Style(after=retrieved))
        pki.requests.clear()
        assert verdict(judge(made)) == ("INDETERMINATE", "NO_SIGNING_CERTIFICATE_FOUND")
        assert pki.requests == []

    @pytest.mark.parametrize(
        "transform",
        [
            '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116">'
            '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0">'
            '<xsl:template match="/"><xsl:copy-of select="document(\'file:///etc/hostname\')"/>'
            "</xsl:template></xsl:stylesheet></ds:Transform>",
            '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">'
            "<ds:XPath>false()</ds:XPath></ds:Transform>",
            '<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2"/>',
            '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"/>',
            '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>',
            f'<ds:Transform Algorithm="{EXCLUSIVE}WithComments"/>',
            f'<ds:Transform Algorithm="{EXCLUSIVE}"/>' * 2,
            '<ds:Transform Algorithm="urn:unknown"/>',
            '<other xmlns="urn:other"/>',
        ],
        ids=[
            "xslt", "xpath", "filter", "base64", "enveloped", "comments", "twice", "unknown", "other",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("on_file", [True, False])
    def test_a_transform_that_is_not_accepted_never_passes(
        self, judge: Judge, maker: XadesMaker, transform: str, on_file: bool
    ) -> None:
        def transformed(root: etree._Element) -> None:
            place = one(root, "//ds:Reference" if on_file else "//ds:Reference[@Type]")
            for old in place.findall(f"{{{DS}}}Transforms"):
                place.remove(old)
            place.insert(
                0,
                etree.fromstring(f'<ds:Transforms xmlns:ds="{DS}">{transform}</ds:Transforms>'),
            )

        report = judge(maker.asic(FILES, Style(before=transformed)))
        assert verdict(report) == ("INDETERMINATE", "SIG_CONSTRAINTS_FAILURE")
        assert "transform" in told(report) or "canonicalised" in told(report)

    @pytest.mark.parametrize(
        ("path", "attribute", "value"),
        [
            ("//ds:SignatureMethod", "Algorithm", f"{DS}hmac-sha1"),
            ("//ds:SignatureMethod", "Algorithm", "urn:unknown"),
            ("//ds:CanonicalizationMethod", "Algorithm", f"{EXCLUSIVE}WithComments"),
            ("//ds:CanonicalizationMethod", "Algorithm", "urn:unknown"),
            ("//ds:DigestMethod", "Algorithm", "http://www.w3.org/2001/04/xmldsig-more#md5"),
        ],
    )
    def test_an_algorithm_that_is_not_accepted_never_passes(
        self, judge: Judge, maker: XadesMaker, path: str, attribute: str, value: str
    ) -> None:
        def change(root: etree._Element) -> None:
            one(root, path).set(attribute, value)

        report = judge(maker.asic(FILES, Style(after=change)))
        assert verdict(report) == ("INDETERMINATE", "SIG_CONSTRAINTS_FAILURE")


def _digestible(
    change: Callable[[etree._Element], None], uri: str
) -> Callable[[etree._Element], None]:
    """Return a change under which a test's maker can still make a signature."""

    def both(root: etree._Element) -> None:
        change(root)
        if uri.startswith("#"):
            one(root, "//ds:KeyInfo").addprevious(etree.Element("hidden", Id=uri[1:]))

    return both


class TestAlgorithms:
    def test_sha1_never_passes(self, either: LivePki, tmp_path: Path) -> None:
        report = Judge(tmp_path, either)(XadesMaker(either).asic(FILES, Style(digest="sha1")))
        assert report.indication == "INDETERMINATE"
        assert str(report.sub_indication).startswith("CRYPTO_CONSTRAINTS_FAILURE")
        assert report.signatures[0].strength == "weak"

    @pytest.mark.parametrize("path", ["//ds:Reference", "//ds:Reference[@Type]"])
    def test_one_digest_by_sha1_is_enough(self, judge: Judge, maker: XadesMaker, path: str) -> None:
        def weak(root: etree._Element) -> None:
            one(one(root, path), "./ds:DigestMethod").set("Algorithm", f"{DS}sha1")

        report = judge(maker.asic(FILES, Style(before=weak)))
        assert report.indication == "INDETERMINATE"
        assert str(report.sub_indication).startswith("CRYPTO_CONSTRAINTS_FAILURE")


_BOMB = (
    b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">'
    b'<!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]>'
)


class TestHostileXml:
    @pytest.mark.parametrize(
        ("head", "why"),
        [
            (_BOMB, "document type"),
            (b'<!DOCTYPE a SYSTEM "file:///etc/hostname">', "document type"),
            (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>', "document type"),
        ],
    )
    def test_a_document_type_is_refused(
        self, judge: Judge, maker: XadesMaker, head: bytes, why: str
    ) -> None:
        made = maker.signed(FILES).replace(b"<asic:XAdES", head + b"<asic:XAdES", 1)
        report = judge(container({**FILES, NAME: made}))
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")
        assert why in told(report)

    def test_processing_instructions_are_refused(self, judge: Judge, maker: XadesMaker) -> None:
        def instruct(root: etree._Element) -> None:
            one(root, "//xades:SigningTime").append(etree.ProcessingInstruction("a", "b"))

        report = judge(maker.asic(FILES, Style(before=instruct)))
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")

    @pytest.mark.parametrize(
        "xml",
        [
            b"",
            b"\x00" * 100,
            b"<a/>",
            b"<a>" * 100_000,
            b'<asic:XAdESSignatures xmlns:asic="http://uri.etsi.org/02918/v1.2.1#"/>',
            b'<XAdESSignatures xmlns="http://uri.etsi.org/02918/v1.2.1#">'
            b'<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/></XAdESSignatures>',
            b"<a>" + b"x" * (9 << 20) + b"</a>",
        ],
    )
    def test_what_is_no_signature_fails_with_a_reason(self, judge: Judge, xml: bytes) -> None:
        report = judge(container({**FILES, NAME: xml}))
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")
        assert told(report)

    def test_more_signatures_than_bearable_fail(self, judge: Judge) -> None:
        many = b'<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/>' * 65
        xml = b'<XAdESSignatures xmlns="http://uri.etsi.org/02918/v1.2.1#">' + many
        report = judge(container({**FILES, NAME: xml + b"</XAdESSignatures>"}))
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")

    @pytest.mark.parametrize("uri", ["x{}", "#S0-r{}"])
    def test_more_references_than_bearable_fail(
        self, judge: Judge, maker: XadesMaker, uri: str
    ) -> None:
        def many(root: etree._Element) -> None:
            reference = one(root, "//ds:Reference")
            for number in range(1_100):
                copied = deepcopy(reference)
                copied.attrib.pop("Id")
                copied.set("URI", uri.format(number))
                reference.addprevious(copied)

        report = judge(maker.asic(FILES, Style(after=many)))
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")

    @pytest.mark.parametrize(
        "junk",
        [
            f'<xades:SignatureTimeStamp xmlns:xades="{XADES}"><xades:EncapsulatedTimeStamp>MAA='
            "</xades:EncapsulatedTimeStamp></xades:SignatureTimeStamp>",
            f'<xades:SignatureTimeStamp xmlns:xades="{XADES}"><xades:EncapsulatedTimeStamp>!'
            "</xades:EncapsulatedTimeStamp></xades:SignatureTimeStamp>",
            f'<xades:CertificateValues xmlns:xades="{XADES}"><xades:EncapsulatedX509Certificate>MAA='
            "</xades:EncapsulatedX509Certificate></xades:CertificateValues>",
            f'<xades:RevocationValues xmlns:xades="{XADES}"><xades:CRLValues>'
            "<xades:EncapsulatedCRLValue>MAA=</xades:EncapsulatedCRLValue></xades:CRLValues>"
            "</xades:RevocationValues>",
            f'<xades:RevocationValues xmlns:xades="{XADES}"><xades:OCSPValues>'
            "<xades:EncapsulatedOCSPValue>MAA=</xades:EncapsulatedOCSPValue></xades:OCSPValues>"
            "</xades:RevocationValues>",
        ],
    )
    def test_junk_that_is_not_signed_never_lifts_it(
        self, judge: Judge, maker: XadesMaker, junk: str
    ) -> None:
        def add(root: etree._Element) -> None:
            properties = etree.SubElement(
                one(root, "//xades:QualifyingProperties"), f"{{{XADES}}}UnsignedProperties"
            )
            inner = etree.SubElement(properties, f"{{{XADES}}}UnsignedSignatureProperties")
            inner.append(etree.fromstring(junk))

        report = judge(maker.asic(FILES, Style(after=add)))
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")

    def test_more_timestamps_than_bearable_fail(self, judge: Judge, maker: XadesMaker) -> None:
        def many(root: etree._Element) -> None:
            stamp = one(root, "//xades:SignatureTimeStamp")
            for _ in range(20):
                stamp.addnext(deepcopy(stamp))

        report = judge(maker.asic(FILES, Style(after=many), tsa="tsa"))
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")
        assert "timestamps" in told(report)

    def test_the_largest_of_them_is_judged_in_time(
        self, maker: XadesMaker, pki: LivePki, tmp_path: Path
    ) -> None:
        def large(root: etree._Element) -> None:
            info = one(root, "//ds:SignedInfo")
            for number in range(14):
                held = etree.SubElement(one(root, "//ds:Signature"), f"{{{DS}}}Object")
                held.set("Id", f"o{number}")
                held.text = "x" * 500_000
                copied = deepcopy(one(root, "//ds:Reference"))
                copied.set("Id", f"r{number}")
                copied.set("URI", f"#o{number}")
                info.append(copied)

        made = maker.asic(FILES, Style(before=large))
        path = written(tmp_path, "a.asice", made)
        report = verify_isolated(path, pki.roots, now=START, own_roots=NOBODY, policy=Policy())
        assert report.indication == "TOTAL-PASSED"

    def test_the_killable_process_judges_it_too(
        self, maker: XadesMaker, pki: LivePki, tmp_path: Path
    ) -> None:
        path = written(tmp_path, "a.asice", maker.asic(FILES, tsa="tsa"))
        report = verify_isolated(path, pki.roots, now=START, own_roots=NOBODY, policy=Policy())
        assert (report.indication, report.signatures[0].level) == ("TOTAL-PASSED", "B-T")

    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
    def test_no_changed_byte_is_a_crash_or_another_content(
        self, pki: LivePki, tmp_path: Path, place: float, value: int
    ) -> None:
        good = _good(pki)
        changed = bytearray(good)
        changed[int(place * len(good))] = value
        report = Judge(tmp_path, pki)(container({**FILES, NAME: bytes(changed)}))
        if report.indication == "TOTAL-PASSED":
            (one,) = report.signatures
            assert (one.covers, one.signed_at, one.signer) == (
                tuple(FILES), START, "Nguyễn Hồng Sơn",
            )  # fmt: skip
        else:
            assert told(report)


_made: dict[int, bytes] = {}


def _good(pki: LivePki) -> bytes:
    if id(pki) not in _made:
        _made[id(pki)] = XadesMaker(pki).signed(FILES)
    return _made[id(pki)]
