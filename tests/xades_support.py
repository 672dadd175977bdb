"""Signatures in XML for tests: XAdES as another program makes them, and xmlsec1 as the judge beside ours.

Nothing here uses docflow's own code for XML: templates are built with lxml, signed with the key itself
or by xmlsec1.
"""

import base64
import hashlib
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from asn1crypto import crl
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp
from lxml import etree

from tests.pki_support import LivePki
from tests.verification_support import Maker, container, online

DS = "http://www.w3.org/2000/09/xmldsig#"
XADES = "http://uri.etsi.org/01903/v1.3.2#"
ASIC = "http://uri.etsi.org/02918/v1.2.1#"
NS = {"ds": DS, "xades": XADES, "asic": ASIC}
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
INCLUSIVE_11 = "http://www.w3.org/2006/12/xml-c14n11"
SIGNED_PROPERTIES = "http://uri.etsi.org/01903#SignedProperties"
_XMLENC = "http://www.w3.org/2001/04/xmlenc#"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
DIGESTS = {
    "sha1": DS + "sha1",
    "sha256": _XMLENC + "sha256",
    "sha384": _MORE + "sha384",
    "sha512": _XMLENC + "sha512",
}
NAME = "META-INF/signatures0.xml"
Change = Callable[[etree._Element], Any]


@dataclass
class Style:
    """How a signature is made; the defaults make a good one."""

    canonical: str = EXCLUSIVE
    properties_canonical: str | None = EXCLUSIVE
    digest: str = "sha256"
    pss: bool = False
    version: str = "V2"
    sign_key_info: bool = False
    signing_time: str | None = "2026-03-02T01:30:00Z"
    before: Change = field(default=lambda _: None)  # a change that is signed along
    after: Change = field(default=lambda _: None)  # one that is not


