"""Signatures of trusted lists: only what a configured scheme operator signed becomes an anchor.

Lists are signed by the tests themselves and by xmlsec1; xmlsec1 judges them beside docflow.
"""

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from lxml import etree

from docflow.kernel.errors import ConfigurationError
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.trusted_lists import ListRules, load_anchors, read_list
from docflow.signing.verifying.verifier import Verifier
from tests.unit.signing.forge import NOW, Forge, Made, Recipe, make_pdf
from tests.unit.signing.test_verification_trust import service, trusted_list
from tests.xades_support import DIGESTS, DS, EXCLUSIVE, XADES, canonical, one

NOBODY = TrustRoots(())
_TEMPLATE = f"""<ds:Signature xmlns:ds="{DS}" Id="S"><ds:SignedInfo>
  <ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>
  <ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>
  <ds:Reference URI=""><ds:Transforms>
    <ds:Transform Algorithm="{DS}enveloped-signature"/>
    <ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms>
    <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/>
  </ds:Reference></ds:SignedInfo><ds:SignatureValue/>
  <ds:KeyInfo>KEYS</ds:KeyInfo></ds:Signature>"""

_PROPERTIES = f"""<ds:Reference Type="http://uri.etsi.org/01903#SignedProperties" URI="#properties">
  <ds:Transforms><ds:Transform Algorithm="{EXCLUSIVE}"/></ds:Transforms>
  <ds:DigestMethod Algorithm="{DIGESTS["sha256"]}"/><ds:DigestValue/></ds:Reference>"""
_END = b"</TrustServiceStatusList"
WITH_CERTIFICATE = "<ds:X509Data><ds:X509Certificate/></ds:X509Data>"


@pytest.fixture
def operator(forge: Forge) -> Made:
    return forge.issue(Recipe({NameOID.COMMON_NAME: "Scheme operator"}))


def rules(*operators: Made, **more: Any) -> ListRules:
    return ListRules(TrustRoots(tuple(one.certificate for one in operators)), **more)


def signed(xml: bytes, by: Made, *, identity: str = "") -> bytes:
    """Return a list with an enveloped XAdES signature, as TS 119 612 wants it."""
    root = etree.fromstring(xml)
    if identity:
        root.set("Id", identity)
    whole = hashlib.sha256(canonical(root, EXCLUSIVE)).digest()
    held = by.certificate.public_bytes(Encoding.DER)
    named = base64.b64encode(hashlib.sha256(held).digest()).decode()
    info = f"""<xades:SignedProperties Id="properties"><xades:SignedSignatureProperties>
      <xades:SigningTime>2026-03-02T02:00:00Z</xades:SigningTime><xades:SigningCertificateV2>
      <xades:Cert><xades:CertDigest><ds:DigestMethod Algorithm="{DIGESTS["sha256"]}"/>
      <ds:DigestValue>{named}</ds:DigestValue></xades:CertDigest></xades:Cert>
      </xades:SigningCertificateV2></xades:SignedSignatureProperties></xades:SignedProperties>"""
    keys = f"<ds:X509Data><ds:X509Certificate>{base64.b64encode(held).decode()}"
    template = _TEMPLATE.replace("KEYS", f"{keys}</ds:X509Certificate></ds:X509Data>")
    template = template.replace("</ds:SignedInfo>", f"{_PROPERTIES}</ds:SignedInfo>").replace(
        "</ds:Signature>",
        f'<ds:Object><xades:QualifyingProperties xmlns:xades="{XADES}" Target="#S">{info}'
        "</xades:QualifyingProperties></ds:Object></ds:Signature>",
    )
    if identity:
        template = template.replace('URI=""', f'URI="#{identity}"')
    root.append(etree.fromstring(template))
    properties = canonical(one(root, "//xades:SignedProperties"), EXCLUSIVE)
    for digest, value in zip(
        (whole, hashlib.sha256(properties).digest()),
        root.iterfind(f".//{{{DS}}}SignedInfo//{{{DS}}}DigestValue"),
        strict=True,
    ):
        value.text = base64.b64encode(digest).decode()
    assert isinstance(by.key, ec.EllipticCurvePrivateKey)
    to_sign = canonical(one(root, "//ds:SignedInfo"), EXCLUSIVE)
    r, s = utils.decode_dss_signature(by.key.sign(to_sign, ec.ECDSA(hashes.SHA256())))
    value = base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()
    one(root, "//ds:SignatureValue").text = value
    return bytes(etree.tostring(root))


