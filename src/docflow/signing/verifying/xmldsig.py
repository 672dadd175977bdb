"""The core of a signature in XML: is it in order, and are SignedInfo and what lies inside as signed.

Rules:
- Looked at before anything is computed: algorithms, transforms and references are on lists of what is
  accepted; everything else is refused, with its name.
- A reference leads to the signature itself (`#Id`, each Id once), to the document around it (an
  enveloped signature), or names a file, whose bytes the caller compares. Nothing else is resolved:
  neither a path nor an address is ever opened.
- What was signed is what is read: elements are handed out as canonicalised, never as they lay there.

Source: W3C XML Signature 1.1, RFC 6931, RFC 9231; Canonical XML 1.0 and 1.1, Exclusive XML
Canonicalization 1.0.
"""

import binascii
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidDigest, InvalidInput, InvalidSignature
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from docflow.signing.judgement import one_line
from docflow.signing.report import FAILED, INDETERMINATE, Indication
from docflow.signing.verifying.safexml import hardened_parser

DS = "{http://www.w3.org/2000/09/xmldsig#}"
MAX_REFERENCES = 1_000
MAX_INSIDE = 16  # references to elements: each costs a look at the whole document
MAX_CERTIFICATES = 64
ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_XMLENC = "http://www.w3.org/2001/04/xmlenc#"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_MORE_2007 = "http://www.w3.org/2007/05/xmldsig-more#"
DIGESTS = {
    "http://www.w3.org/2000/09/xmldsig#sha1": "sha1",
    _MORE + "sha224": "sha224",
    _XMLENC + "sha256": "sha256",
    _MORE + "sha384": "sha384",
    _XMLENC + "sha512": "sha512",
    _MORE_2007 + "sha3-256": "sha3_256",
    _MORE_2007 + "sha3-384": "sha3_384",
    _MORE_2007 + "sha3-512": "sha3_512",
}
# URI → the name of the mechanism as X.509 has it, and the digest
METHODS = {
    "http://www.w3.org/2000/09/xmldsig#rsa-sha1": ("sha1_rsa", "sha1"),
    _MORE + "rsa-sha256": ("sha256_rsa", "sha256"),
    _MORE + "rsa-sha384": ("sha384_rsa", "sha384"),
    _MORE + "rsa-sha512": ("sha512_rsa", "sha512"),
    _MORE_2007 + "sha256-rsa-MGF1": ("rsassa_pss", "sha256"),
    _MORE_2007 + "sha384-rsa-MGF1": ("rsassa_pss", "sha384"),
    _MORE_2007 + "sha512-rsa-MGF1": ("rsassa_pss", "sha512"),
    _MORE + "ecdsa-sha1": ("sha1_ecdsa", "sha1"),
    _MORE + "ecdsa-sha256": ("sha256_ecdsa", "sha256"),
    _MORE + "ecdsa-sha384": ("sha384_ecdsa", "sha384"),
    _MORE + "ecdsa-sha512": ("sha512_ecdsa", "sha512"),
}
# Without comments: a comment is no part of what was signed, so none is read either.
_CANONICAL = {
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/2006/12/xml-c14n11",
    "http://www.w3.org/2001/10/xml-exc-c14n#",
}
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"


class XmlSignatureError(Exception):
    """A signature that is not in order, with what EN 319 102-1 calls that."""

    def __init__(self, indication: Indication, sub_indication: str, why: str) -> None:
        super().__init__(why)
        self.indication = indication
        self.sub_indication = sub_indication


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference of SignedInfo.

    Attributes:
        uri: where it leads.
        kind: its Type; empty without one.
        algorithm: the digest, as `hashlib` names it.
        digest: what was signed.
    """

    uri: str
    kind: str
    algorithm: str
    digest: bytes

    @property
    def inside(self) -> bool:
        """Tell whether it leads to the signature, or to the document around it."""
        return self.uri == "" or self.uri.startswith("#")


@dataclass(frozen=True, slots=True)
class Outline:
    """What a signature says of itself, before anything of it is proven.

    Attributes:
        mechanism: how it was signed, as X.509 names it.
        digest: the digest of that.
        references: in the order of SignedInfo.
        certificates: those of KeyInfo, in DER, in their order.
        value: the bytes of the signature.
        signed_info_sha256: of the canonical SignedInfo, whose bytes were signed.
    """

    mechanism: str
    digest: str
    references: tuple[Reference, ...]
    certificates: tuple[bytes, ...]
    value: bytes
    signed_info_sha256: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a certificate's key has signed.

    Attributes:
        files: the references that name files; their bytes are not compared yet.
        elements: the elements that references lead to, as canonicalised.
    """

    files: tuple[Reference, ...]
    elements: tuple[etree._Element, ...]