class XadesMaker:
    """Makes containers with XAdES signatures by the living PKI."""

    def __init__(self, pki: LivePki) -> None:
        self.pki = pki

    def key(self, label: str) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
        key = load_pem_private_key((self.pki.folder / f"{label}.pem").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
        return key

    def template(
        self,
        files: Mapping[str, bytes],
        style: Style | None = None,
        *,
        label: str = "person",
        issuer: str = "authority",
        identity: str = "S0",
    ) -> etree._Element:
        """Return `XAdESSignatures` with a signature whose digests and value are empty."""
        style = style or Style()
        certificate = self.pki.certificate(label)
        chain = [certificate, self.pki.certificate(issuer)]
        algorithm = f'<ds:DigestMethod Algorithm="{DIGESTS[style.digest]}"/>'
        transform = (
            f'<ds:Transforms><ds:Transform Algorithm="{style.properties_canonical}"/></ds:Transforms>'
            if style.properties_canonical
            else ""
        )
        references = "".join(
            f'<ds:Reference Id="{identity}-r{number}" URI="{quote(name)}">{algorithm}<ds:DigestValue/>'
            "</ds:Reference>"
            for number, name in enumerate(files)
        )
        if style.sign_key_info:
            references += (
                f'<ds:Reference URI="#{identity}-key">{transform}{algorithm}<ds:DigestValue/>'
                "</ds:Reference>"
            )
        digest = hashlib.new(style.digest, certificate.public_bytes(Encoding.DER)).digest()
        named = (
            f"<xades:SigningCertificate{style.version}><xades:Cert><xades:CertDigest>{algorithm}"
            f"<ds:DigestValue>{base64.b64encode(digest).decode()}</ds:DigestValue></xades:CertDigest>"
            f"</xades:Cert></xades:SigningCertificate{style.version}>"
        )
        time = (
            f"<xades:SigningTime>{style.signing_time}</xades:SigningTime>"
            if style.signing_time
            else ""
        )
        held = "".join(
            f"<ds:X509Certificate>{base64.b64encode(one.public_bytes(Encoding.DER)).decode()}"
            "</ds:X509Certificate>"
            for one in chain
        )
        xml = f"""<?xml version="1.0" encoding="UTF-8"?>
<asic:XAdESSignatures xmlns:asic="{ASIC}" xmlns:ds="{DS}" xmlns:xades="{XADES}">
  <ds:Signature Id="{identity}">
    <ds:SignedInfo>
      <ds:CanonicalizationMethod Algorithm="{style.canonical}"/>
      <ds:SignatureMethod Algorithm="{self._method(label, style)}"/>
      {references}
      <ds:Reference Type="{SIGNED_PROPERTIES}" URI="#{identity}-properties">{transform}{algorithm}
        <ds:DigestValue/></ds:Reference>
    </ds:SignedInfo>
    <ds:SignatureValue Id="{identity}-value"/>
    <ds:KeyInfo Id="{identity}-key"><ds:X509Data>{held}</ds:X509Data></ds:KeyInfo>
    <ds:Object><xades:QualifyingProperties Target="#{identity}">
      <xades:SignedProperties Id="{identity}-properties">
        <xades:SignedSignatureProperties>{time}{named}</xades:SignedSignatureProperties>
      </xades:SignedProperties>
    </xades:QualifyingProperties></ds:Object>
  </ds:Signature>
</asic:XAdESSignatures>"""
        root = etree.fromstring(xml.encode())
        style.before(root)
        return root

    def signed(
        self,
        files: Mapping[str, bytes],
        style: Style | None = None,
        *,
        label: str = "person",
        issuer: str = "authority",
        tsa: str | None = None,
        revocation: bool = False,
        answer: bool = False,
        identity: str = "S0",
    ) -> bytes:
        """Return a signature file over these files, with a timestamp and revocation lists if asked."""
        style = style or Style()
        root = self.template(files, style, label=label, issuer=issuer, identity=identity)
        fill(root, files)
        info = one(root, "//ds:SignedInfo")
        value = self._sign(canonical(info, style.canonical), label, style)
        one(root, "//ds:SignatureValue").text = base64.b64encode(value).decode()
        if tsa is not None:
            self._unsigned(root, self._stamp(root, tsa))
        if revocation:
            self._unsigned(root, self._lists(label if answer else None))
        style.after(root)
        return serialised(root)

    def asic(
        self,
        files: Mapping[str, bytes],
        style: Style | None = None,
        *,
        mimetype: str = "application/vnd.etsi.asic-e+zip",
        extra: Mapping[str, bytes] | None = None,
        **how: Any,
    ) -> bytes:
        """Return a container with one XAdES signature over all files."""
        made = self.signed(files, style, **how)
        return container({**files, NAME: made, **(extra or {})}, mimetype)

    def _method(self, label: str, style: Style) -> str:
        if isinstance(self.key(label), ec.EllipticCurvePrivateKey):
            return f"{_MORE}ecdsa-{style.digest}"
        if style.pss:
            return f"http://www.w3.org/2007/05/xmldsig-more#{style.digest}-rsa-MGF1"
        return f"{DS if style.digest == 'sha1' else _MORE}rsa-{style.digest}"

    def _sign(self, data: bytes, label: str, style: Style) -> bytes:
        key = self.key(label)
        digest: hashes.HashAlgorithm = getattr(hashes, style.digest.upper())()
        if isinstance(key, ec.EllipticCurvePrivateKey):
            r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return key.sign(data, pss if style.pss else padding.PKCS1v15(), digest)

    def _stamp(self, root: etree._Element, tsa: str) -> str:
        value = canonical(one(root, "//ds:SignatureValue"), EXCLUSIVE)
        token = base64.b64encode(Maker(self.pki).token(value, tsa)).decode()
        return (
            f'<xades:SignatureTimeStamp><ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"/>'
            f"<xades:EncapsulatedTimeStamp>{token}</xades:EncapsulatedTimeStamp>"
            "</xades:SignatureTimeStamp>"
        )

    def _lists(self, asked: str | None) -> str:
        """Return certificates and lists; of the certificate `asked`, an answer in place of a list."""
        names = ["root", "tsa-authority", *([] if asked else ["authority"])]

        async def fetch(session: Any) -> list[bytes]:
            found = []
            for name in names:
                address = f"http://127.0.0.1:{self.pki.port}/docflow/crls/{name}/latest.crl"
                async with session.get(address) as answer:
                    found.append(crl.CertificateList.load(await answer.read()).dump())
            return found

        def held(tag: str, values: list[bytes]) -> str:
            return "".join(
                f"<xades:{tag}>{base64.b64encode(value).decode()}</xades:{tag}>" for value in values
            )

        certificates = [
            self.pki.certificate(name).public_bytes(Encoding.DER)
            for name in ("authority", "tsa-authority", "tsa")
        ]
        return (
            f"<xades:CertificateValues>{held('EncapsulatedX509Certificate', certificates)}"
            "</xades:CertificateValues><xades:RevocationValues><xades:CRLValues>"
            f"{held('EncapsulatedCRLValue', online(fetch))}</xades:CRLValues>"
            f"<xades:OCSPValues>{held('EncapsulatedOCSPValue', self._answers(asked))}"
            "</xades:OCSPValues></xades:RevocationValues>"
        )

    def _answers(self, asked: str | None) -> list[bytes]:
        if asked is None:
            return []
        builder = ocsp.OCSPRequestBuilder().add_certificate(
            self.pki.certificate(asked), self.pki.certificate("authority"), hashes.SHA256()
        )
        request = builder.build().public_bytes(Encoding.DER)

        async def ask(session: Any) -> bytes:
            kind = {"Content-Type": "application/ocsp-request"}
            async with session.post(self.pki.ocsp_url, data=request, headers=kind) as answer:
                return bytes(await answer.read())

        return [online(ask)]

    def _unsigned(self, root: etree._Element, xml: str) -> None:
        found = root.xpath("//xades:UnsignedSignatureProperties", namespaces=NS)
        if found:
            place = found[0]
        else:
            properties = etree.SubElement(
                one(root, "//xades:QualifyingProperties"), f"{{{XADES}}}UnsignedProperties"
            )
            place = etree.SubElement(properties, f"{{{XADES}}}UnsignedSignatureProperties")
        wrapped = etree.fromstring(f'<a xmlns:ds="{DS}" xmlns:xades="{XADES}">{xml}</a>')
        for child in wrapped:
            place.append(child)


def one(root: etree._Element, path: str) -> etree._Element:
    found = root.xpath(path, namespaces=NS)
    assert found, path
    element: etree._Element = found[0]
    return element


def serialised(root: etree._Element) -> bytes:
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def canonical(element: etree._Element, method: str | None) -> bytes:
    """Return an element's canonical bytes, with the namespaces that it stands in."""
    alone = etree.fromstring(etree.tostring(element, with_tail=False))
    return bytes(etree.tostring(alone, method="c14n", exclusive=method == EXCLUSIVE))


def fill(root: etree._Element, files: Mapping[str, bytes]) -> None:
    """Write the digests of all references; files that are not there keep what they have."""
    by_uri = {quote(name): data for name, data in files.items()}
    for reference in root.iterfind(f".//{{{DS}}}Reference"):
        uri = reference.get("URI") or ""
        if uri.startswith("#"):
            target = one(root, f"//*[@Id='{uri[1:]}']")
            transform = reference.find(f".//{{{DS}}}Transform")
            method = transform.get("Algorithm") if transform is not None else None
            data = canonical(target, method)
        else:
            data = by_uri.get(uri, b"")
        algorithm = one(reference, "./ds:DigestMethod").get("Algorithm")
        name = next(name for name, known in DIGESTS.items() if known == algorithm)
        value = one(reference, "./ds:DigestValue")
        value.text = base64.b64encode(hashlib.new(name, data).digest()).decode()


class Xmlsec:
    """xmlsec1 over the unpacked container, as an independent judge and as another maker."""

    def __init__(self, folder: Path, pki: LivePki) -> None:
        if shutil.which("xmlsec1") is None:
            pytest.fail("xmlsec1 is needed: apt-get install xmlsec1")
        self.folder = folder
        self.pki = pki

    def accepts(self, packed: bytes, *, name: str = NAME, at: str = "2026-03-02 01:30:00") -> bool:
        """Tell whether xmlsec1 takes the signature, its chain included."""
        place = self.unpacked(packed)
        done = self._run(
            place,
            "--verify",
            "--trusted-pem", str(self.pki.pem("root")),
            "--untrusted-pem", str(self.pki.pem("authority")),
            "--verification-time", at,
            name,
        )  # fmt: skip
        return done.returncode == 0

    def signed(self, template: bytes, files: Mapping[str, bytes], label: str = "person") -> bytes:
        """Return a container whose signature xmlsec1 made of a template."""
        place = self.unpacked(container({**files, NAME: template}))
        key = f"{self.pki.folder / f'{label}.pem'},{self.pki.pem(label)}"
        done = self._run(place, "--sign", "--privkey-pem", key, "--output", "signed.xml", NAME)
        assert done.returncode == 0, done.stderr
        return container({**files, NAME: (place / "signed.xml").read_bytes()})

    def unpacked(self, packed: bytes) -> Path:
        place = self.folder / f"unpacked-{hashlib.sha256(packed).hexdigest()[:12]}"
        with zipfile.ZipFile(BytesIO(packed)) as opened:
            opened.extractall(place)
        return place

    def _run(
        self, place: Path, command: str, *arguments: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["xmlsec1", command, "--id-attr:Id", f"{XADES}:SignedProperties", *arguments],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )


def certificate_base64(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