def signed_by_xmlsec1(xml: bytes, by: Made, folder: Path, *, keys: str = WITH_CERTIFICATE) -> bytes:
    template = _TEMPLATE.replace("KEYS", keys)
    (folder / "in.xml").write_bytes(xml.replace(_END, template.encode() + _END))
    pem = by.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    (folder / "cert.pem").write_bytes(by.certificate.public_bytes(Encoding.PEM))
    key = f"{folder / 'key.pem'},{folder / 'cert.pem'}"
    out = str(folder / "out.xml")
    xmlsec1("--sign", "--privkey-pem", key, "--output", out, str(folder / "in.xml"))
    return (folder / "out.xml").read_bytes()


def xmlsec1(*arguments: str, check: bool = True) -> bool:
    if shutil.which("xmlsec1") is None:
        pytest.fail("xmlsec1 is needed: apt-get install xmlsec1")
    done = subprocess.run(
        ["xmlsec1", *arguments], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0 or not check, done.stderr
    return done.returncode == 0


class TestSigned:
    def test_a_list_that_the_operator_signed_counts(
        self, forge: Forge, operator: Made, tmp_path: Path
    ) -> None:
        made = signed(trusted_list(service(forge.root)), operator)
        path = tmp_path / "vn.xml"
        path.write_bytes(made)
        certificate = tmp_path / "operator.pem"
        certificate.write_bytes(operator.certificate.public_bytes(Encoding.PEM))
        place = ["--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"]
        assert xmlsec1("--verify", *place, "--pubkey-cert-pem", str(certificate), str(path))
        anchors = load_anchors([path], ListRules.of([certificate], "refuse"))
        assert anchors.roots.certificates == (forge.root.certificate,)
        assert anchors.doubts(datetime(2026, 5, 1, tzinfo=UTC)) == []

    @pytest.mark.parametrize("keys", [WITH_CERTIFICATE, "<ds:KeyName/>"])
    def test_what_xmlsec1_signed_counts_with_and_without_a_certificate_in_it(
        self, forge: Forge, operator: Made, tmp_path: Path, keys: str
    ) -> None:
        made = signed_by_xmlsec1(trusted_list(service(forge.root)), operator, tmp_path, keys=keys)
        found = read_list(made, rules(forge.authority, operator))
        assert (found.authorities, found.checked) == ((forge.root.certificate,), True)

    def test_a_list_that_should_have_been_replaced_counts_and_is_told(
        self, forge: Forge, operator: Made, tmp_path: Path
    ) -> None:
        (tmp_path / "vn.xml").write_bytes(signed(trusted_list(service(forge.root)), operator))
        verifier = _verifier(tmp_path, rules(operator))
        pdf = tmp_path / "a.pdf"
        pdf.write_bytes(make_pdf())
        early = verifier.report(pdf, now=datetime(2026, 5, 1, tzinfo=UTC))
        late = verifier.report(pdf, now=datetime(2026, 7, 1, tzinfo=UTC))
        assert "vn.xml" not in " ".join(early.reasons)
        assert "vn.xml was to be replaced by 2026-06-01" in late.reasons[-1]


class TestRefused:
    def test_a_list_that_nobody_signed_is_refused_and_told_what_to_do(
        self, forge: Forge, operator: Made, tmp_path: Path
    ) -> None:
        (tmp_path / "vn.xml").write_bytes(trusted_list(service(forge.root)))
        for of in (ListRules(), rules(operator)):
            with pytest.raises(
                ConfigurationError, match=r"vn\.xml is refused.*no signature"
            ) as told:
                load_anchors([tmp_path], of)
            assert "DOCFLOW_TRUST_LIST_SIGNERS" in str(told.value)
            assert "DOCFLOW_TRUST_LISTS_UNSIGNED=accept" in str(told.value)

    def test_a_list_that_a_stranger_signed_is_refused(self, forge: Forge, operator: Made) -> None:
        made = signed(trusted_list(service(forge.root)), forge.issue(Recipe()))
        with pytest.raises(ValueError, match="none of the configured scheme operators"):
            read_list(made, rules(operator))

    def test_an_operators_certificate_in_a_strangers_signature_is_refused(
        self, forge: Forge, operator: Made
    ) -> None:
        stranger = forge.issue(Recipe())
        made = signed(trusted_list(service(forge.root)), Made(stranger.key, operator.certificate))
        with pytest.raises(ValueError, match="not that of the certificate's key"):
            read_list(made, rules(operator))

    def test_a_signed_list_without_a_configured_operator_is_refused_unless_vouched_for(
        self, forge: Forge, operator: Made
    ) -> None:
        weak = _changed(
            signed(trusted_list(service(forge.root)), operator),
            lambda root: _set(root, "SignatureMethod", "Algorithm", f"{DS}rsa-sha1"),
        )
        with pytest.raises(ValueError, match="no scheme operator is configured"):
            read_list(weak, ListRules())
        assert not read_list(weak, rules(unsigned="accept")).checked

    def test_accepted_without_a_check_every_report_says_so(
        self, forge: Forge, tmp_path: Path
    ) -> None:
        (tmp_path / "vn.xml").write_bytes(trusted_list(service(forge.root)))
        verifier = _verifier(tmp_path, rules(unsigned="accept"))
        pdf = tmp_path / "a.pdf"
        pdf.write_bytes(make_pdf())
        report = verifier.report(pdf, now=datetime(2026, 5, 1, tzinfo=UTC))
        assert "vn.xml was not checked" in report.reasons[-1]

    @pytest.mark.parametrize("unsigned", ["refuse", "accept"])
    def test_a_changed_list_is_refused_even_where_unsigned_ones_are_accepted(
        self, forge: Forge, operator: Made, unsigned: str
    ) -> None:
        made = signed(trusted_list(service(forge.root, status="withdrawn")), operator)
        changed = made.replace(b"Svcstatus/withdrawn", b"Svcstatus/granted")
        with pytest.raises(ValueError, match="changed after signing"):
            read_list(changed, rules(operator, unsigned=unsigned))

    def test_a_signed_list_wrapped_into_a_strangers_is_refused(
        self, forge: Forge, operator: Made
    ) -> None:
        """A stranger's services are put around a list, which goes on in an object of its signature."""
        stranger = Forge()

        def wrap(root: etree._Element) -> None:
            signature = one(root, "./ds:Signature")
            root.remove(signature)
            etree.SubElement(signature, f"{{{DS}}}Object").append(_copy(root))
            outer = etree.fromstring(trusted_list(service(stranger.root)))
            root[:] = [*outer, signature]
            root.attrib.clear()

        for identity in ("", "list"):
            good = signed(trusted_list(service(forge.root)), operator, identity=identity)
            assert read_list(good, rules(operator)).authorities == (forge.root.certificate,)
            with pytest.raises(ValueError, match="changed after signing"):
                read_list(_changed(good, wrap), rules(operator))

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (lambda root: root.append(_copy(root[-1])), "several signatures"),
            (
                lambda root: _set(root, "Reference", "URI", "http://127.0.0.1/list"),
                "not in order",
            ),
            (
                lambda root: _set(
                    root, "Transform", "Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116"
                ),
                "transform",
            ),
            (
                lambda root: _set(root, "SignatureMethod", "Algorithm", f"{DS}rsa-sha1"),
                "SHA-1",
            ),
            (lambda root: _set(root, "DigestMethod", "Algorithm", f"{DS}sha1"), "SHA-1"),
            (
                lambda root: _set(root, "SignatureMethod", "Algorithm", f"{DS}hmac-sha1"),
                "not accepted",
            ),
        ],
    )
    def test_a_signature_that_was_touched_is_refused(
        self,
        forge: Forge,
        operator: Made,
        change: Callable[[etree._Element], None],
        why: str,
    ) -> None:
        made = _changed(signed(trusted_list(service(forge.root)), operator), change)
        with pytest.raises(ValueError, match=why):
            read_list(made, rules(operator))

    def test_an_operator_whose_certificate_was_over_is_refused(self, forge: Forge) -> None:
        over = forge.issue(
            Recipe(valid_from=NOW - timedelta(days=90), valid_until=NOW - timedelta(days=1))
        )
        made = signed(trusted_list(service(forge.root)), over)
        with pytest.raises(ValueError, match="not valid when it was issued"):
            read_list(made, rules(over))

    def test_a_missing_file_of_operators_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"TRUST_LIST_SIGNERS.*gone\.pem"):
            ListRules.of([tmp_path / "gone.pem"], "refuse")


def _verifier(folder: Path, lists: ListRules) -> Verifier:
    return Verifier.make(NOBODY, NOBODY, [folder / "vn.xml"], lists=lists, timeout_s=20)


def _changed(xml: bytes, change: Callable[[etree._Element], None]) -> bytes:
    root = etree.fromstring(xml)
    change(root)
    return bytes(etree.tostring(root))


def _copy(element: etree._Element) -> etree._Element:
    return etree.fromstring(etree.tostring(element))


def _set(root: etree._Element, name: str, attribute: str, value: str) -> None:
    found = root.find(f".//{{{DS}}}{name}")
    assert found is not None
    found.set(attribute, value)