def refused(why: str) -> XmlSignatureError:
    """Return the error for what is not accepted here, and might be elsewhere."""
    return XmlSignatureError(INDETERMINATE, "SIG_CONSTRAINTS_FAILURE", why)


def malformed(why: str) -> XmlSignatureError:
    """Return the error for what no signature may be."""
    return XmlSignatureError(FAILED, "FORMAT_FAILURE", why)


def check_ids(root: etree._Element) -> None:
    """Refuse an Id that stands twice: two readers might take it for two different elements.

    Raises:
        XmlSignatureError: if one does.
    """
    seen: set[str] = set()
    for element in root.iter(etree.Element):
        for name, value in element.attrib.items():
            if etree.QName(name).localname.lower() != "id":
                continue
            if value in seen:
                raise malformed(f"the Id {value[:100]!r} stands twice")
            seen.add(value)


def outline(signature: etree._Element, *, enveloped: bool = False) -> Outline:
    """Look a `ds:Signature` over.

    Args:
        signature: the element, in a document of which `check_ids` found nothing to say.
        enveloped: whether it may sign the document around it.

    Raises:
        XmlSignatureError: if something in it is not accepted.
    """
    info = only(signature, "SignedInfo")
    method = only(info, "SignatureMethod").get("Algorithm", "")
    if method not in METHODS:
        raise refused(f"its signature method {method[:100]!r} is not accepted")
    canonical = only(info, "CanonicalizationMethod")
    _accept_canonical(canonical)
    found = info.findall(f"{DS}Reference")
    if not 0 < len(found) <= MAX_REFERENCES:
        raise malformed(f"it has {len(found)} references, and must have 1 to {MAX_REFERENCES}")
    references = tuple(_reference(one, enveloped=enveloped) for one in found)
    if sum(one.inside for one in references) > MAX_INSIDE:
        raise malformed(f"more than {MAX_INSIDE} of its references lead to XML")
    if len({one.uri for one in references}) != len(references):
        raise malformed("two of its references lead to the same place")
    mechanism, digest = METHODS[method]
    return Outline(
        mechanism=mechanism,
        digest=digest,
        references=references,
        certificates=_certificates(signature),
        value=decoded(only(signature, "SignatureValue")),
        signed_info_sha256=hashlib.sha256(canonicalised(info, canonical)).hexdigest(),
    )


def only(parent: etree._Element, name: str) -> etree._Element:
    """Return the one child of XML-DSig with this name.

    Raises:
        XmlSignatureError: if there is none, or several.
    """
    found = parent.findall(DS + name)
    if len(found) != 1:
        raise malformed(f"it has {len(found)} elements {name}, and must have one")
    return found[0]


def decoded(element: etree._Element) -> bytes:
    """Return the bytes that an element holds in base64.

    Raises:
        XmlSignatureError: if it holds anything else.
    """
    try:
        return binascii.a2b_base64("".join((element.text or "").split()), strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise malformed(f"{etree.QName(element).localname} is not base64") from error


def digest_of(parent: etree._Element) -> tuple[str, bytes]:
    """Return algorithm and value of a digest in XML-DSig's form.

    Raises:
        XmlSignatureError: if it is none, or the algorithm is not known.
    """
    uri = only(parent, "DigestMethod").get("Algorithm", "")
    if uri not in DIGESTS:
        raise refused(f"its digest {uri[:100]!r} is not accepted")
    return DIGESTS[uri], decoded(only(parent, "DigestValue"))


def canonicalised(element: etree._Element, method: etree._Element | None) -> bytes:
    """Return an element's canonical bytes, by a method that is accepted (Canonical XML by default).

    Raises:
        XmlSignatureError: if the method is not accepted.
    """
    exclusive, prefixes = False, None
    if method is not None:
        exclusive = _accept_canonical(method) == _EXCLUSIVE
        inclusive = method.find(f"{{{_EXCLUSIVE}}}InclusiveNamespaces")
        if exclusive and inclusive is not None:
            prefixes = (inclusive.get("PrefixList") or "").split()
    # parsed anew, so that it declares the namespaces that it stands in
    alone = etree.fromstring(etree.tostring(element, with_tail=False), hardened_parser())
    return bytes(
        etree.tostring(alone, method="c14n", exclusive=exclusive, inclusive_ns_prefixes=prefixes)
    )


def _accept_canonical(method: etree._Element) -> str:
    uri = str(method.get("Algorithm", ""))
    if uri not in _CANONICAL:
        raise refused(f"its canonicalization {uri[:100]!r} is not accepted")
    return uri


def _reference(element: etree._Element, *, enveloped: bool) -> Reference:
    uri = element.get("URI")
    if uri is None:
        raise refused("a reference does not say where it leads")
    algorithm, digest = digest_of(element)
    found = Reference(uri, element.get("Type", ""), algorithm, digest)
    if uri == "" and not enveloped:
        raise refused("it signs the XML around it, which is no file of the container")
    transforms = [one.get("Algorithm", "") for one in element.iterfind(f"{DS}Transforms/*")]
    accepted = _CANONICAL | {ENVELOPED} if enveloped else _CANONICAL
    for one in transforms:
        if one not in accepted or not found.inside:
            what = "of XML" if found.inside else "of a file"
            raise refused(f"its transform {one[:100]!r} {what} is not accepted")
    if sum(one in _CANONICAL for one in transforms) > 1:
        raise refused("a reference is canonicalised more than once")
    return found


def _certificates(signature: etree._Element) -> tuple[bytes, ...]:
    found = signature.findall(f"{DS}KeyInfo/{DS}X509Data/{DS}X509Certificate")
    if len(found) > MAX_CERTIFICATES:
        raise malformed(f"it holds more than {MAX_CERTIFICATES} certificates")
    return tuple(decoded(one) for one in found)


class _Core(XMLVerifier):
    """signxml's verifier, which compares what lies in XML; files are left to the caller.

    signxml would read each file as a whole, and try to parse it. Should it stop asking this method,
    references to files fail, since no resolver is given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.files: list[Reference] = []

    def _verify_reference(self, reference: etree._Element, *rest: Any) -> VerifyResult:
        found = _reference(reference, enveloped=True)
        if found.inside:
            result: VerifyResult = super()._verify_reference(reference, *rest)  # type: ignore[no-untyped-call]
            return result
        self.files.append(found)
        return VerifyResult(b"", None, reference, b"")


def verify(
    data: etree._Element, certificate: x509.Certificate, *, location: str = "./"
) -> Verified:
    """Check that the key of `certificate` signed SignedInfo, and each element that it refers to.

    Args:
        data: a `ds:Signature` that was looked over, or the document whose child it is.
        certificate: the signer's; neither its validity nor its chain is judged here.
        location: where the signature stands in `data`.

    Raises:
        XmlSignatureError: if that is not so.
    """
    core = _Core()
    config = SignatureConfiguration(
        location=location,
        expect_references=True,
        signature_methods=frozenset(SignatureMethod(one) for one in METHODS),
        digest_algorithms=frozenset(DigestAlgorithm(one) for one in DIGESTS),
        ignore_ambiguous_key_info=True,  # the key is that of the certificate, whatever else is there
        verification_time=certificate.not_valid_before_utc,
        default_reference_c14n_method=CanonicalizationMethod.CANONICAL_XML_1_0,
    )
    results = _told(
        lambda: core.verify(
            data, x509_cert=certificate, expect_config=config, parser=hardened_parser()
        )
    )
    return Verified(
        tuple(core.files),
        tuple(one.signed_xml for one in results if one.signed_xml is not None),
    )


def _told(check: Callable[[], Any]) -> Iterable[VerifyResult]:
    try:
        results: list[VerifyResult] = check()
    except InvalidDigest as error:
        why = "what it signs inside the XML was changed after signing"
        raise XmlSignatureError(FAILED, "HASH_FAILURE", why) from error
    except InvalidSignature as error:
        why = "it is not that of the certificate's key"
        raise XmlSignatureError(FAILED, "SIG_CRYPTO_FAILURE", why) from error
    except XmlSignatureError:
        raise
    except (InvalidInput, etree.DocumentInvalid) as error:
        raise malformed(one_line(error)) from error
    except Exception as error:
        raise malformed(f"it cannot be computed ({one_line(error)})") from error
    return results
